"""Explanations of models with convolutions: weights of pooled steps are shared among their tokens."""

import numpy as np
import pytest
import torch
from plain import PLAIN

from ostinato import SequenceClassifier, explain, trace
from ostinato.errors import ConfigError
from ostinato.explanation import ablate_attention, methods_of
from ostinato.nn import Layout

TEXTS = ["ACGTTGCA", "A", "AAATC"]
SHAPES = {
    "cnn": {"cell": "cnn", "kernel_size": 3, "num_layers": 2, "pooling": ["attention", "max"]},
    "pooled": {
        "cell": "gru",
        "conv_size": 6,
        "kernel_size": 3,
        "conv_pool": 3,
        "bidirectional": True,
        "pooling": "attention",
    },
    "unpooled": {"cell": "gru", "conv_size": 6, "kernel_size": 3, "pooling": "attention"},
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGT"), size=size)) for size in rng.integers(5, 30, size=80)]
    return texts, ["many" if text.count("A") * 4 > len(text) else "few" for text in texts]


@pytest.fixture(scope="module")
def models(rows):
    sizes = {
        "embedding_size": 4,
        "hidden_size": 5,
        "tokenizer": "nucleotides",
        "max_epochs": 5,
        "lr": 0.02,
        "validation_fraction": None,
    }
    return {name: SequenceClassifier(**{**PLAIN, **sizes, **shape}).fit(*rows) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_method_scores_every_token_whatever_the_batch(models, shape):
    model = models[shape]
    for method in methods_of(model):
        together = explain(model, TEXTS, method=method)
        for text, one in zip(TEXTS, together, strict=True):
            assert len(one.scores) == len(text)
            np.testing.assert_allclose(one.scores, explain(model, [text], method=method)[0].scores, atol=1e-4)
            assert one.gap is None or one.gap < 0.01


def test_attention_on_pooled_steps_is_shared_among_their_tokens(models):
    model = models["pooled"].model_
    encoded = models["pooled"].encoder_.encode(TEXTS)
    with torch.no_grad():
        h, steps = model.states(encoded.values, Layout(encoded.lengths))
        weights = model.pooling.poolings["attention"].weights(h, steps).tolist()
    by_hand = (
        [weights[0] / 3] * 3
        + [weights[1] / 3] * 3
        + [weights[2] / 2] * 2
        + [weights[3]]
        + [weights[4] / 3] * 3
        + [weights[5] / 2] * 2
    )
    explanations = explain(models["pooled"], TEXTS, method="attention")
    np.testing.assert_allclose(np.concatenate([each.scores for each in explanations]), by_hand, rtol=1e-5)
    assert [each.scores.sum() for each in explanations] == pytest.approx([1, 1, 1])
    assert np.ptp(weights[:3]) > 0.01  # else any order would pass


@pytest.mark.parametrize("shape", SHAPES)
def test_attention_is_ablated_step_by_step(models, rows, shape):
    found = ablate_attention(models[shape], *rows, permutations=3)
    assert found.accuracy == models[shape].score(*rows)
    assert found.permuted.distance > 1e-4 and found.uniform.distance > 1e-4


def test_what_has_no_state_at_each_token_is_not_traced(models):
    with pytest.raises(ConfigError, match="cell cnn reads windows"):
        trace(models["cnn"], "ACGT")
    with pytest.raises(ConfigError, match="conv_pool 3 makes one step of 3 tokens"):
        trace(models["pooled"], "ACGT")


def test_a_conv_stem_without_pooling_is_traced(models):
    model, text = models["unpooled"].model_, TEXTS[0]
    found = trace(models["unpooled"], text)
    with torch.no_grad():
        encoded = models["unpooled"].encoder_.encode([text])
        layout = Layout(encoded.lengths)
        expected = model.stack(model.conv_stem.convolution(model.embed(encoded.values), layout), layout).numpy()
    (layer,) = found.layers
    np.testing.assert_allclose(layer.hidden, expected, atol=1e-5)
    np.testing.assert_allclose(
        found.running, models["unpooled"].predict_proba([text[: step + 1] for step in range(len(text))]), atol=1e-6
    )
