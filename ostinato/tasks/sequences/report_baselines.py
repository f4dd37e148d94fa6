"""The fitted baselines in a report: which there are, their names, and which one is to beat."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from ostinato.evaluation.results import Metrics
from ostinato.report.wording import capitalized
from ostinato.tasks.base import Task

SomeMetrics = TypeVar("SomeMetrics", bound=Metrics)


class Name(NamedTuple):
    """How a baseline is called in a table's row, in a table's heading, and in a sentence."""

    row: str
    heading: str
    sentence: str


NAMES = {
    "linear": Name("linear baseline", "linear", "the linear baseline"),
    "nbsvm": Name("NB-SVM", "NB-SVM", "NB-SVM"),
    "lsa": Name("LSA", "LSA", "logistic regression on LSA"),
    "boosting": Name("gradient boosting", "boosting", "gradient boosting"),
    "kernels": Name("MiniRocket", "MiniRocket", "MiniRocket with ridge regression"),
    "hydra": Name("Hydra", "Hydra", "Hydra with ridge regression"),
}


def fitted(scores: Mapping[str, SomeMetrics]) -> dict[str, SomeMetrics]:
    """The baselines that were fitted, by name, the linear one first."""
    return {name: scores[name] for name in NAMES if name in scores}


def strongest(task: Task, scores: Mapping[str, Metrics]) -> str:
    """The name of the baseline to beat: the best on validation; without a validation split, the linear one."""
    return task.to_beat({name: each.to_json() for name, each in fitted(scores).items()})


def described(scores: Mapping[str, Metrics]) -> str:
    """What each fitted baseline is, in a sentence."""
    found = "; ".join(f"{NAMES[name].row}: {each.description}" for name, each in fitted(scores).items())
    return f"{capitalized(found)}."
