"""Infer the parts of a config that do not depend on the target from the first rows of a file of sequences."""

from typing import Any, NamedTuple

import numpy as np

from ostinato.data.splits import SPLITS
from ostinato.data.tokenizer_choice import choose_tokenizer, lengths_of
from ostinato.data.tokenizers import NUMERIC
from ostinato.errors import DataError
from ostinato.tasks.sequences.defaults import TRAIN_SHARE, Facts
from ostinato.tasks.sequences.headers import LABEL_NAMES
from ostinato.tasks.sequences.infer_series import choose_scale
from ostinato.tasks.sequences.peek import TEXT_NAMES, Peek

SPLIT_NAMES = ("split", "subset", "fold", "set")
GROUP_NAMES = ("subject", "patient", "user", "session", "group", "speaker", "author", "participant", "donor")
FEWEST_GROUPS = 10  # fewer cannot be split well
NUMBERS = set("0123456789+-.eE,;[] \t")


class InferredData(NamedTuple):
    """The keys of `[data]` except those of the target, and what the other tables depend on."""

    keys: dict[str, Any]
    facts: Facts


def opening(peek: Peek) -> str:
    """The first line of reasons."""
    return (
        f"Inferred from {peek.extent} of {peek.path.name}. Correct any mistakes, then run: ostinato train config.toml"
    )


def infer_data(peek: Peek, label: str | None, reasons: list[str], *, size_matters: bool = False) -> InferredData:
    """Infer the path, the columns, the tokenizer and the scale.

    Args:
        label: the label column; None for formats without one.
        reasons: one line per decision is appended.
        size_matters: the target may depend on the size of a series, so each is not standardised by itself.
    """
    keys: dict[str, Any] = {"path": str(peek.path)}
    fixed = peek.fixed_columns
    if fixed is None:
        split = _split_column(peek, reasons)
        others = [column for column in peek.columns if column not in (split, label)]
        group = None if split else _group_column(peek, others, label, reasons)
        others = [column for column in others if column != group]
        keys["text_column"] = _text_column(peek, others, reasons)
        keys |= {"split_column": split} if split else {"group_column": group} if group else {}
    if "split_column" not in keys:
        reasons.append(
            "validation_size, test_size: no column holds train, validation and test, so splits are drawn at random"
        )
    sequences = peek.values(fixed[0] if fixed else keys["text_column"])
    keys["tokenizer"] = tokenizer = _tokenizer(peek, sequences, reasons)
    keys["scale"] = "channel"
    if tokenizer == NUMERIC and not size_matters:
        keys["scale"], why = choose_scale(sequences)
        reasons.append(f"scale = {keys['scale']!r}: {why}")
    train_rows = max(1, int(TRAIN_SHARE * peek.total))
    return InferredData(keys, Facts(train_rows, tokenizer, lengths_of(sequences, tokenizer)))


def label_candidates(peek: Peek) -> list[str]:
    """The columns that could hold the label: the chosen one, else those with the name of a label, else all.

    The split column is never among them.

    Raises:
        DataError: the file has one column.
    """
    if len(peek.columns) < 2:
        raise DataError(
            f"{peek.path}: the only column is {''.join(peek.columns)!r}. Expected a column of sequences and a column "
            "of labels. Separate the columns with commas, tabs, semicolons or |."
        )
    if peek.chosen.label is not None:
        return [peek.chosen.label]
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


def _group_column(peek: Peek, columns: list[str], label: str | None, reasons: list[str]) -> str | None:
    """A column that names who or what several rows come from; None without one."""
    for column in columns:
        name = column.lower().removesuffix("id").rstrip("_-. ")
        values = [str(value) for value in peek.values(column)]
        groups = set(values)
        if column == peek.chosen.text or name not in GROUP_NAMES or not 1 < len(groups) < len(values):
            continue
        labelled = {(str(row.get(column)), str(row.get(label))) for row in peek.rows} if label else set()
        known = f"{column!r} has {len(groups):,} different values in {len(values):,} rows"
        if len(groups) < FEWEST_GROUPS:
            reasons.append(
                f"group_column: {known}, which are too few groups to split. If a model must work for new ones, set "
                f"group_column = {column!r} and folds"
            )
        elif len(labelled) == len(groups) == len({pair[1] for pair in labelled}):
            reasons.append(f"group_column: {column!r} is not used, because it says the same as the label")
        else:
            reasons.append(
                f"group_column = {column!r}: by its name; {known}, and rows of one group stay in one split. For random "
                "splits, remove it"
            )
            return column
    return None


def _text_column(peek: Peek, columns: list[str], reasons: list[str]) -> str:
    """A column by its name, else one of lists, else the one with the longest content on average."""
    if not columns:
        raise DataError(
            f"{peek.path}: no column is left for the sequences. Expected a column of sequences and a column of labels."
            " Add the missing column."
        )
    if peek.chosen.text is not None:
        reasons.append(f"text_column = {peek.chosen.text!r}: as set")
        return peek.chosen.text
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
    if not isinstance(first, str | list | np.ndarray):
        raise DataError(
            f"{peek.path}: {first!r} is not a sequence. Expected a column of strings, of lists of words, or of lists "
            "of numbers. Convert the column."
        )
    _refuse_numbers(peek, sequences)
    if peek.chosen.tokenizer is not None:
        name, why = peek.chosen.tokenizer, "as set"
    else:
        name, why = choose_tokenizer(sequences, is_fasta=peek.form == "fasta")
    reasons.append(f"tokenizer = {name!r}: {why}")
    return name


def _refuse_numbers(peek: Peek, sequences: list[Any]) -> None:
    characters = {each for text in sequences if isinstance(text, str) for each in text[:1000]}
    if "." in characters and characters <= NUMBERS:
        shown = " ".join(sorted(character for character in characters if not character.isspace())[:12])
        raise DataError(
            f"{peek.path}: the sequences are numbers written as text; their characters are {shown}. Expected a series "
            "as a list of numbers in a column of a JSONL or Parquet file, or as a row of a .ts file. Convert the file."
        )


def some(values: Any) -> str:
    """The first few distinct values, separated by commas."""
    distinct = sorted(set(values))
    return ", ".join(distinct[:5]) + (", …" if len(distinct) > 5 else "")
