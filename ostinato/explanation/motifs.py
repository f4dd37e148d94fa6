"""Motifs: recurring patterns in the letters of DNA, RNA or protein that speak for a label."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ostinato.errors import ConfigError, DataError
from ostinato.explanation.alignment import align, count_letters, placings
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.seqlets import Seqlets, codes_of, find_seqlets

MIN_SEQLETS = 10  # of a motif
MIN_GAIN = 2  # times the gain of random letters, which reached 1.9 in 32 searches without a motif
INFORMATIVE = 0.25  # of the strongest position's information: flanks below it are trimmed


class Occurrence(NamedTuple):
    """An occurrence: the explanation's index, the position of its first letter, and the strand (`+` or `-`).

    A position below 0 means that the motif extends over the start of the sequence.
    """

    sequence: int
    start: int
    strand: str


@dataclass(frozen=True, eq=False)
class Motif:
    """Aligned windows as a matrix of W positions and A letters.

    Args:
        letters: the alphabet.
        counts: (W, A) how often each letter is at each position.
        occurrences: of the aligned windows, the strongest first.
        score: the mean over the occurrences of the sum of their letters' scores, in log-odds.
    """

    letters: str
    counts: np.ndarray
    occurrences: list[Occurrence]
    score: float

    @property
    def seqlets(self) -> int:
        """The number of aligned windows."""
        return len(self.occurrences)

    @property
    def probabilities(self) -> np.ndarray:
        """Counts plus a pseudocount of 1 per position, divided among the letters, over their sum, (W, A)."""
        probabilities: np.ndarray = (self.counts + 1 / len(self.letters)) / (self.counts.sum(axis=1, keepdims=True) + 1)
        return probabilities

    @property
    def information(self) -> np.ndarray:
        """Bits of each position, log2 A less its entropy, (W,); at most 2 for DNA."""
        p = self.probabilities
        information: np.ndarray = np.log2(len(self.letters)) + (p * np.log2(p)).sum(axis=1)
        return information

    @property
    def consensus(self) -> str:
        """The likeliest letter of each position, in lower case if its probability is below 0.5."""
        p = self.probabilities
        best = [self.letters[letter] for letter in p.argmax(axis=1)]
        return "".join(
            letter if highest >= 0.5 else letter.lower() for letter, highest in zip(best, p.max(axis=1), strict=True)
        )


def find_motifs(
    explanations: Sequence[Explanation], letters: str, *, both_strands: bool = False, width: int = 8, most: int = 5
) -> list[Motif]:
    """Align the windows that speak for a label into motifs, the largest total attribution first.

    `find_seqlets` selects the windows, and `align` aligns them. The windows of a motif are removed before the search
    for the next one. A motif must gain at least twice as much as the best one in as many windows of random letters; it
    is trimmed to its informative positions.

    Args:
        explanations: all of the same label.
        letters: the alphabet, from `letters_of`; other letters (N) are ignored.
        both_strands: a window may be aligned by its reverse complement.
        width: letters of a window; motifs may be narrower, and up to twice as wide.
        most: the most motifs to return.

    Raises:
        ConfigError: both strands of an alphabet other than ACGT.
        DataError: the explanations are of different labels.
    """
    if both_strands and letters != "ACGT":
        raise ConfigError(
            f"both_strands with the letters {letters}: only DNA and RNA (ACGT) have a reverse complement. Pass "
            "both_strands=False."
        )
    _refuse_different_labels(explanations)
    if not explanations:
        return []
    rng, frequencies = np.random.default_rng(0), letter_frequencies(explanations, letters)
    seqlets = find_seqlets(explanations, letters, width)
    motifs: list[Motif] = []
    while len(motifs) < most and len(seqlets.start) >= MIN_SEQLETS:
        found = align(seqlets.codes, frequencies, both_strands=both_strands)
        by_chance = align(
            rng.choice(len(letters), seqlets.codes.shape, p=frequencies), frequencies, both_strands=both_strands
        )
        if found.is_member.sum() < MIN_SEQLETS or found.gain < MIN_GAIN * by_chance.gain:
            break
        motifs.append(_trimmed(letters, seqlets.select(found.is_member), found.placing[found.is_member]))
        seqlets = seqlets.select(~found.is_member)
    return sorted(motifs, key=lambda motif: -motif.score * motif.seqlets)


def letter_frequencies(explanations: Sequence[Explanation], letters: str) -> np.ndarray:
    """The share of each letter among all explained letters, with a pseudocount of 1. Returns (A,)."""
    counts = np.ones(len(letters))
    for explanation in explanations:
        counts += np.bincount(codes_of(explanation, letters), minlength=len(letters) + 1)[:-1]
    frequencies: np.ndarray = counts / counts.sum()
    return frequencies


def position_profile(explanations: Sequence[Explanation], letters: str) -> np.ndarray:
    """The sum of each letter's scores at each position over the number of sequences. Returns (T, A).

    Raises:
        DataError: the sequences differ in length, or there is none.
    """
    lengths = sorted({len(each.scores) for each in explanations})
    if len(lengths) != 1:
        given = f"sequences of {lengths[0]} to {lengths[-1]} letters" if lengths else "no sequence"
        raise DataError(f"{given}: a profile needs aligned sequences of the same length. Cut them to equal windows.")
    codes = np.stack([codes_of(each, letters) for each in explanations])
    scores = np.stack([each.scores for each in explanations])
    return np.stack([np.where(codes == letter, scores, 0.0).mean(axis=0) for letter in range(len(letters))], axis=1)


def recovery(motifs: Sequence[Motif], planted: str) -> float:
    """How well a planted word was recovered: the mean probability of its letters, at the best motif and offset.

    A letter outside the motif has the probability of chance, 1/A. So 1 is perfect, and 1/A means a motif without
    information. 0 if there is no motif.
    """
    best = 0.0
    for motif in motifs:
        chance = np.full((len(planted), len(motif.letters)), 1 / len(motif.letters))
        columns = [motif.letters.index(letter) for letter in planted]
        p = np.vstack([chance, motif.probabilities, chance])[:, columns]  # (W + 2 · word, word)
        starts = range(len(p) - len(planted) + 1)
        best = max(best, *(float(p[start : start + len(planted)].diagonal().mean()) for start in starts))
    return best


def _refuse_different_labels(explanations: Sequence[Explanation]) -> None:
    labels = list(dict.fromkeys(each.label for each in explanations))
    if len(labels) > 1:
        names = ", ".join(map(str, labels))
        raise DataError(
            f"explanations of {len(labels)} labels ({names}): a motif belongs to one. Explain with label={labels[0]!r}."
        )


def _trimmed(letters: str, seqlets: Seqlets, placing: np.ndarray) -> Motif:
    """The members' motif without uninformative flanks."""
    width = seqlets.codes.shape[1] // 3
    windows = placings(seqlets.codes, len(letters), both_strands=letters == "ACGT")[np.arange(len(placing)), placing]
    whole = Motif(letters, count_letters(windows, len(letters)), [], 0.0)
    informative = np.flatnonzero(whole.information >= INFORMATIVE * whole.information.max())
    left, right = informative[0], informative[-1] + 1
    strand, offset = np.divmod(placing, width + 1)
    first = np.where(strand == 0, offset + left, 3 * width - offset - right)  # (n,) in the window and its flanks
    inside = (np.arange(3 * width) >= first[:, None]) & (np.arange(3 * width) < first[:, None] + right - left)
    starts = seqlets.start - width + first
    occurrences = [
        Occurrence(int(row), int(start), "+-"[turned])
        for row, start, turned in zip(seqlets.sequence, starts, strand, strict=True)
    ]
    return Motif(letters, whole.counts[left:right], occurrences, float(seqlets.scores[inside].sum() / len(occurrences)))
