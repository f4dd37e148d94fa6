"""A file with states reads sequences in pieces, and gives the answers to the whole."""

import json
import subprocess
import sys

import numpy as np
import pytest
import small_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato.config.names import CELLS
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.export import Runner, to_onnx, verify
from ostinato.tasks.portable import NEXT

pytestmark = pytest.mark.filterwarnings("ignore:.*out-of-vocabulary")

POOLINGS = ["last", "mean", "max", "attention"]
EVERYTHING = {"num_layers": 2, "residual": True, "layer_norm": True, "position": "learned", "pooling": POOLINGS}
TEXT = "a great<br />film été 語 number 7, dull"


def exported(model, path):
    certificate = to_onnx(model, path, stateful=True)
    assert certificate.holds
    assert max(certificate.differences.values()) > 0  # two implementations, not one
    return Runner(path), certificate


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_exported_and_its_states_are_certified(tmp_path, cell):
    conv = {"conv_size": 4, "kernel_size": 1 if cell == "gru" else 3}
    options = {"pooling": POOLINGS[1:]} if cell == "cnn" else conv
    _, certificate = exported(small_models.classifier(cell=cell, **{**EVERYTHING, **options}), tmp_path / "model.onnx")
    states = [name for name in certificate.differences if name.startswith(NEXT)]
    assert {"next_state_steps", "next_state_pooled_mean", "next_state_pooled_attention"} <= set(states)
    assert any(name.startswith("next_state_1_") for name in states)


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    model = small_models.classifier(small_models.TEXTS, cell="gru", tokenizer="words", max_length=9, **EVERYTHING)
    path = tmp_path_factory.mktemp("stateful") / "model.onnx"
    to_onnx(model, path, stateful=True)
    return model, Runner(path)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(cuts=st.lists(st.integers(0, len(TEXT.encode())), max_size=6).map(sorted))
def test_a_text_in_pieces_is_answered_as_by_the_model(text_model, cuts):
    model, runner = text_model
    ours, theirs, data = model.stream(), runner.stream(), TEXT.encode()
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        expected, found = ours.push(data[begin:end]), theirs.push(data[begin:end])
        np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-4, atol=1e-6)
        assert (found.steps, found.label) == (expected.steps, expected.label)
        assert theirs.decided(0.4) == ours.decided(0.4)
    np.testing.assert_allclose(theirs.finish().probabilities, model.predict_proba([TEXT])[0], rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match="finished"):
        theirs.push("more")


def test_nothing_read_is_answered_as_by_the_model(text_model):
    model, runner = text_model
    expected, found = model.stream().push(""), runner.stream().push("")
    assert found.steps == expected.steps == 0
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "lnlstm", "slstm", "minlstm", "rglru", "lru", "cnn"])
def test_a_batch_of_pieces_of_any_length_gives_the_answers_to_the_whole(tmp_path, cell):
    options = {"pooling": POOLINGS[1:]} if cell == "cnn" else {}
    model = small_models.classifier(cell=cell, **{**EVERYTHING, **options})
    runner, _ = exported(model, tmp_path / "model.onnx")
    whole = [each for each in small_models.DNA if len(each) > 8][:4]
    cuts = [(1, 2), (0, 5), (3, 3), (8, 8)]
    pieces = [[text[:begin], text[begin:end], text[end:]] for text, (begin, end) in zip(whole, cuts, strict=True)]
    states = runner.first_states(4)
    for piece in zip(*pieces, strict=True):
        longest = max(map(len, piece))
        ids = [["<ACGT".index(letter) for letter in text.ljust(longest, "C")] for text in piece]  # C: padding
        inputs = {"tokens": np.array(ids), "lengths": np.array([len(text) for text in piece]), **states}
        names = ["probabilities", *(NEXT + name for name in states)]
        probabilities, *after = runner.session.run(names, inputs)
        states = dict(zip(states, after, strict=True))
    np.testing.assert_allclose(probabilities, model.predict_proba(whole), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(runner.predict_proba(whole), model.predict_proba(whole), rtol=1e-4, atol=1e-6)


def test_series_numbers_and_label_sets_stream(tmp_path):
    model = small_models.regressor(targets=2, cell="mingru")
    runner, _ = exported(model, tmp_path / "model.onnx")
    stream, series = runner.stream(), small_models.SERIES[0]
    stream.push(series[:1])
    np.testing.assert_allclose(stream.push(series[1:]).prediction, model.predict([series])[0], rtol=1e-4)
    with pytest.raises(ConfigError, match="numbers"):
        stream.decided(0.9)
    with pytest.raises(DataError, match="channels"):
        stream.push([[1.0]])
    model = small_models.multilabel()
    runner, _ = exported(model, tmp_path / "model.onnx")
    assert runner.stream().push("great film").label == model.stream().push("great film").label


def test_what_cannot_be_exported_with_states_is_refused_and_leaves_no_file(tmp_path):
    path = tmp_path / "model.onnx"
    models = {
        "bidirectional = false": small_models.classifier(bidirectional=True),
        "conv_pool": small_models.classifier(conv_size=3, conv_pool=2),
        "tail": small_models.classifier(max_length=4, truncate="tail"),
        "tagging": small_models.tagger(bidirectional=False, head="softmax"),
    }
    for named, model in models.items():
        with pytest.raises(ConfigError, match=named):
            to_onnx(model, path, stateful=True)
    assert not list(tmp_path.iterdir())


def test_a_file_without_states_has_no_stream(tmp_path):
    to_onnx(small_models.classifier(), tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match="--stateful"):
        Runner(tmp_path / "model.onnx").stream()


@pytest.mark.parametrize(
    "states", [7, {"state_0_h": {}}, {"state_0_h": {"shape": "x", "first": 0, "dtype": "float32"}}]
)
def test_damaged_states_are_refused(text_model, states, monkeypatch):
    _, runner = text_model
    monkeypatch.setitem(runner.facts["answer"], "states", states)
    with pytest.raises(RunError, match="states"):
        runner.stream()


def test_a_file_with_states_is_verified(text_model, tmp_path):
    model, _ = text_model
    path = tmp_path / "model.onnx"
    to_onnx(model, path, stateful=True)
    assert "next_state_0_h" in verify(path, model).differences
    with pytest.raises(RunError, match="another model"):
        verify(path, small_models.classifier())


WITHOUT_TORCH = """
import json, sys

sys.modules["torch"] = None
from ostinato.export import Runner

stream = Runner(sys.argv[1]).stream()
for piece in json.loads(sys.argv[2]):
    answer = stream.push(piece)
print(json.dumps([answer.steps, answer.probabilities.tolist()]))
"""


def test_a_stream_needs_no_torch(text_model, tmp_path):
    model, _ = text_model
    to_onnx(model, tmp_path / "model.onnx", stateful=True)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "model.onnx"), json.dumps(["a gr", "eat film"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    steps, probabilities = json.loads(done.stdout)
    assert steps == 3
    np.testing.assert_allclose(probabilities, model.predict_proba(["a great film"])[0], rtol=1e-4, atol=1e-6)
