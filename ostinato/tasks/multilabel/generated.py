"""DNA with any of four motifs: which motifs are present must be read from the order of the bases."""

from collections.abc import Iterator

import numpy as np

from ostinato.data.generated import BASES, Length
from ostinato.errors import ConfigError

MOTIFS = ("TATAATGC", "TTGACGTA", "GGCCAATC", "CACGTGTT")
MARGIN = 2  # bases between two planted motifs
MAX_FAILURES = 1_000  # proposals in a row that are no new sequence


def dna_motifs(n: int, length: Length, rng: np.random.Generator) -> tuple[list[str], list[tuple[str, ...]]]:
    """Draw n distinct DNA sequences and the motifs in each, sorted; each is present with probability 1/2.

    A motif that is present occurs once, anywhere. In place of one that is absent, its bases occur in another order, so
    that the composition of a sequence says nothing about its labels.

    Args:
        length: shortest and longest sequence in bases; lengths are drawn uniformly.

    Raises:
        ConfigError: the lengths are too short for four motifs.
    """
    needed = len(MOTIFS) * (len(MOTIFS[0]) + MARGIN)
    if length[0] < needed:
        raise ConfigError(
            f"length {list(length)} is too short: four motifs need at least {needed} bases. Increase data.length."
        )
    drawn: dict[str, tuple[str, ...]] = {}
    failures = 0
    for sequence, labels in _proposals(length, rng):
        is_new = sequence not in drawn and all(sequence.count(motif) == (motif in labels) for motif in MOTIFS)
        failures = 0 if is_new else failures + 1
        if is_new:
            drawn[sequence] = labels
        if failures == MAX_FAILURES:
            raise ConfigError(f"length {list(length)} is too short for {n} distinct sequences. Increase data.length.")
        if len(drawn) == n:
            break
    return list(drawn), list(drawn.values())


def _proposals(length: Length, rng: np.random.Generator) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sequences in which each motif or its distractor is planted; a motif may also occur by chance."""
    size = len(MOTIFS[0])
    while True:
        row = BASES[rng.integers(4, size=rng.integers(length[0], length[1] + 1))]
        is_present = rng.integers(2, size=len(MOTIFS)).astype(bool)
        slack = np.sort(rng.integers(len(row) - len(MOTIFS) * (size + MARGIN) + 1, size=len(MOTIFS)))
        starts = slack + np.arange(len(MOTIFS)) * (size + MARGIN)
        for start, index in zip(starts, rng.permutation(len(MOTIFS)), strict=True):
            motif = np.frombuffer(MOTIFS[index].encode(), np.uint8)
            row[start : start + size] = motif if is_present[index] else rng.permutation(motif)
        present = tuple(sorted(motif for motif, planted in zip(MOTIFS, is_present, strict=True) if planted))
        yield row.tobytes().decode("ascii"), present
