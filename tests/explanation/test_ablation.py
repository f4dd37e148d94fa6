"""Attention ablation against a hand-set model whose attention finds the one token that counts."""

import json
from itertools import islice, product

import numpy as np
import pytest
import torch

from ostinato.errors import ConfigError, DataError
from ostinato.explanation.ablation import ablate_attention

FOUR = [
    "ACCC",
    "CACC",
    "CCAC",
    "CCCA",
]  # log-odds of "yes": 2 by the attention, which sees A alone, −1/4 by equal weights


@pytest.fixture
def seeing_a(make_linear):
    """Attention on A (score 50) before T (0) and C (−50); pooled log-odds are the token's weight."""
    model = make_linear(pooling="attention")
    attention = model.model_.pooling.poolings["attention"]
    with torch.no_grad():
        attention.project.weight.fill_(10.0)
        attention.project.bias.fill_(-1000.0)  # states are 100 + weight: tanh(10 · weight)
        attention.score.weight.fill_(50.0)
    return model


@pytest.fixture
def equal_weights(make_linear):
    return make_linear(pooling="attention")  # scores of 0


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def agresti_min(n, worse, better):
    """From the paper: half a pair more in each of the four cells."""
    n, worse, better = n + 2, worse + 0.5, better + 0.5
    margin = 1.959964 * np.sqrt(worse + better - (worse - better) ** 2 / n) / n
    return (worse - better) / n - margin, (worse - better) / n + margin


def test_a_model_that_needs_its_attention_loses_what_chance_takes(seeing_a):
    found = ablate_attention(seeing_a, FOUR, ["yes"] * 4, permutations=1000)
    assert found.accuracy == 1 and found.uniform.accuracy == 0 and found.uniform.lost == 1
    assert found.permuted.accuracy == pytest.approx(1 / 4, abs=0.03)  # of 4,000 draws, standard deviation 0.007
    assert found.permuted.lost == pytest.approx(1 - found.permuted.accuracy)
    assert found.uniform.distance == pytest.approx(sigmoid(2) - sigmoid(-1 / 4), abs=1e-4)
    assert found.permuted.distance == pytest.approx(found.permuted.lost * (sigmoid(2) - sigmoid(-1)), abs=1e-4)
    assert found.verdict == "the answers depend on the attention"
    assert f"{100 * found.permuted.lost:.1f} points" in found.sentence


def test_permuting_equal_weights_changes_nothing(equal_weights):
    sequences = ["".join(letters) for letters in islice(product("ACGT", repeat=5), 400)]
    found = ablate_attention(equal_weights, sequences, ["yes"] * 400)
    for ablation in (found.permuted, found.uniform):
        assert ablation.accuracy == found.accuracy and ablation.lost == 0
        assert ablation.distance == pytest.approx(0, abs=1e-6)
        assert ablation.interval == pytest.approx(agresti_min(400, 0, 0))
    assert found.verdict == "attention hardly matters to the answers here"
    assert "0.0 points of accuracy (95 % interval -0.5 to 0.5)" in found.sentence


def test_four_sequences_without_a_change_prove_nothing(equal_weights):
    found = ablate_attention(equal_weights, FOUR, ["yes"] * 4)
    assert found.permuted.lost == 0 and found.verdict == "too few sequences to say whether attention matters"


def test_the_interval_is_agresti_and_mins(seeing_a):
    sequences = [*FOUR, "AAAA", "AAA", "CCC", "CCCCA"]
    labels = [
        "yes",
        "yes",
        "yes",
        "no",
        "yes",
        "yes",
        "no",
        "no",
    ]  # equal weights lose three and win the two A's labelled "no"
    found = ablate_attention(seeing_a, sequences, labels)
    assert found.uniform.lost == pytest.approx(1 / 8)
    assert found.uniform.interval == pytest.approx(agresti_min(8, 3, 2))


def test_the_models_own_accuracy_is_its_score(seeing_a):
    sequences, labels = [*FOUR, "TTC", "A"], ["yes", "no", "yes", "yes", "no", "yes"]
    found = ablate_attention(seeing_a, sequences, labels)
    assert found.accuracy == pytest.approx(seeing_a.score(sequences, labels)) and found.n == 6


def test_permutations_do_not_depend_on_order_or_batch(seeing_a, monkeypatch):
    sequences = ["ACCC", "CCTCCACC", "CAC", "TTTTTTTTTTTTAC", "A"]
    found = ablate_attention(seeing_a, sequences, ["yes"] * 5, permutations=3)
    monkeypatch.setattr("ostinato.explanation.masking.TOKENS_IN_A_BATCH", 8)
    again = ablate_attention(seeing_a, sequences[::-1], ["yes"] * 5, permutations=3)
    assert found.permuted.accuracy == pytest.approx(again.permuted.accuracy)
    assert found.permuted.distance == pytest.approx(again.permuted.distance, abs=1e-6)
    other = ablate_attention(seeing_a, sequences, ["yes"] * 5, permutations=3, seed=1)
    assert abs(other.permuted.distance - found.permuted.distance) > 1e-3


def test_all_of_it_is_json(seeing_a):
    found = ablate_attention(seeing_a, FOUR, ["yes"] * 4)
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["uniform"]["lost"] == 1 and read["sentence"] == found.sentence and read["n"] == 4


def test_bad_arguments_are_refused(make_linear, seeing_a):
    with pytest.raises(ConfigError, match="mean, max"):
        ablate_attention(make_linear(pooling=["mean", "max"]), FOUR, ["yes"] * 4)
    with pytest.raises(ConfigError, match="permutations 0"):
        ablate_attention(seeing_a, FOUR, ["yes"] * 4, permutations=0)
    with pytest.raises(DataError, match="0 sequences"):
        ablate_attention(seeing_a, [], [])
    with pytest.raises(DataError, match="sequence 1: .*empty"):
        ablate_attention(seeing_a, ["A", ""], ["yes", "no"])
    with pytest.raises(DataError, match="sequence 1: label 'maybe'"):
        ablate_attention(seeing_a, ["A", "C"], ["yes", "maybe"])
