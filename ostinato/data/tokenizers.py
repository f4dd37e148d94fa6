"""From a sequence to its tokens, their offsets in the original text and, in batches, their ids.

A tokenizer of your own is a class with the methods of `Tokenizer`; register it under the name that `data.tokenizer`
then accepts:

    register_tokenizer("codons", Codons)

An installed package offers one in the entry point group `ostinato.tokenizers`. A saved model holds the name only:
register the tokenizer before you load the model.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain, repeat
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Protocol

import numpy as np

from ostinato import plugins
from ostinato.data.spans import spans
from ostinato.data.vocabulary import AMINO_ACIDS, NUCLEOTIDES, UNKNOWN, Vocabulary
from ostinato.data.words import Indexer, Subwords, Words
from ostinato.errors import ConfigError

LONGEST_KMER = 13  # 28 to this power still fits into an int64
UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)  # one letter for one letter; str.upper turns ß into SS
LAST_CODE_POINT = 0x10FFFF


class Tokenizer(Protocol):
    """What every tokenizer does. `tokens` defines the tokens; the other methods must agree with it.

    Args:
        vocabulary: the fixed alphabet; None: the vocabulary is fitted on the training split.
    """

    vocabulary: Vocabulary | None

    def tokens(self, sequence: Any) -> list[str]:
        """The tokens of one sequence."""

    def offsets(self, sequence: Any) -> list[tuple[int, int]]:
        """The start and end of each token in the original string, in characters."""

    def count(self, sequences: list[Any]) -> tuple[Counter[str], np.ndarray]:
        """The number of occurrences of each token, and the number of tokens of each sequence, (B,) int64."""

    def indexer(self, vocabulary: Vocabulary) -> Indexer:
        """A function that encodes batches; it must survive pickling.

        It takes B sequences and returns the ids of their tokens end to end, (N,) int32, and their lengths, (B,)
        int64. A token outside the vocabulary has the id 0.
        """


class Characters:
    """Every character (Unicode code point) is a token.

    Args:
        vocabulary: a fixed alphabet, if any.
        read_as: from code point to the code point it is read as.
    """

    def __init__(self, vocabulary: Vocabulary | None = None, read_as: Mapping[int, int] | None = None) -> None:
        self.vocabulary = vocabulary
        self._read_as = read_as or {}

    def tokens(self, sequence: str) -> list[str]:
        return list(sequence.translate(self._read_as))

    def offsets(self, sequence: str) -> list[tuple[int, int]]:
        return [(start, start + 1) for start in range(len(sequence))]

    def count(self, sequences: list[str]) -> tuple[Counter[str], np.ndarray]:
        codes, lengths = _code_points(sequences)
        counts = np.bincount(codes)
        seen: Counter[str] = Counter()
        for code in counts.nonzero()[0].tolist():
            seen[chr(self._read_as.get(code, code))] += int(counts[code])
        return seen, lengths

    def indexer(self, vocabulary: Vocabulary) -> Indexer:
        ids = {ord(token): number for number, token in enumerate(vocabulary.tokens) if number != UNKNOWN}
        ids |= {code: ids.get(other, UNKNOWN) for code, other in self._read_as.items()}
        table = np.full(max(ids, default=0) + 2, UNKNOWN, np.int32)  # the last entry serves all higher code points
        table[list(ids)] = list(ids.values())
        return partial(_index_code_points, table)


def nucleotides() -> Characters:
    """A C G T N in either case; U reads as T; every other character is unknown. N is a token, not unknown."""
    return Characters(NUCLEOTIDES, str.maketrans("acgtnuU", "ACGTNTT"))


def amino_acids() -> Characters:
    """The 20 amino acids and X in either case; the rare or ambiguous B J O U Z read as X; the rest is unknown.

    Source: ProtTrans (Elnaggar et al. 2021), which reads U, Z, O and B as X; J (leucine or isoleucine) is added here.
    """
    return Characters(AMINO_ACIDS, {**UPPER, **str.maketrans("bjouzBJOUZ", "XXXXXXXXXX")})


class Kmers:
    """All windows of k letters (A to Z, upper-cased), one step apart; a sequence shorter than k is one short token.

    A window that contains anything but letters is unknown. Windows become numbers in base 28: letters are the digits
    1 to 26, 0 fills a short sequence, 27 stands for any other character.
    """

    FILL = chr(LAST_CODE_POINT)  # a Unicode noncharacter, which text does not contain
    DIGITS = np.full(129, 27, np.int64)
    DIGITS[[ord(letter) for letter in ascii_uppercase]] = range(1, 27)
    DIGITS[[ord(letter) for letter in ascii_lowercase]] = range(1, 27)
    LETTERS = np.frombuffer(b"\0" + ascii_uppercase.encode() + b"?", "S1")

    vocabulary: Vocabulary | None = None

    def __init__(self, k: int) -> None:
        self.k = k

    def tokens(self, sequence: str) -> list[str]:
        upper = sequence.translate(UPPER)
        return [upper[start:end] for start, end in self.offsets(sequence)]

    def offsets(self, sequence: str) -> list[tuple[int, int]]:
        if len(sequence) < self.k:
            return [(0, len(sequence))] if sequence else []
        return [(start, start + self.k) for start in range(len(sequence) - self.k + 1)]

    def count(self, sequences: list[str]) -> tuple[Counter[str], np.ndarray]:
        numbers, lengths = self._numbers(sequences)
        distinct, counts = np.unique(numbers, return_counts=True)
        digits = distinct[:, None] // 28 ** np.arange(self.k)[::-1] % 28
        kmers = self.LETTERS[digits].view(f"S{self.k}").ravel().astype(str).tolist()
        return Counter(
            {kmer: count for kmer, count in zip(kmers, counts.tolist(), strict=True) if "?" not in kmer}
        ), lengths

    def indexer(self, vocabulary: Vocabulary) -> Indexer:
        numbers, lengths = self._numbers(list(vocabulary.tokens[1:]))
        assert len(numbers) == len(lengths), f"the vocabulary holds a token longer than {self.k}"
        order = numbers.argsort()
        return partial(self._index, numbers[order], order.astype(np.int32) + 1)

    def _index(self, known: np.ndarray, ids: np.ndarray, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
        numbers, lengths = self._numbers(sequences)
        if not len(known):
            return np.full(len(numbers), UNKNOWN, np.int32), lengths
        positions = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[positions] == numbers, ids[positions], np.int32(UNKNOWN)), lengths

    def _numbers(self, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The windows as numbers, end to end, and the number of windows of each sequence."""
        filled = [sequence and sequence.ljust(self.k, self.FILL) for sequence in sequences]
        codes, sizes = _code_points(filled)
        digits = np.append(self.DIGITS[np.minimum(codes, 128)] * (codes != LAST_CODE_POINT), [0] * self.k)
        numbers = np.zeros(len(codes), np.int64)
        for offset in range(self.k):
            numbers = numbers * 28 + digits[offset : offset + len(codes)]
        lengths = np.maximum(sizes - self.k + 1, 0)
        return numbers[spans(sizes.cumsum() - sizes, lengths)], lengths


