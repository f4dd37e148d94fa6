"""Load, audit and encode the splits of tagged sentences that a config describes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, islice
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import DataConfig
from ostinato.data.examples import Sentence, tags_of
from ostinato.data.files import files_of
from ostinato.data.splits import FEW_ROWS, SPLITS
from ostinato.data.vocabulary import UNKNOWN
from ostinato.errors import ConfigError, DataError, look_up
from ostinato.tasks.records import TaskData
from ostinato.tasks.tagging.audit import TagAudit
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.datasets import DATASETS
from ostinato.tasks.tagging.defaults import settle_data
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.examples import Tagged, TaggedRows, encode
from ostinato.tasks.tagging.reading import read_sentences
from ostinato.tasks.tagging.repair import InScheme, bring_into_scheme
from ostinato.tasks.tagging.scheme_inference import find_lookalike
from ostinato.tasks.tagging.schemes import entities
from ostinato.training.vectors import read_for

Splits = dict[str, list[Sentence]]


@dataclass(frozen=True)
class TaggedDataset:
    """Splits before encoding, the scheme of their tags, and their audit."""

    name: str
    source: str
    scheme: str | None
    splits: Splits
    audit: TagAudit


def prepare(config: DataConfig) -> TaskData:
    """Load, audit and encode the splits. Words, characters, features and tags are fitted on train alone."""
    assert isinstance(config, TaggingData)
    data = load_dataset(config)
    train = data.splits["train"]
    config = settle_data(config, train, data.scheme)
    encoder = fit_encoder(train, config)
    codec = TagCodec.fit(train, data.scheme, config.target_scheme)
    unknown = {
        split: _unknown_share(encoder, sentences) for split, sentences in data.splits.items() if split != "train"
    }
    vectors = read_for(config, encoder.words)
    if vectors is not None:
        encoder = encoder.with_extra(vectors.extra_words)
    rows = {name: TaggedRows(sentences) for name, sentences in data.splits.items()}
    splits = {name: encode(encoder, codec, each) for name, each in rows.items()}
    columns = config.feature_columns or ()
    audit = replace(
        data.audit,
        vectors=None if vectors is None else vectors.facts(config.vectors),
        unknown=unknown,
        features={column: len(values) - 1 for column, values in zip(columns, encoder.features, strict=True)},
        unseen_values=_unseen_values(splits, columns),
    )
    return TaskData(config, data.name, data.source, rows, splits, encoder, codec, audit, vectors)


def fit_encoder(train: Sequence[Sentence], config: TaggingData) -> SentenceEncoder:
    """Fit an encoder to the training split, with the settings of the config."""
    return SentenceEncoder.fit(train, **config.model_dump(include={"lowercase", "min_count", "max_size"}))


def _unseen_values(splits: Mapping[str, Tagged], columns: Sequence[str]) -> dict[str, dict[str, float]]:
    shares = {
        split: (examples.sentences.features == UNKNOWN).float().mean(dim=0).tolist()
        for split, examples in splits.items()
        if split != "train"
    }
    return {split: dict(zip(columns, each, strict=True)) for split, each in shares.items()}


def _unknown_share(encoder: SentenceEncoder, sentences: list[Sentence]) -> float:
    known = [encoder.knows(sentence.words) for sentence in sentences]
    return float(1 - np.concatenate(known).mean())


def load_dataset(config: TaggingData) -> TaggedDataset:
    """Load a named corpus or the config's files, draw the missing splits from train, and audit the result.

    If the splits come from files, sentences of an earlier split that also occur in a later one, word for word, are
    removed from the earlier one. Splits that a named corpus defines are not changed.

    Raises:
        ConfigError: the sizes do not fit the number of sentences.
        DataError: a file, a line or a tag is invalid.
    """
    if config.name is not None:
        loaded = look_up(DATASETS, config.name, "data set").load(config)
        given, name, source = dict(loaded.splits), config.name, loaded.source
    else:
        given, name, source = _load_files(config)
    for split, sentences in given.items():
        if not sentences:
            raise DataError(
                f"{source}: {split} contains no sentences. Expected one token per line, and a blank line after each "
                "sentence. Add sentences."
            )
    given, tagged = _in_scheme(given, config)
    scheme = tagged.scheme
    repeated = _repeated(given)
    drops = config.name is None
    splits, drawn, left_out = _draw(_without_overlap(given, source) if drops and repeated else given, config)
    if config.train_fraction is not None:
        splits["train"] = _fraction(splits["train"], config)
    tags = {split: {tag for sentence in sentences for tag in tags_of(sentence)} for split, sentences in splits.items()}
    audit = TagAudit(
        scheme=scheme,
        tags=len(tags["train"]),
        splits={split: _describe(sentences, scheme) for split, sentences in splits.items()},
        drawn=drawn,
        repeated=repeated,
        overlap_dropped=drops,
        unseen_tags={split: sorted(found - tags["train"]) for split, found in tags.items() if found - tags["train"]},
        repairs=tagged.repairs,
        left_out=left_out,
        lookalike=find_lookalike([tags_of(each) for each in tagged.sentences])
        if config.scheme is None and scheme is None
        else None,
    )
    return TaggedDataset(name, source, scheme, splits, audit)


def _in_scheme(given: Splits, config: TaggingData) -> tuple[Splits, InScheme]:
    """The same splits with tags that follow one scheme, and all their sentences in this order."""
    together = [sentence for sentences in given.values() for sentence in sentences]
    tagged = bring_into_scheme(config.scheme, together, repair=config.repair_tags)
    remaining = iter(tagged.sentences)
    return {split: list(islice(remaining, len(sentences))) for split, sentences in given.items()}, tagged


def _load_files(config: TaggingData) -> tuple[Splits, str, str]:
    if config.path is None:
        raise ConfigError("data.path: missing. Name a data file, or a named corpus with data.name.")
    paths = dict(zip(SPLITS, (config.path, config.validation_path, config.test_path), strict=True))
    files = {split: files_of(path) for split, path in paths.items() if path is not None}
    given = {
        split: list(chain.from_iterable(read_labelled(path, config) for path in found))
        for split, found in files.items()
    }
    return given, Path(config.path).name, config.path


def read_labelled(path: Path, config: TaggingData) -> list[Sentence]:
    """Read all labelled sentences of a file.

    Raises:
        DataError: the file or a sentence cannot be read.
    """
    sentences = []
    for sentence in read_sentences(path, config):
        if isinstance(sentence, DataError):
            raise sentence
        sentences.append(sentence)
    return sentences


def _without_overlap(given: Splits, source: str) -> Splits:
    """Each split without the sentences of the splits after it."""
    names = [split for split in SPLITS if split in given]
    cleaned: Splits = {}
    for position, split in enumerate(names, start=1):
        later = {tuple(sentence.words) for other in names[position:] for sentence in given[other]}
        cleaned[split] = [sentence for sentence in given[split] if tuple(sentence.words) not in later]
        if not cleaned[split]:
            raise DataError(
                f"{source}: every sentence of {split} is also in a later split. Expected different sentences in each "
                "split. Use other files."
            )
    return cleaned


def _draw(given: Splits, config: TaggingData) -> tuple[Splits, list[str], list[str]]:
    """Draw the missing splits from train; copies of a sentence stay together.

    Returns:
        All splits, the names of those that were drawn, and of those that too few sentences leave out.
    """
    sizes = {"validation": config.validation_size, "test": config.test_size}
    train = given["train"]
    drawn = [split for split, size in sizes.items() if split not in given and size != 0]
    groups: dict[tuple[str, ...], int] = {}
    group_of = np.array([groups.setdefault(tuple(sentence.words), len(groups)) for sentence in train])
    order = np.random.default_rng(config.seed).permutation(len(groups))
    left_out = [split for split in drawn if len(groups) < FEW_ROWS and _is_too_small(sizes[split], len(groups))]
    drawn = [split for split in drawn if split not in left_out]
    counts = {split: _count(sizes[split], len(groups)) for split in drawn}
    counts["train"] = len(groups) - sum(counts.values())
    for split, count in counts.items():
        if count < 1:
            requested = ", ".join(f"{split}_size {sizes[split]}" for split in drawn)
            raise ConfigError(
                f"{requested} of {len(groups)} different sentences leave none for {split}. "
                "Change the sizes, or add sentences."
            )
    splits, start = dict(given), 0
    in_train = np.ones(len(train), dtype=bool)
    for split in drawn:
        chosen = np.isin(group_of, order[start : start + counts[split]])
        splits[split] = [train[row] for row in np.flatnonzero(chosen)]
        in_train &= ~chosen
        start += counts[split]
    rows = np.flatnonzero(in_train)
    if config.train_size is not None:
        rows = np.sort(np.random.default_rng(config.seed).permutation(rows)[: _count(config.train_size, len(train))])
    splits["train"] = [train[row] for row in rows]
    return (
        {split: splits[split] for split in SPLITS if split in splits and (split == "train" or sizes[split] != 0)},
        drawn,
        left_out,
    )


def _is_too_small(size: int | float, total: int) -> bool:
    return isinstance(size, float) and size > 0 and _count(size, total) < 1


def _count(size: int | float, total: int) -> int:
    return int(size * total + 1e-9) if isinstance(size, float) else size


def _fraction(sentences: list[Sentence], config: TaggingData) -> list[Sentence]:
    """Draw a share of the sentences, in order; a smaller share is a subset of a larger one."""
    count = max(1, round((config.train_fraction or 1) * len(sentences)))
    chosen = np.random.default_rng(config.seed).permutation(len(sentences))[:count]
    return [sentences[row] for row in sorted(chosen)]


def _repeated(given: Splits) -> dict[str, int]:
    """For each pair of given splits, count the sentences of the first that are also in the second, word for word."""
    found = {}
    for first, second in combinations([split for split in SPLITS if split in given], 2):
        in_second = {tuple(sentence.words) for sentence in given[second]}
        count = sum(tuple(sentence.words) in in_second for sentence in given[first])
        if count:
            found[f"{first}/{second}"] = count
    return found


def _describe(sentences: list[Sentence], scheme: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"sentences": len(sentences), "tokens": sum(len(sentence.words) for sentence in sentences)}
    if scheme is not None:
        kinds = Counter(entity.type for sentence in sentences for entity in entities(tags_of(sentence), scheme))
        facts["entities"] = dict(sorted(kinds.items()))
    return facts
