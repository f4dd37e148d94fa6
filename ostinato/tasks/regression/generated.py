"""Generated data sets with a known number for each sequence."""

from collections.abc import Callable, Iterator

import numpy as np

from ostinato.data.generated import BASES, DRY_ROUNDS, MOTIF, Length
from ostinato.errors import ConfigError

Rows = tuple[list[str], list[dict[str, float]]]
Propose = Callable[[int], Iterator[tuple[str, float]]]  # how many -> sequences and numbers


def count_ones(n: int, length: Length, rng: np.random.Generator) -> Rows:
    """Distinct strings of bits; the number is how many are ones, and each count up to the length is equally likely.

    Raises:
        ConfigError: the lengths allow fewer than n distinct sequences.
    """

    def propose(count: int) -> Iterator[tuple[str, float]]:
        for size in rng.integers(length[0], length[1] + 1, size=count):
            ones = rng.integers(size + 1)
            bits = rng.permutation(np.arange(size) < ones)
            yield "".join("01"[bit] for bit in bits.astype(int)), float(ones)

    return _collect(n, propose, length)


def motif_position(n: int, length: Length, rng: np.random.Generator) -> Rows:
    """Distinct DNA with `MOTIF` exactly once; the number is how many bases lie before it.

    Every position that the sequence has is equally likely.

    Raises:
        ConfigError: the lengths are too short for the motif, or for n distinct sequences.
    """
    if length[0] < len(MOTIF):
        raise ConfigError(
            f"length {list(length)} is too short: this set needs at least {len(MOTIF)} bases. Increase data.length."
        )

    def propose(count: int) -> Iterator[tuple[str, float]]:
        for size in rng.integers(length[0], length[1] + 1, size=count):
            bases = BASES[rng.integers(4, size=size)].tobytes().decode("ascii")
            start = int(rng.integers(size - len(MOTIF) + 1))
            sequence = bases[:start] + MOTIF + bases[start + len(MOTIF) :]
            if sequence.count(MOTIF) == 1:
                yield sequence, float(start)

    return _collect(n, propose, length)


def _collect(n: int, propose: Propose, length: Length) -> Rows:
    """Call `propose` until there are n distinct sequences."""
    drawn: dict[str, float] = {}
    dry = 0
    while len(drawn) < n:
        before = len(drawn)
        drawn.update(propose(n - len(drawn) + 100))
        dry = dry + 1 if len(drawn) == before else 0
        if dry == DRY_ROUNDS:
            raise ConfigError(
                f"length {list(length)} is too short for {n} distinct sequences. "
                "Increase data.length, or reduce the number of sequences."
            )
    chosen = list(drawn.items())[:n]
    return [sequence for sequence, _ in chosen], [{"target": number} for _, number in chosen]
