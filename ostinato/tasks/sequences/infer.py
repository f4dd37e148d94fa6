"""Infer the parts of a config that do not depend on the target from the first rows of a file of sequences."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.formats import find_format, format_of, read_rows
from ostinato.data.rows import Row
from ostinato.data.splits import SPLITS
from ostinato.errors import DataError
from ostinato.tasks.sequences.headers import LABEL_NAMES

Rows = list[dict[str, Any]]

TEXT_NAMES = ("text", "sequence", "seq", "tokens", "events", "series")
SPLIT_NAMES = ("split", "subset", "fold", "set")

NUCLEOTIDES = set("ACGTUN")
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWYXBZUOJ*")
NUMBERS = set("0123456789+-.eE,;[] \t")
MOSTLY = 0.9  # minimum share of NUCLEOTIDES in DNA and RNA; the rest are ambiguity codes, such as R and Y
PEEKED_ROWS = 1_000


@dataclass(frozen=True)
class Peek:
    """The format, the columns and the first rows of a file.

    The columns of FASTA are id, header and sequence; those of `.ts` are series and label.
    """

    path: Path
    form: str
    columns: list[str]
    rows: Rows

    @classmethod
    def of(cls, path: Path, rows: int = PEEKED_ROWS) -> "Peek":
        """Read the format, the columns and the first rows of a file.

        Raises:
            DataError: the file is missing, empty, malformed or of an unknown format.
            MissingExtraError: the file is FASTA and dnaio is not installed.
        """
        form = format_of(path)
        found = list(islice(read_rows(path, form), rows))
        _refuse_unreadable(path, form, found)
        first = [row.values for row in found]
        return cls(path, form, list(dict.fromkeys(column for row in first for column in row)), first)

    @property
    def fixed_columns(self) -> tuple[str, str] | None:
        """The sequence and label columns of formats with fixed columns; None for other formats."""
        return find_format(self.form).columns

    def values(self, column: str) -> list[Any]:
        """The non-empty values of a column."""
        found = (row.get(column) for row in self.rows)
        return [value for value in found if not (value is None or (isinstance(value, str) and value == ""))]


def _refuse_unreadable(path: Path, form: str, rows: list[Row]) -> None:
    """Refuse a table that has a column of sequences or labels which cannot be read; other columns do not matter.

    Raises:
        DataError: says why the column cannot be read.
    """
    missing = {column: None for row in rows for column in row.columns if column not in row.values}
    readable = {column for row in rows for column in row.values} - missing.keys()
    named = [column for column in missing if column.lower() in (*LABEL_NAMES, *TEXT_NAMES)]
    for column in named or (missing if len(readable) < 2 else ()):
        for _ in islice(read_rows(path, form, columns=[column]), len(rows)):
            pass


def infer_data(peek: Peek, label: str | None, reasons: list[str]) -> dict[str, Any]:
    """Infer the keys of `[data]` except those of the target: path, columns and tokenizer.

    Args:
        label: the label column; None for formats without one.
        reasons: one line per decision is appended.
    """
    keys: dict[str, Any] = {"path": str(peek.path)}
    fixed = peek.fixed_columns
    if fixed is None:
        split = _split_column(peek, reasons)
        others = [column for column in peek.columns if column not in (split, label)]
        keys["text_column"] = _text_column(peek, others, reasons)
        if split is not None:
            keys["split_column"] = split
    if "split_column" not in keys:
        reasons.append(
            "validation_size, test_size: no column holds train, validation and test, so splits are drawn at random"
        )
    text_column = fixed[0] if fixed else keys["text_column"]
    keys["tokenizer"] = _tokenizer(peek, peek.values(text_column), reasons)
    return keys


def label_candidates(peek: Peek) -> list[str]:
    """The columns that could hold the label: those with the name of a label, else all except the split column.

    Raises:
        DataError: the file has one column.
    """
    if len(peek.columns) < 2:
        raise DataError(
            f"{peek.path}: the only column is {''.join(peek.columns)!r}. Expected a column of sequences and a column "
            "of labels. Separate the columns with commas, tabs, semicolons or |."
        )
    split = _split_column(peek, [])
    columns = [column for column in peek.columns if column != split]
    named = [column for name in LABEL_NAMES for column in columns if column.lower() == name]
    return named or columns


def _split_column(peek: Peek, reasons: list[str]) -> str | None:
    for column in peek.columns:
        values = {str(value) for value in peek.values(column)}
        named = column.lower() in SPLIT_NAMES
        if values <= set(SPLITS) and "train" in values and (named or len(values) > 1):
            reasons.append(f"split_column = {column!r}: its values are {some(values)}")
            return column
        if named and "train" in values:
            reasons.append(
                f"split_column: {column!r} is not used, because its values are {some(values)}. To use it, rename the "
                f"values to {', '.join(SPLITS)}"
            )
    return None


def _text_column(peek: Peek, columns: list[str], reasons: list[str]) -> str:
    """A column by its name, else one of lists, else the one with the longest content on average."""
    if not columns:
        raise DataError(
            f"{peek.path}: no column is left for the sequences. Expected a column of sequences and a column of labels."
            " Add the missing column."
        )
    named = [column for name in TEXT_NAMES for column in columns if column.lower() == name]
    lists = [column for column in columns if any(isinstance(value, list) for value in peek.values(column))]
    sizes = {column: sum(len(str(value)) for value in peek.values(column)) / len(peek.rows) for column in columns}
    chosen = (named or lists or sorted(columns, key=lambda column: -sizes[column]))[0]
    why = (
        "by its name"
        if named
        else "it holds lists"
        if lists
        else f"its values are the longest, {sizes[chosen]:.0f} characters on average"
    )
    reasons.append(f"text_column = {chosen!r}: {why}")
    return chosen


def _tokenizer(peek: Peek, sequences: list[Any], reasons: list[str]) -> str:
    """Choose a tokenizer by the type of the sequences and their characters."""
    first = next((sequence for sequence in sequences if not hasattr(sequence, "__len__") or len(sequence)), "")
    if isinstance(first, str):
        characters = Counter("".join(str(text)[:1000] for text in sequences))
        name, why = _text_tokenizer(peek.path, characters, peek.form == "fasta")
    elif isinstance(first, list | np.ndarray):
        name, why = ("events", "lists of words") if isinstance(first[0], str) else ("numeric", "series of numbers")
    else:
        raise DataError(
            f"{peek.path}: {first!r} is not a sequence. Expected a column of strings, of lists of words, or of lists "
            "of numbers. Convert the column."
        )
    reasons.append(f"tokenizer = {name!r}: {why}")
    return name


def _text_tokenizer(path: Path, characters: Counter[str], is_fasta: bool) -> tuple[str, str]:
    bases = sum(count for character, count in characters.items() if character.upper() in NUCLEOTIDES)
    shown = " ".join(sorted(character for character in characters if not character.isspace())[:12]) + (
        " …" if len(characters) > 12 else ""
    )
    if characters["."] and set(characters) <= NUMBERS:
        raise DataError(
            f"{path}: the sequences are numbers written as text; their characters are {shown}. Expected a series as a "
            "list of numbers in a column of a JSONL or Parquet file, or as a row of a .ts file. Convert the file."
        )
    if bases >= MOSTLY * characters.total() > 0:
        return "nucleotides", f"the characters are {shown}"
    if is_fasta or set(characters) <= AMINO_ACIDS:
        return "amino-acids", f"the characters are {shown}"
    if characters[" "]:
        return "words", "text with spaces"
    return "characters", f"text without spaces; its characters are {shown}"


def some(values: Any) -> str:
    """The first few distinct values, separated by commas."""
    distinct = sorted(set(values))
    return ", ".join(distinct[:5]) + (", …" if len(distinct) > 5 else "")
