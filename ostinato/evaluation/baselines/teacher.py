"""A teacher of self-training: linear models that give unlabelled sequences a probability of each class.

Its members are logistic regressions on the features of the linear baseline, NB-SVM, and a logistic regression on LSA:
the leading singular vectors of the n-grams of labelled and unlabelled sequences together. Each is cross-validated on
the labelled rows. The teacher is the mean of the logits of those members whose mean has the lowest log-loss on rows
that they did not see, divided by the temperature that makes this loss lowest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ostinato.errors import DataError
from ostinato.evaluation.baselines.features import FEATURES
from ostinato.evaluation.baselines.heads import Head, class_head, label_head, sigmoid, softmax
from ostinato.evaluation.baselines.linear import most_features
from ostinato.evaluation.baselines.lsa import Lsa, fit_projection, is_of_ngrams
from ostinato.evaluation.baselines.nbsvm import binary_ngrams, nbsvm_classes, nbsvm_labels, nbsvm_problem
from ostinato.evaluation.baselines.selection import Selection, fit_on_features
from ostinato.evaluation.calibration import best_temperature


@dataclass(frozen=True)
class Teacher:
    """Which models a teacher consists of.

    Args:
        members: their descriptions.
        losses: the log-loss of each candidate alone on labelled rows that it did not see, calibrated.
        loss: that of the members together; None if there are no such rows.
        temperature: what the mean of their logits is divided by.
    """

    members: list[str]
    losses: dict[str, float]
    loss: float | None
    temperature: float


class _Member(NamedTuple):
    """A fitted model: logits (B, C) for labelled rows that it did not see, and for the unlabelled rows (U, C)."""

    name: str
    unseen: np.ndarray
    unlabelled: np.ndarray


class Taught(NamedTuple):
    """What a teacher gives.

    Args:
        labels: the probabilities of the unlabelled sequences, (U, C) float32.
        teacher: what they come from.
        lsa: the features of the member on LSA, which the baseline on LSA shares; None: the teacher is a run.
    """

    labels: np.ndarray
    teacher: Teacher
    lsa: Lsa | None = None


def teach(
    sequences: Sequence[Any],
    targets: np.ndarray,
    unlabelled: Sequence[Any],
    *,
    kind: str,
    num_outputs: int,
    seed: int,
    weights: np.ndarray | None = None,
) -> Taught:
    """Fit a teacher to labelled sequences and predict the unlabelled ones.

    Args:
        sequences: strings or lists of tokens.
        targets: (B,) class indices, or (B, L) labels of 0 and 1.
        kind: as of `linear_baseline`, except "numeric".
        num_outputs: C or L.
        seed: draws the folds.
        weights: (B,) of the labelled rows; None: 1.

    Raises:
        DataError: the labelled rows are too few for cross-validation.
    """
    has_classes = targets.ndim == 1
    head = class_head(num_outputs) if has_classes else label_head(num_outputs)
    if not head.can_fold(targets):
        raise DataError(
            f"{len(targets)} labelled rows are too few to cross-validate a teacher. Give two classes with two rows "
            "each, or set training.semi to none."
        )
    if weights is not None and not has_classes:
        weights = np.broadcast_to(weights[:, None], targets.shape)
    link = softmax if has_classes else sigmoid
    candidates, lsa = _candidates(head, sequences, targets, unlabelled, kind, seed, weights)

    def calibrated(members: Sequence[_Member]) -> tuple[float, float]:
        """The loss at the best temperature, and this temperature."""
        unseen = np.mean([member.unseen for member in members], axis=0)
        temperature = best_temperature(lambda scale: head.loss(targets, link(unseen * scale)))
        return head.loss(targets, link(unseen / temperature)), temperature

    groups = (group for size in range(1, len(candidates) + 1) for group in combinations(candidates, size))
    (loss, temperature), chosen = min(((calibrated(group), group) for group in groups), key=lambda found: found[0][0])
    logits = np.mean([member.unlabelled for member in chosen], axis=0)
    losses = {member.name: calibrated([member])[0] for member in candidates}
    teacher = Teacher([member.name for member in chosen], losses, loss, temperature)
    return Taught(link(logits / temperature).astype(np.float32), teacher, lsa)


def _candidates(
    head: Head,
    sequences: Sequence[Any],
    targets: np.ndarray,
    unlabelled: Sequence[Any],
    kind: str,
    seed: int,
    weights: np.ndarray | None,
) -> tuple[list[_Member], Lsa]:
    """Fit each candidate; features, and the frequencies that n-grams are weighted by, come from all sequences."""
    together, B = [*sequences, *unlabelled], len(sequences)
    found: list[_Member] = []

    def add(name: str, head: Head, features: Any) -> None:
        fitted = fit_on_features(head, features[:B], targets, weights, Selection(seed), crossfit=True)
        assert fitted.unseen is not None
        found.append(_Member(name, fitted.unseen, fitted.model.outputs(features[B:])))

    most = most_features(head.outputs)
    for name, make in FEATURES[kind](together, most):
        transformer = make()
        features = transformer.fit_transform(together)
        add(name, head, features)
        if is_of_ngrams(name):
            ngrams = name, transformer, features
    if nbsvm_problem(together, head.outputs) is None:
        ((name, make),) = binary_ngrams(together, kind, most)
        nbsvm = nbsvm_classes(head.outputs) if targets.ndim == 1 else nbsvm_labels(head.outputs)
        add(f"NB-SVM of {name}", nbsvm, make().fit_transform(together))
    name, transformer, features = ngrams
    lsa = Lsa(name, transformer, fit_projection(features))
    add(lsa.name, head, lsa.projection(features))
    return found, lsa
