from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ostinato.data import generated
from ostinato.errors import ConfigError

LENGTHS = {
    generated.majority: (20, 20),
    generated.parity: (5, 20),
    generated.delayed_recall: (40, 60),
    generated.dna_motif: (50, 50),
    generated.dna_order: (60, 100),
}


def draw(generator, n=1000, length=None, seed=0):
    return generator(n, length or LENGTHS[generator], np.random.default_rng(seed))


@pytest.mark.parametrize("generator", LENGTHS)
def test_sequences_are_distinct_balanced_and_within_their_lengths(generator):
    sequences, labels = draw(generator)
    assert len(set(sequences)) == 1000
    assert sorted(Counter(labels).values()) == [500, 500]
    assert {len(sequence) for sequence in sequences} == set(range(LENGTHS[generator][0], LENGTHS[generator][1] + 1))


@pytest.mark.parametrize("generator", LENGTHS)
def test_the_seed_decides_the_sequences(generator):
    assert draw(generator, n=50) == draw(generator, n=50) != draw(generator, n=50, seed=1)


def test_majority_counts_ones_and_a_tie_is_zero():
    for bits, label in zip(*draw(generated.majority), strict=True):
        assert label == str(int(sum(map(int, bits)) > len(bits) / 2))


def test_parity_is_the_sum_modulo_two():
    for bits, label in zip(*draw(generated.parity), strict=True):
        assert label == str(sum(map(int, bits)) % 2)


def test_all_sequences_there_are_can_be_drawn_and_no_more():
    sequences, _ = draw(generated.parity, n=256, length=(8, 8))
    assert sorted(sequences) == [f"{number:08b}" for number in range(256)]
    with pytest.raises(ConfigError, match=r"length \[8, 8\] is too short for 257 distinct"):
        draw(generated.parity, n=257, length=(8, 8))


def test_delayed_recall_hides_the_first_cue_behind_a_long_delay():
    for sequence, label in zip(*draw(generated.delayed_recall), strict=True):
        first, second = sorted((sequence.index("a"), sequence.index("b")))
        assert sequence.count("a") == sequence.count("b") == 1
        assert set(sequence) <= set("abcdefgh")
        assert sequence[first] == label
        assert first >= 8
        assert second - first > 8
        assert second < len(sequence) // 2


def test_dna_motif_labels_match_the_motif_and_bases_tell_nothing():
    sequences, labels = draw(generated.dna_motif, n=4000)
    places = {"motif": [], "none": []}
    for sequence, label in zip(sequences, labels, strict=True):
        windows = [sequence[i : i + len(generated.MOTIF)] for i in range(len(sequence))]
        assert windows.count(generated.MOTIF) == (label == "motif")
        places[label].append(Counter(sequence))
    for base in "ACGT":
        means = [np.mean([counts[base] for counts in places[label]]) for label in ("motif", "none")]
        assert abs(means[0] - means[1]) < 4 * np.sqrt(
            2 * 42 * 0.25 * 0.75 / 2000
        )  # 4 standard errors of 42 random bases


def test_dna_order_has_each_motif_once_and_the_first_is_the_label():
    sequences, labels = draw(generated.dna_order)
    one, two = generated.ORDERED_MOTIFS
    assert sorted(one) == sorted(two)
    for sequence, label in zip(sequences, labels, strict=True):
        windows = [sequence[i : i + 8] for i in range(len(sequence) - 7)]
        starts = {motif: windows.index(motif) for motif in (one, two)}
        assert windows.count(one) == windows.count(two) == 1
        assert label == min(starts, key=starts.get)
        first, second = sorted(starts.values())
        assert first >= 8
        assert second - first >= 16
        assert second + 8 <= len(sequence) - 8


@pytest.mark.parametrize("motif", [generated.MOTIF, *generated.ORDERED_MOTIFS])
def test_no_motif_overlaps_itself(motif):
    assert all(motif[:size] != motif[-size:] for size in range(1, len(motif)))


@pytest.mark.parametrize("generator", [generated.dna_order, generated.delayed_recall])
def test_a_bag_of_n_grams_cannot_tell_the_order(generator):
    sequences, labels = draw(generator, n=2500)
    order = np.random.default_rng(0).permutation(2500)
    sequences, labels = [sequences[i] for i in order], [labels[i] for i in order]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 6), min_df=2), LogisticRegression(max_iter=200)
    )
    model.fit(sequences[:2000], labels[:2000])
    assert model.score(sequences[2000:], labels[2000:]) <= 0.6


@pytest.mark.parametrize(
    ("generator", "needed"), [(generated.delayed_recall, 36), (generated.dna_order, 40), (generated.dna_motif, 8)]
)
def test_lengths_that_cannot_hold_the_task_are_refused(generator, needed):
    draw(generator, n=2, length=(needed, needed))
    with pytest.raises(
        ConfigError, match=rf"length \[{needed - 1}, {needed}\] is too short: this set needs at least {needed}"
    ):
        draw(generator, n=2, length=(needed - 1, needed))
