"""Attribution by gradients: what each step's vector contributes to the log-odds of a class."""

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.explanation.vectors import batches, log_odds, neutral_vector, opened, places_of
from ostinato.models import Classifier

FEWEST_NODES, MOST_NODES = 8, 512
COMPLETE = 0.01  # the gap that integrated gradients may leave
SMALL = 0.1  # log-odds: a difference below this is not divided by


def gradient_x_input(model: Classifier, sequences: Ragged, classes: Tensor) -> tuple[np.ndarray, None]:
    """(x − neutral) · ∂F/∂x of each step, where F is the log-odds of the sequence's class. Returns (N,).

    Source: Shrikumar et al. (2016), arXiv:1605.01713; the difference to a neutral vector as in section 3.4.
    """
    scores = np.zeros(len(sequences.values))
    with opened(model):
        neutral = neutral_vector(model)
        for indices, batch in batches(sequences):
            x = model.embed(batch.values.to(neutral.device))
            steps = _gradient(model, x, batch.lengths, classes[indices]) * (x - neutral)
            _put(scores, sequences, indices, steps.sum(dim=1), batch.lengths)
    return scores, None


def integrated_gradients(model: Classifier, sequences: Ragged, classes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The gradient's mean on the straight way from all steps neutral to the sequence, times the difference.

    The scores of a sequence add up to F(sequence) − F(all neutral), F the log-odds of its class, but for the gap of
    the quadrature (Gauss-Legendre). The number of nodes is doubled for the sequences whose gap is above 1 %.

    Returns:
        scores (N,) and gaps (B,): |Σ scores − difference| / |difference|; where the difference is below 0.1
        log-odds, by 0.1.

    Source: Sundararajan, Taly & Yan (2017), arXiv:1703.01365.
    """
    scores, gaps = np.zeros(len(sequences.values)), np.zeros(len(sequences))
    with opened(model):
        for indices, batch in batches(sequences):
            open_, nodes = torch.arange(len(batch)), FEWEST_NODES
            while len(open_):
                part, at = batch.select(open_), indices[open_]
                steps, gap = _integrate(model, part, classes[at], nodes)
                _put(scores, sequences, at, steps, part.lengths)
                gaps[at.numpy()] = gap
                open_, nodes = open_[torch.from_numpy(gap > COMPLETE)], 2 * nodes
                if nodes > MOST_NODES:
                    break
    return scores, gaps


def _integrate(model: Classifier, batch: Ragged, classes: Tensor, nodes: int) -> tuple[Tensor, np.ndarray]:
    """Scores (N,) with so many nodes, and the gap they leave (B,)."""
    neutral = neutral_vector(model)
    difference = model.embed(batch.values.to(neutral.device)) - neutral
    mean = torch.zeros_like(difference)
    for node, weight in zip(*np.polynomial.legendre.leggauss(nodes), strict=True):  # on −1 … 1
        mean += weight / 2 * _gradient(model, neutral + (node + 1) / 2 * difference, batch.lengths, classes)
    steps = (mean * difference).sum(dim=1)
    with torch.no_grad():
        classes = classes.to(neutral.device)
        ends = [log_odds(model.from_vectors(neutral + share * difference, batch.lengths), classes).double() for share in (0, 1)]
    total = (ends[1] - ends[0]).cpu()
    sums = torch.zeros(len(batch), dtype=torch.float64)
    sums.index_add_(0, torch.repeat_interleave(torch.arange(len(batch)), batch.lengths), steps.double().cpu())
    return steps, ((sums - total).abs() / total.abs().clamp(min=SMALL)).numpy()


def _gradient(model: Classifier, x: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """∂F/∂x of each step's vector. (N, D) -> (N, D)."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        total = log_odds(model.from_vectors(x, lengths).float(), classes.to(x.device)).sum()
    return torch.autograd.grad(total, x)[0]


def _put(scores: np.ndarray, sequences: Ragged, indices: Tensor, steps: Tensor, lengths: Tensor) -> None:
    parts = steps.double().cpu().numpy()
    for place, part in zip(places_of(sequences, indices), np.split(parts, lengths.cumsum(0)[:-1].numpy()), strict=True):
        scores[place] = part
