"""Motifs from explanations whose scores are set by hand, and from trained models."""

import numpy as np
import pytest

from ostinato import explain, load, runs
from ostinato.data.generated import MOTIF, PLANTED
from ostinato.data.tokenizers import make_tokenizer
from ostinato.errors import ConfigError, DataError
from ostinato.explanation import Explanation
from ostinato.explanation.motifs import Motif, Occurrence, find_motifs, letter_frequencies, position_profile, recovery
from ostinato.explanation.strands import reverse_complement
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override, parse_config

DNA, PROTEIN = "ACGT", "ACDEFGHIKLMNPQRSTVWY"


def explained(sequence, scores, *, label="yes", tokenizer="nucleotides"):
    """An explanation as `explain` gives it."""
    reader = make_tokenizer(tokenizer)
    return Explanation(
        "occlusion", sequence, reader.tokens(sequence), reader.offsets(sequence), np.asarray(scores, float), label, 0.9
    )


def planted(words, *, length=60, letters=DNA, seed=0, score=1.0, **arguments):
    """A random sequence for each word, which alone scores; and where the words are."""
    rng = np.random.default_rng(seed)
    explanations, starts = [], rng.integers(length - max(map(len, words)) + 1, size=len(words)).tolist()
    for word, start in zip(words, starts, strict=True):
        around = "".join(rng.choice(list(letters), length))
        scores = np.zeros(length)
        scores[start : start + len(word)] = score
        explanations.append(explained(around[:start] + word + around[start + len(word) :], scores, **arguments))
    return explanations, [Occurrence(row, start, "+") for row, start in enumerate(starts)]


def test_a_planted_word_comes_back_exactly():
    explanations, occurrences = planted(["TGACTCAT"] * 40)
    (motif,) = find_motifs(explanations, DNA)
    assert motif.consensus == "TGACTCAT"
    assert sorted(motif.occurrences) == occurrences
    assert motif.seqlets == 40
    assert motif.score == 8.0  # eight letters of 1
    np.testing.assert_array_equal(motif.counts, [[40 * (letter == each) for each in DNA] for letter in "TGACTCAT"])


@pytest.mark.parametrize("word", ["TGACTC", "TGACTCATCCGA"])
def test_a_word_narrower_or_wider_than_the_window_comes_back(word):
    explanations, occurrences = planted([word] * 60, seed=1)
    (motif,) = find_motifs(explanations, DNA)
    assert motif.consensus == word
    assert sorted(motif.occurrences) == occurrences


def test_both_strands_are_merged():
    words = [word for word in ("TGACCTTA", reverse_complement("TGACCTTA")) for _ in range(40)]
    explanations, occurrences = planted(words)
    apart = find_motifs(explanations, DNA)
    assert {motif.consensus for motif in apart} == {"TGACCTTA", "TAAGGTCA"}
    (motif,) = find_motifs(explanations, DNA, both_strands=True)
    forward = "+" if motif.consensus == "TGACCTTA" else "-"
    strands = [forward] * 40 + ["-" if forward == "+" else "+"] * 40
    assert motif.consensus in ("TGACCTTA", "TAAGGTCA")
    assert sorted(motif.occurrences) == [
        occurrence._replace(strand=strand) for occurrence, strand in zip(occurrences, strands, strict=True)
    ]
    assert motif.score == 8.0


def test_motifs_are_sorted_by_total_attribution():
    often, _ = planted(["TGACTCAT"] * 60, score=1.0)
    strong, _ = planted(["GGCATTCC"] * 30, score=3.0, seed=1)
    motifs = find_motifs(often + strong, DNA)
    assert [(motif.consensus, motif.seqlets, motif.score) for motif in motifs] == [
        ("GGCATTCC", 30, 24.0),
        ("TGACTCAT", 60, 8.0),
    ]
    assert {occurrence.sequence for occurrence in motifs[0].occurrences} == set(range(60, 90))
    assert len(find_motifs(often + strong, DNA, most=1)) == 1


