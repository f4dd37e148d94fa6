"""A first config for a data file, from a look at its first rows; every guess is said in a comment."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import Config, DataConfig, ModelConfig, TrainingConfig, to_toml
from ostinato.data.examples import Sequence
from ostinato.data.readers import FIXED_COLUMNS, format_of, peek
from ostinato.data.splits import SPLITS
from ostinato.errors import DataError

LABEL_NAMES = ("label", "labels", "class", "target", "y", "category", "sentiment")
SPLIT_NAMES = ("split", "subset", "fold", "set")
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWYXBZUO*")
NUCLEOTIDES = set("ACGTUN")


def guess_config(path: Path) -> str:
    """A complete TOML config that trains on `path`.

    Raises:
        DataError: the file cannot be read, or no column can be the sequence or the label.
    """
    columns, rows = peek(path)
    guesses = [f"Guessed from the first {len(rows):,} rows of {path.name}; correct what is wrong, then: ostinato train config.toml"]
    keys: dict[str, Any] = {"path": str(path)}
    kind = format_of(path)
    if kind in FIXED_COLUMNS:
        sequence_column = "sequence" if kind == "fasta" else "series"
        if kind == "fasta":
            keys["label_pattern"] = r"\s(\S+)$"
            guesses.append(r'label_pattern = "\s(\S+)$": the label is taken to be the last word of a FASTA header')
    else:
        label_column = _label_column(path, columns, rows, guesses)
        split_column = _split_column([column for column in columns if column != label_column], rows, guesses)
        sequence_column = _sequence_column(path, [column for column in columns if column not in (label_column, split_column)], rows, guesses)
        keys |= {"text_column": sequence_column, "label_column": label_column} | ({"split_column": split_column} if split_column else {})
        if split_column is None:
            guesses.append("validation_size and test_size: no column says train, validation or test, so splits are drawn at random, stratified by label")
    keys["tokenizer"] = _tokenizer([row[sequence_column] for row in rows if row.get(sequence_column)], guesses)
    config = Config(
        data=DataConfig(**keys),
        model=ModelConfig(bidirectional=True, pooling=["mean", "max"], dropout=0.3),
        training=TrainingConfig(max_epochs=30, lr=2e-3),
    )
    return "".join(f"# {guess}\n" for guess in guesses) + "\n" + to_toml(config)


def _label_column(path: Path, columns: list[str], rows: list[dict[str, Any]], guesses: list[str]) -> str:
    """A column by its name, else the one with the fewest different values (two at least, far fewer than rows)."""
    named = [column for column in columns if column.lower() in LABEL_NAMES]
    distinct = {column: len({str(row.get(column)) for row in rows}) for column in columns}
    few = sorted((count, column) for column, count in distinct.items() if 2 <= count <= max(2, len(rows) // 5) and not _is_split(rows, column))
    if not named and not few:
        raise DataError(f"{path}: no column looks like a label. Columns: {', '.join(columns)}. Name one `label`, or write a config by hand: ostinato schema")
    chosen = named[0] if named else few[0][1]
    guesses.append(f'label_column = "{chosen}": ' + ("by its name" if named else f"it has the fewest different values ({distinct[chosen]})"))
    return chosen


def _split_column(columns: list[str], rows: list[dict[str, Any]], guesses: list[str]) -> str | None:
    for column in columns:
        if _is_split(rows, column):
            guesses.append(f'split_column = "{column}": its values are {", ".join(SPLITS)}')
            return column
    return None


def _is_split(rows: list[dict[str, Any]], column: str) -> bool:
    values = {str(row.get(column)) for row in rows}
    return values <= set(SPLITS) and ("train" in values) and (len(values) > 1 or column.lower() in SPLIT_NAMES)


def _sequence_column(path: Path, columns: list[str], rows: list[dict[str, Any]], guesses: list[str]) -> str:
    """The column with the longest content on average."""
    sizes = {column: np.mean([len(_plain(row.get(column))) for row in rows]) for column in columns}
    if not sizes:
        raise DataError(f"{path}: no column is left for the sequence. Give the file at least two columns, the sequence and its label.")
    chosen = max(sizes, key=lambda column: sizes[column])
    guesses.append(f'text_column = "{chosen}": the column with the longest content, {sizes[chosen]:.0f} on average')
    return chosen


def _tokenizer(sequences: list[Any], guesses: list[str]) -> str:
    """From the kind of the sequences and the characters they consist of."""
    first: Sequence = sequences[0] if sequences else ""
    if not isinstance(first, str):
        name, why = ("events", "lists of tokens") if len(first) and isinstance(first[0], str) else ("numeric", "series of numbers")
    else:
        characters = Counter("".join(text[:1000] for text in sequences))
        letters = {character.upper() for character in characters}
        shown = " ".join(sorted(letters)[:12]) + (" …" if len(letters) > 12 else "")
        spaced = characters[" "] > 0
        if letters <= NUCLEOTIDES:
            name, why = "nucleotides", f"the characters are {shown}"
        elif letters <= AMINO_ACIDS and not spaced:
            name, why = "amino-acids", f"the characters are {shown}"
        elif not spaced:
            name, why = "characters", f"strings without spaces, of the characters {shown}"
        else:
            name, why = "words", "text with spaces"
    guesses.append(f'tokenizer = "{name}": {why}')
    return name


def _plain(value: Any) -> Any:
    return "" if value is None else value if isinstance(value, str | list | np.ndarray) else str(value)
