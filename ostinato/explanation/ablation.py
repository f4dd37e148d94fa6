"""Whether a model needs its attention: its accuracy with the weights permuted, and with equal weights."""

from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, DataError
from ostinato.estimators import SequenceClassifier, encode, refuse_empty
from ostinato.explanation.vectors import batches, opened
from ostinato.inputs import Rows
from ostinato.models import Classifier
from ostinato.nn import AttentionPooling, Layout

HARDLY = 0.02  # accuracy: a loss that is below this with its whole interval
Z = 1.959964  # 95 % of a normal distribution lie within ± Z deviations


@dataclass(frozen=True)
class Ablation:
    """A model with other weights in the place of its attention.

    Args:
        accuracy: with these weights; the mean over the permutations.
        lost: the accuracy with the model's own weights less this one.
        interval: 95 % interval of `lost`.
        distance: total variation distance ½ Σ|p − q| of the probabilities from those with the own weights, the mean over sequences.
    """

    accuracy: float
    lost: float
    interval: tuple[float, float]
    distance: float


@dataclass(frozen=True)
class AttentionAblation:
    """A model with its own attention, with permuted weights and with equal weights.

    Args:
        n: sequences.
        permutations: of each sequence.
        accuracy: with the model's own weights.
        permuted: with the weights in random order within each sequence.
        uniform: with the weight 1 / T at each of T steps.
    """

    n: int
    permutations: int
    accuracy: float
    permuted: Ablation
    uniform: Ablation

    @property
    def verdict(self) -> str:
        """Attention hardly matters where neither ablation costs 2 points of accuracy, by the whole of its interval."""
        if max(self.permuted.interval[1], self.uniform.interval[1]) < HARDLY:
            return "attention hardly matters to the answers here"
        if max(self.permuted.interval[0], self.uniform.interval[0]) > 0:
            return "the answers depend on the attention"
        return "too few sequences to tell whether attention matters"

    @property
    def sentence(self) -> str:
        """The figures and the verdict, in words."""
        permuted, uniform = (
            f"{100 * each.lost:.1f} points of accuracy (95 % interval {100 * each.interval[0]:.1f} to {100 * each.interval[1]:.1f})"
            for each in (self.permuted, self.uniform)
        )
        return f"Permuting the attention weights costs {permuted}, equal weights cost {uniform}, {self.n} sequences: {self.verdict}."

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {**asdict(self), "sentence": self.sentence}


def ablate_attention(
    model: SequenceClassifier,
    sequences: Iterable[Any],
    labels: Iterable[Hashable],
    *,
    permutations: int = 10,
    seed: int = 0,
) -> AttentionAblation:
    """Put permuted and equal weights in the place of a model's attention, and see what that costs.

    Only the pooling changes: the states that it weighs, and other poolings beside it, stay. The permutations follow
    from the seed and the sequence alone. Intervals are Agresti and Min's for paired proportions, which do not shrink
    to nothing where no answer changes.

    Args:
        model: a fitted classifier with attention pooling.
        sequences: labelled ones that training did not see.
        labels: one a sequence.
        permutations: of each sequence's weights.
        seed: draws the permutations.

    Raises:
        ConfigError: the model has no attention; `permutations` is below 1.
        DataError: no sequence, an empty one, or a label that training never saw.

    Source: Jain & Wallace (2019), arXiv:1902.10186 (permuted); Wiegreffe & Pinter (2019), arXiv:1908.04626 (equal weights);
    Agresti & Min (2005), Statistics in Medicine 24:729.
    """
    poolings = model.model_.pooling.poolings
    if "attention" not in poolings:
        raise ConfigError(
            f"The model pools by {', '.join(poolings)}: it has no attention to permute. Train one with pooling 'attention'."
        )
    if permutations < 1:
        raise ConfigError(f"permutations {permutations} is not usable. Give at least 1.")
    rows = Rows.of(sequences, labels, "sequence")
    if not rows.sequences:
        raise DataError("0 sequences: there is nothing to measure accuracy on. Give labelled sequences.")
    data = encode(model.encoder_, *rows)
    refuse_empty(data.sequences)
    probabilities = _probabilities(model.model_, data.sequences, permutations, seed)
    right = (probabilities.argmax(axis=2) == data.targets.numpy()).astype(float)  # (2 + permutations, n)
    distances = np.abs(probabilities - probabilities[0]).sum(axis=2) / 2
    uniform, permuted = (_compare(right[0], right[part], distances[part]) for part in (slice(1, 2), slice(2, None)))
    return AttentionAblation(len(rows.sequences), permutations, float(right[0].mean()), permuted, uniform)


@torch.inference_mode()
def _probabilities(model: Classifier, sequences: Ragged, permutations: int, seed: int) -> np.ndarray:
    """By the model's own weights, by equal ones, and by each permutation. Returns (2 + permutations, n, C)."""
    pooling = model.pooling.poolings["attention"]
    assert isinstance(pooling, AttentionPooling)
    answers = np.empty((2 + permutations, len(sequences), model.head.out_features))
    with opened(model):
        for indices, batch in batches(sequences):
            values = batch.values.to(model.head.weight.device)
            layout = Layout(batch.lengths, values.device)
            h, steps = model.states(values, layout)
            own = pooling.weights(h, steps)
            uniform = (1 / steps.lengths.to(own.dtype))[steps.sequence]  # (B,) -> (M,)
            orders = _permute(batch, steps.lengths_on_cpu, permutations, seed).to(own.device)
            for row, weights in enumerate([own, uniform, *(own[order] for order in orders)]):
                answers[row, indices.numpy()] = model.probabilities(model.classify(h, steps, weights)).cpu().numpy()
    return answers


def _permute(sequences: Ragged, lengths: Tensor, permutations: int, seed: int) -> Tensor:
    """The places of all steps, `lengths` (B,) of them, in random order within each sequence. Returns (permutations, M)."""
    orders = []
    for row, (length, end) in enumerate(zip(lengths.tolist(), lengths.cumsum(0).tolist(), strict=True)):
        rng = np.random.default_rng([seed, int(sequences.select(np.array([row])).digest(), 16)])
        orders.append(end - length + rng.random((permutations, length)).argsort(axis=1))
    return torch.from_numpy(np.concatenate(orders, axis=1))


def _compare(own: np.ndarray, others: np.ndarray, distances: np.ndarray) -> Ablation:
    """Right answers (1 or 0) with the own weights (n,) and others (P, n), and the distances (P, n) of the probabilities."""
    lost = own - others.mean(axis=0)
    n = (
        len(lost) + 2
    )  # two pairs more: half a pair for each outcome, of which the two that disagree add 1 to the squares
    middle = lost.sum() / n
    margin = Z * np.sqrt(((lost**2).sum() + 1) / n - middle**2) / np.sqrt(n)
    return Ablation(
        float(others.mean()),
        float(lost.mean()),
        (float(middle - margin), float(middle + margin)),
        float(distances.mean()),
    )
