"""Whether a classifier depends on its attention: its accuracy with permuted weights, and with equal weights."""

from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.inputs import records_of
from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, DataError
from ostinato.explanation.masking import batches, opened
from ostinato.explanation.model import encode_given, fitted
from ostinato.nn import AttentionPooling, Layout, SequenceNetwork

NEGLIGIBLE = 0.02  # accuracy: attention hardly matters if the whole interval of the loss is below this
Z = 1.959964  # 95 % of a normal distribution are within ± Z standard deviations


@dataclass(frozen=True)
class Ablation:
    """A model with other weights instead of its attention.

    Args:
        accuracy: with these weights; the mean over the permutations.
        lost: the accuracy with the model's own weights less this one.
        interval: 95 % interval of `lost`.
        distance: the mean total variation distance ½ Σ|p − q| of the probabilities from those with the own weights.
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
        """Attention hardly matters if the whole interval of both losses is below 2 points of accuracy."""
        if max(self.permuted.interval[1], self.uniform.interval[1]) < NEGLIGIBLE:
            return "attention hardly matters to the answers here"
        if max(self.permuted.interval[0], self.uniform.interval[0]) > 0:
            return "the answers depend on the attention"
        return "too few sequences to say whether attention matters"

    @property
    def sentence(self) -> str:
        """The figures and the verdict, in words."""
        return (
            f"Permuting the attention weights costs {_points(self.permuted)}, equal weights cost "
            f"{_points(self.uniform)}, {self.n} sequences: {self.verdict}."
        )

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {**asdict(self), "verdict": self.verdict, "sentence": self.sentence}


def ablate_attention(
    model: Any,
    sequences: Iterable[Any],
    labels: Iterable[Hashable],
    *,
    permutations: int = 10,
    seed: int = 0,
) -> AttentionAblation:
    """Replace a classifier's attention by permuted and by equal weights, and measure the loss of accuracy.

    Only the pooling changes: the states that it weighs, and other poolings beside it, stay the same. The permutations
    depend on the seed and the sequence alone. Intervals are Agresti and Min's for paired proportions, which do not
    shrink to zero if no answer changes.

    Args:
        model: a trained classifier with attention pooling, or its estimator.
        sequences: labelled sequences that training did not see.
        labels: one per sequence.
        permutations: of each sequence's weights.
        seed: of the permutations.

    Raises:
        ConfigError: the model has no attention, or does not predict one label per sequence; `permutations` is below 1.
        DataError: no sequence, an empty one, or a label that training never saw.
        NotFittedError: the estimator is not fitted yet.

    Source: Jain & Wallace (2019), arXiv:1902.10186 (permuted); Wiegreffe & Pinter (2019), arXiv:1908.04626 (equal
    weights); Agresti & Min (2005), Statistics in Medicine 24:729.
    """
    model = fitted(model)
    poolings = model.network.pooling.poolings
    if "attention" not in poolings:
        raise ConfigError(
            f"The model pools by {', '.join(poolings)}: it has no attention to permute. Train one with pooling "
            "'attention'."
        )
    if permutations < 1:
        raise ConfigError(f"permutations {permutations} is too low. Give at least 1.")
    rows = records_of(sequences, labels, "sequence")
    if not len(rows):
        raise DataError("0 sequences: there is nothing to measure accuracy on. Give labelled sequences.")
    encoded = encode_given(model, rows.sequences)[1]
    targets: Tensor = model.codec.encode(rows.targets, rows.sources)
    if targets.dim() != 1 or targets.is_floating_point():
        raise ConfigError("Attention ablation needs one label per sequence, which this model does not predict.")
    probabilities = _probabilities(model.network, encoded, permutations, seed)
    right = (probabilities.argmax(axis=2) == targets.numpy()).astype(float)  # (2 + permutations, n)
    distances = np.abs(probabilities - probabilities[0]).sum(axis=2) / 2
    uniform, permuted = (_compare(right[0], right[part], distances[part]) for part in (slice(1, 2), slice(2, None)))
    return AttentionAblation(len(rows), permutations, float(right[0].mean()), permuted, uniform)


@torch.inference_mode()
def _probabilities(network: SequenceNetwork, sequences: Ragged, permutations: int, seed: int) -> np.ndarray:
    """By the model's own weights, by equal ones, and by each permutation. Returns (2 + permutations, n, C)."""
    pooling = network.pooling.poolings["attention"]
    assert isinstance(pooling, AttentionPooling)
    answers = np.empty((2 + permutations, len(sequences), network.head.out_features))
    with opened(network):
        for indices, batch in batches(sequences):
            values = batch.values.to(network.device)
            layout = Layout(batch.lengths, values.device)
            h, steps = network.states(values, layout)
            own = pooling.weights(h, steps)
            uniform = (1 / steps.lengths.to(own.dtype))[steps.sequence]  # (B,) -> (M,)
            orders = _permute(batch, steps.lengths_on_cpu, permutations, seed).to(own.device)
            for row, weights in enumerate([own, uniform, *(own[order] for order in orders)]):
                outputs = network.with_wide(network.outputs(h, steps, weights), values, layout)
                answers[row, indices.numpy()] = network.answers(outputs).cpu().numpy()
    return answers


def _permute(sequences: Ragged, lengths: Tensor, permutations: int, seed: int) -> Tensor:
    """The indices of all steps, `lengths` (B,) of them, in random order within each sequence. (permutations, M)."""
    orders = []
    for row, (length, end) in enumerate(zip(lengths.tolist(), lengths.cumsum(0).tolist(), strict=True)):
        rng = np.random.default_rng([seed, int(sequences.select(np.array([row])).digest(), 16)])
        orders.append(end - length + rng.random((permutations, length)).argsort(axis=1))
    return torch.from_numpy(np.concatenate(orders, axis=1))


def _compare(own: np.ndarray, others: np.ndarray, distances: np.ndarray) -> Ablation:
    """Right answers (1 or 0) with the own weights (n,) and others (P, n), and distances (P, n) of the probabilities."""
    lost = own - others.mean(axis=0)
    n = len(lost) + 2  # half a pair more for each of the four outcomes: the two that disagree add 1 to the squares
    middle = lost.sum() / n
    margin = Z * np.sqrt(((lost**2).sum() + 1) / n - middle**2) / np.sqrt(n)
    interval = (float(middle - margin), float(middle + margin))
    return Ablation(float(others.mean()), float(lost.mean()), interval, float(distances.mean()))


def _points(ablation: Ablation) -> str:
    low, high = (f"{100 * end:.1f}" for end in ablation.interval)
    return f"{100 * ablation.lost:.1f} points of accuracy (95 % interval {low} to {high})"
