"""Networks that learn without labels: from what came before, predict the next step; from what follows, the previous."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ostinato.nn.embedding import TokenEmbedding, drop_words
from ostinato.nn.layers import RecurrentStack
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear
from ostinato.nn.network import Network


class NextStepNetwork(Network):
    """An embedding and a recurrent stack, and a linear map per direction from its state to a prediction.

    The forward half of the stack predicts the next step, the reverse half the previous one. In a stack of several
    layers each direction reads its own half of the layer below only: the other half has seen the step to predict.

    Args:
        embed: token ids or channels to vectors.
        stack: recurrent layers, without layer norm if bidirectional: it would mix the halves.
        bidirectional: whether the layers read in both directions.
        output_size: of a prediction.

    Source: Dai & Le (2015), arXiv:1511.01432, section 2 (forward only); Peters et al. (2018), arXiv:1802.05365,
    section 3.1 (both directions).
    """

    stack: RecurrentStack

    def __init__(
        self, *, embed: TokenEmbedding | Linear, stack: RecurrentStack, bidirectional: bool, output_size: int
    ) -> None:
        super().__init__()
        self.embed, self.stack, self.wide = embed, stack, None
        self.head = Linear(stack.hidden_size, output_size)
        self.reverse_head = Linear(stack.hidden_size, output_size) if bidirectional else None
        if bidirectional:
            _separate_directions(stack)

    def states(self, values: Tensor, layout: Layout) -> Tensor:
        """The stack's output at every step. (N,) or (N, channels) -> (N, H), or (N, 2·H) for both directions."""
        states: Tensor = self.stack(self.embed(values), layout)
        return states

    def predict(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the next steps and, in both directions, the previous ones.

        Args:
            values: (N,) token ids or (N, channels).
            lengths: (B,), at least 1 each.

        Returns:
            The n predictions, (n, output_size), and the row of `values` that each predicts, (n,).
        """
        layout = Layout(lengths, values.device)
        states, H = self.states(values, layout), self.stack.hidden_size
        rows = torch.arange(layout.num_steps, device=values.device)
        before = _without(rows, layout.ends - 1)
        predictions, predicted = [self.head(states[:, :H].index_select(0, before))], [before + 1]
        if self.reverse_head is not None:
            after = _without(rows, layout.starts)
            predictions.append(self.reverse_head(states[:, H:].index_select(0, after)))
            predicted.append(after - 1)
        return torch.cat(predictions), torch.cat(predicted)


class LanguageModel(NextStepNetwork):
    """Predicts tokens: the logit of token k is eₖ·v + bₖ, with the embedding's own table e and the prediction v.

    Args:
        embed, stack, bidirectional: see `NextStepNetwork`.
        bias: (V,) the initial b, such as the logarithm of each token's frequency.
        word_dropout: share of tokens that training replaces with the unknown token in the input.

    Source: Press & Wolf (2017), arXiv:1608.05859, for the shared table; Iyyer et al. (2015) for word dropout.
    """

    embed: TokenEmbedding

    def __init__(
        self, *, embed: TokenEmbedding, stack: RecurrentStack, bidirectional: bool, bias: Tensor, word_dropout: float
    ) -> None:
        super().__init__(embed=embed, stack=stack, bidirectional=bidirectional, output_size=embed.embedding_dim)
        self.bias = nn.Parameter(bias.clone())
        self.word_dropout = word_dropout

    def states(self, values: Tensor, layout: Layout) -> Tensor:
        if self.training and self.word_dropout:
            values = drop_words(values, self.word_dropout)
        states: Tensor = self.stack(values, layout, table=self.embed.weight)
        return states


def _without(rows: Tensor, left_out: Tensor) -> Tensor:
    """The rows that are not left out. (N,), (B,) -> (N - B,)."""
    remains = torch.ones_like(rows, dtype=torch.bool)
    remains[left_out] = False
    return rows[remains]


def _separate_directions(stack: RecurrentStack) -> None:
    """From the second layer on, fix to 0 the input weights between a direction and the other one's half."""
    for layer in list(stack.layers)[1:]:
        forward, reverse = layer.directions()  # type: ignore[operator]
        H = stack.hidden_size
        for weight, others in ((forward.weight_ih, slice(H, None)), (reverse.weight_ih, slice(0, H))):
            mask = torch.ones_like(weight)
            mask[:, others] = 0.0
            with torch.no_grad():
                weight.mul_(mask)
            weight.register_hook(_masked_by(mask))


def _masked_by(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * mask.to(gradient.device)
