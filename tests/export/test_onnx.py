"""An exported file gives the answers of our own engine, for every kind of layer and task."""

import numpy as np
import pytest
import small_models
import torch

from ostinato.config.names import CELLS
from ostinato.data.encoding import SequenceEncoding
from ostinato.errors import ConfigError, NotFittedError, RunError
from ostinato.export import certificate, to_onnx, verify, write
from ostinato.export.runner import open_session
from ostinato.nn import Cell, register_cell
from ostinato.nn.pooling import POOLINGS

EVERYTHING = {
    "num_layers": 2,
    "residual": True,
    "layer_norm": True,
    "position": "learned",
    "pooling": ["last", "mean", "max", "attention"],
}


def holds(model, path):
    found = to_onnx(model, path)
    assert found.holds
    assert max(found.differences.values()) > 0 or "tags" in found.differences  # two implementations, not one
    return found


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_exported(tmp_path, cell, bidirectional):
    assert holds(small_models.classifier(cell=cell, bidirectional=bidirectional), tmp_path / "model.onnx")
    model = small_models.classifier(cell=cell, bidirectional=bidirectional, **EVERYTHING, conv_size=4, conv_pool=3)
    assert holds(model, tmp_path / "model.onnx")


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_is_exported(tmp_path, pooling):
    assert holds(small_models.classifier(pooling=pooling, bidirectional=True), tmp_path / "model.onnx")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_convolutions_and_waves_are_exported(tmp_path, bidirectional):
    options = {"cell": "cnn", "pooling": ["max", "attention"], "position": "sinusoidal", "num_layers": 2}
    assert holds(small_models.classifier(bidirectional=bidirectional, **options), tmp_path / "model.onnx")


def test_relu_rnn_and_series_with_a_large_mean_are_exported(tmp_path):
    model = small_models.regressor(cell="rnn", nonlinearity="relu", targets=2, loss="quantile")
    assert set(holds(model, tmp_path / "model.onnx").differences) == {"logits", "predictions"}


def test_multilabel_probabilities_are_exported(tmp_path):
    assert holds(small_models.multilabel(), tmp_path / "model.onnx")


@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("character_cell", [None, "lstm", "cnn"])
def test_taggers_are_exported(tmp_path, head, character_cell):
    options = {"head": head, "constrained": head == "crf", "character_cell": character_cell}
    shape = {} if character_cell is None else {"word_shape_size": 3}
    model = small_models.tagger(bidirectional=True, **options, **shape)
    if head == "crf":  # transitions as if trained, so that the best path is not that of the emissions
        for weight in (model.model_.crf.start, model.model_.crf.transitions, model.model_.crf.end):
            torch.nn.init.normal_(weight, std=2)
    assert holds(model, tmp_path / "model.onnx").differences["tags"] == 0


def test_every_value_in_a_loop_says_that_it_is_a_matrix():
    """OpenVINO refuses to guess."""
    model = small_models.tagger(cell="lnlstm", bidirectional=True).fitted_
    loops = [node for node in model.task.onnx(model).graph.nodes if node.op_type == "Scan"]
    assert len(loops) == 6  # a layer in two directions, Viterbi and marginals
    for body in (attribute.g for node in loops for attribute in node.attribute if attribute.name == "body"):
        for value in (*body.input, *body.output):
            assert len(value.type.tensor_type.shape.dim) == 2


def test_calibration_is_exported(tmp_path):
    model = small_models.classifier()
    model.model_.temperature.fill_(3.0)
    assert holds(model, tmp_path / "model.onnx")


def test_attention_of_pooled_steps_is_shared_among_their_tokens(tmp_path):
    model = small_models.classifier(pooling="attention", conv_size=4, conv_pool=3, bidirectional=True)
    to_onnx(model, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    tokens, lengths = np.ones((2, 7), np.int64), np.array([7, 4])
    (weights,) = session.run(["attention"], {"tokens": tokens, "lengths": lengths})
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights[0, :3], weights[0, 0], rtol=1e-6)  # three tokens share a step
    assert (weights[1, 4:] == 0).all()