class Events:
    """A list of tokens as they are, or a string of tokens separated by white space."""

    vocabulary: Vocabulary | None = None

    def tokens(self, sequence: str | list[str]) -> list[str]:
        return sequence.split() if isinstance(sequence, str) else list(sequence)

    def offsets(self, sequence: str | list[str]) -> list[tuple[int, int]]:
        """Of a list: the offsets in its tokens joined by single spaces."""
        if isinstance(sequence, str):
            return [match.span() for match in re.finditer(r"\S+", sequence)]
        ends = np.cumsum([len(token) + 1 for token in sequence], dtype=np.int64).tolist()
        return [(end - 1 - len(token), end - 1) for token, end in zip(sequence, ends, strict=True)]

    def count(self, sequences: list[str | list[str]]) -> tuple[Counter[str], np.ndarray]:
        tokens = [self.tokens(sequence) for sequence in sequences]
        return Counter(chain.from_iterable(tokens)), np.fromiter(map(len, tokens), np.int64, len(tokens))

    def indexer(self, vocabulary: Vocabulary) -> Indexer:
        return partial(self._index, vocabulary.ids)

    def _index(self, ids: dict[str, int], sequences: list[str | list[str]]) -> tuple[np.ndarray, np.ndarray]:
        tokens = [self.tokens(sequence) for sequence in sequences]
        return _look_up(ids, list(chain.from_iterable(tokens))), np.fromiter(map(len, tokens), np.int64, len(tokens))


