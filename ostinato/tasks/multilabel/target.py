"""What the target of a multilabel classification is: a set of labels, as a sorted tuple of texts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.audit import Remark
from ostinato.data.rows import Row, to_text, value_of
from ostinato.data.shown import count_of, listed
from ostinato.data.splits import Size, SplitRows
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.multilabel.codec import LabelSetCodec
from ostinato.tasks.multilabel.config import MultilabelData
from ostinato.tasks.multilabel.stratify import iterative_split
from ostinato.tasks.sequences.separators import find_separator, split_labels
from ostinato.tasks.sequences.suspicious import count_labels, suspicious_labels
from ostinato.tasks.sequences.targets import TargetKind

FLAGS = {"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False}

LabelSet = tuple[Any, ...]


class LabelSetTarget(TargetKind):
    """A set of labels for each sequence; splits are stratified by every label."""

    def read(self, row: Row, config: SequenceData, *, column: str | None, needed: bool) -> LabelSet | None:
        assert isinstance(config, MultilabelData)
        if config.label_columns is not None and column is None:
            return _labels_of_columns(row, config.label_columns, needed=needed)
        column = column or config.label_column
        value = value_of(row, column, "label_column", needed=needed)
        return _labels_of_value(value, column, config.label_separator, row.source)

    def columns(self, config: SequenceData) -> list[str]:
        assert isinstance(config, MultilabelData)
        return [config.label_column] if config.label_columns is None else list(config.label_columns)

    def split(
        self, targets: Sequence[LabelSet], groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
    ) -> SplitRows:
        return iterative_split(_indicator(targets), groups, sizes, seed)

    def folds(self, targets: Sequence[LabelSet], groups: list[str] | None, count: int, seed: int) -> list[np.ndarray]:
        if len(targets) < count:
            raise ConfigError(f"folds {count}: there are {len(targets)} rows. Ask for fewer folds, or add rows.")
        labels, rest = _indicator(targets), np.arange(len(targets))
        folds = []
        for remaining in range(count, 1, -1):  # each fold is split off from what the folds before it leave
            grouped = None if groups is None else [groups[row] for row in rest]
            kept, _, held = iterative_split(labels[rest], grouped, (None, 0, len(rest) // remaining), seed)
            folds.append(np.sort(rest[held]))
            rest = np.sort(rest[kept])
        return [*folds, rest]

    def fraction(self, targets: Sequence[LabelSet], share: float, seed: int) -> list[int]:
        """Random rows, and for a label that none of them has the first one that has it."""
        order = np.random.default_rng(seed).permutation(len(targets)).tolist()
        chosen = set(order[: max(1, round(share * len(targets)))])
        seen: set[Any] = set()
        for row in order:
            if not seen.issuperset(targets[row]):
                seen.update(targets[row])
                chosen.add(row)
        return sorted(chosen)

    def refuse_unusable(self, split: str, targets: Sequence[LabelSet]) -> None:
        if not targets:
            raise DataError(
                f"{split} has no rows that are neither empty nor also in a later split. Add rows, or make it larger."
            )
        if len(set(targets)) < 2:
            shown = ", ".join(map(repr, targets[0])) or "no labels"
            raise DataError(
                f"{split}: all {len(targets)} rows have the same labels ({shown}). Expected a label that only some "
                f"rows have: add rows{'' if split == 'y' else ', or make the split larger'}."
            )

    def describe(self, targets: Sequence[LabelSet]) -> dict[str, Any]:
        return {"labels": dict(sorted(Counter(str(label) for labels in targets for label in labels).items()))}

    def remarks(self, targets: Mapping[str, Sequence[LabelSet]], config: SequenceData) -> list[Remark]:
        """Labels per row, labels of train alone, suspicious labels, and rows that never have two labels."""
        assert isinstance(config, MultilabelData)
        counts = count_labels(label for rows in targets.values() for labels in rows for label in labels)
        return [
            *(_describe_sizes(split, rows) for split, rows in targets.items()),
            *_only_in_train(targets, counts),
            *suspicious_labels(counts),
            *_never_two(targets, counts, config),
        ]

    def is_sorted(self, targets: Sequence[LabelSet]) -> bool:
        runs = 1 + sum(before != after for before, after in pairwise(targets))
        return bool(2 <= len(set(targets)) == runs < len(targets))


def _labels_of_value(value: Any, column: str, separator: str, source: str) -> LabelSet | None:
    """The labels in one cell; an empty text or list has none, and null or NaN is not labelled."""
    if isinstance(value, dict):
        raise DataError(
            f"{source}: {column} is an object, {value!r}. Expected a list of labels, or a text with {separator!r} "
            "between them."
        )
    if not isinstance(value, list):
        text = to_text(value, column, source)
        if text is None and not isinstance(value, str):
            return None
        return tuple(sorted(set(split_labels(text or "", separator))))
    labels = [to_text(label, column, source) for label in value]
    if None in labels:
        raise DataError(
            f"{source}: {column} contains {value[labels.index(None)]!r}, which is not a label. Expected texts or "
            "numbers. Remove it."
        )
    return tuple(sorted({label for label in labels if label is not None}))


def _labels_of_columns(row: Row, columns: Sequence[str], *, needed: bool) -> LabelSet | None:
    """The columns that hold a 1; None where all are missing or empty."""
    values = {column: value_of(row, column, "label_columns", needed=needed) for column in columns}
    cells = {column: "" if value is None or value != value else str(value).strip() for column, value in values.items()}
    if not any(cells.values()):
        return None
    for column, text in cells.items():
        if text.lower() not in FLAGS:
            shown = "empty" if not text else repr(text)
            raise DataError(f"{row.source}: {column} is {shown}. Expected 0 or 1, or false or true. Correct it.")
    return tuple(column for column, text in cells.items() if FLAGS[text.lower()])


def _indicator(targets: Sequence[LabelSet]) -> np.ndarray:
    """Rows of 0 and 1 (B, L) for all labels that occur."""
    sources = [f"row {row}" for row in range(len(targets))]
    return LabelSetCodec.fit(targets, sources).encode(targets, sources).numpy()


def _describe_sizes(split: str, targets: Sequence[LabelSet]) -> Remark:
    sizes = [len(labels) for labels in targets]
    text = (
        f"{split}: {sum(sizes) / len(sizes):.2f} labels per row on average, at most {max(sizes)}; "
        f"{count_of(sizes.count(0), 'row')} without labels."
    )
    return Remark("labels-per-row", [], len(sizes), text)


def _only_in_train(targets: Mapping[str, Sequence[LabelSet]], counts: Mapping[str, int]) -> Iterator[Remark]:
    seen = {split: {str(label) for labels in rows for label in labels} for split, rows in targets.items()}
    others = set().union(*(labels for split, labels in seen.items() if split != "train"))
    alone = sorted(seen["train"] - others)
    if len(seen) > 1 and alone:
        rows = sum(counts[label] for label in alone)
        yield Remark("only-in-train", alone, rows, f"Only in train, so their scores are unknown: {listed(alone)}.")


def _never_two(
    targets: Mapping[str, Sequence[LabelSet]], counts: Mapping[str, int], config: MultilabelData
) -> Iterator[Remark]:
    if config.label_columns is not None or any(len(labels) > 1 for rows in targets.values() for labels in rows):
        return
    separator = find_separator(str(label) for rows in targets.values() for labels in rows for label in labels)
    if separator is None:
        text = 'No row has two labels. If no row can have several, set task = "classification".'
        yield Remark("single-labels", [], sum(counts.values()), text)
        return
    lists = [label for label in counts if separator in label]
    text = (
        f"No row has two labels, but many labels contain {separator!r}. If it separates labels, set "
        f"data.label_separator = {separator!r}."
    )
    yield Remark("separated", lists, sum(counts[label] for label in lists), text)