def test_motifs_with_a_part_in_common_stay_apart():
    words = ["AACCGTTA", "ACGTTTCC", "TGACTCAT", "GGCGCGTT"]
    explanations, _ = planted(words * 60)
    assert {motif.consensus for motif in find_motifs(explanations, DNA)} == set(words)


def test_residues_of_proteins_come_back():
    explanations, occurrences = planted(["CKRWLC"] * 30, letters=PROTEIN, tokenizer="amino-acids")
    (motif,) = find_motifs(explanations, PROTEIN)
    assert motif.consensus == "CKRWLC"
    assert sorted(motif.occurrences) == occurrences


def test_other_letters_count_nowhere_and_case_does_not_matter():
    explanations, occurrences = planted(["tgactcat"] * 40 + ["TGACNCAU"] * 2)
    (motif,) = find_motifs(explanations, DNA)
    assert motif.consensus == "TGACTCAT"
    assert sorted(motif.occurrences) == occurrences
    assert motif.counts.sum(axis=1).tolist() == [42, 42, 42, 42, 40, 42, 42, 42]


def test_a_word_at_either_end_is_found():
    explanations = []
    for row, around in enumerate(each.sequence for each in planted(["A"] * 40)[0]):
        sequence = "TGACTCAT" + around[8:] if row % 2 else around[:-8] + "TGACTCAT"
        explanations.append(explained(sequence, np.arange(60) < 8 if row % 2 else np.arange(60) >= 52))
    (motif,) = find_motifs(explanations, DNA)
    assert motif.consensus == "TGACTCAT"
    assert sorted(motif.occurrences) == [Occurrence(row, 0 if row % 2 else 52, "+") for row in range(40)]


def test_what_truncation_parted_is_not_joined():
    whole, occurrences = planted(["TGACTCAT"] * 40)
    parted, _ = planted(["TGACTCAT"] * 40, length=8, seed=1)
    for explanation in whole:  # its first letter is the sequence's eleventh
        explanation.offsets[:] = [(occurrence + 10, occurrence + 11) for occurrence, _ in explanation.offsets]
    for explanation in parted:  # the middle of the word is where the model stopped reading, and went on
        explanation.offsets[4:] = [(occurrence + 50, occurrence + 51) for occurrence, _ in explanation.offsets[4:]]
    (motif,) = find_motifs(whole + parted, DNA)
    assert motif.consensus == "TGACTCAT"
    assert sorted(motif.occurrences) == [occurrence._replace(start=occurrence.start + 10) for occurrence in occurrences]


@pytest.mark.parametrize("seed", range(5))
def test_random_scores_have_no_motif(seed):
    rng = np.random.default_rng(seed)
    explanations = [explained("".join(rng.choice(list(DNA), 60)), rng.standard_t(3, size=60)) for _ in range(300)]
    assert find_motifs(explanations, DNA) == []


@pytest.mark.parametrize("count", [30, 600])
def test_high_scores_on_random_letters_have_no_motif(count):
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list(DNA), 8)) for _ in range(count)]
    assert find_motifs(planted(words)[0], DNA) == []


def test_nothing_to_find_is_no_motif():
    assert find_motifs([], DNA) == []
    assert find_motifs([explained("ACGTACG", np.ones(7))] * 50, DNA) == []  # shorter than a window
    assert find_motifs(planted(["TGACTCAT"] * 40, score=-1.0)[0], DNA) == []
    assert find_motifs(planted(["NNNNNNNN"] * 40)[0], DNA) == []


def test_the_same_explanations_give_the_same_motifs():
    explanations, _ = planted(["TGACTCAT", "GGCATTCC"] * 40)
    one, other = (find_motifs(explanations, DNA) for _ in range(2))
    assert [motif.occurrences for motif in one] == [motif.occurrences for motif in other]


def test_what_has_no_motif_of_one_class_is_refused():
    both = [explained("ACGT", np.ones(4), label=label) for label in ("yes", "no")]
    with pytest.raises(DataError, match=r"2 labels \(yes, no\).*label='yes'"):
        find_motifs(both, DNA)
    with pytest.raises(ConfigError, match=PROTEIN):
        find_motifs([], PROTEIN, both_strands=True)


