"""Rows without labels: read them, and remove those that would leak or teach nothing."""

import glob
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from ostinato.config import UnlabelledData
from ostinato.config.semi import is_set_name
from ostinato.data.audit import Remark
from ostinato.data.cleaning import key_of
from ostinato.data.examples import Record, Records
from ostinato.data.named import NamedSet
from ostinato.data.shown import count_of
from ostinato.errors import DataError, look_up
from ostinato.tasks.sequences.reading import read_records
from ostinato.tasks.sequences.targets import TargetKind

FEWEST = 20  # rows, below which there is nothing to learn from
MOST_LEAKED = 0.5  # share of the rows, at most, that are also in validation or test
HELD_OUT = ("validation", "test")


def read_unlabelled(config: UnlabelledData, kind: TargetKind, named: Mapping[str, NamedSet]) -> list[Record]:
    """The rows of `data.unlabelled`; targets, splits and groups are neither needed nor read.

    Args:
        named: the task's data sets.

    Raises:
        ConfigError: there is no data set of that name.
        DataError: no file matches, a file or row is invalid, or the column of sequences is missing.
    """
    pattern = str(config.unlabelled)
    if is_set_name(pattern):
        loaded = look_up(named, pattern, "data set").load(config.model_copy(update={"name": pattern, "path": None}))
        return [record for rows in loaded.splits.values() for record in rows]
    paths = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise DataError(
            f"data.unlabelled {pattern!r}: no file matches. Check the pattern; a relative one starts at {Path.cwd()}."
        )
    is_same = config.path is not None and Path(config.path).suffix == Path(paths[0]).suffix
    plain = {"split_column": None, "group_column": None, "label_pattern": None, "label_table": None}
    of_file = config.model_copy(update=plain if is_same else {**plain, "format": None})
    found = []
    for path in paths:
        for record in read_records(Path(path), of_file, kind, labelled=False):
            if isinstance(record, DataError):
                raise record
            found.append(record)
    return found


def select_unlabelled(
    records: Sequence[Record], splits: Mapping[str, Records], tokenizer: str
) -> tuple[Records, Remark]:
    """The rows to learn from: all but empty ones, duplicates, and those that are also in train, validation or test.

    Rows are the same if the tokenizer reads them alike, as when the splits are cleaned.

    Returns:
        The rows with the target None, and a remark for the audit.

    Raises:
        DataError: most rows are also in validation or test, or too few remain.
    """
    held_out = {key_of(each, tokenizer) for name in HELD_OUT if name in splits for each in splits[name].sequences}
    seen: set[Hashable] = {key_of(each, tokenizer) for each in splits["train"].sequences}
    leaked, kept = 0, []
    for record in records:
        key = key_of(record.sequence, tokenizer)
        if key in held_out:
            leaked += 1
        elif key not in seen and len(record.sequence):
            seen.add(key)
            kept.append(Record(record.sequence, None, None, None, record.source))
    if leaked > MOST_LEAKED * len(records):
        raise DataError(
            f"unlabelled rows: {leaked:,} of {len(records):,} are also in validation or test. Learning from them would "
            "spoil the scores. Give other rows."
        )
    if len(kept) < FEWEST:
        raise DataError(
            f"unlabelled rows: {len(records):,} given, {len(kept):,} of them new. Expected at least {FEWEST}. Add "
            "rows, or train without them."
        )
    others = len(records) - leaked - len(kept)
    text = (
        f"{count_of(len(records), 'unlabelled row')} read, {len(kept):,} used: {leaked:,} removed because they are "
        f"also in validation or test, {others:,} because they are empty, repeated or in train."
    )
    return Records.of(kept), Remark("unlabelled", [], len(kept), text)
