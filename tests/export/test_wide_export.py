"""An exported wide model gives the answers of our own engine."""

import numpy as np
import onnx
import pytest
import small_models
import torch

from ostinato import SequenceRegressor
from ostinato.errors import ConfigError, RunError
from ostinato.export import Runner, to_onnx
from ostinato.export.runner import open_session
from ostinato.export.serialize import serialize
from ostinato.nn.onnx.graph import OPSET, Graph, Steps
from ostinato.nn.onnx.wide_kernels import wide_kernels
from ostinato.nn.wide_kernels import WideKernels
from ostinato.tasks.onnx import OnnxModel, Port

rng = np.random.default_rng(1)
WINDOWS = ["".join(rng.choice(list("ACGT"), 12)) for _ in range(40)]
LETTERS = ["".join(rng.choice(list("abc"), size)) for size in rng.integers(1, 15, 40)]
EVENTS = [list(each) for each in LETTERS]
MANY_WORDS = [" ".join(f"w{number}" for number in rng.integers(3000, size=size)) for size in range(10, 50)]


def with_random_weights(model):
    """Weights of any n-gram, so that each counts."""
    torch.nn.init.normal_(model.model_.wide.weight)
    return model


def classifier(X, **options):
    return with_random_weights(small_models.classifier(X, **{"cell": "none", "wide": "ngrams", **options}))


def exported(model, path):
    found = to_onnx(model, path)
    assert found.holds
    return Runner(path)


