"""Explanations of models with a wide part count what both parts contribute."""

import numpy as np
import pytest
import torch

from ostinato import SequenceClassifier, explain
from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError
from ostinato.explanation import ablate_attention, measure, trace_sequence
from ostinato.nn import Layout
from ostinato.nn.sequence_network import log_odds
from ostinato.training import predict_outputs

rng = np.random.default_rng(0)
TEXTS = ["".join(rng.choice(list("ACGT"), size=size)) for size in rng.integers(5, 30, size=60)]
LABELS = ["many" if text.count("A") * 4 > len(text) else "few" for text in TEXTS]
WIDE = {"wide": "ngrams", "wide_order": 3, "tokenizer": "nucleotides", "validation_fraction": None}


@pytest.fixture(scope="module")
def linear():
    return SequenceClassifier(cell="none", **WIDE).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def deep():
    sizes = {"cell": "gru", "embedding_size": 4, "hidden_size": 6, "pooling": ["attention"]}
    return SequenceClassifier(**sizes, **WIDE, max_epochs=4, lr=0.05).fit(TEXTS, LABELS)


def log_odds_of(model, ids, label):
    outputs = predict_outputs(model.model_, Ragged(ids, torch.tensor([len(ids)])))
    return log_odds(outputs.double(), torch.tensor([model.codec_.labels.index(label)])).item()


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-x-input"])
def test_scores_of_a_linear_model_are_its_contributions(linear, method):
    explanations = explain(linear, TEXTS[:5], method=method, label="many")
    encoded = linear.encoder_.encode(TEXTS[:5])
    contributions = linear.model_.wide.contributions(encoded.values, Layout(encoded.lengths)).detach()
    of_many = linear.codec_.labels.index("many")
    expected = contributions[:, of_many] - contributions[:, 1 - of_many]
    np.testing.assert_allclose(np.concatenate([each.scores for each in explanations]), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "deep"])
def test_integrated_gradients_add_up_to_the_whole_difference(name, request):
    model = request.getfixturevalue(name)
    for explanation in explain(model, TEXTS[:3]):
        ids = model.encoder_.encode([explanation.sequence]).values
        label = explanation.label
        network, classes = model.model_, torch.tensor([model.codec_.labels.index(label)])
        with torch.no_grad():
            neutral = network.embed.weight[1:].mean(dim=0).expand(len(ids), -1)
            masked = log_odds(network.from_vectors(neutral, torch.tensor([len(ids)])), classes).item()
        difference = log_odds_of(model, ids, label) - masked  # without known tokens, the wide part adds nothing
        assert explanation.scores.sum() == pytest.approx(difference, abs=0.011 * max(abs(difference), 0.1))


def test_occlusion_of_a_linear_model_replaces_the_token_by_an_unknown_one(linear):
    (explanation,) = explain(linear, ["ACGTTAA"], method="occlusion", label="many")
    ids = linear.encoder_.encode(["ACGTTAA"]).values
    for at, score in enumerate(explanation.scores):
        masked = ids.clone()
        masked[at] = 0
        expected = log_odds_of(linear, ids, "many") - log_odds_of(linear, masked, "many")
        assert score == pytest.approx(expected, abs=1e-5)


def test_faithfulness_starts_at_the_models_answer(deep):
    found = measure(deep, explain(deep, TEXTS[:4]))
    np.testing.assert_allclose(found.deletion[0], deep.predict_proba(TEXTS[:4]).max(axis=1).mean(), atol=1e-6)


def test_the_ablation_of_attention_leaves_the_wide_part(deep):
    accuracy = ablate_attention(deep, TEXTS, LABELS, permutations=2).accuracy
    assert accuracy == pytest.approx(deep.score(TEXTS, LABELS))


def test_a_linear_model_has_no_attention_and_no_states(linear):
    with pytest.raises(ConfigError, match="attention"):
        explain(linear, TEXTS[:1], method="attention")
    with pytest.raises(ConfigError, match="none"):
        trace_sequence(linear, TEXTS[0])


@pytest.mark.parametrize("cell", ["none", "gru"])
def test_integrated_gradients_of_kernels_add_up_to_the_whole_difference(cell):
    series = [rng.normal(size=(length, 2)).cumsum(axis=0) for length in rng.integers(10, 30, size=40)]
    labels = ["up" if each[-1, 0] > each[0, 0] else "down" for each in series]
    sizes = {"embedding_size": 4, "hidden_size": 4, "max_epochs": 1, "validation_fraction": None}
    model = SequenceClassifier(cell=cell, wide="kernels", wide_size=200, **sizes).fit(series, labels)
    for explanation in explain(model, series[:3], label="up"):
        values = model.encoder_.encode([explanation.sequence]).values
        difference = log_odds_of(model, values, "up") - log_odds_of(model, torch.zeros_like(values), "up")
        assert explanation.scores.sum() == pytest.approx(difference, abs=0.011 * max(abs(difference), 0.1))
