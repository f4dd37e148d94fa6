"""FASTA files, and where a record's label is found: in its header, or in a table beside the file."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ostinato.config import DataConfig
from ostinato.data.files import reading
from ostinato.data.tables import Row, csv_rows
from ostinato.errors import ConfigError, DataError, MissingExtraError

LabelOf = Callable[[str, str], str | None]  # (id, header) -> label


def fasta_rows(path: Path) -> Iterator[Row]:
    """Read the columns `id` (the header's first word), `header` and `sequence`; the first record is row 1.

    Raises:
        DataError: see `reading`; the file is not FASTA.
        MissingExtraError: dnaio is not installed.
    """
    try:
        import dnaio
    except ImportError:
        raise MissingExtraError("dnaio", "dna", "Reading FASTA") from None

    with reading(path):
        try:
            with dnaio.open(path, fileformat="fasta") as records:
                for number, record in enumerate(records, start=1):
                    yield (
                        f"{path}, row {number} ({record.id})",
                        {"id": record.id, "header": record.name, "sequence": record.sequence},
                    )
        except dnaio.FileFormatError as error:
            raise DataError(
                f"{path}: not FASTA ({str(error).splitlines()[0]}). Start each record with a line of '>' and its id."
            ) from None


def with_labels(rows: Iterator[Row], config: DataConfig, *, labelled: bool) -> Iterator[Row]:
    """Add the column `label`, from `config.label_pattern` or `config.label_table`.

    Raises:
        ConfigError: neither or both are given, or the pattern is not a regular expression with a group.
        DataError: a header does not match or an id is not in the table, where labels are needed.
    """
    if not labelled:
        yield from rows
        return
    label_of, hint = _labeller(config)
    for place, row in rows:
        label = label_of(row["id"], row["header"])
        if label is None and not config.skip_unlabelled:
            raise DataError(f"{place}: no label for the header {row['header']!r}. {hint}")
        yield place, {**row, "label": label}


def _labeller(config: DataConfig) -> tuple[LabelOf, str]:
    if (config.label_pattern is None) == (config.label_table is None):
        raise ConfigError(
            "FASTA holds no labels. Give either label_pattern (found in the header) or label_table (a CSV file with id and label), not both."
        )
    if config.label_table is not None:
        table = _read_label_table(Path(config.label_table))
        return lambda name, _: table.get(name), f"Add its id to {config.label_table}."
    assert config.label_pattern is not None
    try:
        pattern = re.compile(config.label_pattern)
    except re.error as error:
        raise ConfigError(
            f"label_pattern {config.label_pattern!r} is not a regular expression: {error}. Write for example: 'class=(\\w+)'"
        ) from None
    if pattern.groups < 1:
        raise ConfigError(
            f"label_pattern {config.label_pattern!r} has no group. Put the label in parentheses, for example: 'class=(\\w+)'"
        )

    def found(_: str, header: str) -> str | None:
        match = pattern.search(header)
        return match[1] if match else None

    return found, f"Expected a match of label_pattern {config.label_pattern!r}."


def _read_label_table(path: Path) -> dict[str, str]:
    table: dict[str, str] = {}
    for place, row in csv_rows(path, "\t" if ".tsv" in path.suffixes else ","):
        if "id" not in row or "label" not in row:
            raise DataError(f"{path}: columns {', '.join(row)}. Expected the columns id and label.")
        if table.setdefault(row["id"], row["label"]) != row["label"]:
            raise DataError(
                f"{place}: id {row['id']!r} has the labels {table[row['id']]!r} and {row['label']!r}. Keep one."
            )
    return table
