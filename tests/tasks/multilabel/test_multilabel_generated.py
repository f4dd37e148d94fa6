from collections import Counter

import numpy as np
import pytest

from ostinato.errors import ConfigError
from ostinato.tasks.multilabel.generated import MOTIFS, dna_motifs


def test_labels_are_the_motifs_that_occur():
    sequences, labels = dna_motifs(300, (60, 100), np.random.default_rng(0))
    assert len(set(sequences)) == 300
    for sequence, found in zip(sequences, labels, strict=True):
        assert set(sequence) <= set("ACGT")
        assert 60 <= len(sequence) <= 100
        assert found == tuple(sorted(motif for motif in MOTIFS if motif in sequence))
        assert all(sequence.count(motif) <= 1 for motif in MOTIFS)


def test_motifs_are_present_half_of_the_time_and_independently():
    _, labels = dna_motifs(4000, (60, 100), np.random.default_rng(1))
    present = np.array([[motif in row for motif in MOTIFS] for row in labels], dtype=float)
    assert np.abs(present.mean(axis=0) - 0.5).max() < 0.03
    correlation = np.corrcoef(present.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.06


def test_composition_says_nothing_about_labels():
    sequences, labels = dna_motifs(3000, (60, 100), np.random.default_rng(2))
    shares = np.array([[Counter(text)[base] / len(text) for base in "ACGT"] for text in sequences])
    for motif in MOTIFS:
        present = np.array([motif in row for row in labels])
        assert np.abs(shares[present].mean(axis=0) - shares[~present].mean(axis=0)).max() < 0.006


def test_short_sequences_are_refused():
    with pytest.raises(ConfigError, match=r"\[20, 30\].*40"):
        dna_motifs(5, (20, 30), np.random.default_rng(0))
