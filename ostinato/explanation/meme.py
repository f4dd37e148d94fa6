"""Motifs in the file format of the MEME Suite."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ostinato.explanation.motifs import Motif
from ostinato.storage import write_atomically


def write_meme(path: str | Path, motifs: Sequence[Motif], letters: str, background: np.ndarray) -> None:
    """Write motifs to a file; see `meme_text`.

    Raises:
        RunError: the file cannot be written.
    """
    write_atomically(Path(path), meme_text(motifs, letters, background))


def meme_text(motifs: Sequence[Motif], letters: str, background: np.ndarray) -> str:
    """Motifs in MEME's minimal format, version 4.

    Args:
        letters: the alphabet; for ACGT the text states whether motifs were aligned on both strands.
        background: (A,) frequencies of the letters, as `letter_frequencies` gives them.

    Source: https://meme-suite.org/meme/doc/meme-format.html. The optional E-value is left out.
    """
    frequencies = " ".join(f"{letter} {share:.6f}" for letter, share in zip(letters, background, strict=True))
    parts = ["MEME version 4", f"ALPHABET= {letters}"]
    if letters == "ACGT":
        both = any(each.strand == "-" for motif in motifs for each in motif.occurrences)
        parts.append("strands: + -" if both else "strands: +")
    parts.append(f"Background letter frequencies\n{frequencies}")
    parts += [f"MOTIF {number} {motif.consensus}\n{_matrix(motif)}" for number, motif in enumerate(motifs, start=1)]
    return "\n\n".join(parts) + "\n"


def _matrix(motif: Motif) -> str:
    head = f"letter-probability matrix: alength= {len(motif.letters)} w= {len(motif.counts)} nsites= {motif.seqlets}"
    return "\n".join([head, *(" ".join(f"{p:.6f}" for p in position) for position in motif.probabilities)])
