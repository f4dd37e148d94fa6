"""Rows that would bias a score: empty sequences, duplicates, one sequence with two targets, overlap of splits."""

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import combinations
from typing import Any, cast

import numpy as np

from ostinato.data.examples import Records, Sequence
from ostinato.errors import DataError

BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
COMPLEMENT = str.maketrans("ACGT", "TGCA")

Splits = dict[str, Records]  # train, validation, test, in this order; train is always there

KEY_BYTES = 16


@dataclass(frozen=True)
class Cleaning:
    """Rows left out and why.

    `overlap` maps `train/test` to the number of rows of train whose sequence is also in test. `reverse_complements`
    maps it to the rows of train whose reverse complement is in test; they remain, as labels may depend on the strand.
    """

    empty_dropped: int
    conflicting_dropped: int
    duplicates_dropped: int
    overlap: dict[str, int]
    overlap_dropped: bool
    reverse_complements: dict[str, int] = field(default_factory=dict)


def clean(
    given: Splits,
    *,
    tokenizer: str,
    refuse_empty: bool,
    drops_overlap: bool,
    draws: bool,
    keeps_conflicts: bool = False,
) -> tuple[Splits, Cleaning]:
    """Remove rows that would bias a score.

    Args:
        tokenizer: sequences that it reads alike are the same sequence, however they are written.
        refuse_empty: an empty sequence is an error; else it is dropped.
        drops_overlap: a row that is also in a later split is removed from the earlier one; else it is only counted.
        draws: splits are about to be drawn from train, so its conflicting rows and its duplicates go first.
        keeps_conflicts: rows of one sequence with different targets stay: repeated measurements.

    Raises:
        DataError: a sequence is empty, and `refuse_empty`.
    """
    filled = {split: _without_empty(records, refuse=refuse_empty) for split, records in given.items()}
    filled = {split: with_keys(records, tokenizer) for split, records in filled.items()}
    overlap = {
        f"{a}/{b}": int(np.isin(keys_of(rows), keys_of(others)).sum())
        for (a, rows), (b, others) in combinations(filled.items(), 2)
    }
    splits = _without_overlap(filled) if drops_overlap else dict(filled)
    train = splits["train"]
    agreeing = train.select(np.flatnonzero(~conflicting(train))) if draws and not keeps_conflicts else train
    if draws:
        splits["train"] = agreeing.select(_first_copies(agreeing))
    return splits, Cleaning(
        empty_dropped=sum(len(given[split]) - len(filled[split]) for split in given),
        conflicting_dropped=len(train) - len(agreeing),
        duplicates_dropped=len(agreeing) - len(splits["train"]),
        overlap={pair: rows for pair, rows in overlap.items() if rows},
        overlap_dropped=drops_overlap,
    )


def count_reverse_complements(splits: Splits, tokenizer: str) -> dict[str, int]:
    """For DNA and each pair of splits, the rows of the first whose reverse complement is in the second."""
    if tokenizer != "nucleotides":
        return {}
    found = {}
    for (a, rows), (b, others) in combinations(splits.items(), 2):
        turned = digests_of(map(_turned, others.sequences), tokenizer)
        found[f"{a}/{b}"] = int(np.isin(keys_of(rows), turned).sum())
    return {pair: rows for pair, rows in found.items() if rows}


def _turned(sequence: Sequence) -> str:
    """The reverse complement."""
    return str(key_of(sequence, "nucleotides")).translate(COMPLEMENT)[::-1]


def key_of(sequence: Sequence, tokenizer: str) -> Hashable:
    """What is equal for sequences that `tokenizer` reads alike: case, U for T, or spacing may differ."""
    if isinstance(sequence, np.ndarray):
        return (sequence.tobytes(), sequence.shape)
    if isinstance(sequence, list) or tokenizer == "events":
        return tuple(sequence.split() if isinstance(sequence, str) else sequence)
    if tokenizer == "nucleotides":
        return sequence.strip().upper().replace("U", "T")
    if tokenizer == "amino-acids" or tokenizer.startswith("kmers"):
        return sequence.strip().upper()
    return "".join(BREAK.sub(" ", sequence).lower().split()) if tokenizer in ("words", "subwords") else sequence


