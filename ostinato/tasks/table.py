"""The table of tasks."""

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
