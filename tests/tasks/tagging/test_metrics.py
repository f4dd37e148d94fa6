import json

import numpy as np
import pytest
from sklearn import metrics as sk

from ostinato.errors import ConfigError, DataError
from ostinato.evaluation.metrics import expected_calibration_error
from ostinato.tasks.tagging.metrics import (
    TaggingMetrics,
    bootstrap_sentences,
    commonest_tags,
    entity_metrics,
    marginal_calibration,
    sentence_counts,
    tagging_metrics,
)

# Ten tokens. True: PER 0-2, LOC 3-4 | ORG 0-3, LOC 5-6.
# Predicted: the same PER, ORG instead of LOC | ORG one token short, the same LOC.
TARGETS = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "I-ORG", "I-ORG", "O", "O", "B-LOC"]]
PREDICTIONS = [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG", "O", "O", "O", "B-LOC"]]


def split(text):
    return [sentence.split() for sentence in text.split("|")]


def random_tags(rng, tags, lengths):
    return [[str(tag) for tag in rng.choice(tags, size=length)] for length in lengths]


def test_entity_metrics_of_a_case_computed_by_hand():
    assert entity_metrics(TARGETS, PREDICTIONS, scheme="iob2").model_dump() == {
        "precision": 2 / 4,
        "recall": 2 / 4,
        "f1": 2 * 2 / 8,
        "macro_f1": pytest.approx((2 / 3 + 0 + 1) / 3),
        "by_type": {
            "LOC": {"precision": 1.0, "recall": 1 / 2, "f1": 2 / 3, "support": 2},
            "ORG": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
            "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        },
        "scheme": "iob2",
        "reading": "strict",
    }


@pytest.mark.parametrize(
    ("targets", "predictions", "strict", "conlleval"),
    [  # right, predicted and true entities, as conlleval.pl counts them
        ("B-X I-X O", "I-X I-X O", (0, 0, 1), (1, 1, 1)),
        ("B-X I-X O", "B-X B-X O", (0, 2, 1), (0, 2, 1)),
        ("B-X I-X B-X", "B-X I-X I-X", (0, 1, 2), (0, 1, 2)),
        ("B-X O B-Y", "B-X I-Y B-Y", (2, 2, 2), (2, 3, 2)),
        ("O O B-X", "O I-X B-X", (1, 1, 1), (1, 2, 1)),
        ("B-X I-X | B-X", "B-X I-X | I-X", (1, 1, 2), (2, 2, 2)),
        ("B-X I-Y I-Y", "B-X I-Y I-Y", (1, 1, 1), (2, 2, 2)),
        ("O", "O", (0, 0, 0), (0, 0, 0)),
    ],
)
def test_readings_differ_where_tags_are_ill_formed(targets, predictions, strict, conlleval):
    for reading, (right, predicted, gold) in (("strict", strict), ("conlleval", conlleval)):
        found = entity_metrics(split(targets), split(predictions), scheme="iob2", reading=reading)
        expected = {
            "precision": right / max(predicted, 1),
            "recall": right / max(gold, 1),
            "f1": 2 * right / max(predicted + gold, 1),
        }
        assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)
        assert (found.reading, sum(each.support for each in found.by_type.values())) == (reading, gold)


def test_the_scheme_does_not_change_the_metrics():
    expected = entity_metrics(TARGETS, PREDICTIONS, scheme="iob2")
    in_bioes = [
        split("B-PER E-PER O S-LOC | B-ORG I-ORG E-ORG O O S-LOC"),
        split("B-PER E-PER O S-ORG | B-ORG E-ORG O O O S-LOC"),
    ]
    assert entity_metrics(*in_bioes, scheme="bioes") == expected.model_copy(update={"scheme": "bioes"})
    in_iob1 = [
        split("I-PER I-PER O I-LOC | I-ORG I-ORG I-ORG O O I-LOC"),
        split("I-PER I-PER O I-ORG | I-ORG I-ORG O O O I-LOC"),
    ]
    assert entity_metrics(*in_iob1, scheme="iob1") == expected.model_copy(update={"scheme": "iob1"})


def test_tagging_metrics_of_a_case_computed_by_hand():
    targets = [["D", "N", "V"], ["N", "V"], ["X"]]
    predictions = [["D", "N", "N"], ["N", "V"], ["N"]]
    known = [[True, False, False], [True, True], [False]]
    assert tagging_metrics(targets, predictions, known=known, scheme=None, tags=["D", "V", "N"]) == TaggingMetrics(
        n=3,
        accuracy=4 / 6,
        accuracy_unknown=1 / 3,
        unknown_tokens=3,
        sentence_accuracy=1 / 3,
        confusion=[("V", "N", 1), ("X", "N", 1)],
        num_tokens=6,
        num_sentences=3,
    )


def test_metrics_of_entities_join_those_of_tokens():
    found = tagging_metrics(TARGETS, PREDICTIONS, known=None, scheme="iob2", tags=["O"])
    assert (found.accuracy, found.accuracy_unknown, found.unknown_tokens, found.f1) == (0.8, None, None, 0.5)
    assert found.by_type == entity_metrics(TARGETS, PREDICTIONS, scheme="iob2").by_type
    assert TaggingMetrics.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_where_training_saw_every_word_there_is_no_accuracy_of_unknown_ones():
    found = tagging_metrics([["D"]], [["D"]], known=[[True]], scheme=None, tags=["D"])
    assert (found.accuracy_unknown, found.unknown_tokens) == (None, 0)


def test_confusions_are_the_twenty_most_frequent():
    rng = np.random.default_rng(0)
    tags = list("ABCDEFG")
    targets, predictions = (random_tags(rng, tags, [500]) for _ in range(2))
    found = tagging_metrics(targets, predictions, known=None, scheme=None, tags=tags).confusion
    matrix = sk.confusion_matrix(targets[0], predictions[0], labels=tags)
    np.fill_diagonal(matrix, 0)
    assert [count for _, _, count in found] == sorted(matrix.ravel(), reverse=True)[:20]
    assert all(matrix[tags.index(target), tags.index(prediction)] == count for target, prediction, count in found)


@pytest.mark.parametrize("scheme", ["iob2", None])
def test_sums_of_sentence_counts_give_the_metrics(scheme):
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 8, size=60)
    targets, predictions = (random_tags(rng, ["O", "B-X", "I-X", "B-Y"], lengths) for _ in range(2))
    counts = sentence_counts(targets, predictions, scheme)
    right, predicted, gold = counts[10:40].sum(axis=0)
    found = tagging_metrics(targets[10:40], predictions[10:40], known=None, scheme=scheme, tags=[])
    assert counts.shape == (60, 3)
    assert 2 * right / (predicted + gold) == pytest.approx(found.f1 if scheme else found.accuracy)


