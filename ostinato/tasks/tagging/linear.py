"""Fit a linear-chain CRF on the features of tokens: the wide part of a tagger, and the baseline of every tagger."""

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from ostinato.data.sampler import BucketSampler
from ostinato.errors import OutOfTimeError
from ostinato.nn import Layout, LinearChainCRF
from ostinato.nn.wide_tokens import WideTokens
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.tagging.codec import UNSEEN
from ostinato.tasks.tagging.examples import Tagged
from ostinato.tasks.tagging.sentences import Sentences

STRENGTHS = (1.0, 0.5, 0.25, 0.12)  # of the L2 penalty, the strongest first
USUAL = 0.25  # without a validation split
FOLDS, FOLDS_OF_MANY = 5, 3
MOST_STEPS = 100  # of the optimizer, for each strength
MOST_FEATURES, MOST_WEIGHTS = 2**20, 2**22  # so that a model file of many tags stays below 20 MB
MANY_TOKENS = 50_000  # from here on, a feature of a single training token is not selected, and there are fewer folds
TOKENS_AT_A_TIME = 2**15
MOST_WORK = 10**9  # additions in one step of the optimizer: more sentences than these take are not fitted to
COST_OF_TRANSITION = 0.1  # relative to the cost of a weight


class LinearTagger(NamedTuple):
    """A linear-chain CRF whose emissions are linear in F features.

    Args:
        weights: (F, C) float32.
        start, transitions, end: (C,), (C, C) and (C,), as in `LinearChainCRF`.
    """

    weights: np.ndarray
    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray

    def flat(self) -> np.ndarray:
        """All parameters in one vector, float64."""
        return np.concatenate([part.ravel() for part in self]).astype(np.float64)

    def with_flat(self, parameters: np.ndarray) -> "LinearTagger":
        """Parameters of the same shapes, from one vector."""
        ends = np.cumsum([part.size for part in self])[:-1]
        parts = (
            each.reshape(part.shape).astype(np.float32)
            for each, part in zip(np.split(parameters, ends), self, strict=True)
        )
        return LinearTagger(*parts)

    @torch.no_grad()
    def put_into(self, crf: LinearChainCRF) -> None:
        """Set the scores of a CRF."""
        for name in ("start", "transitions", "end"):
            getattr(crf, name).copy_(torch.from_numpy(getattr(self, name)))


class Fitted(NamedTuple):
    """A fitted linear tagger.

    Args:
        keys: (F,) int64, the features; see `WideTokens`.
        tagger: fitted to the training split.
        strength: of the penalty.
        sentences: how many of the training split it was fitted to.
        unseen: (N, C) emissions of the tokens of train by taggers that did not see their sentence; None unless wanted.
    """

    keys: Tensor
    tagger: LinearTagger
    strength: float
    sentences: int
    unseen: Tensor | None = None


@dataclass(frozen=True)
class Problem:
    """Tagged sentences with their features.

    Args:
        features: (N, F) 0 or 1.
        targets: (N,) int64, each from 0 to C − 1.
        lengths: (B,) of the sentences.
        crf: whose constraints hold; its scores are overwritten.
    """

    features: scipy.sparse.csr_matrix
    targets: Tensor
    lengths: Tensor
    crf: LinearChainCRF

    def zeros(self) -> LinearTagger:
        """The tagger that knows nothing."""
        C = self.crf.num_tags
        shapes = ((self.features.shape[1], C), (C,), (C, C), (C,))
        return LinearTagger(*(np.zeros(shape, np.float32) for shape in shapes))

    def fit(self, strength: float, start: LinearTagger, time_left: TimeLeft = unlimited) -> LinearTagger:
        """Minimise −Σ log p(tags | sentence) + strength / 2 · ‖parameters‖² by L-BFGS, until time is over."""
        from scipy.optimize import minimize

        layout, transposed = Layout(self.lengths), self.features.T.tocsr()
        scores = (self.crf.start, self.crf.transitions, self.crf.end)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            tagger = start.with_flat(flat)
            tagger.put_into(self.crf)
            emissions = torch.from_numpy(self.features @ tagger.weights).requires_grad_()
            with torch.enable_grad():
                loss = -self.crf.log_likelihood(emissions, self.targets, layout).sum()
            by_emissions, *by_scores = torch.autograd.grad(loss, (emissions, *scores))
            gradient = LinearTagger(transposed @ by_emissions.numpy(), *(each.numpy() for each in by_scores))
            return loss.item() + strength / 2 * float(flat @ flat), gradient.flat() + strength * flat

        def stop_in_time(flat: np.ndarray) -> None:
            if time_left() < 0:
                raise StopIteration

        options = {"maxiter": MOST_STEPS, "maxcor": 6, "ftol": 1e-5, "gtol": 1e-3}
        found = minimize(objective, start.flat(), jac=True, method="L-BFGS-B", options=options, callback=stop_in_time)
        return start.with_flat(found.x)

    @torch.no_grad()
    def loss(self, tagger: LinearTagger) -> float:
        """The negative log-likelihood of the sentences whose tags the CRF knows and allows."""
        tagger.put_into(self.crf)
        layout = Layout(self.lengths)
        emissions = torch.from_numpy(self.features @ tagger.weights)
        likelihood = self.crf.log_likelihood(emissions, self.targets.clamp(min=0), layout)
        unseen = torch.zeros(layout.batch_size).index_add_(0, layout.sequence, (self.targets == UNSEEN).float())
        return -float(likelihood[(unseen == 0) & likelihood.isfinite()].double().sum())

    def select(self, sentences: np.ndarray) -> "Problem":
        """The problem of some sentences, by their indices, ascending."""
        rows = np.isin(np.repeat(np.arange(len(self.lengths)), self.lengths.numpy()), sentences)
        targets, lengths = self.targets[torch.from_numpy(rows)], self.lengths[torch.from_numpy(sentences)]
        return dataclasses.replace(self, features=self.features[rows], targets=targets, lengths=lengths)


