"""A first config for a data file, from a look at its first rows; every guess comes with its reason."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import Config, DataConfig, ModelConfig, TrainingConfig
from ostinato.data.columns import count_columns, looks_like_columns
from ostinato.data.examples import tags_of
from ostinato.data.files import ending_of
from ostinato.data.formats import endings, find_format, format_of
from ostinato.data.readers import peek
from ostinato.data.schemes import infer_scheme
from ostinato.data.splits import SPLITS
from ostinato.data.tagged import TAGGED_ENDINGS, read_sentences
from ostinato.errors import DataError

Rows = list[dict[str, Any]]

LABEL_NAMES = ("label", "labels", "class", "target", "y", "category", "sentiment")
TEXT_NAMES = ("text", "sequence", "seq", "tokens", "events", "series")
SPLIT_NAMES = ("split", "subset", "fold", "set")

HEADER_LABELS = {  # in a FASTA header: a regular expression, and what its group is
    rf"(?i)\b(?:{'|'.join(LABEL_NAMES)})[=:]([^\s|;]+)": "what follows its name in the header",
    r"[\s=]([^\s=]+)$": "the end of the header, from the last blank or = on",
    r"\|([^|\s]+)$": "what follows the last | of the header",
}

NUCLEOTIDES = set("ACGTUN")
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWYXBZUOJ*")
NUMBERS = set("0123456789+-.eE,;[] \t")
LOOKED_AT = 1_000  # sentences
SHOWN_TAGS = 8
MOSTLY = 0.9  # of a nucleotide sequence; the rest are codes for several bases, as R and Y


def guess_config(path: Path) -> tuple[Config, list[str]]:
    """A complete config that trains on `path`, and the reason for each guess.

    Raises:
        DataError: the file cannot be read, or no column can be the sequence or the label.
        MissingExtraError: FASTA, and dnaio is not installed.
    """
    if _is_tagged(path):
        return _tagging(path)
    columns, rows = peek(path)
    reasons = [
        f"Guessed from the first {len(rows):,} rows of {path.name}; correct what is wrong, then: ostinato train config.toml"
    ]
    kind = format_of(path)
    fixed = find_format(kind).columns
    keys: dict[str, Any] = {"path": str(path)}
    if kind == "fasta":
        keys |= _header_label(path, rows, reasons)
    elif fixed is None:
        keys |= _columns(path, columns, rows, reasons)
    if "split_column" not in keys:
        reasons.append(
            "validation_size, test_size: no column says train, validation or test, so splits are drawn at random, stratified by label"
        )
    text_column = fixed[0] if fixed is not None else keys["text_column"]
    sequences = [row[text_column] for row in rows if row.get(text_column) is not None]
    keys["tokenizer"] = _tokenizer(path, sequences, reasons, is_fasta=kind == "fasta")
    model = ModelConfig(bidirectional=True, pooling=["mean", "max"], dropout=0.3)
    return Config(data=DataConfig(**keys), model=model, training=TrainingConfig(max_epochs=30, lr=2e-3)), reasons


def _is_tagged(path: Path) -> bool:
    """Whether the file holds sentences with a tag for each token: by its ending, the lists in its first JSON line, or its columns."""
    if TAGGED_ENDINGS.get(ending_of(path)) in ("conll", "conllu"):
        return True
    if ending_of(path) in (".csv", ".tsv"):  # a table has no empty lines
        return looks_like_columns(path, require_break=True)
    if ending_of(path) not in endings():
        if looks_like_columns(path):
            return True
        raise DataError(
            f"{path}: its first lines are no columns of tokens, for two or more would be in every line, and the ending {ending_of(path)!r} tells nothing. "
            f"Mend the lines, or give the file an ending that tells: {', '.join(endings())}."
        )
    if format_of(path) != "jsonl":
        return False
    columns, _ = peek(path, rows=1)
    return {"tokens", "tags"} <= set(columns) or {"text", "spans"} <= set(columns)


def _tagging(path: Path) -> tuple[Config, list[str]]:
    """A tagger, with a CRF where the tags mark entities."""
    data = DataConfig(path=str(path))
    sentences = list(islice(read_sentences(path, data), LOOKED_AT))
    scheme = infer_scheme([tags_of(sentence) for sentence in sentences])
    tags = sorted({tag for sentence in sentences for tag in tags_of(sentence)})
    shown = ", ".join(tags[:SHOWN_TAGS])
    kind = TAGGED_ENDINGS.get(ending_of(path), "conll")
    where = {"conllu": "upos, whose tags are", "jsonl": "tags, or the spans of a text:"}.get(
        kind, "the last one, whose tags are"
    )
    reasons = [
        f"Guessed from the first {len(sentences):,} sentences of {path.name}; correct what is wrong, then: ostinato train config.toml",
        f"tag_column: {where} {shown}{', …' if len(tags) > SHOWN_TAGS else ''}",
        "scheme: the tags mark no entities"
        if scheme is None
        else f"scheme: the tags are those of {scheme}, so a CRF that keeps to it is the head",
        "validation_size, test_size: splits are drawn at random; copies of a sentence stay together",
    ]
    between = range(1, count_columns(path) - 1) if kind == "conll" else ()
    if between:
        reasons.append(
            f"feature_columns: none; [{', '.join(map(str, between))}] would read what stands between beside the words, wherever the tagger is used"
        )
    head = ModelConfig() if scheme is None else ModelConfig(head="crf", constrained=True)
    model = head.model_copy(
        update={"bidirectional": True, "hidden_size": 100, "dropout": 0.5, "character_cell": "cnn", "capitals_size": 8}
    )
    data = data.model_copy(
        update={"lowercase": True, "scheme": scheme or "plain", "target_scheme": None if scheme is None else "bioes"}
    )
    training = TrainingConfig(max_epochs=30, lr=2e-3, monitor="accuracy" if scheme is None else "f1")
    return Config(task="tagging", data=data, model=model, training=training), reasons


def _header_label(path: Path, rows: Rows, reasons: list[str]) -> dict[str, str]:
    """The first pattern that finds a plausible label in every FASTA header, else the name of a table to write."""
    headers = [str(row["header"]) for row in rows]
    for pattern, where in HEADER_LABELS.items():
        labels = [match[1] for header in headers if (match := re.search(pattern, header))]
        if len(labels) == len(rows) and _could_be_label(len(set(labels)), len(rows)):
            reasons.append(f"label_pattern: the label is taken to be {where}, here {_some(labels)}")
            return {"label_pattern": pattern}
    table = path.with_name(f"{path.name.partition('.')[0]}-labels.csv")
    reasons.append(
        f"label_table: no label found in the headers, the first is {headers[0]!r}; write this file, with the columns id and label"
    )
    return {"label_table": str(table)}


def _columns(path: Path, columns: list[str], rows: Rows, reasons: list[str]) -> dict[str, str]:
    """Label, split and text column of a table."""
    if len(columns) < 2:
        raise DataError(
            f"{path}: the only column is {columns[0]!r}. Expected the sequence and its label; part fields with commas, or in .tsv with tabs."
        )
    split = _split_column(columns, rows, reasons)
    others = [column for column in columns if column != split]
    label = _label_column(path, others, rows, reasons)
    text = _text_column(path, [column for column in others if column != label], rows, reasons)
    return {"text_column": text, "label_column": label} | ({"split_column": split} if split else {})


def _split_column(columns: list[str], rows: Rows, reasons: list[str]) -> str | None:
    for column in columns:
        values = {str(value) for value in _values(rows, column)}
        named = column.lower() in SPLIT_NAMES
        if values <= set(SPLITS) and "train" in values and (named or len(values) > 1):
            reasons.append(f"split_column = {column!r}: its values are {_some(values)}")
            return column
        if named and "train" in values:
            reasons.append(
                f"split_column: {column!r} is not used, as its values are {_some(values)}; to use it, rename them to {', '.join(SPLITS)}"
            )
    return None


def _label_column(path: Path, columns: list[str], rows: Rows, reasons: list[str]) -> str:
    """A column by its name, else the one with the fewest different values, the last of several such."""
    found = {column: {str(value).strip() for value in _values(rows, column)} for column in columns}
    named = [column for name in LABEL_NAMES for column in columns if column.lower() == name]
    few = sorted(
        (len(found[column]), -place, column)
        for place, column in enumerate(columns)
        if _could_be_label(len(found[column]), len(rows))
    )
    if not named and not few:
        raise DataError(
            f"{path}: no column looks like a label, with few different values. Columns: {', '.join(columns)}. Name the right one `label`."
        )
    chosen = named[0] if named else few[0][2]
    labels = found[chosen]
    if len(labels) > max(2, len(rows) // 2):
        raise DataError(
            f"{path}: {chosen!r} has {len(labels)} different values in {len(rows)} rows, as {_some(labels)}: not a label. "
            "Put a class in its place, as low and high for numbers, or name another column `label`."
        )
    if chosen in labels:
        raise DataError(
            f"{path}: column {chosen!r} also holds the value {chosen!r}: the first row seems to be data. Add a first row with the columns' names."
        )
    rivals = "".join(f", or is it {column!r}?" for _, _, column in few if column != chosen and not named)
    alone = " alone: is the file sorted?" if len(labels) < 2 else ""
    reasons.append(
        f"label_column = {chosen!r}: {'by its name' if named else 'few different values'}, here {_some(labels)}{alone}{rivals}"
    )
    return chosen


def _could_be_label(distinct: int, rows: int) -> bool:
    return 2 <= distinct <= max(2, rows // 5)


def _text_column(path: Path, columns: list[str], rows: Rows, reasons: list[str]) -> str:
    """A column by its name, else one of lists, else the one with the longest content on average."""
    if not columns:
        raise DataError(
            f"{path}: no column is left for the sequence. Expected two columns at least, the sequence and its label."
        )
    named = [column for name in TEXT_NAMES for column in columns if column.lower() == name]
    lists = [column for column in columns if any(isinstance(value, list) for value in _values(rows, column))]
    sizes = {column: sum(len(str(value)) for value in _values(rows, column)) / len(rows) for column in columns}
    chosen = (named or lists or sorted(columns, key=lambda column: -sizes[column]))[0]
    why = (
        "by its name"
        if named
        else "it holds lists"
        if lists
        else f"it has the longest content, {sizes[chosen]:.0f} characters on average"
    )
    reasons.append(f"text_column = {chosen!r}: {why}")
    return chosen


def _tokenizer(path: Path, sequences: list[Any], reasons: list[str], *, is_fasta: bool) -> str:
    """From the kind of the sequences and the characters they consist of."""
    first = next((sequence for sequence in sequences if not hasattr(sequence, "__len__") or len(sequence)), "")
    if isinstance(first, str):
        characters = Counter("".join(str(text)[:1000] for text in sequences))
        name, why = _text_tokenizer(path, characters, is_fasta)
    elif isinstance(first, list | np.ndarray):
        name, why = ("events", "lists of words") if isinstance(first[0], str) else ("numeric", "series of numbers")
    else:
        raise DataError(
            f"{path}: {first!r} is not a sequence. Expected a column of texts, of lists of words, or of lists of numbers: convert it."
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
            f"{path}: the sequences are numbers written as text, of the characters {shown}. "
            "Expected a series as a list of numbers in one column of a JSONL or Parquet file, or as a row of a .ts file: convert it."
        )
    if bases >= MOSTLY * characters.total() > 0:
        return "nucleotides", f"the characters are {shown}"
    if is_fasta or set(characters) <= AMINO_ACIDS:
        return "amino-acids", f"the characters are {shown}"
    if characters[" "]:
        return "words", "text with spaces"
    return "characters", f"text without spaces, of the characters {shown}"


def _values(rows: Rows, column: str) -> list[Any]:
    """What a column holds, without its empty cells."""
    return [row[column] for row in rows if row.get(column) is not None and row[column] != ""]


def _some(values: Any) -> str:
    """The first few distinct values."""
    distinct = sorted(set(values))
    return ", ".join(distinct[:5]) + (", …" if len(distinct) > 5 else "")
