"""Infer a config for a data file: each task looks at its rows, and the first that recognises them decides."""

from pathlib import Path

from ostinato.data.files import check_unicode
from ostinato.errors import DataError
from ostinato.tasks import TASKS
from ostinato.tasks.records import Inferred


def infer_config(path: Path) -> Inferred:
    """Infer a complete config that trains on `path`, with the reason for each decision.

    Tasks are tried from the last of `TASKS` to the first, which can read any table of sequences and labels.

    Raises:
        DataError: the file cannot be read, or no task can use it; it is not a regular file, or its name is not UTF-8.
        MissingExtraError: its format needs a package that is not installed.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path}: not a regular file, and it must be read several times. Save its content to a file.")
    check_unicode(str(path), f"the file name {str(path)!r}")  # a config is UTF-8
    for task in reversed(list(TASKS.values())):
        inferred = task.infer(path)
        if inferred is not None:
            return inferred
    raise DataError(f"{path}: no task recognises its rows. Write a config by hand; `ostinato schema` lists its keys.")
