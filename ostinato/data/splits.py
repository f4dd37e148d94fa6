"""Drawing train, validation and test: at random, by a seed, with the classes' shares kept and groups together."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ostinato.data.shown import shown
from ostinato.errors import ConfigError, DataError

Size = int | float | None  # rows, a share below 1, or all that is left

Sizes = tuple[Size, Size, Size]  # of train, validation and test
SplitRows = tuple[np.ndarray, np.ndarray, np.ndarray]  # the rows of train, validation and test

SPLITS = ("train", "validation", "test")
FEW_ROWS = 100  # with fewer, a split of which only the share is given may be left out


def stratified_split(
    labels: list[str], groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the rows of train, validation and test, each in random order.

    Without groups the sizes are exact, and each class has its share of each split within one row. With groups
    the largest are placed first, each where most rows of its classes are still missing.

    Args:
        labels: the label of each row.
        groups: rows of one group stay in one split; None: each row on its own.
        sizes: of train, validation and test: a whole number of rows, a share (rounded down), or None for the rest.

    Raises:
        ConfigError: the sizes ask for more rows than there are, or for a split that would be empty.
        DataError: a class has fewer than two rows, or a split would hold one class.
    """
    classes, targets = numbered(labels)
    totals = np.bincount(targets)
    row_counts(len(labels), sizes)  # sizes that cannot be drawn are the first thing to correct
    if totals.min() < 2:
        rare = int(totals.argmin())
        raise DataError(
            f"class {shown(classes[rare])!r} has {totals[rare]} row. Expected at least 2 to draw splits: "
            "add rows, or remove the class."
        )
    drawn = draw_rows(targets, groups, sizes, seed)
    for name, indices, size in zip(SPLITS, drawn, sizes, strict=True):
        if size != 0:
            refuse_one_class(name, [labels[i] for i in indices])
    return drawn


def draw_what_fits(draw: Callable[[Sizes], SplitRows], sizes: Sizes, rows: int) -> tuple[SplitRows, list[str]]:
    """Draw splits; where fewer than `FEW_ROWS` rows are too few for all, leave out validation, then test as well.

    Args:
        draw: draws splits of the given sizes, or raises.
        sizes: a split is left out only if its size is a share, not a number of rows.

    Returns:
        The rows of each split, and the names of the splits that are left out.

    Raises:
        ConfigError, DataError: from `draw`, if there are enough rows, or if leaving out a split does not help.
    """
    try:
        return draw(sizes), []
    except (ConfigError, DataError):
        shares = [name for name, size in zip(SPLITS, sizes, strict=True) if name != "train" and _is_share(size)]
        if rows >= FEW_ROWS or not shares:
            raise
    left_out = shares[0]
    train, validation, test = (0 if name == left_out else size for name, size in zip(SPLITS, sizes, strict=True))
    if (train, validation, test) == (None, 0, 0):
        return (np.arange(rows), np.arange(0), np.arange(0)), [left_out]
    drawn, others = draw_what_fits(draw, (train, validation, test), rows)
    return drawn, [left_out, *others]


def _is_share(size: Size) -> bool:
    return isinstance(size, float) and size > 0