def fit_linear(
    wide: WideTokens,
    crf: LinearChainCRF,
    splits: Mapping[str, Tagged],
    *,
    seed: int,
    crossfit: bool,
    known: dict[Hashable, Any] | None = None,
    time_left: TimeLeft = unlimited,
) -> Fitted:
    """Fit a linear tagger to the training split, as strongly penalised as is best on the validation split.

    Args:
        wide: selects the features; they are overwritten.
        crf: its constraints hold; its scores are overwritten.
        seed: draws the folds, and the sentences if there are too many.
        crossfit: whether `unseen` is wanted.
        known: what was fitted to these splits before, which is not fitted again; is completed.
        time_left: when time is over, the tagger is the best so far.

    Raises:
        OutOfTimeError: there is too little time for `unseen`.
    """
    train, validation = splits["train"], splits.get("validation")
    known = {} if known is None else known
    allowed = None if crf.allowed is None else tuple(each.numpy().tobytes() for each in crf.allowed)
    key = ("linear tagger", seed, allowed)
    found: Fitted = known.get(key) or _fit(wide, crf, train, validation, seed, time_left)
    known[key] = found
    if crossfit and found.unseen is None:
        found = known[key] = found._replace(unseen=_crossfit(wide, crf, train, found, seed, time_left))
    return found


def _fit(
    wide: WideTokens,
    crf: LinearChainCRF,
    train: Tagged,
    validation: Tagged | None,
    seed: int,
    time_left: TimeLeft,
) -> Fitted:
    few = 2 if len(train.targets) >= MANY_TOKENS else 1
    wide.fit(train.sentences.tokens(), most=min(MOST_FEATURES, MOST_WEIGHTS // crf.num_tags), fewest=few)
    problem = _problem(wide, crf, train)
    chosen = _affordable(problem, seed)
    problem = problem.select(chosen)
    held_out = None if validation is None else _problem(wide, crf, validation)
    best, lowest, strength = problem.zeros(), np.inf, USUAL
    if held_out is None:
        return Fitted(wide.keys.clone(), problem.fit(USUAL, best, time_left), USUAL, len(chosen))
    tagger = best
    for each in STRENGTHS:
        if time_left() < 0 and lowest < np.inf:
            break
        tagger = problem.fit(each, tagger, time_left)
        loss = held_out.loss(tagger)
        if loss >= lowest:
            break
        best, lowest, strength = tagger, loss, each
    return Fitted(wide.keys.clone(), best, strength, len(chosen))


def _crossfit(
    wide: WideTokens, crf: LinearChainCRF, train: Tagged, found: Fitted, seed: int, time_left: TimeLeft
) -> Tensor:
    """Emissions of the tokens of train by taggers that were fitted to the sentences of other folds. (N, C).

    Raises:
        OutOfTimeError: as soon as the folds so far show that there is too little time for the others.
    """
    wide.set_keys(found.keys)
    problem = _problem(wide, crf, train)
    folds = FOLDS if len(train.targets) < MANY_TOKENS else FOLDS_OF_MANY
    fold = np.random.default_rng(seed).permutation(np.arange(len(problem.lengths)) % folds)
    chosen = _affordable(problem, seed)
    emissions = problem.features @ found.tagger.weights
    of_token = np.repeat(fold, problem.lengths.numpy())
    began = time_left()  # if unlimited, the differences below are NaN
    for done, number in enumerate(np.unique(fold)):
        needed_s = (began - time_left()) / max(done, 1) * folds
        if time_left() < needed_s * (1 - done / folds):
            raise OutOfTimeError(needed_s)
        others = chosen[fold[chosen] != number]
        if len(others):
            tagger = problem.select(others).fit(found.strength, problem.zeros(), time_left)
            emissions[of_token == number] = problem.features[of_token == number] @ tagger.weights
    if time_left() < 0:  # the last fit was cut short
        raise OutOfTimeError(began - time_left())
    return torch.from_numpy(emissions)


def _problem(wide: WideTokens, crf: LinearChainCRF, examples: Tagged) -> Problem:
    return Problem(features_of(wide, examples.sentences), examples.targets, examples.lengths, crf)


def _affordable(problem: Problem, seed: int) -> np.ndarray:
    """The indices of as many sentences as a step of the optimizer can take, drawn at random, ascending."""
    C = problem.crf.num_tags
    work = 2 * C * problem.features.nnz + COST_OF_TRANSITION * C * C * len(problem.targets)
    count = max(1, int(len(problem.lengths) * min(1.0, MOST_WORK / max(work, 1))))
    return np.sort(np.random.default_rng(seed).permutation(len(problem.lengths))[:count])


@torch.no_grad()
def features_of(wide: WideTokens, sentences: Sentences) -> scipy.sparse.csr_matrix:
    """The features of all tokens, in order. Returns (N, F)."""
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    sampler = BucketSampler(sentences.lengths, batch_size=1, max_tokens=TOKENS_AT_A_TIME, shuffle=False)
    for indices in sampler.batches(0):
        row, column = wide.entries(sentences.select(indices).tokens())
        rows.append(sentences.token_indices(indices)[row].numpy())
        columns.append(column.numpy())
    where = (np.concatenate(rows), np.concatenate(columns))
    shape = (sentences.num_tokens, len(wide.keys))
    return scipy.sparse.csr_matrix((np.ones(len(where[0]), np.float32), where), shape=shape)
