"""From a config to clean, audited splits: the one entry to all data that trains or tests a model."""

from collections import Counter
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import numpy as np

from ostinato.config import DataConfig
from ostinato.data.audit import Audit, describe_split, is_sorted_by_label, shared_groups, unit_of
from ostinato.data.cleaning import Splits, clean, count_reverse_complements
from ostinato.data.examples import Examples, Record
from ostinato.data.formats import format_of
from ostinato.data.named import NAMED
from ostinato.data.readers import read_labelled
from ostinato.data.splits import SPLITS, Size, refuse_one_class, stratified_split
from ostinato.errors import ConfigError, DataError, look_up, suggest

FILE_KEYS = ("validation_path", "test_path", "format", "split_column", "group_column", "label_pattern", "label_table")
TOKENIZER_OF_UNIT = {"characters": "words", "events": "events", "steps": "numeric"}


@dataclass(frozen=True)
class Dataset:
    """Clean splits ready to encode, the tokenizer that suits them, and the audit of all that was done."""

    name: str
    source: str
    tokenizer: str
    train: Examples
    validation: Examples | None
    test: Examples | None
    audit: Audit


def load_dataset(config: DataConfig) -> Dataset:
    """Load a named set or the config's files, clean them, draw the splits that are not given, and audit the result.

    Splits that we draw: sequences with two labels lose all their rows, exact duplicates all but the first, before the
    draw. Splits that are given: rows of train that are also in validation or test are removed from train, and rows of
    validation that are also in test from validation. Splits that a named set defines stay as they are. All is said in
    the audit. A split that is not given is drawn from train; a size of 0 leaves it out.

    Raises:
        ConfigError: the config is at odds with itself, or its sizes with the rows there are.
        DataError: a file or a row cannot be used (see `read_records`), or a split would hold one class.
        MissingExtraError: the format or the set needs a package that is not installed.
    """
    _refuse_idle_keys(config)
    if config.name is not None:
        named = look_up(NAMED, config.name, "data set")
        loaded = named.load(config)
        given = {"train": loaded.train} | (
            {} if loaded.test is None or config.test_size == 0 else {"test": loaded.test}
        )
        name, source, tokenizer = config.name, loaded.source, config.tokenizer or named.tokenizer
        examples, audit = _assemble(config, given, loaded.sizes, tokenizer, own_splits=loaded.test is not None)
    else:
        given, skipped = _read_files(config)
        source = str(config.path)
        name, tokenizer = Path(source).name, config.tokenizer or _file_tokenizer(config, given["train"])
        examples, audit = _assemble(
            config, given, (config.train_size, config.validation_size, config.test_size), tokenizer, skipped=skipped
        )
    return Dataset(name, source, tokenizer, examples["train"], examples.get("validation"), examples.get("test"), audit)


def _refuse_idle_keys(config: DataConfig) -> None:
    idle = [key for key in (FILE_KEYS if config.name is not None else ("length",)) if getattr(config, key) is not None]
    if idle:
        kind = f"the named set {config.name!r}" if config.name is not None else "a file"
        raise ConfigError(
            f"{', '.join(idle)}: of no use with {kind}. Remove {'it' if len(idle) == 1 else 'them'}, or set to none."
        )
    if config.split_column is not None and (config.validation_path or config.test_path):
        raise ConfigError(
            f"split_column {config.split_column!r} and validation_path or test_path: two ways to give the splits. Keep one."
        )


def _read_files(config: DataConfig) -> tuple[Splits, int]:
    """The records of each split that is given, and how many rows without a label were left out."""
    paths = dict(zip(SPLITS, (config.path, config.validation_path, config.test_path), strict=True))
    read = {split: read_labelled(Path(path), config) for split, path in paths.items() if path is not None}
    given, skipped = {split: records for split, (records, _) in read.items()}, sum(count for _, count in read.values())
    return (given if config.split_column is None else _by_column(given["train"])), skipped


def _by_column(records: list[Record]) -> Splits:
    splits: Splits = {split: [] for split in SPLITS}
    for record in records:
        if record.split not in splits:
            raise DataError(
                f"{record.place}: split {record.split!r}. {suggest(str(record.split), SPLITS)}Expected one of: {', '.join(SPLITS)}."
            )
        splits[record.split].append(record)
    return {split: rows for split, rows in splits.items() if rows or split == "train"}


