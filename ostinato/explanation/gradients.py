"""Attribution by gradients: what each step's vector contributes to the log-odds of a class."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.explanation.vectors import batches, log_odds, neutral_vector, opened, places_of
from ostinato.models import Classifier

COMPLETE = 0.01  # the gap that integrated gradients may leave
SMALL = 0.1  # log-odds: a difference below this is not divided by
NODES = 4  # of Gauss and Legendre, in each piece of the way
MOST_HALVINGS = 20  # then a piece is as narrow as float32 can tell apart
MOST_PIECES = 256


def gradient_x_input(model: Classifier, sequences: Ragged, classes: Tensor) -> tuple[np.ndarray, None]:
    """(x − neutral) · ∂F/∂x of each step, where F is the log-odds of the sequence's class. Returns (N,).

    Source: Shrikumar et al. (2016), arXiv:1605.01713; the difference to a neutral vector as in section 3.4.
    """
    with opened(model):
        rows = np.arange(len(sequences))
        return np.concatenate(_Way(model, sequences, classes).slopes(rows, np.ones(len(rows)))), None


def integrated_gradients(model: Classifier, sequences: Ragged, classes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The gradient's mean on the straight way from all steps neutral to the sequence, times the difference.

    The scores of a sequence add up to F(sequence) − F(all neutral), F the log-odds of its class, but for the gap that
    the quadrature leaves. A recurrent network's answer can fall off a cliff anywhere on the way, where nodes evenly
    spread find nothing or too much. But what a piece of the way must add up to is known: the difference of F at its
    ends. So the pieces that miss it most are halved until all misses together are 1 % of the whole difference, or there
    are 256 of them, or a piece is a millionth of the way: a cliff within one step of float32 leaves a gap.

    Returns:
        scores (N,), and gaps (B,): |Σ scores − difference| / |difference|; where the difference is below 0.1
        log-odds, by 0.1.

    Source: Sundararajan, Taly & Yan (2017), arXiv:1703.01365; the adaptive quadrature is ours.
    """
    with opened(model):
        scores, gaps = follow(_Way(model, sequences, classes), len(sequences))
    return np.concatenate([np.empty(0), *scores]), gaps


