"""The MEME format, against a file written by hand from its specification, and read back."""

import numpy as np
import pytest

from ostinato.errors import RunError
from ostinato.explanation.meme import write_meme
from ostinato.explanation.motifs import Motif, Occurrence

DNA, PROTEIN = "ACGT", "ACDEFGHIKLMNPQRSTVWY"
BY_HAND = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.300000 C 0.200000 G 0.200000 T 0.300000

MOTIF 1 Ac
letter-probability matrix: alength= 4 w= 2 nsites= 3
0.812500 0.062500 0.062500 0.062500
0.312500 0.312500 0.312500 0.062500

MOTIF 2 T
letter-probability matrix: alength= 4 w= 1 nsites= 1
0.125000 0.125000 0.125000 0.625000
"""


def test_a_file_is_as_the_specification_has_it(tmp_path):
    occurrences = [Occurrence(0, 3, "+"), Occurrence(1, 5, "-"), Occurrence(2, 0, "+")]
    motifs = [
        Motif(DNA, np.array([[3, 0, 0, 0], [1, 1, 1, 0]]), occurrences, 1.0),
        Motif(DNA, np.array([[0, 0, 0, 1]]), occurrences[:1], 1.0),
    ]
    write_meme(tmp_path / "motifs.meme", motifs, DNA, np.array([0.3, 0.2, 0.2, 0.3]))
    assert (tmp_path / "motifs.meme").read_text() == BY_HAND.replace("1 Ac", "1 Aa")
    write_meme(tmp_path / "motifs.meme", motifs[1:], DNA, np.array([0.3, 0.2, 0.2, 0.3]))
    assert "\nstrands: +\n" in (tmp_path / "motifs.meme").read_text()


def test_proteins_are_read_back_without_strands(tmp_path):
    counts = np.random.default_rng(0).integers(50, size=(9, 20))
    motif = Motif(PROTEIN, counts, [Occurrence(0, 0, "+")] * 30, 1.0)
    write_meme(str(tmp_path / "motifs.meme"), [motif], PROTEIN, np.full(20, 0.05))
    lines = (tmp_path / "motifs.meme").read_text().splitlines()
    head = next(
        number
        for number, line in enumerate(lines)
        if line.startswith("letter-probability matrix: alength= 20 w= 9 nsites= 30")
    )
    np.testing.assert_allclose(
        [[float(p) for p in line.split()] for line in lines[head + 1 : head + 10]], motif.probabilities, atol=5e-7
    )
    assert not any(line.startswith("strands") for line in lines)
    assert f"ALPHABET= {PROTEIN}" in lines


def test_no_motif_is_a_file_without_one(tmp_path):
    write_meme(tmp_path / "motifs.meme", [], DNA, np.full(4, 0.25))
    assert (tmp_path / "motifs.meme").read_text() == BY_HAND[: BY_HAND.index("strands")] + (
        "strands: +\n\nBackground letter frequencies\nA 0.250000 C 0.250000 G 0.250000 T 0.250000\n"
    )


def test_an_unwritable_path_is_refused(tmp_path):
    with pytest.raises(RunError, match="nowhere/motifs.meme: cannot be written"):
        write_meme(tmp_path / "nowhere" / "motifs.meme", [], DNA, np.full(4, 0.25))
