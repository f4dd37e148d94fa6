"""Attribution by gradients: what each step's vector contributes to the explained number."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.explanation.masking import batches, neutral_vector, opened, slices_of
from ostinato.nn import Layout, SequenceNetwork, WideNgrams
from ostinato.nn.wide_kernels import WideKernels

COMPLETE = 0.01  # the gap that integrated gradients may leave
SMALL = 0.1  # of the explained number: gaps are relative to the difference, or to this if it is larger
NODES = 4  # of the Gauss-Legendre quadrature, in each interval
MAX_HALVINGS = 20  # then an interval is as narrow as float32 can resolve
MAX_INTERVALS = 256


def gradient_x_input(network: SequenceNetwork, sequences: Ragged, targets: Tensor) -> tuple[np.ndarray, None]:
    """(x − neutral) · ∂F/∂x of each step, where F is `network.explained` for the sequence's target. Returns (N,).

    Source: Shrikumar et al. (2016), arXiv:1605.01713; the difference to a neutral vector as in section 3.4.
    """
    with opened(network):
        rows = np.arange(len(sequences))
        return np.concatenate(_StraightLine(network, sequences, targets).slopes(rows, np.ones(len(rows)))), None


def integrated_gradients(network: SequenceNetwork, sequences: Ragged, targets: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The mean gradient on the straight line from all steps neutral to the sequence, times the difference.

    The scores of a sequence add up to F(sequence) − F(all neutral), up to a gap that the quadrature leaves. The answer
    of a recurrent network can change abruptly anywhere on the line, where evenly spaced nodes miss the change or count
    it too often. But the total over any interval is known: the difference of F between its ends. So the intervals with
    the largest error are halved until all errors together are 1 % of the whole difference, or there are 256 intervals,
    or an interval is a millionth of the line: a change within one step of float32 leaves a gap.

    Returns:
        scores (N,), and gaps (B,): |Σ scores − difference| / |difference|; if the difference is below 0.1, over 0.1.

    Source: Sundararajan, Taly & Yan (2017), arXiv:1703.01365; the adaptive quadrature is ours.
    """
    with opened(network):
        scores, gaps = integrate(_StraightLine(network, sequences, targets), len(sequences))
    return np.concatenate([np.empty(0), *scores]), gaps


