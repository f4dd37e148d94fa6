"""Rows that would bias a score: empty sequences, duplicates, one sequence with two targets, overlap of splits."""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import combinations
from typing import Any, cast

import numpy as np

from ostinato.data.examples import Record, Sequence
from ostinato.errors import DataError

BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
COMPLEMENT = str.maketrans("ACGT", "TGCA")

Splits = dict[str, list[Record]]  # train, validation, test, in this order; train is always there


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
        f"{a}/{b}": len(rows) - len(_without(rows, keys_of(others)))
        for (a, rows), (b, others) in combinations(filled.items(), 2)
    }
    splits = _without_overlap(filled) if drops_overlap else dict(filled)
    train = splits["train"]
    conflicts = conflicting(targets_by_key(train)) if draws else set()
    agreeing = train if keeps_conflicts else _without(train, conflicts)
    if draws:
        splits["train"] = _first_copies(agreeing)
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
    keys = {split: [str(key_of(record.sequence, tokenizer)) for record in records] for split, records in splits.items()}
    found = {}
    for (a, rows), (b, others) in combinations(keys.items(), 2):
        turned = {key.translate(COMPLEMENT)[::-1] for key in others}
        found[f"{a}/{b}"] = sum(key in turned for key in rows)
    return {pair: rows for pair, rows in found.items() if rows}


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


def with_keys(records: list[Record], tokenizer: str) -> list[Record]:
    """The records with a key each, which is equal for sequences that `tokenizer` reads alike.

    A key is the first 128 bits of a hash of `key_of`: it takes less memory than the sequence, and is computed once.
    """
    return [
        Record(each.sequence, each.target, each.split, each.group, each.source, _digest(each.sequence, tokenizer))
        for each in records
    ]


def _digest(sequence: Sequence, tokenizer: str) -> bytes:
    if isinstance(sequence, np.ndarray):
        return blake2b(sequence.tobytes() + repr(sequence.shape).encode(), digest_size=16).digest()
    key = key_of(sequence, tokenizer)
    text = key if isinstance(key, str) else "".join(f"{len(token)}:{token}" for token in cast(tuple[str, ...], key))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def targets_by_key(records: list[Record]) -> dict[bytes, list[Any]]:
    """The different targets of each sequence, by its key."""
    targets: dict[bytes, list[Any]] = {}
    for record in records:
        found = targets.get(record.key)
        if found is None:
            targets[record.key] = [record.target]
        elif record.target not in found:
            found.append(record.target)
    return targets


def conflicting(targets: dict[bytes, list[Any]]) -> set[bytes]:
    """The keys of sequences that carry two targets or more."""
    return {key for key, found in targets.items() if len(found) > 1}


def keys_of(records: list[Record]) -> set[bytes]:
    """The keys of all sequences."""
    return {record.key for record in records}


def _without_empty(records: list[Record], *, refuse: bool) -> list[Record]:
    kept = [record for record in records if not _is_empty(record.sequence)]
    if refuse and len(kept) < len(records):
        source = next(record.source for record in records if _is_empty(record.sequence))
        raise DataError(f"{source}: the sequence is empty. Fill it in, remove the row, or set data.empty to drop.")
    return kept


def _without_overlap(splits: Splits) -> Splits:
    """Each split without the sequences of the splits after it."""
    names = list(splits)
    return {
        split: _without(records, set().union(*(keys_of(splits[later]) for later in names[position:])))
        for position, (split, records) in enumerate(splits.items(), start=1)
    }


def _without(records: list[Record], keys: set[bytes]) -> list[Record]:
    return [record for record in records if record.key not in keys] if keys else records


def _first_copies(records: list[Record]) -> list[Record]:
    """The first of all rows with the same sequence and target."""
    targets: dict[bytes, list[Any]] = {}
    first = []
    for record in records:
        found = targets.setdefault(record.key, [])
        if record.target not in found:
            found.append(record.target)
            first.append(record)
    return first


def _is_empty(sequence: Sequence) -> bool:
    return not sequence.strip() if isinstance(sequence, str) else len(sequence) == 0
