"""Read sequences without labels: from files of any format, from text line by line, or from a named set."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ostinato.config.reading import parse
from ostinato.data.examples import Record, Sentence, Sequence
from ostinato.data.files import ending_of, open_text
from ostinato.data.formats import find_format, format_of, read_rows
from ostinato.data.rows import value_of
from ostinato.data.sequences import kind_of, to_sequence
from ostinato.data.tokenizer_choice import choose_tokenizer
from ostinato.errors import DataError, look_up
from ostinato.pretraining.config import PretrainingData
from ostinato.pretraining.datasets import UNLABELLED, UnlabelledSet
from ostinato.tasks import TASKS

LINES = ".txt"


class Unlabelled(NamedTuple):
    """Sequences, where each comes from, and the tokenizer that suits them."""

    name: str
    source: str
    sequences: list[Sequence]
    sources: list[str]
    tokenizer: str


def read_unlabelled(config: PretrainingData) -> Unlabelled:
    """Read all sequences that are not empty.

    Raises:
        ConfigError: the named set does not exist.
        DataError: a file or a row cannot be read, or there is no sequence.
        MissingExtraError: a format needs a package that is not installed.
    """
    if config.name is not None:
        return _named(config)
    files = config.files()
    sequences: list[Sequence] = []
    sources: list[str] = []
    for path in files:
        for sequence, source in _lines(path) if _has_lines(path, config) else _cells(path, config):
            if not len(sequence):
                continue
            if sequences and kind_of(sequence) != kind_of(sequences[0]):
                raise DataError(
                    f"{source}: the sequence is {kind_of(sequence)}, but the first one is {kind_of(sequences[0])}. Use "
                    "the same kind of sequence in all rows."
                )
            sequences.append(sequence)
            sources.append(source)
    shown = ", ".join(config.path or ())
    if not sequences:
        raise DataError(f"{shown}: every sequence is empty. Expected at least one with tokens.")
    is_fasta = not _has_lines(files[0], config) and format_of(files[0], config.format) == "fasta"
    tokenizer = config.tokenizer or choose_tokenizer(sequences, is_fasta=is_fasta)[0]
    name = ", ".join(Path(path).name for path in config.path or ())
    return Unlabelled(name, shown, sequences, sources, tokenizer)


def _has_lines(path: Path, config: PretrainingData) -> bool:
    return config.format is None and ending_of(path) == LINES


def _lines(path: Path) -> Iterator[tuple[Sequence, str]]:
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            yield line.strip(), f"{path}, line {number}"


def _cells(path: Path, config: PretrainingData) -> Iterator[tuple[Sequence, str]]:
    form = format_of(path, config.format)
    fixed = find_format(form).columns
    column = fixed[0] if fixed else config.text_column
    for row in read_rows(path, form, columns=[column]):
        yield to_sequence(value_of(row, column, "text_column"), row.source), row.source


def _named(config: PretrainingData) -> Unlabelled:
    """All rows of a named set, of every split."""
    wanted = str(config.name)
    if wanted in UNLABELLED:
        return _without_labels(config, UNLABELLED[wanted])
    owners = {name: (task, named) for task in TASKS.values() for name, named in task.datasets.items()}
    task, named = look_up(owners, wanted, "data set")
    whole = parse({task.name: task.config}, {"task": task.name, "data": {"name": config.name}}, "data", needs_data=True)
    loaded = named.load(whole.data)
    rows: list[Record | Sentence] = [row for split in loaded.splits.values() for row in split]
    sequences = [row.words if isinstance(row, Sentence) else row.sequence for row in rows]
    filled = [number for number, sequence in enumerate(sequences) if len(sequence)]
    return Unlabelled(
        str(config.name),
        loaded.source,
        [sequences[number] for number in filled],
        [rows[number].source for number in filled],
        config.tokenizer or named.tokenizer,
    )


def _without_labels(config: PretrainingData, named: UnlabelledSet) -> Unlabelled:
    source, sequences = named.load()
    sources = [f"{config.name}, sequence {number}" for number in range(1, len(sequences) + 1)]
    return Unlabelled(str(config.name), source, list(sequences), sources, config.tokenizer or named.tokenizer)