class Path(Protocol):
    """The line from a neutral input (share 0) to the input (share 1), for each of several explained numbers F: rows."""

    def values(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """F of each of these rows at its share of the line. (K,), (K,) -> (K,)."""

    def slopes(self, rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """What each step adds to ∂F/∂share there. (K,), (K,) -> K times (T,)."""


def integrate(path: Path, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Integrate the slopes of `count` rows over the path. Returns scores, `count` times (T,), and gaps (count,)."""
    rows = np.arange(count)
    starts, ends = path.values(rows, np.zeros(count)), path.values(rows, np.ones(count))
    differences = ends - starts
    allowed = COMPLETE * np.maximum(np.abs(differences), SMALL)
    intervals: list[list[_Interval]] = [[] for _ in rows]  # of each row, those with scores
    fresh = [_Interval(row, 0.0, 1.0, starts[row], ends[row]) for row in rows.tolist()]
    for halvings in range(MAX_HALVINGS + 1):
        _score(path, fresh)
        for interval in fresh:
            intervals[interval.row].append(interval)
        if halvings < MAX_HALVINGS:
            fresh = _halve(path, [each for row in rows for each in _take_worst(intervals[row], allowed[row])])
    scores = [np.sum([interval.scores for interval in each], axis=0) for each in intervals]
    sums = np.array([each.sum() for each in scores])
    return scores, np.abs(sums - differences) / np.maximum(np.abs(differences), SMALL)


@dataclass
class _Interval:
    """A part of a row's path: its ends as shares, F at the ends, and the scores by quadrature (T,)."""

    row: int
    start: float
    end: float
    value_at_start: float
    value_at_end: float
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def error(self) -> float:
        """How far the scores' sum is from the difference between the ends."""
        return abs(float(self.scores.sum()) - (self.value_at_end - self.value_at_start))


class _StraightLine:
    """The straight line of each sequence from all steps neutral (share 0) to the sequence itself (share 1).

    The wide part reads tokens, not vectors. What each of them contributes to its outputs grows with the share.
    """

    def __init__(self, network: SequenceNetwork, sequences: Ragged, targets: Tensor) -> None:
        self.network, self.sequences, self.targets = network, sequences, targets
        self.neutral = neutral_vector(network)
        self.wide = None if network.wide is None else _WideLine(network.wide, sequences, self.neutral.device)

    @torch.no_grad()
    def values(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """As in `Path`."""
        found = np.empty(len(rows))
        for indices, batch in batches(self.sequences.select(rows)):
            at = indices.numpy()
            x = self.neutral + self._stretched(shares[at], batch) * self._difference(batch)
            wide = self._wide_outputs(rows[at], shares[at])
            found[at] = self._explained(x, wide, batch, rows[at]).double().cpu().numpy()
        return found

    def slopes(self, rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """As in `Path`: (x − neutral) · ∂F/∂x of each step."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for indices, batch in batches(self.sequences.select(rows)):
            at, difference = indices.numpy(), self._difference(batch)
            x = (self.neutral + self._stretched(shares[at], batch) * difference).requires_grad_()
            wide = self._wide_outputs(rows[at], shares[at]).requires_grad_()
            with torch.enable_grad():
                total = self._explained(x, wide, batch, rows[at]).sum()
            of_vectors, of_wide = torch.autograd.grad(total, (x, wide))
            steps = (of_vectors * difference).sum(dim=1)  # (N, D) -> (N,)
            for order, (index, part) in enumerate(
                zip(at.tolist(), slices_of(batch, torch.arange(len(batch))), strict=True)
            ):
                found[index] = steps[part].double().cpu().numpy()
                if self.wide is not None:
                    found[index] += (self.wide.contributions[rows[index]] @ of_wide[order]).double().cpu().numpy()
        return found

    def _wide_outputs(self, rows: np.ndarray, shares: np.ndarray) -> Tensor:
        """What the wide part adds to the outputs of these rows at their shares. (K,), (K,) -> (K, C)."""
        if self.wide is None:
            return self.neutral.new_zeros(len(rows), self.network.head.out_features)
        return self.wide.outputs(rows, shares)

    def _difference(self, batch: Ragged) -> Tensor:
        vectors: Tensor = self.network.embed(batch.values.to(self.neutral.device))
        return vectors - self.neutral

    def _stretched(self, shares: np.ndarray, batch: Ragged) -> Tensor:
        of_steps = torch.repeat_interleave(torch.from_numpy(shares).float(), batch.lengths)  # (B,) -> (N,)
        return of_steps.unsqueeze(1).to(self.neutral.device)

    def _explained(self, x: Tensor, wide: Tensor, batch: Ragged, rows: np.ndarray) -> Tensor:
        outputs = self.network.from_vectors(x, batch.lengths).float() + wide
        return self.network.explained(outputs, self.targets[rows].to(x.device))


class _WideLine:
    """The outputs of a wide part, from those of a masked sequence (share 0) to those of the sequence itself (share 1).

    Args:
        contributions: for each sequence, what each step adds to the outputs. B times (T, C).
    """

    def __init__(self, wide: WideNgrams | WideKernels, sequences: Ragged, device: torch.device) -> None:
        self.contributions: list[Tensor] = [torch.empty(0)] * len(sequences)
        self._neutral: list[Tensor] = [torch.empty(0)] * len(sequences)
        for indices, batch in batches(sequences):
            values, layout = batch.values.to(device), Layout(batch.lengths, device)
            outputs, shares = wide(values, layout), wide.contributions(values, layout)
            for order, (index, part) in enumerate(
                zip(indices.tolist(), slices_of(batch, torch.arange(len(batch))), strict=True)
            ):
                self.contributions[index] = shares[part]
                self._neutral[index] = outputs[order] - shares[part].sum(dim=0)

    def outputs(self, rows: np.ndarray, shares: np.ndarray) -> Tensor:
        """Of these rows, each at its share. (K,), (K,) -> (K, C)."""
        pairs = zip(rows.tolist(), shares.tolist(), strict=True)
        return torch.stack([self._neutral[row] + share * self.contributions[row].sum(dim=0) for row, share in pairs])


def _score(path: Path, intervals: list[_Interval]) -> None:
    """Set the scores of each interval."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)  # on −1 … 1
    rows = np.array([each.row for each in intervals], int)
    starts = np.array([each.start for each in intervals])
    widths = np.array([each.end - each.start for each in intervals])
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        for interval, slope in zip(intervals, path.slopes(rows, starts + node * widths), strict=True):
            part = weight * (interval.end - interval.start) * slope
            interval.scores = interval.scores + part if len(interval.scores) else part


def _take_worst(intervals: list[_Interval], allowed: float) -> list[_Interval]:
    """Remove the fewest intervals without which the errors add up to half of what is allowed.

    None if the errors of all are allowed together, or there are too many intervals already.
    """
    intervals.sort(key=lambda interval: interval.error)
    errors = np.cumsum([interval.error for interval in intervals])
    if errors[-1] <= allowed or len(intervals) >= MAX_INTERVALS:
        return []
    good = int(np.searchsorted(errors, allowed / 2, side="right"))
    worst = intervals[good:]
    del intervals[good:]
    return worst


def _halve(path: Path, intervals: list[_Interval]) -> list[_Interval]:
    middles = np.array([(each.start + each.end) / 2 for each in intervals])
    between = path.values(np.array([each.row for each in intervals], int), middles)
    halves = []
    for each, middle, value in zip(intervals, middles.tolist(), between.tolist(), strict=True):
        halves += [
            _Interval(each.row, each.start, middle, each.value_at_start, value),
            _Interval(each.row, middle, each.end, value, each.value_at_end),
        ]
    return halves