class Way(Protocol):
    """From nothing known (share 0) to what is explained (share 1), for each of several scalars F; a row is one of them."""

    def log_odds(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """F of each of these rows at its share of the way. (K,), (K,) -> (K,)."""

    def slopes(self, rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """What each step adds to ∂F/∂share there. (K,), (K,) -> K times (T,)."""


def follow(way: Way, count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Integrate the slopes of so many rows over the whole way. Returns the scores, `count` times (T,), and the gaps (count,)."""
    rows = np.arange(count)
    starts, ends = way.log_odds(rows, np.zeros(count)), way.log_odds(rows, np.ones(count))
    differences = ends - starts
    allowed = COMPLETE * np.maximum(np.abs(differences), SMALL)
    pieces: list[list[_Piece]] = [[] for _ in rows]  # of each row, those measured
    fresh = [_Piece(row, 0.0, 1.0, starts[row], ends[row]) for row in rows.tolist()]
    for halvings in range(MOST_HALVINGS + 1):
        _integrate(way, fresh)
        for piece in fresh:
            pieces[piece.row].append(piece)
        if halvings < MOST_HALVINGS:
            fresh = _halve(way, [piece for row in rows for piece in _take_worst(pieces[row], allowed[row])])
    scores = [np.sum([piece.scores for piece in each], axis=0) for each in pieces]
    sums = np.array([each.sum() for each in scores])
    return scores, np.abs(sums - differences) / np.maximum(np.abs(differences), SMALL)


@dataclass
class _Piece:
    """A piece of the way of a row: its ends as shares of the way, F there, and what the quadrature gives."""

    row: int
    start: float
    end: float
    log_odds_at_start: float
    log_odds_at_end: float
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))  # (T,)

    @property
    def miss(self) -> float:
        """How far the scores are from what the piece must add up to."""
        return abs(float(self.scores.sum()) - (self.log_odds_at_end - self.log_odds_at_start))


class _Way:
    """The straight way of each sequence from all steps neutral (share 0) to the sequence itself (share 1)."""

    def __init__(self, model: Classifier, sequences: Ragged, classes: Tensor) -> None:
        self.model, self.sequences, self.classes = model, sequences, classes
        self.neutral = neutral_vector(model)

    @torch.no_grad()
    def log_odds(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """F of each of these sequences at its share of the way. (K,), (K,) -> (K,)."""
        found = np.empty(len(rows))
        for indices, batch in batches(self.sequences.select(rows)):
            at = indices.numpy()
            x = self.neutral + self._stretched(shares[at], batch) * self._difference(batch)
            found[at] = self._log_odds(x, batch, rows[at]).double().cpu().numpy()
        return found

    def slopes(self, rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """What each step adds to ∂F/∂share: (x − neutral) · ∂F/∂x there. (K,), (K,) -> K times (T,)."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for indices, batch in batches(self.sequences.select(rows)):
            at, difference = indices.numpy(), self._difference(batch)
            x = (self.neutral + self._stretched(shares[at], batch) * difference).requires_grad_()
            with torch.enable_grad():
                total = self._log_odds(x, batch, rows[at]).sum()
            steps = (torch.autograd.grad(total, x)[0] * difference).sum(dim=1)  # (N, D) -> (N,)
            for index, place in zip(at.tolist(), places_of(batch, torch.arange(len(batch))), strict=True):
                found[index] = steps[place].double().cpu().numpy()
        return found

    def _difference(self, batch: Ragged) -> Tensor:
        vectors: Tensor = self.model.embed(batch.values.to(self.neutral.device))
        return vectors - self.neutral

    def _stretched(self, shares: np.ndarray, batch: Ragged) -> Tensor:
        return (
            torch.repeat_interleave(torch.from_numpy(shares).float(), batch.lengths)
            .unsqueeze(1)
            .to(self.neutral.device)
        )  # (B,) -> (N, 1)

    def _log_odds(self, x: Tensor, batch: Ragged, rows: np.ndarray) -> Tensor:
        return log_odds(self.model.from_vectors(x, batch.lengths).float(), self.classes[rows].to(x.device))


def _integrate(way: Way, pieces: list[_Piece]) -> None:
    """Give each piece its scores."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)  # on −1 … 1
    rows = np.array([piece.row for piece in pieces], int)
    starts, widths = (
        np.array(each) for each in ([piece.start for piece in pieces], [piece.end - piece.start for piece in pieces])
    )
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        for piece, slope in zip(pieces, way.slopes(rows, starts + node * widths), strict=True):
            part = weight * (piece.end - piece.start) * slope
            piece.scores = piece.scores + part if len(piece.scores) else part


def _take_worst(pieces: list[_Piece], allowed: float) -> list[_Piece]:
    """Take out the fewest pieces without which the others miss half of what is allowed, while all together miss more than it."""
    pieces.sort(key=lambda piece: piece.miss)
    misses = np.cumsum([piece.miss for piece in pieces])
    if misses[-1] <= allowed or len(pieces) >= MOST_PIECES:
        return []
    kept = int(np.searchsorted(misses, allowed / 2, side="right"))
    worst = pieces[kept:]
    del pieces[kept:]
    return worst


def _halve(way: Way, pieces: list[_Piece]) -> list[_Piece]:
    middles = np.array([(piece.start + piece.end) / 2 for piece in pieces])
    between = way.log_odds(np.array([piece.row for piece in pieces], int), middles)
    halves = []
    for piece, middle, value in zip(pieces, middles.tolist(), between.tolist(), strict=True):
        halves += [
            _Piece(piece.row, piece.start, middle, piece.log_odds_at_start, value),
            _Piece(piece.row, middle, piece.end, value, piece.log_odds_at_end),
        ]
    return halves
