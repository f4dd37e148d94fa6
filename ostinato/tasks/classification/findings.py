"""Findings about the classes of a data set: lists of labels, numbers, identifiers, and classes of very unequal size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ostinato.data.audit import Remark
from ostinato.data.shown import listed
from ostinato.tasks.sequences.separators import find_separator
from ostinato.tasks.sequences.suspicious import count_labels, suspicious_labels, to_float

FEW_CLASSES = 10  # up to this many distinct numbers can be classes, regardless of the number of rows
MANY_CODES = 20  # up to this many distinct whole numbers are class codes; more are codes if they leave no gaps
MANY_CLASSES, FEW_ROWS = 50, 5  # more classes with fewer rows each, on average, look like identifiers
UNEQUAL = 20  # times as many rows as the smallest class has
DOMINANT = 0.9  # share of one class from which accuracy says little


def find_class_problems(targets: Mapping[str, Sequence[Any]]) -> Iterator[Remark]:
    """Everything in the labels of the splits that needs attention."""
    counts = count_labels(label for labels in targets.values() for label in labels)
    yield from _separated(targets, counts)
    yield from suspicious_labels(counts)
    yield from list(_continuous(counts)) or _identifiers(counts)
    yield from list(_dominant(targets["train"])) or _unequal(targets["train"])


def _separated(targets: Mapping[str, Sequence[Any]], counts: Mapping[str, int]) -> Iterator[Remark]:
    separator = find_separator(str(label) for labels in targets.values() for label in labels)
    if separator is not None:
        lists = [label for label in counts if separator in label]
        yield Remark(
            "separated",
            lists,
            sum(counts[label] for label in lists),
            f"The classes look like lists of labels, such as {listed(lists[:1])}. If a row can have several labels, "
            f'set task = "multilabel" and data.label_separator = {separator!r}.',
        )


def _continuous(counts: Mapping[str, int]) -> Iterator[Remark]:
    numbers = [number for label in counts if (number := to_float(label)) is not None]
    if len(numbers) < len(counts):
        return
    distinct = set(numbers)
    if all(map(float.is_integer, distinct)):
        is_code = len(distinct) <= MANY_CODES or max(distinct) - min(distinct) < len(distinct)
    else:
        is_code = len(distinct) <= FEW_CLASSES
    if not is_code:
        yield Remark(
            "numbers",
            list(counts),
            sum(counts.values()),
            f"The {len(counts):,} classes are numbers between {min(numbers):g} and {max(numbers):g}. If they measure "
            'something, set task = "regression" and data.target_columns.',
        )


def _identifiers(counts: Mapping[str, int]) -> Iterator[Remark]:
    rows = sum(counts.values())
    if len(counts) > MANY_CLASSES and rows < FEW_ROWS * len(counts):
        yield Remark(
            "identifiers",
            list(counts),
            rows,
            f"There are {len(counts):,} classes with {rows / len(counts):.1f} rows each on average, which is too few "
            "to learn from. If the labels are identifiers or free text, name another column in data.label_column.",
        )


def _unequal(labels: Sequence[Any]) -> Iterator[Remark]:
    counts = count_labels(labels).most_common()
    (common, most), (rare, fewest) = counts[0], counts[-1]
    if most >= UNEQUAL * fewest:
        yield Remark(
            "unequal",
            [common, rare],
            most + fewest,
            f"The classes of train are of very unequal size: {listed([common])} has {most:,} rows, {listed([rare])} "
            f'has {fewest:,}. If rare classes matter as much as common ones, set training.class_weight = "balanced".',
        )


def _dominant(labels: Sequence[Any]) -> Iterator[Remark]:
    (label, rows), *others = count_labels(labels).most_common()
    if others and rows >= DOMINANT * len(labels):
        yield Remark(
            "dominant",
            [label],
            rows,
            f"{rows / len(labels):.1%} of the rows of train have the label {listed([label])}, so accuracy says little. "
            "Look at balanced accuracy and macro F1. To give rare classes more weight, set "
            'training.class_weight = "balanced".',
        )