def test_information_is_two_bits_less_the_entropy():
    motif = Motif(DNA, np.array([[7, 0, 0, 0], [2, 2, 2, 1], [0, 0, 0, 0]]), [], 0.0)
    p, q = (7.25 / 8, 0.25 / 8), (2.25 / 8, 1.25 / 8)
    np.testing.assert_allclose(motif.probabilities, [[p[0], p[1], p[1], p[1]], [q[0], q[0], q[0], q[1]], [0.25] * 4])
    first = 2 + p[0] * np.log2(p[0]) + 3 * p[1] * np.log2(p[1])
    second = 2 + 3 * q[0] * np.log2(q[0]) + q[1] * np.log2(q[1])
    np.testing.assert_allclose(motif.information, [first, second, 0.0], atol=1e-12)
    assert motif.consensus == "Aaa"


def test_recovery_is_the_mean_probability_of_the_planted_letters():
    counts = np.zeros((3, 4))
    counts[[0, 1, 2], [0, 1, 2]] = 9  # ACG, each with probability 9.25 / 10
    motif = Motif(DNA, counts, [], 0.0)
    assert recovery([motif], "ACG") == pytest.approx(0.925)
    assert recovery([motif], "CG") == pytest.approx(0.925)
    assert recovery([motif], "TACGT") == pytest.approx((3 * 0.925 + 2 * 0.25) / 5)
    assert recovery([motif], "CGT") == pytest.approx((2 * 0.925 + 0.25) / 3)
    assert recovery([Motif(DNA, np.zeros((3, 4)), [], 0.0), motif], "ACG") == pytest.approx(0.925)
    assert recovery([Motif(DNA, np.zeros((3, 4)), [], 0.0)], "ACG") == pytest.approx(0.25)
    assert recovery([], "ACG") == 0.0


def test_letter_frequencies_count_each_letter_once_more():
    explanations = [explained("aACN", np.zeros(4)), explained("U", np.zeros(1))]
    np.testing.assert_allclose(letter_frequencies(explanations, DNA), np.array([3, 2, 1, 2]) / 8)


def test_a_profile_shares_each_letters_scores_among_all_sequences():
    explanations = [explained("AC", [2.0, 1.0]), explained("AG", [4.0, -3.0]), explained("NG", [5.0, -1.0])]
    np.testing.assert_allclose(position_profile(explanations, DNA), [[6 / 3, 0, 0, 0], [0, 1 / 3, -4 / 3, 0]])


def test_a_profile_needs_one_length():
    with pytest.raises(DataError, match="sequences of 2 to 3 letters"):
        position_profile([explained("AC", [0, 0]), explained("ACG", [0, 0, 0])], DNA)
    with pytest.raises(DataError, match="no sequence"):
        position_profile([], DNA)


def test_planted_words_are_in_the_named_sets():
    for name, words in PLANTED.items():
        config = parse_config({"task": "classification", "data": {"name": name, "train_size": 8}})
        sequences = TASKS["classification"].prepare(config.data).rows["train"].sequences
        assert all(any(word in sequence for sequence in sequences) for word in words)


def test_a_hand_set_models_heavy_letter_is_its_motif(make_linear):
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list(DNA), 40)) for _ in range(40)]
    sequences = [sequence[:20] + "A" * 8 + sequence[28:] for sequence in sequences]  # A weighs 2, G 0.5, T 0 and C −1
    motif = find_motifs(explain(make_linear(), sequences, method="gradient-x-input", label="yes"), DNA)[0]
    assert "AAAAAAAA" in motif.consensus


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_planted_motif_of_dna_is_the_top_motif(tmp_path, seed):
    config = override(PRESETS["dna"](), [f"training.seed={seed}"])
    runs.start_run(config, tmp_path / "run")
    sequences = [row.sequence for row in runs.test_rows(tmp_path / "run") if row.target == "motif"]
    motifs = find_motifs(explain(load(tmp_path / "run"), sequences, label="motif"), DNA)
    assert recovery(motifs[:1], MOTIF) >= 0.9
