"""Token vectors from the tokens around: the losses of `skip-gram` and `two-view`, and what they are compared with."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn import TokenEmbedding
from ostinato.nn.context_loss import context_loss
from ostinato.nn.contexts import ContextNetwork, SkipGram, Targets, TwoView
from ostinato.pretraining.batches import batches, in_evaluation
from ostinato.pretraining.config import PretrainingConfig, PretrainingTraining
from ostinato.pretraining.corpus import Corpus, Steps
from ostinato.pretraining.negatives import draws_of, samples
from ostinato.training.ranks import ALONE, Ranks

NETWORKS: dict[str, type[SkipGram] | type[TwoView]] = {"skip-gram": SkipGram, "two-view": TwoView}
NEGATIVES = 5  # how much drawn tokens count for each target
FREQUENT = 1e-4  # share of tokens above which a token's importance falls (the value of fastText)


class ContextLoss:
    """The mean logistic loss of a target and its `NEGATIVES` negatives, in nats.

    Args:
        counts: (V,) occurrences of each token in train.
        negatives: how many tokens are drawn for each batch; None, or a small vocabulary: all tokens, by their share.
    """

    def __init__(self, counts: Tensor, negatives: int | None) -> None:
        self.negatives = negatives if samples(len(counts), negatives) else None
        self.draws = draws_of(counts)
        self.importance = importance_of(counts)

    def weight(self, batch: Steps) -> float:
        return float(batch.lengths.sum())

    def loss(self, model: ContextNetwork, batch: Steps, config: PretrainingTraining) -> Tensor:
        drawn = self._all() if self.negatives is None else self._sample(self.negatives)
        total, weight = self._total(model, batch.sequences.values, batch.lengths, drawn)
        return total / max(weight, 1e-12) * self.weight(batch)

    def metrics(self, model: ContextNetwork, data: Steps, ranks: Ranks = ALONE) -> dict[str, float]:
        total = weights = 0.0
        with in_evaluation(model):
            for values, lengths in batches(data, model.device, ranks):
                loss, weight = self._total(model, values, lengths, self._all())
                total, weights = total + float(loss), weights + weight
        total, weights = ranks.total(total, weights)
        return {"loss": total / weights}

    def _total(
        self, model: ContextNetwork, values: Tensor, lengths: Tensor, drawn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, float]:
        """The summed loss of a batch, and the weight of its targets."""
        ids, shares = (each.to(values.device) for each in drawn)
        vectors = model(values, lengths)
        sides = model.targets(values, lengths, self.importance.to(values.device))
        losses = [
            context_loss(vectors, table, bias, targets, ids, shares)
            for table, bias, targets in zip(model.tables, model.biases, sides, strict=True)
        ]
        return torch.stack(losses).sum(), float(sum(targets.weights.double().sum() for targets in sides))

    def _all(self) -> tuple[Tensor, Tensor]:
        """Every token, with the share that it is expected to have among the drawn ones."""
        return torch.arange(len(self.draws)), (NEGATIVES * self.draws).float()

    def _sample(self, count: int) -> tuple[Tensor, Tensor]:
        """Different tokens of a sample, with their shares of it."""
        drawn = torch.multinomial(self.draws, count, replacement=True)
        ids, times = torch.unique(drawn, return_counts=True)
        return ids, NEGATIVES * times.float() / count


class Tally(NamedTuple):
    """How often each token is predicted on one side, and how often it is not.

    Args:
        present: (V,) float64 summed weight of the targets that are this token.
        absent: (V,) float64 summed weight of this token as a negative.
    """

    present: Tensor
    absent: Tensor

    @property
    def log_odds(self) -> Tensor:
        """(V,) the logits with the least loss that do not depend on the context; one more of each is counted."""
        return ((self.present + 1) / (self.absent + 1)).log().float()

    def joined(self, other: "Tally") -> "Tally":
        return Tally(self.present + other.present, self.absent + other.absent)

    def loss(self, logits: Tensor) -> float:
        """The summed loss of logits (V,) that are the same in every context."""
        return float((self.present * F.softplus(-logits) + self.absent * F.softplus(logits)).sum())


def importance_of(counts: Tensor) -> Tensor:
    """How much a token counts as a target: min(1, √(t / share)), with t = 10⁻⁴, or 1/V in a small vocabulary.

    Source: Mikolov et al. (2013), arXiv:1310.4546, section 2.3: the probability with which a token is kept.
    """
    shares = counts.double().clamp(min=0.5) / counts.sum()
    return (max(FREQUENT, 1 / len(counts)) / shares).sqrt().clamp(max=1.0).float()


def build_context_network(config: PretrainingConfig, counts: Tensor) -> ContextNetwork:
    """A network with fresh vectors; its outputs are 0."""
    embed = TokenEmbedding(len(counts), config.model.embedding_size)
    return NETWORKS[config.training.objective](embed=embed, window=config.training.window)


def tallies(network: ContextNetwork, steps: Steps, counts: Tensor) -> list[Tally]:
    """What each side of the network predicts in these sequences."""
    importance, draws = importance_of(counts), NEGATIVES * draws_of(counts)
    found: list[Tally] = []
    for values, lengths in batches(steps, "cpu"):
        own = [_tally(targets, draws) for targets in network.targets(values, lengths, importance)]
        found = [before.joined(tally) for before, tally in zip(found, own, strict=True)] if found else own
    return found


def _tally(targets: Targets, draws: Tensor) -> Tally:
    weights, size = targets.weights.double(), len(draws)
    present = torch.bincount(targets.ids.flatten(), weights.flatten(), size)
    totals = weights.sum(1, keepdim=True)  # (N, 1)
    absent = totals.sum().expand(size)
    if targets.are_sets:
        absent = absent - torch.bincount(targets.ids.flatten(), (totals * (weights > 0)).flatten(), size)
    return Tally(present, absent * draws)


def start_from_frequencies(network: ContextNetwork, corpus: Corpus) -> None:
    """Set the biases to the log-odds of each token in train, so that the network begins at its baseline."""
    assert corpus.counts is not None
    with torch.no_grad():
        for bias, tally in zip(network.biases, tallies(network, corpus.train, corpus.counts), strict=True):
            bias.copy_(tally.log_odds)


def context_baseline(network: ContextNetwork, corpus: Corpus) -> float:
    """The held-out loss of each token's log-odds in train, without context."""
    assert corpus.counts is not None
    train, held_out = (tallies(network, part, corpus.counts) for part in (corpus.train, corpus.validation))
    total = sum(own.loss(of_train.log_odds) for of_train, own in zip(train, held_out, strict=True))
    return total / float(sum(tally.present.sum() for tally in held_out))


def continue_contexts(network: ContextNetwork, weights: dict[str, Tensor]) -> None:
    """Copy the outputs of a pre-training with the same objective; those of new tokens stay 0."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(("tables.", "shift")) and name in weights:
                parameter[: len(weights[name])] = weights[name]
