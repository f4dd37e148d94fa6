"""Infer a config for a data file: each task looks at its rows, and the first that recognises them decides."""

from collections.abc import Iterable
from pathlib import Path

from ostinato.config.reading import toml_value
from ostinato.data.files import check_unicode
from ostinato.errors import DataError
from ostinato.tasks import TASKS
from ostinato.tasks.records import Chosen, Inferred

CHOICES = {  # keys of [data] that settle a question of the inference
    "data.label_column": "label",
    "data.target_columns": "label",
    "data.text_column": "text",
    "data.tokenizer": "tokenizer",
}


def infer_config(path: Path, settings: Iterable[str] = ()) -> Inferred:
    """Infer a complete config that trains on `path`, with the reason for each decision.

    Tasks are tried from the last of `TASKS` to the first, which can read any table of sequences and labels.

    Args:
        settings: such as `data.label_column=stars`. Those that name a column or the tokenizer are taken as given, and
            the rest is inferred to fit them; the caller applies all of them to the result.

    Raises:
        DataError: the file cannot be read, or no task can use it; a named column does not exist; it is not a regular
            file, or its name is not UTF-8.
        MissingExtraError: its format needs a package that is not installed.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path}: not a regular file, and it must be read several times. Save its content to a file.")
    check_unicode(str(path), f"the file name {str(path)!r}")  # a config is UTF-8
    chosen = _chosen(settings)
    for task in reversed(list(TASKS.values())):
        inferred = task.infer(path, chosen)
        if inferred is not None:
            return inferred
    raise DataError(f"{path}: no task recognises its rows. Write a config by hand; `ostinato schema` lists its keys.")


def _chosen(settings: Iterable[str]) -> Chosen:
    """What settings say about the file. Lists of several columns are left to the check of the config."""
    found = {}
    for setting in settings:
        key, _, text = setting.partition("=")
        value = toml_value(text.strip())
        if isinstance(value, list) and len(value) == 1:
            (value,) = value
        if key.strip() in CHOICES and isinstance(value, str):
            found[CHOICES[key.strip()]] = value
    return Chosen(**found)
