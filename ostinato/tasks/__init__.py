"""The tasks: what a run, a report, a comparison and the command line do differently for each. One folder per task.

    base            Task: what every task offers
    config          the configs of all tasks, read and written; told apart by `task`
    model_file      models on disk: saving, loading, upgrading files of earlier versions
    estimator       what all estimators share
    sequences       what tasks with one target for each sequence share
    classification  one label for each sequence
    multilabel      any number of labels for each sequence
    regression      one or more numbers for each sequence
    tagging         one tag for each token

A new task is a folder here and a line in `TASKS`.
"""

from collections.abc import Mapping

from ostinato.tasks.base import Task
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.multilabel.task import Multilabel
from ostinato.tasks.regression.task import Regression
from ostinato.tasks.tagging.task import Tagging

# `ostinato init` tries them from the last to the first, which can read any table of sequences and labels
TASKS: Mapping[str, Task] = {
    "classification": Classification(),
    "multilabel": Multilabel(),
    "regression": Regression(),
    "tagging": Tagging(),
}

__all__ = ["TASKS", "Task"]