def assert_same(model, runner, X):
    np.testing.assert_allclose(runner.predict_proba(X), model.predict_proba(X), rtol=1e-5, atol=1e-6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.filterwarnings("ignore:Only out-of-vocabulary tokens")
@pytest.mark.parametrize("cell", ["none", "gru"])
@pytest.mark.parametrize(
    ("X", "tokenizer", "new"),
    [
        (small_models.TEXTS, "words", ["great unseen film", "unseen", "film film film great"]),
        (LETTERS, "characters", ["abzabcab", "a", "zz", "cbacba" * 9]),
        (EVENTS, "events", [["a", "new", "b", "c"], ["new"], ["c", "c"]]),
        (small_models.DNA, "kmers(2)", ["ACGTNACGT", "AC"]),
    ],
)
def test_every_kind_of_token_is_exported(path, cell, X, tokenizer, new):
    model = classifier(X, cell=cell, tokenizer=tokenizer)
    assert_same(model, exported(model, path), [*X, *new])


@pytest.mark.filterwarnings("ignore:Only out-of-vocabulary tokens")
@pytest.mark.parametrize("options", [{"wide_letters": 3}, {"wide_ends": True}, {"wide_letters": 4, "wide_ends": True}])
@pytest.mark.parametrize("cell", ["none", "gru"])
def test_parts_of_words_and_ends_are_exported(path, options, cell):
    model = classifier(small_models.TEXTS, cell=cell, tokenizer="words", **options)
    new = ["great unseen film", "unseen", "film", "film film film great", "great unseen"]
    assert_same(model, exported(model, path), [*small_models.TEXTS, *new])


@pytest.mark.parametrize("order", [1, 2, 5])
def test_ends_of_letters_are_exported(path, order):
    model = classifier(LETTERS, tokenizer="characters", wide_order=order, wide_ends=True)
    assert_same(model, exported(model, path), [*LETTERS, "a", "ab"])


@pytest.mark.parametrize("order", [1, 2, 5])
def test_every_order_is_exported(path, order):
    model = classifier(LETTERS, tokenizer="characters", wide_order=order)
    assert_same(model, exported(model, path), LETTERS)


@pytest.mark.parametrize("order", [1, 3])
def test_ngrams_at_a_position_are_exported(path, order):
    model = classifier(WINDOWS, tokenizer="nucleotides", wide_order=order)
    assert model.model_.wide.is_aligned.any()
    assert_same(model, exported(model, path), [*WINDOWS, WINDOWS[0][1:], "A", "ACGTN" * 5])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_every_number_of_features_is_exported(path, size):
    model = classifier(LETTERS, tokenizer="characters", wide_size=size)
    assert len(model.model_.wide.keys) == size
    assert_same(model, exported(model, path), LETTERS)


@pytest.mark.parametrize("cell", ["none", "gru"])
def test_a_wide_part_without_features_is_exported(path, cell):
    model = small_models.classifier(cell=cell, wide="ngrams")
    model.model_.wide.resize(0, 0)
    assert_same(model, exported(model, path), small_models.DNA)


@pytest.mark.parametrize("cell", ["none", "gru"])
def test_label_sets_are_exported(path, cell):
    model = with_random_weights(small_models.multilabel(cell=cell, wide="ngrams"))
    assert_same(model, exported(model, path), small_models.TEXTS)


@pytest.mark.parametrize("loss", ["squared", "quantile"])
def test_numbers_are_exported(path, loss):
    options = {**small_models.TINY, "cell": "none", "wide": "ngrams", "tokenizer": "characters"}
    y = np.array([[each.count("a"), 100 * len(each)] for each in LETTERS])
    model = SequenceRegressor(**options, loss=loss).fit(LETTERS, y)
    np.testing.assert_allclose(exported(model, path).predict(LETTERS), model.predict(LETTERS), rtol=1e-5, atol=1e-5)


def test_calibration_and_attention_are_exported(path):
    model = classifier(LETTERS, cell="gru", tokenizer="characters", pooling="attention")
    model.model_.temperature.fill_(3.0)
    assert_same(model, exported(model, path), LETTERS)
    tokens, lengths = np.ones((2, 7), np.int64), np.array([7, 4])
    (weights,) = open_session(path).run(["attention"], {"tokens": tokens, "lengths": lengths})
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_neither_padding_nor_batch_mates_change_a_bit(path):
    model = classifier(LETTERS, tokenizer="characters")
    exported(model, path)
    session = open_session(path)
    tokens, lengths = rng.integers(0, 4, (6, 20)), np.array([20, 3, 0, 1, 11, 20])
    (together,) = session.run(["logits"], {"tokens": tokens, "lengths": lengths})
    for row, length in enumerate(lengths):
        own = tokens[row : row + 1, : max(length, 1)]
        (alone,) = session.run(["logits"], {"tokens": own, "lengths": lengths[row : row + 1]})
        np.testing.assert_array_equal(together[row : row + 1], alone)


def test_the_certificate_compares_ngrams_of_a_large_vocabulary(path, monkeypatch):
    """Random words of a large vocabulary almost never make a known pair."""
    model = classifier(MANY_WORDS)
    monkeypatch.setattr("ostinato.nn.onnx.wide.FACTOR", 5)
    with pytest.raises(RunError, match="differ"):
        to_onnx(model, path)


def test_the_file_holds_each_feature_once(path):
    model = classifier(MANY_WORDS)
    exported(model, path)
    size, outputs = model.model_.wide.weight.shape
    constants = {each.name: each for each in onnx.load(path).graph.initializer}
    large = sorted(len(each.raw_data) for each in constants.values() if len(each.raw_data) >= size)
    assert large == sorted([8 * size, 4 * size, 4 * size * outputs])  # keys, idf, weights


def test_int8_leaves_keys_and_idf_as_they_are(path):
    X, y = MANY_WORDS, [("even", "odd", "third")[number % 3] for number in range(40)]
    model = classifier(X)
    found = to_onnx(model, path, quantize="int8", validation=(X, y), tolerance=100).quantization
    assert found.agreement > 0.9
    wide, arrays = model.model_.wide, [onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer]
    for kept in (wide.keys, wide.idf):
        assert any(np.array_equal(kept.numpy(), each) for each in arrays)
    (int8,) = (each for each in arrays if each.dtype == np.int8)
    assert int8.shape == wide.weight.shape
    np.testing.assert_array_equal(np.abs(int8).max(axis=0), 127)  # a scale per output


def features_in_onnx(module, values, lengths):
    """Standardized features of padded series (B, T, channels), as ONNX Runtime computes them. (B, F)."""
    module.weight = torch.nn.Parameter(torch.eye(len(module.mean)), requires_grad=False)
    graph = Graph()
    steps = Steps(graph, graph.size("values", 1), "lengths")
    logits = Port("float32", ("batch", len(module.mean)), wide_kernels(graph, module, "values", steps))
    inputs = {"values": Port("float32", ("batch", "length", values.shape[2])), "lengths": Port("int64", ("batch",))}
    content = serialize(OnnxModel(graph, inputs, {"logits": logits}, {}, 0, None, None, None), {}, OPSET)
    (found,) = open_session(content).run(["logits"], {"values": values, "lengths": lengths})
    return found


@pytest.mark.parametrize("channels", [1, 3, 12])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_shares_of_kernels_have_the_bits_of_our_engine(channels, scale):
    """Many convolutions of small integers are equal to a bias, and of their tenths nearly equal."""
    lengths = np.array([40, 3, 25, 9, 60, 1, 17])
    values = (rng.integers(-2, 3, (len(lengths), 60, channels)) * scale).astype(np.float32)  # padding is not 0
    flat = torch.from_numpy(values[np.arange(60) < lengths[:, None]])
    module = WideKernels(1, channels=channels)
    ours = module.fit(flat, torch.from_numpy(lengths), most=84 * 6, seed=0).numpy()
    found, shares = features_in_onnx(module, values, lengths), len(module.biases)
    np.testing.assert_array_equal(found[:, :shares], ours[:, :shares])
    np.testing.assert_allclose(found[:, shares:], ours[:, shares:], atol=1e-6)


@pytest.mark.parametrize("scale", ["channel", "series"])
@pytest.mark.parametrize("cell", ["none", "gru"])
def test_kernels_are_exported(path, cell, scale):
    options = {"cell": cell, "wide": "kernels", "wide_size": 840, "scale": scale}
    model = small_models.classifier(small_models.SERIES, **options)
    X = [*small_models.SERIES, small_models.SERIES[0][:1], np.tile(small_models.SERIES[1], (9, 1))]
    assert_same(model, exported(model, path), X)


def test_numbers_from_kernels_are_exported(path):
    model = small_models.regressor(targets=2, cell="none", wide="kernels", wide_size=840)
    X = small_models.SERIES
    np.testing.assert_allclose(exported(model, path).predict(X), model.predict(X), rtol=1e-5)


def test_kernels_are_quantized(path):
    X, y = small_models.SERIES, [("even", "odd", "third")[number % 3] for number in range(40)]
    model = small_models.classifier(X, cell="none", wide="kernels")
    found = to_onnx(model, path, quantize="int8", validation=(X, y), tolerance=100).quantization
    assert found.agreement > 0.8
    arrays = [onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer]
    assert [each.shape for each in arrays if each.dtype == np.int8] == [tuple(model.model_.wide.weight.shape)]


def test_states_are_refused(path):
    with pytest.raises(ConfigError, match="ngrams"):
        to_onnx(classifier(LETTERS, cell="gru", tokenizer="characters"), path, stateful=True)
