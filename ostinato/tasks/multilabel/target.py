"""What the target of a multilabel classification is: a set of labels, as a sorted tuple of texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.rows import Row, value_of
from ostinato.data.splits import Size
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.multilabel.codec import LabelSetCodec
from ostinato.tasks.multilabel.config import MultilabelData
from ostinato.tasks.multilabel.stratify import iterative_split
from ostinato.tasks.sequences.separators import find_separator, split_labels
from ostinato.tasks.sequences.targets import SplitRows, TargetKind

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
                "rows have: add rows, or make the split larger."
            )

    def describe(self, targets: Sequence[LabelSet]) -> dict[str, Any]:
        return {"labels": dict(sorted(Counter(str(label) for labels in targets for label in labels).items()))}

    def remarks(self, targets: Mapping[str, Sequence[LabelSet]], config: SequenceData) -> list[str]:
        """Labels per row, rows without labels, labels of one split alone, and a separator that is not the config's."""
        found = [_describe_sizes(split, rows) for split, rows in targets.items()]
        seen = {split: {label for labels in rows for label in labels} for split, rows in targets.items()}
        for split, labels in seen.items():
            others = set().union(*(each for other, each in seen.items() if other != split))
            if split == "train" and len(seen) > 1 and labels - others:
                found.append(
                    f"Only in train, so their scores are unknown: {', '.join(map(str, sorted(labels - others)))}."
                )
        assert isinstance(config, MultilabelData)
        if config.label_columns is None and all(len(labels) < 2 for rows in targets.values() for labels in rows):
            separator = find_separator(str(label) for rows in targets.values() for labels in rows for label in labels)
            found.append(
                'No row has two labels. If no row can have several, task = "classification" fits better.'
                if separator is None
                else f"No row has two labels, but many labels contain {separator!r}. If it separates labels, set "
                f"data.label_separator = {separator!r}."
            )
        return found

    def is_sorted(self, targets: Sequence[LabelSet]) -> bool:
        runs = 1 + sum(before != after for before, after in pairwise(targets))
        return bool(2 <= len(set(targets)) == runs < len(targets))


def _labels_of_value(value: Any, column: str, separator: str, source: str) -> LabelSet | None:
    """The labels in one cell; an empty text or list has none, and null or NaN is not labelled."""
    if value is None or value != value:  # pandas writes a missing list as NaN
        return None
    if isinstance(value, dict):
        raise DataError(
            f"{source}: {column} is an object, {value!r}. Expected a list of labels, or a text with {separator!r} "
            "between them."
        )
    if not isinstance(value, list):
        return tuple(sorted(set(split_labels(str(value), separator))))
    for label in value:
        if not isinstance(label, str | int | float) or label != label or not str(label).strip():
            raise DataError(f"{source}: {column} contains {label!r}, which is not a label. Expected texts or numbers.")
    return tuple(sorted({str(label).strip() for label in value}))


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


def _describe_sizes(split: str, targets: Sequence[LabelSet]) -> str:
    sizes = [len(labels) for labels in targets]
    without = sizes.count(0)
    return (
        f"{split}: {sum(sizes) / len(sizes):.2f} labels per row on average, at most {max(sizes)}; "
        f"{without:,} {'row' if without == 1 else 'rows'} without labels."
    )
