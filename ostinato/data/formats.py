"""The file formats: one table for all tasks. Each format reads a file as a stream of rows.

A format of your own needs one function, from a path to rows:

    def read_pipes(path):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            text, label = line.split("|")
            yield Row(f"{path}, row {number}", {"text": text, "label": label})

    register_format("pipes", read_pipes, endings=(".psv",))

An installed package offers one as a `Format` object in the entry point group `ostinato.formats`.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ostinato import plugins
from ostinato.data.columns import conll_rows, conllu_rows
from ostinato.data.fasta import fasta_rows
from ostinato.data.files import ending_of
from ostinato.data.parquet import parquet_rows
from ostinato.data.rows import Row, no_rows, readable
from ostinato.data.tables import csv_rows, json_rows, jsonl_rows
from ostinato.data.timeseries import ts_rows
from ostinato.errors import ConfigError, DataError

__all__ = ["FORMATS", "Format", "Row", "endings", "find_format", "format_of", "read_rows", "register_format"]


@dataclass(frozen=True)
class Format:
    """How to read a file.

    Args:
        read: from a path to the file's rows, as a stream.
        endings: the file endings that select this format, in lower case with their dot; `.gz` is ignored.
        columns: the sequence and label columns, in formats that leave no choice.
        selects: whether `read` takes a second argument: the columns that the caller reads, or None for all.
    """

    read: Callable[..., Iterator[Row]]
    endings: tuple[str, ...] = ()
    columns: tuple[str, str] | None = None
    selects: bool = False


FORMATS: dict[str, Format] = {
    "csv": Format(csv_rows, (".csv",)),
    "tsv": Format(partial(csv_rows, delimiter="\t"), (".tsv",)),
    "jsonl": Format(jsonl_rows, (".jsonl", ".ndjson")),
    "json": Format(json_rows, (".json",)),
    "parquet": Format(parquet_rows, (".parquet",), selects=True),
    "fasta": Format(fasta_rows, (".fasta", ".fa", ".fna", ".faa"), ("sequence", "label")),
    "ts": Format(ts_rows, (".ts",), ("series", "label")),
    "conll": Format(conll_rows, (".conll", ".bio", ".iob"), selects=True),
    "conllu": Format(conllu_rows, (".conllu",)),
}
BUILTIN_ENDINGS = {ending: name for name, each in FORMATS.items() for ending in each.endings}


def register_format(name: str, read: Callable[[Path], Iterator[Row]], *, endings: tuple[str, ...] = ()) -> None:
    """Add a format, or replace one that was registered before.

    Args:
        name: what `data.format` calls it.
        read: from a path to the file's rows; see `Row`. Raise `DataError` for a malformed file.
        endings: the file endings that select this format, each with its dot.

    Raises:
        ConfigError: the name is built in, an ending belongs to another format or does not start with a dot.
    """
    for ending in endings:
        owner = _endings().get(ending.lower(), name)
        if owner != name:
            raise ConfigError(f"Ending {ending!r} of format {name!r} belongs to format {owner!r}. Choose another.")
        if not ending.startswith("."):
            raise ConfigError(f"Ending {ending!r} of format {name!r} has no dot. Expected for example '.{ending}'.")
    plugins.register(plugins.FORMATS, name, Format(read, tuple(ending.lower() for ending in endings)), FORMATS)


def find_format(name: str) -> Format:
    """The format of that name: built in, registered, or offered by an installed package.

    Raises:
        ConfigError: there is no such format, or an installed package offers something else under that name.
    """
    found = plugins.find(plugins.FORMATS, name, FORMATS, "format")
    if not isinstance(found, Format):
        raise ConfigError(
            f"Entry point {name!r} of {plugins.FORMATS} is {found!r}. Expected an ostinato.data.formats.Format. "
            "Correct or uninstall the package that offers it."
        )
    return found


def endings() -> dict[str, str]:
    """The format of each known file ending."""
    return _endings()


def format_of(path: Path, name: str | None = None) -> str:
    """`name` if given, else the name of the format that the file's ending selects.

    Raises:
        ConfigError: the name is unknown.
        DataError: the ending is unknown.
    """
    if name is not None:
        find_format(name)
        return name
    ending = ending_of(path)
    known = BUILTIN_ENDINGS if ending in BUILTIN_ENDINGS else endings()  # a built-in format loads no plugins
    if ending not in known:
        raise DataError(
            f"{path}: unknown file ending {ending!r}. Expected one of: {', '.join(known)}. "
            "Convert the file, or set data.format."
        )
    return known[ending]


def read_rows(
    path: Path, name: str | None = None, *, columns: Collection[str] | None = None, keep_errors: bool = False
) -> Iterator[Row]:
    """Stream the rows of a file.

    Args:
        name: the format; None: by the file's ending.
        columns: the columns that the caller reads, of which some may be missing; None: all that can be read. The values
            of other columns may be left out.
        keep_errors: pass on rows that cannot be read, with their error, instead of raising it.

    Raises:
        ConfigError: the name is unknown.
        DataError: the ending is unknown; the file is missing, malformed or without rows.
        MissingExtraError: the format needs a package that is not installed.
    """
    is_empty = True
    form = find_format(format_of(path, name))
    rows = form.read(path, columns) if form.selects else form.read(path)
    for row in rows if keep_errors else readable(rows):
        is_empty = False
        yield row
    if is_empty:
        raise no_rows(path)


def _endings() -> dict[str, str]:
    names = [*FORMATS, *plugins.names(plugins.FORMATS)]
    return {ending: name for name in names for ending in find_format(name).endings}