def _file_tokenizer(config: DataConfig, records: list[Record]) -> str:
    if format_of(Path(str(config.path)), config.format) == "fasta":
        return "nucleotides"
    first = next((record.sequence for record in records if len(record.sequence)), "")
    return TOKENIZER_OF_UNIT[unit_of(first)]


def _assemble(
    config: DataConfig,
    given: Splits,
    sizes: tuple[Size, Size, Size],
    tokenizer: str,
    *,
    own_splits: bool = False,
    skipped: int = 0,
) -> tuple[dict[str, Examples], Audit]:
    """Clean, draw, audit."""
    drawn = [split for split, size in zip(SPLITS, sizes, strict=True) if split not in given and size != 0]
    cleaned, cleaning = clean(
        given,
        tokenizer=tokenizer,
        refuse_empty=config.empty == "refuse",
        drops_overlap=not own_splits,
        draws=bool(drawn),
    )
    splits = _draw(cleaned, drawn, sizes, config)
    if config.train_fraction is not None:
        splits["train"] = _fraction(splits["train"], config)
    for split, records in splits.items():
        refuse_one_class(split, [str(record.label) for record in records])
    audit = Audit(
        rows_read=_rows(given) + skipped,
        unit=unit_of(splits["train"][0].sequence),
        sorted_by_label=is_sorted_by_label(given["train"]),
        unlabelled_skipped=skipped,
        cleaning=replace(cleaning, reverse_complements=count_reverse_complements(splits, tokenizer)),
        drawn=drawn,
        splits={split: describe_split(records, tokenizer) for split, records in splits.items()},
        shared_groups=shared_groups(splits),
        unused=_rows(cleaned) - _rows(splits),
    )
    return {split: examples_of(records) for split, records in splits.items()}, audit


def _draw(cleaned: Splits, drawn: list[str], sizes: tuple[Size, Size, Size], config: DataConfig) -> Splits:
    """The splits that are given, and those drawn from train."""
    train = cleaned["train"]
    if config.folds is not None:
        if "test" not in drawn:
            raise ConfigError(
                f"folds {config.folds}: the data define a test split, or test_size is 0, and folds are cut to be test splits. Remove folds."
            )
        train, test_rows = _cut_fold(train, config.folds, config)
        cleaned = {**cleaned, "train": train, "test": test_rows}
        drawn = [split for split in drawn if split != "test"]
    if not drawn and sizes[0] is None:
        return cleaned
    labels = [str(record.label) for record in train]
    groups = None if config.group_column is None else [str(record.group) for record in train]
    validation, test = (size if split in drawn else 0 for split, size in zip(SPLITS[1:], sizes[1:], strict=True))
    indices = stratified_split(labels, groups, (sizes[0], validation, test), config.seed)
    parts = {split: [train[i] for i in rows] for split, rows in zip(SPLITS, indices, strict=True)}
    return {
        split: parts[split] if split in ("train", *drawn) else cleaned[split]
        for split in SPLITS
        if split in cleaned or split in drawn
    }


def _fraction(records: list[Record], config: DataConfig) -> list[Record]:
    """The share of the training rows that is trained on, in their order; a smaller share is part of a larger one's."""
    labels = np.array([str(record.label) for record in records])
    order = np.random.default_rng(config.seed).permutation(len(records))
    kept: list[int] = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        kept += rows[: max(1, round((config.train_fraction or 1) * len(rows)))].tolist()
    return [records[row] for row in sorted(kept)]


def _cut_fold(records: list[Record], count: int, config: DataConfig) -> tuple[list[Record], list[Record]]:
    """All rows but those of the fold, and the fold's; the classes' shares are kept, and groups together."""
    from sklearn.model_selection import StratifiedGroupKFold

    labels = [str(record.label) for record in records]
    rarest = min(Counter(labels).items(), key=itemgetter(1))
    if rarest[1] < count:
        raise ConfigError(
            f"folds {count}: the class {rarest[0]!r} has {rarest[1]} rows. Ask for at most as many folds, or add rows."
        )
    groups = range(len(records)) if config.group_column is None else [str(record.group) for record in records]
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=config.seed % 2**32).split(labels, labels, groups)
    train, test = list(folds)[config.fold]
    return [records[row] for row in train], [records[row] for row in test]


def _rows(splits: Splits) -> int:
    return sum(map(len, splits.values()))


def examples_of(records: list[Record]) -> Examples:
    """The records as labelled examples; every record has a label."""
    return Examples(
        [record.sequence for record in records],
        [str(record.label) for record in records],
        [record.place for record in records],
    )