def _look_up(ids: dict[str, int], tokens: list[str]) -> np.ndarray:
    return np.fromiter(map(ids.get, tokens, repeat(UNKNOWN)), np.int32, len(tokens))


def _index_code_points(table: np.ndarray, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    codes, lengths = _code_points(sequences)
    return table[np.minimum(codes, len(table) - 1)], lengths


def _code_points(sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The code points of all sequences, end to end, and the number of code points of each."""
    codes = np.frombuffer("".join(sequences).encode("utf-32-le"), np.uint32)
    return codes, np.fromiter(map(len, sequences), np.int64, len(sequences))


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "words": Words,
    "subwords": Subwords,
    "characters": Characters,
    "nucleotides": nucleotides,
    "amino-acids": amino_acids,
    **{f"kmers({k})": partial(Kmers, k) for k in range(1, LONGEST_KMER + 1)},
    "events": Events,
}
NUMERIC = "numeric"  # series of numbers, which have no tokens


def register_tokenizer(name: str, tokenizer: Callable[[], Tokenizer]) -> None:
    """Add a tokenizer, or replace one that was registered before.

    Args:
        name: what `data.tokenizer` calls it.
        tokenizer: a class with the methods of `Tokenizer`, or a function without arguments that makes one.

    Raises:
        ConfigError: the name is built in, or `tokenizer` cannot be called.
    """
    if not callable(tokenizer):
        raise ConfigError(
            f"Tokenizer {name!r} is {tokenizer!r}. Expected a class, or a function that makes a tokenizer."
        )
    plugins.register(plugins.TOKENIZERS, name, tokenizer, {**TOKENIZERS, NUMERIC: None})


def find_tokenizer(name: str) -> Callable[[], Tokenizer]:
    """The tokenizer of that name: built in, registered, or offered by an installed package; `numeric` is none.

    Raises:
        ConfigError: the name is unknown.
    """
    return plugins.find(plugins.TOKENIZERS, name, TOKENIZERS, "tokenizer")


def refuse_impossible_tokens(name: str, tokens: list[str]) -> None:
    """Refuse tokens that the tokenizer of this name cannot make, as only a damaged vocabulary has them.

    Raises:
        ConfigError: the name is unknown.
        ValueError: names the first such token.
    """
    tokenizer = make_tokenizer(name)
    pattern = ".*"
    if isinstance(tokenizer, Characters):
        pattern = "."
    elif isinstance(tokenizer, Kmers):
        pattern = f"[A-Z]{{1,{tokenizer.k}}}"
    for token in tokens:
        if not re.fullmatch(pattern, token, re.DOTALL):
            raise ValueError(f"tokens: tokenizer {name} does not make {token!r:.60}")


def make_tokenizer(name: str, learned: Vocabulary | None = None) -> Tokenizer:
    """A tokenizer of that name.

    Args:
        learned: the vocabulary of the training split; `subwords` needs it to find its tokens, the others do not.

    Raises:
        ConfigError: the name is unknown.
    """
    kind = find_tokenizer(name)
    return Subwords(learned) if kind is Subwords else kind()
