"""Drawing train, validation and test so that every label has its share of each."""

import numpy as np

from ostinato.data.splits import SPLITS, Size, numbered, row_counts
from ostinato.errors import ConfigError, DataError

UNUSED = 3  # the column of rows that no split takes, after train, validation and test


def iterative_split(
    labels: np.ndarray, groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the rows of train, validation and test, each in random order.

    Without groups the sizes are exact. Labels are distributed one by one, the rarest first, each row to the split that
    needs its label most. Every split needs at least one row of each label with enough rows; a label with fewer goes to
    train first, then test, then validation. Where this leaves a label missing from a split, rows are swapped as long as
    one swap helps.

    With groups, the largest are assigned first, each to the split that needs its labels most.

    Args:
        labels: (B, L), 0 or 1; a row may have no label.
        groups: rows of one group stay in one split; None: each row on its own.
        sizes: of train, validation and test: a number of rows, a share (rounded down), or None for all other rows.
        seed: draws the rows.

    Raises:
        ConfigError: the sizes ask for more rows than there are, or for a split that would be empty.
        DataError: the labels are not 0 and 1, or a split would hold rows that all have the same labels.

    Source: Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data, 2011, figure 2. Unlike there,
    the sizes are exact, each split needs at least one row of a label, and swaps follow.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise DataError(f"labels {labels.shape}: not a table of 0 and 1. Expected (rows, labels).")
    labels = labels.astype(np.int64)
    wanted = row_counts(len(labels), sizes)
    rng = np.random.default_rng(seed)
    if groups is None:
        split_of = _assign_rows(labels, wanted, rng)
        _swap_missing(labels, wanted, split_of)
    else:
        split_of = _assign_groups(labels, groups, wanted, rng)
    drawn = [rng.permutation(np.flatnonzero(split_of == split)) for split in range(UNUSED)]
    for name, rows, size in zip(SPLITS, drawn, wanted, strict=False):
        if size:
            _check_drawn(name, labels[rows], groups)
    return drawn[0], drawn[1], drawn[2]


def _check_drawn(split: str, labels: np.ndarray, groups: list[str] | None) -> None:
    if not len(labels):
        assert groups is not None
        raise ConfigError(
            f"{split} would be empty: {len(set(groups))} groups are too few or too large for it. "
            "Make it larger, or draw the splits without groups."
        )
    if not (labels != labels[0]).any():
        raise DataError(
            f"{split} would hold {len(labels)} rows with the same labels {labels[0].tolist()}. "
            "Expected a label that some rows have and others do not: add rows, or make the split larger."
        )


def _quotas(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rows of each label that each split should have (L, 4): its share, but at least 1 where there are enough rows."""
    totals = labels.sum(axis=0)
    shares = totals[:, None] * wanted / len(labels)
    minimum = np.zeros_like(shares)
    for place, split in enumerate(split for split in (0, 2, 1) if wanted[split]):  # train first, then test
        minimum[:, split] = totals > place
    excess = np.maximum(shares - minimum, 0)
    rest = totals - minimum.sum(axis=1)
    return np.asarray(minimum + excess * (rest / np.maximum(excess.sum(axis=1), 1e-9))[:, None])


def _assign_rows(labels: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of each row (B,)."""
    split_of = np.full(len(labels), -1)
    need = _quotas(labels, wanted)
    room = wanted.copy()
    remaining = labels.sum(axis=0)
    while remaining.any():
        label = int(np.where(remaining > 0, remaining, np.inf).argmin())
        for row in rng.permutation(np.flatnonzero((split_of < 0) & (labels[:, label] == 1))):
            order = np.lexsort((rng.random(4), -room, -need[label], room == 0))  # the last key counts first
            split = order[0]
            split_of[row] = split
            need[:, split] -= labels[row]
            room[split] -= 1
            remaining -= labels[row]
    rest = rng.permutation(np.flatnonzero(split_of < 0))
    split_of[rest] = np.repeat(np.arange(4), room)
    return split_of


def _swap_missing(labels: np.ndarray, wanted: np.ndarray, split_of: np.ndarray) -> None:
    """Swap two rows of different splits, in place, as long as that leaves fewer labels missing from the splits.

    A label missing from train weighs more than all that are missing elsewhere.
    """
    L = labels.shape[1]
    cost = np.where(wanted > 0, 1, 0)
    cost[0], cost[UNUSED] = 3 * L + 1, 0
    counts = np.array([labels[split_of == split].sum(axis=0) for split in range(4)])  # (4, L)
    improved = True
    while improved:
        improved = False
        for split, label in np.argwhere((counts == 0) & (cost[:, None] > 0)):
            if _swap_for(int(split), int(label), labels, split_of, counts, cost):
                improved = True


def _swap_for(
    split: int, label: int, labels: np.ndarray, split_of: np.ndarray, counts: np.ndarray, cost: np.ndarray
) -> bool:
    """Bring a row with `label` into `split` in exchange for one of its rows, if fewer labels are then missing."""
    if counts[split, label]:
        return False
    own = np.flatnonzero(split_of == split)
    for row in np.flatnonzero((labels[:, label] == 1) & (split_of != split)):
        donor = split_of[row]
        moved = labels[row] - labels[own]  # (rows of the split, L)
        missing = [
            cost[each] * ((counts[each] + sign * moved == 0).sum(axis=1) - (counts[each] == 0).sum())
            for each, sign in ((split, 1), (donor, -1))
        ]
        change = missing[0] + missing[1]
        best = int(change.argmin())
        if change[best] < 0:
            split_of[row], split_of[own[best]] = split, donor
            counts[split] += moved[best]
            counts[donor] -= moved[best]
            return True
    return False


def _assign_groups(labels: np.ndarray, groups: list[str], wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of each row (B,), the same for all rows of a group."""
    _, group_of = numbered(groups)
    sizes = np.bincount(group_of)
    held = np.zeros((len(sizes), labels.shape[1] + 1))
    np.add.at(held, group_of, np.column_stack([labels, np.ones(len(labels))]))  # rows of each label, and of the group
    held /= np.maximum(held.sum(axis=0), 1)  # as shares, so that rare labels count as much as common ones
    missing = (held.sum(axis=0) > 0)[:, None] * wanted / len(labels)  # (L + 1, 4)
    split_of_group = np.empty(len(sizes), int)
    shuffled = rng.permutation(len(sizes))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        # least squares: |missing - held|² falls by 2·held·missing - |held|²
        split = int(np.where(wanted == 0, -np.inf, held[group] @ missing).argmax())
        missing[:, split] -= held[group]
        split_of_group[group] = split
    return np.asarray(split_of_group[group_of])