def test_sentence_counts_by_hand():
    assert sentence_counts(TARGETS, PREDICTIONS, "iob2").tolist() == [[1, 2, 2], [1, 2, 2]]
    assert sentence_counts(TARGETS, PREDICTIONS, None).tolist() == [[3, 4, 4], [5, 6, 6]]


def test_the_bootstrap_interval_is_that_of_resampled_sentences():
    rng = np.random.default_rng(2)
    counts = np.stack([rng.integers(0, 3, 40), rng.integers(2, 5, 40), rng.integers(2, 5, 40)], axis=1)
    low, high = bootstrap_sentences(counts, seed=3, resamples=4000)
    scores = []
    for _ in range(4000):
        right, predicted, gold = counts[rng.integers(40, size=40)].sum(axis=0)
        scores.append(2 * right / (predicted + gold))
    assert [low, high] == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=0.01)
    assert (
        (low, high)
        == bootstrap_sentences(counts, seed=3, resamples=4000)
        != bootstrap_sentences(counts, seed=4, resamples=4000)
    )


def test_the_interval_of_sentences_all_alike_is_a_point():
    assert bootstrap_sentences(np.array([[1, 2, 2]] * 5)) == (0.5, 0.5)
    assert bootstrap_sentences(np.zeros((5, 3))) == (0.0, 0.0)


def test_marginal_calibration_is_the_calibration_error_of_the_most_probable():
    rng = np.random.default_rng(5)
    rows = rng.dirichlet(np.ones(4), size=200)
    targets = rng.integers(4, size=200)
    found = marginal_calibration(rows.max(axis=1), rows.argmax(axis=1) == targets)
    assert found == pytest.approx(expected_calibration_error(targets, rows), abs=1e-12)
    assert marginal_calibration(np.array([0.9, 0.9]), np.array([True, False])) == pytest.approx(0.4)


def test_the_baseline_gives_each_word_its_most_frequent_tag():
    train = [["the", "run"], ["run", "run", "fast"], ["the", "dog"]]
    tags = [["D", "N"], ["V", "V", "N"], ["D", "N"]]
    assert commonest_tags(train, tags, [["the", "run", "zebra"]]) == [["D", "V", "N"]]


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ConfigError, match="sentence 1: 6 and 1"):
        entity_metrics(TARGETS, [PREDICTIONS[0], ["O"]], scheme="iob2")
    with pytest.raises(ConfigError, match="2 and 1 sentences"):
        sentence_counts(TARGETS, PREDICTIONS[:1], "iob2")
    with pytest.raises(ConfigError, match="targets: 0 tokens"):
        tagging_metrics([], [], known=None, scheme=None, tags=[])
    with pytest.raises(ConfigError, match=r"1 words.*10 tags"):
        tagging_metrics(TARGETS, PREDICTIONS, known=[[True]], scheme=None, tags=[])
    with pytest.raises(ConfigError, match="'lenient'"):
        entity_metrics(TARGETS, PREDICTIONS, scheme="iob2", reading="lenient")
    with pytest.raises(ConfigError, match="'bio'"):
        entity_metrics(TARGETS, PREDICTIONS, scheme="bio", reading="conlleval")
    with pytest.raises(DataError, match="'NN'"):
        tagging_metrics([["NN"]], [["NN"]], known=None, scheme="iob2", tags=["NN"])
    with pytest.raises(ConfigError, match=r"counts \(0, 3\), resamples 1000"):
        bootstrap_sentences(np.zeros((0, 3)))
    with pytest.raises(ConfigError, match=r"probabilities \(2,\) and correct \(1,\)"):
        marginal_calibration(np.zeros(2), np.zeros(1))
    with pytest.raises(ConfigError, match="-0.5 to 3"):
        marginal_calibration(np.array([-0.5, 3]), np.ones(2))