def test_padding_does_not_matter(tmp_path):
    model = small_models.classifier(cell="mingru", bidirectional=True, pooling=["last", "mean", "max", "attention"])
    to_onnx(model, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    tokens, lengths = np.array([[1, 2, 3]]), np.array([3])
    (alone,) = session.run(["logits"], {"tokens": tokens, "lengths": lengths})
    padded = np.concatenate([tokens, np.array([[4, 1]])], axis=1)
    (found,) = session.run(["logits"], {"tokens": padded, "lengths": lengths})
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-7)


def test_a_wrong_graph_is_refused_and_leaves_no_file(tmp_path, monkeypatch):
    original = write.serialize

    def wrong(exported, facts, opset):
        for node in exported.graph.nodes:  # the mistake of other exporters
            for attribute in node.attribute:
                if attribute.name == "linear_before_reset":
                    attribute.i = 0
        return original(exported, facts, opset)

    monkeypatch.setattr(write, "serialize", wrong)
    with pytest.raises(RunError, match="differ"):
        to_onnx(small_models.classifier(cell="gru"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_verify_compares_a_file_with_its_model(tmp_path):
    model = small_models.classifier()
    to_onnx(model, tmp_path / "model.onnx")
    assert verify(tmp_path / "model.onnx", model).holds
    model.model_.head.weight.data += 0.1
    assert not verify(tmp_path / "model.onnx", model).holds


def test_verify_refuses_a_file_of_another_model(tmp_path):
    to_onnx(small_models.classifier(), tmp_path / "model.onnx")
    with pytest.raises(RunError, match="task"):
        verify(tmp_path / "model.onnx", small_models.multilabel())
    with pytest.raises(RunError, match="encoder|config"):
        verify(tmp_path / "model.onnx", small_models.classifier(small_models.TEXTS))


def test_the_certificate_names_what_was_compared(tmp_path):
    model = small_models.classifier()
    found = to_onnx(model, tmp_path / "model.onnx")
    longest: SequenceEncoding = model.encoder_.longest
    assert found.lengths == (0, 2 * longest + 3)
    assert found.runtime.startswith("onnxruntime ")
    assert f"{found.tolerance:.0e}" in " ".join(found.lines())


def test_differences_are_relative_to_the_norm_and_ignore_padding():
    ours = np.array([[3.0, 4.0], [np.nan, np.nan]])
    theirs = np.array([[3.0, 4.5], [7.0, -7.0]])
    assert certificate._difference(theirs, ours, unit=1.0) == pytest.approx(0.1)  # 0.5 of 5
    assert certificate._difference(theirs, ours, unit=10.0) == pytest.approx(0.5 / (10 * 2**0.5))
    assert certificate._difference(theirs[:1], ours, unit=1.0) > 1
    assert certificate._difference(np.full((2, 2), np.nan), ours, unit=1.0) > 1


@pytest.mark.parametrize("opset", [17, 1000])
def test_an_unknown_opset_is_refused(tmp_path, opset):
    with pytest.raises(ConfigError, match=str(opset)):
        to_onnx(small_models.classifier(), tmp_path / "model.onnx", opset=opset)


def test_a_cell_of_the_user_is_refused(tmp_path):
    def step(x, state, weights):
        return (torch.tanh(x @ weights.weight_ih.T + state[0] @ weights.weight_hh.T),)

    register_cell("mine-for-export", Cell("mine-for-export", gates=1, states=1, step=step))
    with pytest.raises(ConfigError, match="mine-for-export"):
        to_onnx(small_models.classifier(cell="mine-for-export"), tmp_path / "model.onnx")


def test_an_unfitted_estimator_is_refused(tmp_path):
    from ostinato import SequenceClassifier

    with pytest.raises(NotFittedError):
        to_onnx(SequenceClassifier(), tmp_path / "model.onnx")


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(RunError, match="nowhere"):
        to_onnx(small_models.classifier(), tmp_path / "nowhere" / "model.onnx")
