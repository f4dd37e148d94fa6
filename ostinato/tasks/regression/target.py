"""What the target of a regression is: one or more numbers, by name."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.audit import Remark
from ostinato.data.encoding import LARGEST
from ostinato.data.rows import Row, value_of
from ostinato.data.shown import shown
from ostinato.data.splits import Size, SplitRows, draw_rows
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.regression.config import RegressionData
from ostinato.tasks.sequences.targets import TargetKind

MOST_STRATA = 10
ROWS_IN_A_STRATUM = 20  # at least: with fewer, a split's share of a stratum is mostly rounding
QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}


class NumberTarget(TargetKind):
    """Numbers by name; splits keep the shares of ten quantile bins of the first."""

    keeps_conflicts: ClassVar[bool] = True

    def read(self, row: Row, config: SequenceData, *, column: str | None, needed: bool) -> dict[str, float] | None:
        assert isinstance(config, RegressionData)
        names = config.target_columns or ["target"]
        if column is not None and len(names) > 1:
            raise ConfigError(
                f"target_columns {names}: this format has one number for each sequence. Name one, or convert the file."
            )
        if column is None and config.target_columns is None and "target" not in row.values and "label" in row.values:
            column = "label"
        columns = {name: column or name for name in names}
        values = {name: value_of(row, each, "target_columns", needed=needed) for name, each in columns.items()}
        numbers = {name: to_number(value, columns[name], row.source) for name, value in values.items()}
        found = {name: number for name, number in numbers.items() if number is not None}
        if found and len(found) < len(names):
            empty = next(name for name in names if name not in found)
            raise DataError(
                f"{row.source}: {empty} is empty, the other targets are not. Fill it in, or remove the row."
            )
        return found or None

    def columns(self, config: SequenceData) -> list[str]:
        assert isinstance(config, RegressionData)
        return config.target_columns or ["target", "label"]

    def split(
        self, targets: Sequence[Any], groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
    ) -> SplitRows:
        return draw_rows(strata_of(targets), groups, sizes, seed)

    def folds(self, targets: Sequence[Any], groups: list[str] | None, count: int, seed: int) -> list[np.ndarray]:
        from sklearn.model_selection import StratifiedGroupKFold

        units = len(targets) if groups is None else len(set(groups))
        if units < count:
            what = "rows" if groups is None else "groups"
            raise ConfigError(f"folds {count}: there are {units} {what}. Ask for at most as many folds, or add rows.")
        strata = strata_of(targets, smallest=max(count, ROWS_IN_A_STRATUM))
        cut = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
        return [held for _, held in cut.split(strata, strata, range(len(strata)) if groups is None else groups)]

    def fraction(self, targets: Sequence[Any], share: float, seed: int) -> list[int]:
        strata = strata_of(targets)
        order = np.random.default_rng(seed).permutation(len(strata))
        chosen: list[int] = []
        for stratum in np.unique(strata):
            rows = order[strata[order] == stratum]
            chosen += rows[: max(1, round(share * len(rows)))].tolist()
        return sorted(chosen)

    def refuse_unusable(self, split: str, targets: Sequence[Any]) -> None:
        if not targets:
            raise DataError(
                f"{split} holds no row that is neither empty nor also in a later split. Add rows, or remove the split."
            )
        if split not in ("train", "y"):  # only training targets must vary
            return
        for name, values in _columns(targets).items():
            if values.min() == values.max():
                raise DataError(
                    f"{split}: {name} is {values[0]:g} in all {len(values):,} rows: there is nothing to learn. "
                    "Expected numbers that differ. Check the column, or remove it from the targets."
                )

    def describe(self, targets: Sequence[Any]) -> dict[str, Any]:
        levels = list(QUANTILES.values())
        return {
            "values": {
                name: dict(zip(QUANTILES, np.quantile(values, levels).tolist(), strict=True))
                for name, values in _columns(targets).items()
            }
        }

    def remarks(self, targets: Mapping[str, Sequence[Any]], config: SequenceData) -> list[Remark]:
        """Targets with two values, which are more often classes."""
        found = []
        together = _columns([target for rows in targets.values() for target in rows])
        for name, values in together.items():
            distinct = [f"{value:g}" for value in np.unique(values)]
            if len(distinct) == 2:
                text = (
                    f"{name} has only the values {' and '.join(distinct)}. If they are classes, set "
                    f'task = "classification" and data.label_column = "{shown(name)}".'
                )
                found.append(Remark("two-values", distinct, len(values), text))
        return found

    def is_sorted(self, targets: Sequence[Any]) -> bool:
        first = next(iter(_columns(targets).values()), np.array([]))
        steps = np.diff(first)
        return len(first) > ROWS_IN_A_STRATUM and bool((steps >= 0).all() or (steps <= 0).all()) and bool(steps.any())


def to_number(value: Any, column: str, source: str) -> float | None:
    """Read a cell as a finite number; None if it is empty.

    Raises:
        DataError: it is something else, or too large for float32.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str) and "_" not in value:  # Python reads 1_000 as a number
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    else:
        is_number = isinstance(value, int | float | Decimal | np.integer | np.floating) and not isinstance(value, bool)
        number = _float(value) if is_number else math.nan
    if not math.isfinite(number):
        hint = " Write a decimal point, not a comma." if isinstance(value, str) and _has_comma(value) else ""
        raise DataError(f"{source}: {column} is {value!r}, not a finite number.{hint} Correct it, or remove the row.")
    if abs(number) > LARGEST:
        raise DataError(
            f"{source}: {column} is {value!r}. Expected a magnitude of at most {LARGEST:.2g}. "
            "Correct it, or remove the row."
        )
    return number


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return math.inf


def _has_comma(text: str) -> bool:
    return text.strip().lstrip("+-").replace(",", "").replace(".", "").isdigit() and "," in text


def strata_of(targets: Sequence[Any], smallest: int = ROWS_IN_A_STRATUM) -> np.ndarray:
    """The quantile bin of each row's first target (B,), from 0: up to ten bins of `smallest` rows or more."""
    values = next(iter(_columns(targets).values()), np.array([]))
    for number in range(MOST_STRATA, 1, -1):
        edges = np.unique(np.quantile(values, np.arange(1, number) / number)) if len(values) else np.array([])
        _, strata = np.unique(np.searchsorted(edges, values), return_inverse=True)
        if len(values) and np.bincount(strata).min() >= smallest:
            return np.asarray(strata)
    return np.zeros(len(values), dtype=np.int64)


def _columns(targets: Sequence[Any]) -> dict[str, np.ndarray]:
    """Each target as (B,), by name."""
    names = list(targets[0]) if targets else []
    return {name: np.array([row[name] for row in targets], dtype=np.float64) for name in names}
