"""The tasks, one folder per task. All behaviour that depends on the task lives here.

    base            Task, the interface that every task implements
    config          reads and writes the config of any task; its key `task` selects the task
    model_file      saves and loads models, and upgrades files of earlier versions
    estimator       code shared by all estimators
    sequences       code shared by the tasks with one target per sequence
    classification  one label per sequence
    multilabel      any number of labels per sequence
    regression      one or more numbers per sequence
    tagging         one tag per token

To add a task, add a folder here and a line to `TASKS`.
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
