"""Load the data of a config as clean, audited splits. All training and test data pass through `load_dataset`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from ostinato.config import AUTO, SequenceData
from ostinato.data.audit import SequenceAudit, describe_split, shared_groups, unit_of
from ostinato.data.cleaning import Splits, clean, count_reverse_complements, keys_of
from ostinato.data.examples import Records
from ostinato.data.named import NamedSet
from ostinato.data.splits import SPLITS, Size, draw_what_fits, numbered
from ostinato.errors import ConfigError, DataError, look_up, suggest
from ostinato.tasks.sequences.columns import files_at, format_at, is_streamed, read_to_disk, read_to_memory
from ostinato.tasks.sequences.settle import tokenizer_of
from ostinato.tasks.sequences.targets import TargetKind

FILE_KEYS = (
    "validation_path",
    "test_path",
    "format",
    "split_column",
    "group_column",
    "label_pattern",
    "label_table",
    "stream",
)


@dataclass(frozen=True)
class Dataset:
    """Clean splits before encoding, the tokenizer that suits them, and their audit."""

    name: str
    source: str
    tokenizer: str
    splits: Mapping[str, Records]
    audit: SequenceAudit


@dataclass(frozen=True)
class GivenSplits:
    """Records before cleaning: the given splits, and the sizes of the splits to draw.

    Args:
        owns_splits: whether a named set defines its splits; they are then left unchanged.
        unlabelled_skipped: number of rows skipped because they have no target.
    """

    name: str
    source: str
    tokenizer: str
    given: Splits
    sizes: tuple[Size, Size, Size]
    owns_splits: bool = False
    unlabelled_skipped: int = 0


def load_dataset(config: SequenceData, kind: TargetKind, named: Mapping[str, NamedSet]) -> Dataset:
    """Load a named set or the config's files, clean them, draw the missing splits, and audit the result.

    - Missing splits are drawn from train; a split of size 0 is not drawn. Before the draw, only the first row of exact
      duplicates is kept. Sequences with conflicting targets are removed; if targets are measurements, they are kept
      together in one split.
    - From splits in the user's files, rows of train that also occur in validation or test are removed from train, and
      rows of validation that also occur in test are removed from validation.
    - Splits that a named set defines are not changed.

    The audit reports all of this.

    Raises:
        ConfigError: the config contradicts itself, or its sizes do not fit the number of rows.
        DataError: a file or row is invalid, or a split cannot train or test a model.
        MissingExtraError: the format or the set needs a package that is not installed.
    """
    _refuse_unused_keys(config)
    loaded = _load_files(config, kind) if config.name is None else _load_named(config, named)
    splits, audit = _assemble(config, kind, loaded)
    return Dataset(loaded.name, loaded.source, loaded.tokenizer, splits, audit)


def _refuse_unused_keys(config: SequenceData) -> None:
    unused = [
        key for key in (FILE_KEYS if config.name is not None else ("length",)) if getattr(config, key) is not None
    ]
    if unused:
        kind = f"the named set {config.name!r}" if config.name is not None else "a file"
        keys = ", ".join(f"data.{key}" for key in unused)
        raise ConfigError(f"{keys}: not used with {kind}. Remove {'it' if len(unused) == 1 else 'them'}.")
    if config.split_column is not None and (config.validation_path or config.test_path):
        raise ConfigError(
            f"split_column {config.split_column!r} and validation_path or test_path both define the splits. Remove one "
            "of them."
        )


def _load_named(config: SequenceData, sets: Mapping[str, NamedSet]) -> GivenSplits:
    named = look_up(sets, str(config.name), "data set")
    found = named.load(config)
    wanted = {"train": True, "validation": config.validation_size != 0, "test": config.test_size != 0}
    given = {split: Records.of(rows) for split, rows in found.splits.items() if wanted[split]}
    tokenizer = named.tokenizer if config.tokenizer in (None, AUTO) else config.tokenizer
    owns = len(found.splits) > 1
    return GivenSplits(str(config.name), found.source, tokenizer, given, found.sizes, owns_splits=owns)


def _load_files(config: SequenceData, kind: TargetKind) -> GivenSplits:
    if config.path is None:
        raise ConfigError("data.path: missing. Name a data file, or a named set with data.name.")
    paths = dict(zip(SPLITS, (config.path, config.validation_path, config.test_path), strict=True))
    files = {split: files_at(path) for split, path in paths.items() if path is not None}
    read_all = read_to_disk if is_streamed(config, chain(*files.values())) else read_to_memory
    read = {split: read_all(found, config, kind) for split, found in files.items()}
    given = {split: records for split, (records, _) in read.items()}
    skipped = sum(count for _, count in read.values())
    if config.split_column is not None:
        given = _by_column(given["train"])
    is_fasta = format_at(files["train"][0], config) == "fasta"
    tokenizer = tokenizer_of(config, given["train"].sequences, is_fasta=is_fasta)
    sizes = (config.train_size, config.validation_size, config.test_size)
    return GivenSplits(Path(config.path).name, config.path, tokenizer, given, sizes, unlabelled_skipped=skipped)


def _by_column(records: Records) -> Splits:
    assert records.splits is not None
    rows: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row, split in enumerate(records.splits):
        if split not in rows:
            hint = suggest(str(split), SPLITS)
            raise DataError(f"{records.sources[row]}: split {split!r}. {hint}Expected one of: {', '.join(SPLITS)}.")
        rows[split].append(row)
    return {split: records.select(chosen) for split, chosen in rows.items() if chosen or split == "train"}


def _assemble(config: SequenceData, kind: TargetKind, loaded: GivenSplits) -> tuple[dict[str, Records], SequenceAudit]:
    """Clean the records, draw the missing splits, and audit the result."""
    given, tokenizer = loaded.given, loaded.tokenizer
    drawn = [split for split, size in zip(SPLITS, loaded.sizes, strict=True) if split not in given and size != 0]
    cleaned, cleaning = clean(
        given,
        tokenizer=tokenizer,
        refuse_empty=config.empty == "refuse",
        drops_overlap=not loaded.owns_splits,
        draws=bool(drawn),
        keeps_conflicts=kind.keeps_conflicts,
    )
    groups = _groups(cleaned["train"], config.group_column is not None, kind)
    splits, left_out = _draw(cleaned, drawn, loaded.sizes, config, kind, groups)
    if config.train_fraction is not None:
        train = splits["train"]
        splits["train"] = train.select(kind.fraction(train.targets, config.train_fraction, config.seed))
    for split, records in splits.items():
        kind.refuse_unusable(split, records.targets)
    audit = SequenceAudit(
        rows_read=_rows(given) + loaded.unlabelled_skipped,
        unit=unit_of(splits["train"].sequences[0]),
        sorted_by_label=kind.is_sorted(given["train"].targets),
        unlabelled_skipped=loaded.unlabelled_skipped,
        cleaning=replace(cleaning, reverse_complements=count_reverse_complements(splits, tokenizer)),
        drawn=[split for split in drawn if split not in left_out],
        splits={split: describe_split(records, kind.describe(records.targets)) for split, records in splits.items()},
        shared_groups=shared_groups(splits),
        remarks=kind.remarks({split: records.targets for split, records in splits.items()}, config),
        unused=_rows(cleaned) - _rows(splits),
        left_out=left_out,
    )
    return {split: records.plain() for split, records in splits.items()}, audit


def _draw(
    cleaned: Splits,
    drawn: list[str],
    sizes: tuple[Size, Size, Size],
    config: SequenceData,
    kind: TargetKind,
    groups: list[str] | None,
) -> tuple[Splits, list[str]]:
    """The given splits and those drawn from train, and the splits that few rows leave out.

    Args:
        drawn: the splits to draw.
        groups: the group of each row of train; rows of one group stay in one split.
    """
    train = cleaned["train"]
    if config.folds is not None:
        if "test" not in drawn:
            raise ConfigError(
                f"folds {config.folds}: each fold is a test split, but the data define a test split, or test_size is "
                "0. Remove folds."
            )
        folds = kind.folds(train.targets, groups, config.folds, config.seed)
        held_out = np.zeros(len(train), dtype=bool)
        held_out[folds[config.fold]] = True
        kept = np.flatnonzero(~held_out)
        cleaned = {**cleaned, "train": train.select(kept), "test": train.select(np.flatnonzero(held_out))}
        train, groups = cleaned["train"], None if groups is None else [groups[row] for row in kept]
        drawn = [split for split in drawn if split != "test"]
    if not drawn and sizes[0] is None:
        return cleaned, []
    validation, test_size = (size if split in drawn else 0 for split, size in zip(SPLITS[1:], sizes[1:], strict=True))
    targets = train.targets
    indices, left_out = draw_what_fits(
        lambda chosen: kind.split(targets, groups, chosen, config.seed), (sizes[0], validation, test_size), len(train)
    )
    drawn = [split for split in drawn if split not in left_out]
    parts = {split: train.select(rows) for split, rows in zip(SPLITS, indices, strict=True)}
    return {
        split: parts[split] if split in ("train", *drawn) else cleaned[split]
        for split in SPLITS
        if split in cleaned or split in drawn
    }, left_out


def _groups(records: Records, has_column: bool, kind: TargetKind) -> list[str] | None:
    """The group of each row; rows of one group stay in one split. None: every row is its own group.

    If `kind.keeps_conflicts`, rows with equal sequences are also one group.
    """
    groups = list(map(str, records.groups or ())) if has_column else None
    if not kind.keeps_conflicts:
        return groups
    keys, first, sequence_of = np.unique(keys_of(records), return_index=True, return_inverse=True)
    if len(keys) == len(records):
        return groups
    sequence_of = first.argsort().argsort()[sequence_of]  # numbered in the order of first use
    if groups is None:
        return list(map(str, sequence_of.tolist()))
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, group_of = numbered(groups)
    size = len(keys) + len(names)
    edges = coo_array((np.ones(len(records)), (sequence_of, len(keys) + group_of)), shape=(size, size))
    component = connected_components(edges, directed=False)[1]  # each row connects its sequence with its group
    return [str(component[sequence]) for sequence in sequence_of]


def _rows(splits: Splits) -> int:
    return sum(map(len, splits.values()))
