"""Choose a tokenizer: by the alphabet; for text by its script, the words in a row, and the share of unknown tokens."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.data.chunks import raw_lengths
from ostinato.data.tokenizers import NUMERIC, make_tokenizer
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.data.words import Subwords

NUCLEOTIDES = set("ACGTUN")
AMINO_ACIDS = set("ACDEFGHIKLMNPQRSTVWYXBZUOJ*")
MOSTLY = 0.9  # minimum share of NUCLEOTIDES in DNA and RNA; the rest are ambiguity codes, such as R and Y
READ_ROWS = 5_000  # at most, evenly spaced
COUNTED = 500  # rows whose words are counted

UNSPACED_SCRIPTS = {"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"}  # first words of Unicode names
UNSPACED = 0.3  # share of letters in such scripts from which words are whole clauses
ONE_WORD = 1.5  # median words per row of names, codes and other single words
FEW_WORDS = 5  # median words per row below which one unknown word is a large part of the row
MOSTLY_NEW = 0.3  # share of unknown words above which a row of few words is read by characters
OFTEN_NEW = 0.15  # share of unknown words above which subwords are better
HELD_OUT = 5  # every fifth row
READ_CHARACTERS = 1_000_000  # of all rows together


def choose_tokenizer(sequences: Sequence[Any], *, is_fasta: bool = False) -> tuple[str, str]:
    """The tokenizer for sequences of one type, and the reason with its evidence.

    Args:
        sequences: strings, lists of strings, or series; the first one that is not empty decides.
        is_fasta: whether letters are nucleotides or amino acids in any case.
    """
    some = sequences[:: 1 + len(sequences) // READ_ROWS]
    kind = tokenizer_of_type(some)
    if kind != "words":
        return kind, "lists of words" if kind == "events" else "series of numbers"
    texts = [text for text in some if isinstance(text, str)]
    return _alphabet(Counter("".join(text[:1000] for text in texts)), is_fasta) or TextEvidence.of(texts).choose()


def tokenizer_of_type(sequences: Sequence[Any], *, is_fasta: bool = False) -> str:
    """`nucleotides` for FASTA, `words` for other strings, `events` for lists of strings, else `numeric`."""
    if is_fasta:
        return "nucleotides"
    first = next((sequence for sequence in sequences if not _is_empty(sequence)), "")
    if isinstance(first, str):
        return "words"
    return "events" if isinstance(first, list) and all(isinstance(token, str) for token in first) else NUMERIC


def _is_empty(sequence: Any) -> bool:
    return hasattr(sequence, "__len__") and getattr(sequence, "ndim", 1) > 0 and len(sequence) == 0


def fits(sequence: Any, tokenizer: str) -> bool:
    """Whether a sequence has the type that the tokenizer reads; training names the row of any other."""
    if tokenizer == "events":
        return isinstance(sequence, list) and all(isinstance(token, str) for token in sequence)
    if tokenizer == NUMERIC:
        return isinstance(sequence, list) or getattr(sequence, "ndim", 0) > 0
    return isinstance(sequence, str)


def _alphabet(characters: Counter[str], is_fasta: bool) -> tuple[str, str] | None:
    """The tokenizer of DNA, RNA or protein; None for text."""
    bases = sum(count for character, count in characters.items() if character.upper() in NUCLEOTIDES)
    shown = " ".join(sorted(character for character in characters if not character.isspace())[:12])
    why = f"the characters are {shown}" + (" …" if len(characters) > 12 else "")
    if bases >= MOSTLY * characters.total() > 0:
        return "nucleotides", why
    if is_fasta or (characters and set(characters) <= AMINO_ACIDS):
        return "amino-acids", why
    return None


def lengths_of(sequences: Sequence[Any], tokenizer: str) -> np.ndarray:
    """The tokens or steps of each sequence; words, and for subwords too, of some sequences only, which takes time.

    Sequences of another type than the tokenizer reads are left out.
    """
    if isinstance(sequences, list):
        sequences = [sequence for sequence in sequences if fits(sequence, tokenizer)]
    elif len(sequences) and not fits(sequences[0], tokenizer):  # on disk: all are of one type
        sequences = []
    if tokenizer not in ("words", "subwords", "events"):
        return raw_lengths(sequences)
    some = list(sequences[:: 1 + len(sequences) // COUNTED])
    return make_tokenizer("events" if tokenizer == "events" else "words").count(some)[1]


@dataclass(frozen=True)
class TextEvidence:
    """What the choice rests on.

    Args:
        words_per_row: the median.
        unspaced: the share of letters in scripts without spaces.
        spaces: the share of characters that are white space.
        unknown: for each tokenizer, the share of tokens of every fifth row that the other rows lack; subwords are
            tried where words leave many.
    """

    words_per_row: float
    unspaced: float
    spaces: float
    unknown: dict[str, float]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextEvidence":
        """Look at the first `READ_CHARACTERS` of the rows."""
        ends = np.cumsum([len(text) for text in texts])
        some = list(texts[: 1 + int(np.searchsorted(ends, READ_CHARACTERS))])
        characters = Counter("".join(some))
        letters = Counter({each: count for each, count in characters.items() if each.isalpha()})
        unspaced = sum(count for letter, count in letters.items() if _script(letter) in UNSPACED_SCRIPTS)
        spaces = sum(count for each, count in characters.items() if each.isspace())
        return cls(
            words_per_row=float(np.median([len(text.split()) for text in some])) if some else 0.0,
            unspaced=unspaced / max(letters.total(), 1),
            spaces=spaces / max(characters.total(), 1),
            unknown=_unknown_shares(some),
        )

    def choose(self) -> tuple[str, str]:
        """The tokenizer, and the reason with its evidence."""
        shares = ", ".join(f"{name} {share:.1%}" for name, share in self.unknown.items())
        evidence = (
            f"{self.words_per_row:g} words per row (median), {self.spaces:.0%} white space; "
            f"tokens of every fifth row that the others lack: {shares}"
        )
        if self.unspaced >= UNSPACED:
            return "characters", f"{self.unspaced:.0%} of the letters belong to scripts without spaces; {evidence}"
        if self.words_per_row <= ONE_WORD:
            return "characters", f"one word per row; {evidence}"
        new = self.unknown["words"]
        if self.words_per_row <= FEW_WORDS and new > MOSTLY_NEW:
            return "characters", f"a few words per row, and many of them are rare; {evidence}"
        if self.unknown.get("subwords", new) < new:
            return "subwords", f"many words are rare; {evidence}"
        return "words", f"text with spaces; {evidence}"


def _script(letter: str) -> str:
    """The first word of a letter's Unicode name, which names its script: `LATIN`, `CJK`, …"""
    return unicodedata.name(letter, "").partition(" ")[0]


def _unknown_shares(texts: list[str]) -> dict[str, float]:
    found = {name: _unknown_share(texts, name) for name in ("words", "characters")}
    return found | ({"subwords": _unknown_share(texts, "subwords")} if found["words"] > OFTEN_NEW else {})


def _unknown_share(texts: list[str], name: str) -> float:
    """The share of tokens of every fifth text that a vocabulary of the other texts lacks; 0 if there are none."""
    held_out = texts[::HELD_OUT]
    train = [text for row, text in enumerate(texts) if row % HELD_OUT]
    tokenizer = make_tokenizer(name)
    if isinstance(tokenizer, Subwords):
        vocabulary = tokenizer.learn(train)
    else:
        vocabulary = Vocabulary.fit(tokenizer.count(train)[0])
    ids, _ = tokenizer.indexer(vocabulary)(held_out)
    return float((ids == UNKNOWN).mean()) if len(ids) else 0.0