def draw_rows(
    strata: np.ndarray, groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the rows of train, validation and test, each in random order, with the strata's shares kept.

    Args:
        strata: (N,) the stratum of each row, from 0; every number up to the largest occurs.
        groups, sizes: as for `stratified_split`.

    Raises:
        ConfigError: the sizes ask for more rows than there are, or for a split that would be empty.
    """
    wanted = row_counts(len(strata), sizes)
    totals = np.bincount(strata)
    rng = np.random.default_rng(seed)
    quotas = totals[:, None] * wanted / len(strata)  # (C, 4): the last column is for rows not used
    split_of = (
        _place_rows(strata, _round(totals, wanted), rng)
        if groups is None
        else _place_groups(strata, groups, quotas, rng)
    )
    drawn = [rng.permutation(np.flatnonzero(split_of == split)) for split in range(3)]
    for name, indices, size in zip(SPLITS, drawn, wanted, strict=False):
        if size and not len(indices):
            assert groups is not None
            raise ConfigError(
                f"{name} would be empty: {len(set(groups))} groups of rows that stay together (by data.group_column, "
                "or equal sequences) are too few or too large for it. Make it larger, or add rows."
            )
    return drawn[0], drawn[1], drawn[2]


def numbered(names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The distinct names in order, and the number of each name among them (N,); NumPy would drop NULs at their end."""
    distinct = sorted(set(names))
    number = {name: index for index, name in enumerate(distinct)}
    return distinct, np.array([number[name] for name in names], dtype=np.int64)


def refuse_one_class(split: str, labels: list[Any]) -> None:
    """Refuse a split whose labels are all the same.

    Raises:
        DataError: there is one class, or no row.
    """
    if len(set(labels)) < 2:
        held = (
            f"only the class {shown(labels[0])!r} ({len(labels):,} {'row' if len(labels) == 1 else 'rows'})"
            if labels
            else "no row that is neither empty nor also in a later split"
        )
        raise DataError(
            f"one-class split (refused): {split} holds {held}. Expected rows of two classes or more: "
            f"add rows of another class{'' if split == 'y' else ', or make the split larger'}."
        )


def row_counts(total: int, sizes: tuple[Size, Size, Size]) -> np.ndarray:
    """Rows of train, validation, test and of none of them (4,).

    Raises:
        ConfigError: the sizes ask for more rows than there are, or for a split that would be empty.
    """
    rows = [None if size is None else int(size * total + 1e-9) if isinstance(size, float) else size for size in sizes]
    asked = sum(count for count in rows if count is not None)
    shown = ", ".join(
        f"{split}_size {'none' if size is None else size}" for split, size in zip(SPLITS, sizes, strict=True)
    )
    if asked > total:
        raise ConfigError(
            f"{shown} ask for {asked} rows, but there are {total} to draw from. Make them smaller, or add rows."
        )
    counts = [total - asked if count is None else count for count in rows]
    for split, size, count in zip(SPLITS, sizes, counts, strict=True):
        if count == 0 and (split == "train" or size != 0):
            raise ConfigError(f"{shown} of {total} rows leave none for {split}. Change the sizes, or add rows.")
    return np.array([*counts, total - sum(counts)])


def _round(totals: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whole rows of each class in each split, (C,) and (4,) -> (C, 4): exact sums, each within one row of its quota.

    Every cell is rounded down; then each class gives its missing rows to the splits that miss most,
    the larger remainder first: the greedy of Gale and Ryser, which finds a table whenever there is one.
    """
    exact = totals[:, None] * wanted
    counts: np.ndarray = exact // wanted.sum()
    remainders = exact % wanted.sum()
    missing = wanted - counts.sum(axis=0)
    for row, total in enumerate(totals):
        best = np.lexsort((-remainders[row], -missing))[: total - counts[row].sum()]
        counts[row, best] += 1
        missing[best] -= 1
    return counts


def _place_rows(targets: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of each row (N,), drawn so that class c has `counts[c]` rows in each."""
    split_of = np.empty(len(targets), int)
    for label, row in enumerate(counts):
        split_of[rng.permutation(np.flatnonzero(targets == label))] = np.repeat(np.arange(4), row)
    return split_of


def _place_groups(targets: np.ndarray, groups: list[str], quotas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of each row (N,), all rows of a group alike."""
    _, group_of = numbered(groups)
    rows_of = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    sizes = np.array([len(rows) for rows in rows_of])
    shuffled = rng.permutation(len(rows_of))
    split_of = np.empty(len(targets), int)
    missing = quotas.copy()
    unasked = quotas.sum(axis=0) == 0
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        held = np.bincount(targets[rows_of[group]], minlength=len(quotas))
        gain = np.where(
            unasked, -np.inf, held @ missing
        )  # least squares: |missing - held|² falls by 2·held·missing - |held|²
        split = int(gain.argmax())
        missing[:, split] -= held
        split_of[rows_of[group]] = split
    return split_of
