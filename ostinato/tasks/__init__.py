"""The tasks, one folder per task. All behaviour that depends on the task lives here.

    table           TASKS, the table of all tasks
    base            Task, the interface that every task implements
    config          reads and writes the config of any task; its key `task` selects the task
    model_file      saves and loads models, and upgrades files of earlier versions
    hub             addresses on the Hugging Face hub, and fetching model files
    ensembles       several trained models as one
    estimator       code shared by all estimators
    onnx            a model as an ONNX graph
    portable        the part of a task that an exported model needs; without PyTorch
    sequences       code shared by the tasks with one target per sequence
    classification  one label per sequence
    multilabel      any number of labels per sequence
    regression      one or more numbers per sequence
    tagging         one tag per token

To add a task, add a folder here and a line to `TASKS` (`table.py`). Importing this package imports no task, so that
an exported model runs where neither PyTorch nor pydantic is installed.
"""

from typing import TYPE_CHECKING, Any

from ostinato.tasks.base import Task

if TYPE_CHECKING:
    from ostinato.tasks.table import TASKS

__all__ = ["TASKS", "Task"]


def __getattr__(name: str) -> Any:
    if name == "TASKS":
        from ostinato.tasks.table import TASKS

        return TASKS
    raise AttributeError(f"module 'ostinato.tasks' has no attribute {name!r}")
