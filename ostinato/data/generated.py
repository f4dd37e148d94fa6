"""Generated data sets: tasks with known answers that no shortcut solves.

Each generator returns n distinct sequences and their labels, half of each label (one more of the first if n is odd),
drawn from `rng`. `length` is (shortest, longest); lengths are drawn uniformly.
"""

from collections.abc import Callable, Iterator

import numpy as np

from ostinato.errors import ConfigError

Length = tuple[int, int]
Generated = tuple[list[str], list[str]]
Propose = Callable[[int], Iterator[tuple[str, str]]]  # how many -> sequences and labels

# Give up after so many rounds of more than n candidates each without a new sequence. A sequence that is still missing
# was missed with probability exp(-20).
DRY_ROUNDS = 20

# Tokens between two planted motifs, and between them and either end: no n-gram of up to 9 tokens shows which motif
# comes first.
MARGIN = 8
CUES = ("a", "b")
DISTRACTORS = np.frombuffer(b"cdefgh", np.uint8)

BASES = np.frombuffer(b"ACGT", np.uint8)
MOTIF = "TATAATGC"  # no motif here overlaps itself, so str.count finds every occurrence
ORDERED_MOTIFS = ("TTGACGTA", "AGTTCATG")  # the same bases in two orders
# The motifs that a model of a named set must find.
PLANTED: dict[str, tuple[str, ...]] = {"dna-motif": (MOTIF,), "dna-order": ORDERED_MOTIFS}


def majority(n: int, length: Length, rng: np.random.Generator) -> Generated:
    """Bits; label 1 if there are more ones than zeros (a tie is 0).

    Raises:
        ConfigError: the lengths allow fewer than n distinct sequences with balanced labels.
    """
    return _bits(n, length, rng, lambda bits: 2 * bits.count("1") > len(bits))


def parity(n: int, length: Length, rng: np.random.Generator) -> Generated:
    """Bits; label 1 if the number of ones is odd: no part of the sequence alone reveals the label.

    Raises:
        ConfigError: the lengths allow fewer than n distinct sequences with balanced labels.
    """
    return _bits(n, length, rng, lambda bits: bits.count("1") % 2 == 1)


def delayed_recall(n: int, length: Length, rng: np.random.Generator) -> Generated:
    """Distractors c to h, with each cue, a and b, once in the first half; the label is the cue that comes first.

    Both cues lie `MARGIN` tokens from the start and from each other, and at least half of the sequence follows.

    Raises:
        ConfigError: the lengths are too short for this.
    """
    _check_length(length, 2 * (2 * MARGIN + 2))

    def propose(count: int) -> Iterator[tuple[str, str]]:
        lengths = _lengths(count, length, rng)
        starts = _two_starts(lengths // 2, 1, rng)
        rows = DISTRACTORS[rng.integers(len(DISTRACTORS), size=(count, length[1]), dtype=np.uint8)]
        for row, size, (first, second), flipped in zip(rows, lengths, starts, rng.integers(2, size=count), strict=True):
            cues = CUES[::-1] if flipped else CUES
            row[[first, second]] = [ord(cue) for cue in cues]
            yield _text(row[:size]), cues[0]

    return _collect(n, CUES, propose, length)


def dna_motif(n: int, length: Length, rng: np.random.Generator) -> Generated:
    """DNA; label `motif` if `MOTIF` occurs (once, anywhere), else `none`.

    In negatives the motif's bases are planted in another order.

    Raises:
        ConfigError: the lengths are too short for the motif or for n distinct sequences.
    """
    _check_length(length, len(MOTIF))
    motif = np.frombuffer(MOTIF.encode(), np.uint8)

    def propose(count: int) -> Iterator[tuple[str, str]]:
        lengths = _lengths(count, length, rng)
        rows = BASES[rng.integers(4, size=(count, length[1]), dtype=np.uint8)]
        starts = rng.integers(lengths - len(MOTIF) + 1)
        for row, size, start, positive in zip(rows, lengths, starts, rng.integers(2, size=count), strict=True):
            row[start : start + len(MOTIF)] = motif if positive else rng.permutation(motif)
            sequence = _text(row[:size])
            if sequence.count(MOTIF) == positive:
                yield sequence, "motif" if positive else "none"

    return _collect(n, ("motif", "none"), propose, length)


def dna_order(n: int, length: Length, rng: np.random.Generator) -> Generated:
    """DNA with each of `ORDERED_MOTIFS` exactly once; the label is the one that comes first.

    Both lie `MARGIN` bases from either end and from each other.

    Raises:
        ConfigError: the lengths are too short for this.
    """
    size_of_motif = len(ORDERED_MOTIFS[0])
    _check_length(length, 3 * MARGIN + 2 * size_of_motif)

    def propose(count: int) -> Iterator[tuple[str, str]]:
        lengths = _lengths(count, length, rng)
        pairs = _two_starts(lengths - MARGIN, size_of_motif, rng)
        rows = BASES[rng.integers(4, size=(count, length[1]), dtype=np.uint8)]
        for row, size, starts, flipped in zip(rows, lengths, pairs, rng.integers(2, size=count), strict=True):
            motifs = ORDERED_MOTIFS[::-1] if flipped else ORDERED_MOTIFS
            for start, motif in zip(starts, motifs, strict=True):
                row[start : start + size_of_motif] = np.frombuffer(motif.encode(), np.uint8)
            sequence = _text(row[:size])
            if all(sequence.count(motif) == 1 for motif in motifs):
                yield sequence, motifs[0]

    return _collect(n, ORDERED_MOTIFS, propose, length)


def _bits(n: int, length: Length, rng: np.random.Generator, is_one: Callable[[str], bool]) -> Generated:
    def propose(count: int) -> Iterator[tuple[str, str]]:
        rows = rng.integers(2, size=(count, length[1]), dtype=np.uint8) + ord("0")
        for row, size in zip(rows, _lengths(count, length, rng), strict=True):
            bits = _text(row[:size])
            yield bits, "1" if is_one(bits) else "0"

    return _collect(n, ("0", "1"), propose, length)


def _collect(n: int, labels: tuple[str, str], propose: Propose, length: Length) -> Generated:
    """Call `propose` until each label has its half of n distinct sequences."""
    wanted = {labels[0]: (n + 1) // 2, labels[1]: n // 2}
    drawn: dict[str, str] = {}
    dry = 0
    while len(drawn) < n:
        before = len(drawn)
        for sequence, label in propose(n + 1000):
            if wanted[label] and sequence not in drawn:
                drawn[sequence] = label
                wanted[label] -= 1
        dry = dry + 1 if len(drawn) == before else 0
        if dry == DRY_ROUNDS:
            raise ConfigError(
                f"length {list(length)} is too short for {n} distinct sequences with balanced labels. "
                "Increase data.length, or reduce the number of sequences."
            )
    return list(drawn), list(drawn.values())


def _check_length(length: Length, needed: int) -> None:
    if length[0] < needed:
        raise ConfigError(
            f"length {list(length)} is too short: this set needs at least {needed} tokens. Increase data.length."
        )


def _lengths(count: int, length: Length, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(length[0], length[1] + 1, size=count)


def _two_starts(ends: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Starts (count, 2) of two motifs of `size` tokens before `ends`, `MARGIN` from the start and from each other.

    Every pair of starts is equally likely.
    """
    slack = ends - 2 * (MARGIN + size)
    before, after = np.sort(rng.integers(slack + 1, size=(2, len(ends))), axis=0)
    return np.stack([MARGIN + before, 2 * MARGIN + size + after], axis=1)


def _text(row: np.ndarray) -> str:
    return row.tobytes().decode("ascii")
