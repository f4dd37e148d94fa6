"""FASTA files; a record's label comes from its header or from a table."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ostinato.config import SequenceData
from ostinato.data.files import reading
from ostinato.data.rows import Row, readable
from ostinato.data.tables import csv_rows
from ostinato.errors import ConfigError, DataError, MissingExtraError

LabelOf = Callable[[str, str], str | None]  # (id, header) -> label

LABEL_TABLES = (".csv", ".tsv", "-labels.csv", "-labels.tsv")  # what follows the stem of the FASTA file
PATTERN_EXAMPLE = r"'class=(\w+)'"


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
                    yield Row(
                        f"{path}, row {number} ({record.id})",
                        {"id": record.id, "header": record.name, "sequence": record.sequence},
                    )
        except dnaio.FileFormatError as error:
            raise DataError(
                f"{path}: not FASTA ({str(error).splitlines()[0]}). Start each record with a line of '>' and its id."
            ) from None


def with_labels(rows: Iterator[Row], config: SequenceData, *, labelled: bool) -> Iterator[Row]:
    """Add the column `label`, from `config.label_pattern` or `config.label_table`.

    Raises:
        ConfigError: neither or both are given, or the pattern is not a regular expression with a group.
        DataError: labels are required, and a header does not match or an id is not in the table.
    """
    if not labelled:
        yield from rows
        return
    label_of, hint = _labeller(config)
    for row in rows:
        label = label_of(row.values["id"], row.values["header"])
        if label is None and not config.skip_unlabelled:
            raise DataError(f"{row.source}: no label for the header {row.values['header']!r}. {hint}")
        yield row._replace(values={**row.values, "label": label})


def _labeller(config: SequenceData) -> tuple[LabelOf, str]:
    """From id and header to label, and what to do about a record without a label."""
    if (config.label_pattern is None) == (config.label_table is None):
        given = "neither" if config.label_table is None else "both"
        raise ConfigError(
            f"FASTA files hold no labels, and {given} of data.label_pattern and data.label_table is set. "
            "Set one: label_pattern finds the label in the header, label_table is a CSV file with id and label."
        )
    if config.label_table is not None:
        table = _read_label_table(Path(config.label_table))
        return lambda name, _: table.get(name), f"Add its id to {config.label_table}."
    assert config.label_pattern is not None
    try:
        pattern = re.compile(config.label_pattern)
    except re.error as error:
        raise ConfigError(
            f"data.label_pattern {config.label_pattern!r} is not a regular expression: {error}. "
            f"Write for example {PATTERN_EXAMPLE}."
        ) from None
    if pattern.groups < 1:
        raise ConfigError(
            f"data.label_pattern {config.label_pattern!r} has no group. "
            f"Put the label in parentheses, for example {PATTERN_EXAMPLE}."
        )

    def find_label(_: str, header: str) -> str | None:
        match = pattern.search(header)
        return match[1] if match else None

    return find_label, f"Expected a match of data.label_pattern {config.label_pattern!r}."


def label_table_of(path: Path) -> Path | None:
    """A table next to a FASTA file with a label for each of its ids: `x.csv`, `x.tsv` or `x-labels.csv` for `x.fasta`.

    Raises:
        DataError: the FASTA file cannot be read.
    """
    stem = path.name.partition(".")[0]
    for table in (path.with_name(f"{stem}{ending}") for ending in LABEL_TABLES):
        if table.is_file():
            try:
                labels = _read_label_table(table)
            except DataError:  # some other table
                continue
            if all(row.values["id"] in labels for row in readable(fasta_rows(path))):
                return table
    return None


def _read_label_table(path: Path) -> dict[str, str]:
    table: dict[str, str] = {}
    for row in readable(csv_rows(path, "\t" if ".tsv" in path.suffixes else ",")):
        values = row.values
        if "id" not in values or "label" not in values:
            raise DataError(f"{path}: its columns are {', '.join(values)}. Expected the columns id and label.")
        if table.setdefault(values["id"], values["label"]) != values["label"]:
            raise DataError(
                f"{row.source}: id {values['id']!r} has the labels {table[values['id']]!r} and {values['label']!r}. "
                "Keep one."
            )
    return table
