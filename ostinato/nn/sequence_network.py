"""A network with one vector of outputs for each sequence: embedding, convolution, stack, pooling, output layer."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from ostinato.nn.convolution import ConvStem
from ostinato.nn.embedding import PositionEmbedding, TokenEmbedding, drop_words
from ostinato.nn.layers import RecurrentStack, Stack
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear
from ostinato.nn.network import Network
from ostinato.nn.pooling import Pooling
from ostinato.nn.whole import Whole
from ostinato.nn.wide import WideNgrams

if TYPE_CHECKING:
    from ostinato.nn.wide_kernels import WideKernels


class SequenceNetwork(Network):
    """Embedding, positions and a convolution where there are any, stack, pooling, output layer; and a wide part.

    The outputs are the sum of the output layer's and the wide part's. In a linear model, everything but the wide part
    has a width of 0, and the bias of the output layer is the intercept.

    Args:
        embed: token ids to vectors, or a projection of a numeric series' channels.
        position: position embeddings, or None.
        conv_stem: a convolution before the stack, or None.
        stack: recurrent or convolutional layers.
        pooling: steps to one vector.
        num_outputs: C.
        dropout: on the pooled vector.
        wide: a linear model of the whole sequence, or None.
        word_dropout: in training, share of tokens that the layers read as out of vocabulary; the wide part does not.

    Attributes:
        quantity: what `answers` are: "probability" or "prediction".

    Shapes:
        values (N,) token ids or (N, channels), lengths (B,) -> outputs (B, C).
    """

    quantity: ClassVar[str] = "probability"
    wide: "WideNgrams | WideKernels | None"

    def __init__(
        self,
        *,
        embed: TokenEmbedding | Linear,
        position: PositionEmbedding | None,
        conv_stem: ConvStem | None,
        stack: Stack,
        pooling: Pooling,
        num_outputs: int,
        dropout: float,
        wide: "WideNgrams | WideKernels | None" = None,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = embed
        self.position = position
        self.conv_stem = conv_stem
        self.stack = stack
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = Linear(pooling.output_size, num_outputs)
        self.wide = wide
        self.word_dropout = word_dropout
        self._whole = Whole()

    @abstractmethod
    def explained(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The number that explanations split among the steps, for one target of each sequence. (B, C), (B,) -> (B,)."""

    @abstractmethod
    def chosen(self, outputs: Tensor) -> Tensor:
        """The target of each sequence that is explained unless another is named. (B, C) -> (B,)."""

    @abstractmethod
    def answers(self, outputs: Tensor) -> Tensor:
        """The outputs as a user reads them: probabilities, or numbers in the targets' units. (B, C) -> (B, C)."""

    @abstractmethod
    def outputs_for(self, answers: Tensor) -> Tensor:
        """The outputs with these answers, before any calibration of this network. (B, C) float64 -> (B, C) float64."""

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        layout = Layout(lengths, values.device)
        return self.with_wide(self._deep(values, layout), values, layout)

    def deep(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The outputs without those of the wide part. (N,) or (N, channels), (B,) -> (B, C)."""
        return self._deep(values, Layout(lengths, values.device))

    def with_wide(self, outputs: Tensor, values: Tensor, layout: Layout) -> Tensor:
        """Add the outputs of the wide part, if there is one. (B, C), (N,) or (N, channels) -> (B, C)."""
        return outputs if self.wide is None else outputs + self.wide(values, layout)

    def states(self, values: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """The stack's output at every step, and the layout of these steps: fewer than `layout` where the stem pools.

        Shapes: (N,) or (N, channels) -> (M, H).
        """
        return self._run_stack(*self._inputs(values, layout))

    def stack_input(self, x: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """What the stack reads: the steps' vectors, after positions and convolution. (N, D) -> (M, D)."""
        placed: Tensor = x if self.position is None else self.position(x, layout)
        return (placed, layout) if self.conv_stem is None else self.conv_stem(placed, layout)

    def on_tokens(self, weights: Tensor, layout: Layout) -> Tensor:
        """Weights of the stack's steps, each shared evenly among the tokens that its step covers. (M,) -> (N,)."""
        return weights if self.conv_stem is None else self.conv_stem.spread(weights, layout)

    def from_vectors(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Outputs without the wide part, for steps given by their vectors, as by `embed`. (N, D) -> (B, C)."""
        return self.outputs(*self._run_stack(*self.stack_input(x, Layout(lengths, x.device)), None))

    def outputs(self, h: Tensor, layout: Layout, attention: Tensor | None = None) -> Tensor:
        """Pooling and output layer; `attention` (N,) replaces the weights of attention pooling. (N, H) -> (B, C)."""
        pooled = self.pooling(h, layout, attention)  # (N, H) -> (B, P)
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs

    @property
    def channels(self) -> int | None:
        """The channels of a numeric series; None for token ids."""
        return None if isinstance(self.embed, TokenEmbedding) else self.embed.in_features

    @property
    def _is_one_table(self) -> bool:
        """Whether all tokens' vectors are rows of one table, which the kernel can read."""
        return isinstance(self.embed, TokenEmbedding) and self.embed.extra is None and not self.embed.drops

    def _deep(self, values: Tensor, layout: Layout) -> Tensor:
        x, steps, table = self._inputs(values, layout)
        outputs = self._whole.run(self.stack, self.pooling, self.dropout, self.head, x, steps, table)
        return self.outputs(*self._run_stack(x, steps, table)) if outputs is None else outputs

    def _inputs(self, values: Tensor, layout: Layout) -> tuple[Tensor, Layout, Tensor | None]:
        """What the stack reads, and its steps' layout: vectors (M, D) and None, or token ids (N,) and their table."""
        if self.training and self.word_dropout:
            values = drop_words(values, self.word_dropout)
        is_plain = self.position is None and self.conv_stem is None and self.change_vectors is None
        if self._is_one_table and isinstance(self.stack, RecurrentStack) and is_plain:
            return values, layout, self.embed.weight
        x = self.embed(values)
        return *self.stack_input(x if self.change_vectors is None else self.change_vectors(x, layout), layout), None

    def _run_stack(self, x: Tensor, layout: Layout, table: Tensor | None) -> tuple[Tensor, Layout]:
        """The stack's output at every step, and the steps' layout. (M, D), or (M,) with a table -> (M, H)."""
        return self.stack(x, layout) if table is None else self.stack(x, layout, table=table), layout


def log_odds(logits: Tensor, classes: Tensor) -> Tensor:
    """How far each row's class is ahead of all others: log p − log(1 − p). (B, C), (B,) -> (B,)."""
    own = logits.gather(1, classes.unsqueeze(1))  # (B, C) -> (B, 1)
    others = logits.scatter(1, classes.unsqueeze(1), -torch.inf)
    return own.squeeze(1) - others.logsumexp(dim=1)
