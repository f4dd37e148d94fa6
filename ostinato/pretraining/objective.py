"""What a pre-training learns from tokens or series: its loss, its network, and what it is compared with."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn import Linear, RecurrentStack, TokenEmbedding
from ostinato.nn.contexts import ContextNetwork
from ostinato.nn.next_step import LanguageModel, NextStepNetwork
from ostinato.nn.sampled_softmax import softmax_loss, token_losses
from ostinato.pretraining.batches import batches, in_evaluation
from ostinato.pretraining.config import NEXT_STEP, PretrainingConfig, PretrainingModel, PretrainingTraining
from ostinato.pretraining.contexts import (
    ContextLoss,
    build_context_network,
    context_baseline,
    continue_contexts,
    start_from_frequencies,
)
from ostinato.pretraining.corpus import Corpus, Steps
from ostinato.pretraining.negatives import draws_of, samples
from ostinato.tasks.network import build_stack
from ostinato.training.device import mixed_precision
from ostinato.training.pretrained import Pretrained, start_from
from ostinato.training.ranks import ALONE, Ranks


class TokenLoss:
    """The mean negative log-likelihood of the next and the previous token, in nats.

    Args:
        counts: (V,) occurrences of each token in train.
        negatives: how many tokens are drawn for each batch; None, or a small vocabulary: the whole softmax.
    """

    def __init__(self, counts: Tensor, negatives: int | None) -> None:
        self.negatives = negatives if samples(len(counts), negatives) else None
        self.drawn = draws_of(counts)

    def weight(self, batch: Steps) -> float:
        return float((batch.lengths - 1).sum())

    def loss(self, model: LanguageModel, batch: Steps, config: PretrainingTraining) -> Tensor:
        values = batch.sequences.values
        with mixed_precision(values.device, config.precision):
            vectors, predicted = model.predict(values, batch.lengths)
        sides = len(predicted) / self.weight(batch)  # 2 if both neighbours are predicted
        sample = () if self.negatives is None else self._sample(self.negatives, values.device)
        targets = values[predicted].long()
        return softmax_loss(vectors.float(), model.embed.weight, model.bias, targets, *sample) / sides

    def _sample(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Tokens drawn with replacement, and the logarithm of how often each is expected."""
        negatives = torch.multinomial(self.drawn, count, replacement=True)
        log_expected = (self.drawn[negatives] * count).log().float()
        return negatives.to(device), log_expected.to(device)

    def metrics(self, model: LanguageModel, data: Steps, ranks: Ranks = ALONE) -> dict[str, float]:
        total = predictions = 0.0
        with in_evaluation(model):
            for values, lengths in batches(data, model.device, ranks):
                vectors, predicted = model.predict(values, lengths)
                losses = token_losses(vectors.float(), model.embed.weight, model.bias, values[predicted].long())
                total, predictions = total + float(losses.double().sum()), predictions + len(losses)
        total, predictions = ranks.total(total, predictions)
        loss = total / predictions
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


class ValueLoss:
    """The mean squared error of the next and the previous step, in squared standard deviations of a channel."""

    def weight(self, batch: Steps) -> float:
        return float((batch.lengths - 1).sum())

    def loss(self, model: NextStepNetwork, batch: Steps, config: PretrainingTraining) -> Tensor:
        values = batch.sequences.values
        with mixed_precision(values.device, config.precision):
            predictions, predicted = model.predict(values, batch.lengths)
        sides = len(predicted) / self.weight(batch)
        return F.mse_loss(predictions.float(), values[predicted], reduction="sum") / (sides * values.shape[1])

    def metrics(self, model: NextStepNetwork, data: Steps, ranks: Ranks = ALONE) -> dict[str, float]:
        total = predictions = 0.0
        with in_evaluation(model):
            for values, lengths in batches(data, model.device, ranks):
                found, predicted = model.predict(values, lengths)
                total += float((found - values[predicted]).double().square().sum())
                predictions += found.numel()
        total, predictions = ranks.total(total, predictions)
        return {"loss": total / predictions}


def objective_of(config: PretrainingConfig, corpus: Corpus) -> TokenLoss | ValueLoss | ContextLoss:
    """What `training.objective` says; series are predicted by their values."""
    if corpus.counts is None:
        return ValueLoss()
    loss = TokenLoss if config.training.objective == NEXT_STEP else ContextLoss
    return loss(corpus.counts, config.training.num_negatives)


def baseline_loss(config: PretrainingConfig, corpus: Corpus) -> float:
    """The held-out loss without context: of each token's frequency in train; of series, of repeating the last step."""
    values, lengths = corpus.validation.sequences.values, corpus.validation.lengths
    if corpus.counts is None:
        is_first = torch.zeros(len(values), dtype=torch.bool)
        is_first[lengths.cumsum(0) - lengths] = True
        steps = (values[1:] - values[:-1])[~is_first[1:]]
        return float(steps.double().square().mean())
    if config.training.objective == NEXT_STEP:
        return float(-_log_frequencies(corpus.counts)[values.long()].mean())
    with torch.random.fork_rng(devices=[]):
        return context_baseline(build_context_network(config, corpus.counts), corpus)


def build_network(
    config: PretrainingConfig, corpus: Corpus, pretrained: Pretrained | None = None
) -> LanguageModel | NextStepNetwork | ContextNetwork:
    """A network with fresh weights from torch's global generator, or those of the pre-training to continue."""
    if config.training.objective == NEXT_STEP:
        return _next_step_network(config.model, corpus, pretrained)
    assert corpus.counts is not None, "series have no token vectors"
    network = build_context_network(config, corpus.counts)
    if not network.embed.weight.is_meta:  # there would be nothing to fill
        start_from_frequencies(network, corpus)
    if pretrained is not None:
        start_from(network, pretrained)
        continue_contexts(network, pretrained.weights)
    return network


def _next_step_network(
    config: PretrainingModel, corpus: Corpus, pretrained: Pretrained | None
) -> LanguageModel | NextStepNetwork:
    stack = build_stack(config, config.embedding_size)
    assert isinstance(stack, RecurrentStack)
    network: LanguageModel | NextStepNetwork
    if corpus.counts is None:
        channels = corpus.encoder.channels or 0
        network = NextStepNetwork(
            embed=Linear(channels, config.embedding_size),
            stack=stack,
            bidirectional=config.bidirectional,
            output_size=channels,
        )
    else:
        network = LanguageModel(
            embed=TokenEmbedding(len(corpus.counts), config.embedding_size),
            stack=stack,
            bidirectional=config.bidirectional,
            bias=_log_frequencies(corpus.counts),
            word_dropout=config.word_dropout,
        )
    if pretrained is not None:
        start_from(network, pretrained)
        heads = {name: each for name, each in pretrained.weights.items() if name.startswith(("head.", "reverse_head."))}
        network.load_state_dict(heads, strict=False)
    return network


def _log_frequencies(counts: Tensor) -> Tensor:
    """The logarithm of each token's share, where one more of each is counted. (V,) -> (V,)."""
    return ((counts + 1).double() / (counts.sum() + len(counts))).log().float()