def with_keys(records: Records, tokenizer: str) -> Records:
    """The records with a key each, which is equal for sequences that `tokenizer` reads alike.

    A key is the first 128 bits of a hash of `key_of`: it takes less memory than the sequence, and is computed once.
    """
    return replace(records, keys=digests_of(records.sequences, tokenizer))


def digests_of(sequences: Iterable[Sequence], tokenizer: str) -> np.ndarray:
    """A hash of each sequence as the tokenizer reads it, (B,) of `KEY_BYTES` each."""
    together = bytearray()
    for each in sequences:
        together += _digest(each, tokenizer)
    return np.frombuffer(bytes(together), f"S{KEY_BYTES}")


def _digest(sequence: Sequence, tokenizer: str) -> bytes:
    if isinstance(sequence, np.ndarray):
        return blake2b(sequence.tobytes() + repr(sequence.shape).encode(), digest_size=KEY_BYTES).digest()
    key = key_of(sequence, tokenizer)
    text = key if isinstance(key, str) else "".join(f"{len(token)}:{token}" for token in cast(tuple[str, ...], key))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


def keys_of(records: Records) -> np.ndarray:
    """The keys of all sequences; see `with_keys`."""
    assert records.keys is not None
    return records.keys


def conflicting(records: Records) -> np.ndarray:
    """Whether each row's sequence carries two targets or more, (B,)."""
    distinct, sequence_of = np.unique(keys_of(records), return_inverse=True)
    pairs = np.unique(_pairs(sequence_of, records.targets))
    targets = np.bincount(pairs // max(len(records), 1), minlength=len(distinct))
    return np.asarray((targets > 1)[sequence_of])


def _pairs(sequence_of: np.ndarray, targets: list[Any]) -> np.ndarray:
    """A number for each row, equal for rows with the same sequence and target: sequence · rows + target."""
    known: dict[Hashable, int] = {}
    target_of = (known.setdefault(hashable(target), len(known)) for target in targets)
    return sequence_of * len(targets) + np.fromiter(target_of, np.int64, len(targets))


def hashable(target: Any) -> Hashable:
    """Equal for equal targets: a label, a tuple of labels, or numbers by name."""
    return tuple(sorted(target.items())) if isinstance(target, dict) else target


def _without_empty(records: Records, *, refuse: bool) -> Records:
    empty = np.fromiter(map(_is_empty, records.sequences), bool, len(records))
    if refuse and empty.any():
        source = records.sources[int(empty.argmax())]
        raise DataError(f"{source}: the sequence is empty. Fill it in, remove the row, or set data.empty to drop.")
    return records.select(np.flatnonzero(~empty)) if empty.any() else records


def _without_overlap(splits: Splits) -> Splits:
    """Each split without the sequences of the splits after it."""
    names = list(splits)
    return {
        split: _without(records, [keys_of(splits[later]) for later in names[position:]])
        for position, (split, records) in enumerate(splits.items(), start=1)
    }


def _without(records: Records, others: list[np.ndarray]) -> Records:
    found = np.isin(keys_of(records), np.concatenate(others)) if others else np.zeros(len(records), dtype=bool)
    return records.select(np.flatnonzero(~found)) if found.any() else records


def _first_copies(records: Records) -> np.ndarray:
    """The first of all rows with the same sequence and target."""
    _, sequence_of = np.unique(keys_of(records), return_inverse=True)
    return np.sort(np.unique(_pairs(sequence_of, records.targets), return_index=True)[1])


def _is_empty(sequence: Sequence) -> bool:
    return not sequence.strip() if isinstance(sequence, str) else len(sequence) == 0
