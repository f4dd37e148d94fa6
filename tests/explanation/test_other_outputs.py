"""Networks with other outputs than classes: a predicted number, and several labels a sequence."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.explanation import ablate_attention, explain_sequences, measure, trace_sequence
from ostinato.explanation.faithfulness import SequenceMasking
from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.nn import SequenceNetwork

WEIGHTS = {"A": 2.0, "C": -1.0, "G": 0.5, "T": 0.0}
NEUTRAL = (2.0 - 1.0 + 0.5 + 0.0) / 5  # the mean of A, C, G, T and N, whose weight is 0


class Prices(SequenceNetwork):
    """One number: 10 · output + 3."""

    quantity = "prediction"

    def explained(self, outputs, targets):
        return self.answers(outputs).gather(1, targets.unsqueeze(1)).squeeze(1)

    def chosen(self, outputs):
        return torch.zeros(len(outputs), dtype=torch.int64)

    def answers(self, outputs):
        return 10 * outputs + 3


class Labels(SequenceNetwork):
    """Independent labels, each by the sigmoid of its output."""

    def explained(self, outputs, targets):
        return outputs.gather(1, targets.unsqueeze(1)).squeeze(1)

    def chosen(self, outputs):
        return outputs.argmax(dim=1)

    def answers(self, outputs):
        return torch.sigmoid(outputs)


@pytest.fixture
def make_model(make_linear):
    """A function that makes a model whose outputs are `factors` times the mean of the tokens' weights."""

    def make(network_type, names, factors, **arguments):
        given = make_linear(**arguments).fitted_
        parts = {name: getattr(given.network, name) for name in ("embed", "position", "conv_stem", "stack", "pooling")}
        network = network_type(**parts, num_outputs=len(names), dropout=0.0)
        with torch.no_grad():
            network.head.weight.copy_(torch.tensor(factors).unsqueeze(1))
            network.head.bias.copy_(-100 * torch.tensor(factors))  # states are 100 + weight
        codec = SimpleNamespace(names=names, encode=lambda labels, sources: torch.zeros(len(labels), len(names)))
        task = SimpleNamespace(masking=SequenceMasking)
        return SimpleNamespace(network=network.eval(), encoder=given.encoder, codec=codec, task=task)

    return make


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-x-input", "occlusion"])
def test_a_prediction_is_explained_in_its_own_units(make_model, method):
    (found,) = explain_sequences(make_model(Prices, ["price"], [1.0]), ["ACGTA"], method=method)
    np.testing.assert_allclose(found.scores, [10 * (WEIGHTS[letter] - NEUTRAL) / 5 for letter in "ACGTA"], atol=2e-4)
    assert found.label == "price" and found.value == pytest.approx(10 * 3.5 / 5 + 3, abs=1e-4)
    assert found.to_json()["prediction"] == pytest.approx(found.value, rel=1e-6) and found.unit == "prediction"
    assert "10" in found._repr_html_()
    assert plot_explanation(found).axes[0].get_ylabel() == "prediction"
    with pytest.raises(AttributeError, match="prediction"):
        _ = found.probability


def test_the_faithfulness_of_a_prediction_is_in_its_units(make_model):
    model = make_model(Prices, ["price"], [1.0])
    found = measure(model, explain_sequences(model, ["ACGTAC", "AACC"], method="occlusion"))
    assert found.deletion[[0, -1]] == pytest.approx([10 * (2.5 / 6 + 0.5) / 2 + 3, 10 * NEUTRAL + 3], abs=1e-3)
    assert found.quantity == "prediction" and "probability" not in found.sentence + found.masking(0)


def test_a_prediction_is_traced(make_model):
    found = trace_sequence(make_model(Prices, ["price"], [1.0]), "ACG")
    np.testing.assert_allclose(found.running[:, 0], [10 * mean + 3 for mean in (2, 1 / 2, 1.5 / 3)], atol=1e-3)
    assert found.decided is None


def test_each_of_several_labels_can_be_explained(make_model):
    model = make_model(Labels, ["rich", "poor"], [1.0, -3.0])
    (most_probable,) = explain_sequences(model, ["AAG"], method="occlusion")
    (other,) = explain_sequences(model, ["AAG"], method="occlusion", label="poor")
    assert most_probable.label == "rich" and most_probable.value == pytest.approx(1 / (1 + np.exp(-1.5)), abs=1e-4)
    np.testing.assert_allclose(other.scores, -3 * most_probable.scores, atol=1e-4)
    assert other.probability == pytest.approx(1 / (1 + np.exp(4.5)), abs=1e-4)


def test_attention_is_only_ablated_for_one_label_per_sequence(make_model):
    model = make_model(Labels, ["rich", "poor"], [1.0, -3.0], pooling="attention")
    with pytest.raises(ConfigError, match="one label per sequence"):
        ablate_attention(model, ["AAG"], [["rich"]])
