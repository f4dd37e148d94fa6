"""The target of classification: one label, as text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.audit import Remark
from ostinato.data.rows import Row, to_text, value_of
from ostinato.data.shown import shown
from ostinato.data.splits import Size, SplitRows, numbered, refuse_one_class, stratified_split
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.findings import FEW_CLASSES, find_class_problems
from ostinato.tasks.sequences.suspicious import to_float
from ostinato.tasks.sequences.targets import TargetKind


class LabelTarget(TargetKind):
    """One label per sequence. Splits are stratified by label."""

    def read(self, row: Row, config: SequenceData, *, column: str | None, needed: bool) -> str | None:
        assert isinstance(config, ClassificationData)
        column = column or config.label_column
        value = value_of(row, column, "label_column", needed=needed)
        if isinstance(value, list):
            raise DataError(
                f"{row.source}: {column} is {shown(value)} (list). Expected one label. If a row can have several "
                'labels, set task = "multilabel".'
            )
        return to_text(value, column, row.source)

    def columns(self, config: SequenceData) -> list[str]:
        assert isinstance(config, ClassificationData)
        return [config.label_column]

    def split(
        self, targets: Sequence[Any], groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
    ) -> SplitRows:
        refuse_numbers(targets)
        return stratified_split(list(map(str, targets)), groups, sizes, seed)

    def folds(self, targets: Sequence[Any], groups: list[str] | None, count: int, seed: int) -> list[np.ndarray]:
        from sklearn.model_selection import StratifiedGroupKFold

        refuse_numbers(targets)
        labels = list(map(str, targets))
        rarest = min(Counter(labels).items(), key=itemgetter(1))
        if rarest[1] < count:
            raise ConfigError(
                f"folds {count}: class {rarest[0]!r} has {rarest[1]} rows. Set at most that many folds, or add rows."
            )
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
        return [
            fold
            for _, fold in splitter.split(labels, numbered(labels)[1], range(len(labels)) if groups is None else groups)
        ]

    def fraction(self, targets: Sequence[Any], share: float, seed: int) -> list[int]:
        classes, labels = numbered(list(map(str, targets)))
        order = np.random.default_rng(seed).permutation(len(labels))
        chosen: list[int] = []
        for label in range(len(classes)):
            rows = order[labels[order] == label]
            chosen += rows[: max(1, round(share * len(rows)))].tolist()
        return sorted(chosen)

    def refuse_unusable(self, split: str, targets: Sequence[Any]) -> None:
        for row, label in enumerate(targets):
            if _is_missing(label):
                raise DataError(f"{split}, row {row}: {label!r} is not a label. Fill it in, or remove the row.")
        refuse_one_class(split, list(map(str, targets)))
        refuse_numbers(targets)

    def describe(self, targets: Sequence[Any]) -> dict[str, Any]:
        return {"classes": dict(sorted(Counter(map(str, targets)).items()))}

    def remarks(self, targets: Mapping[str, Sequence[Any]], config: SequenceData) -> list[Remark]:
        return list(find_class_problems(targets))

    def is_sorted(self, targets: Sequence[Any]) -> bool:
        runs = 1 + sum(before != after for before, after in pairwise(targets))
        return bool(2 <= len(set(targets)) == runs < len(targets))


def refuse_numbers(labels: Sequence[Any]) -> None:
    """Refuse labels that look like regression targets: numbers, most of which occur only once.

    Raises:
        DataError: states their number, and the task that predicts numbers.
    """
    distinct = set(map(str, labels))
    if len(distinct) > max(FEW_CLASSES, len(labels) // 2) and all(to_float(label) is not None for label in distinct):
        raise DataError(
            f"the {len(labels):,} labels are {len(distinct):,} different numbers, such as {shown(labels[0])}. Expected "
            'classes with several rows each. To predict numbers, use the task "regression" (SequenceRegressor). '
            "Otherwise, group the numbers into classes."
        )


def _is_missing(label: Any) -> bool:
    return label is None or type(label).__name__ == "NAType"  # pandas.NA, which cannot be compared
