"""Streams against `predict` and `predict_proba` for the text so far."""

import copy
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import PLAIN

import ostinato
from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor
from ostinato.errors import ConfigError, DataError, NotFittedError, RunError
from ostinato.nn import kernel

needs_kernel = pytest.mark.skipif(not kernel.is_built(), reason="the kernel was not compiled")
TINY = {
    **PLAIN,
    "embedding_size": 3,
    "hidden_size": 5,
    "max_epochs": 2,
    "lr": 0.1,
    "validation_fraction": None,
    "device": "cpu",
}
TEXTS = ["red green<br />blue", "blue Weiß!", "red, red", "blue — blue", "çà et là", "語 語"] * 2
LABELS = ["a", "b", "a", "b", "c", "c"] * 2
ALL = ["last", "mean", "max", "attention"]
PIECES = st.lists(st.sampled_from([*TEXTS, " ", "red", "<br", " />", "bl", "ue", "!"]), min_size=1, max_size=4)


def text_model(cell="lstm", tokenizer="words", **arguments):
    arguments = {**TINY, "pooling": ALL, "cell": cell, "tokenizer": tokenizer, **arguments}
    return SequenceClassifier(**arguments).fit(TEXTS, LABELS)


def cut(whole, cuts):
    ends = sorted({min(each, len(whole)) for each in cuts})
    return [whole[begin:end] for begin, end in zip([0, *ends], [*ends, len(whole)], strict=True)]


@pytest.fixture(scope="module", params=["lstm words", "gru characters", "minlstm kmers(3)", "cnn words", "rnn events"])
def model(request):
    cell, tokenizer = request.param.split()
    pooling = ["max", "attention"] if cell == "cnn" else ALL
    return text_model(cell, tokenizer, pooling=pooling, position="learned", max_length=12)


@needs_kernel
@settings(max_examples=25, deadline=None)
@given(parts=PIECES, cuts=st.lists(st.integers(0, 60), max_size=8))
def test_every_answer_has_the_bits_of_the_whole_text_so_far(model, parts, cuts):
    stream, read = model.stream(), b""
    for piece in cut("".join(parts).encode(), cuts):
        answer = stream.push(piece)
        read += piece
        so_far = read.decode(errors="ignore")
        if answer.steps:
            assert answer.probabilities.tolist() == quiet_proba(model, so_far).tolist()
            assert answer.label == model.classes_[answer.probabilities.argmax()]
    assert stream.finish().probabilities.tolist() == answer.probabilities.tolist()


def quiet_proba(model, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.predict_proba([text])[0]


@needs_kernel
def test_a_state_as_json_continues_to_the_last_bit(model):
    data = "red çà<br />là blue, red green".encode()
    whole = model.stream().push(data)
    for at in range(len(data) + 1):
        first = model.stream()
        first.push(data[:at])
        state = json.loads(json.dumps(first.state()))
        second, third = model.stream(state), model.stream()
        third.restore(state)
        assert second.answer.probabilities.tolist() == first.answer.probabilities.tolist()
        for stream in (second, third):
            assert stream.push(data[at:]).probabilities.tolist() == whole.probabilities.tolist()


def test_the_state_does_not_grow():
    stream = text_model().stream()
    sizes = set()
    for _ in range(30):
        stream.push("red green blue " * 20)
        sizes.add(len(json.dumps(stream.state() | {"steps": 0})))
    assert len(sizes) == 1


@needs_kernel
def test_predicted_numbers_stream():
    model = SequenceRegressor(**{**TINY, "pooling": ALL}).fit(TEXTS, np.arange(12.0))
    stream = model.stream()
    stream.push("re")
    for end in range(3, len(TEXTS[0])):
        answer = stream.push(TEXTS[0][end - 1])
        assert answer.prediction == model.predict([TEXTS[0][:end]])[0]
    with pytest.raises(ConfigError, match="numbers"):
        stream.decided(0.9)
    several = SequenceRegressor(**TINY).fit(TEXTS, np.arange(24.0).reshape(12, 2))
    assert several.stream().push("red").prediction.tolist() == several.predict(["red"])[0].tolist()


@needs_kernel
def test_label_sets_stream():
    sets = [["warm"], [], ["warm"], [], ["french", "warm"], []] * 2
    model = SequenceMultilabelClassifier(**TINY).fit(TEXTS, sets)
    answer = model.stream().push("red çà")
    assert answer.probabilities.tolist() == model.predict_proba(["red çà"])[0].tolist()
    assert answer.label == model.predict(["red çà"])[0]
    # the answer is as certain as its least certain label
    assert answer.confidence == min(max(each, 1 - each) for each in answer.probabilities)


@needs_kernel
def test_series_stream():
    series = [[[1.0, 2.0], [3.0, 1.0], [0.5, 0.5]], [[9.0, 8.0], [7.0, 7.5]]] * 4
    model = SequenceClassifier(**{**TINY, "cell": "mingru"}).fit(series, ["low", "high"] * 4)
    stream, steps = model.stream(), np.array(series[0])
    for end in range(1, 4):
        answer = stream.push(steps[end - 1 : end])
        assert answer.probabilities.tolist() == model.predict_proba([steps[:end]])[0].tolist()
    assert stream.push([]).steps == 3
    with pytest.raises(DataError, match="channels"):
        stream.push([[1.0]])


def test_nothing_read_is_answered_and_never_decided():
    stream = text_model().stream()
    answer = stream.push("")
    assert answer.steps == 0 and answer.probabilities.sum() == pytest.approx(1)
    assert not stream.decided(1e-6)


def test_decided_compares_the_probability_of_the_answer_so_far():
    stream = text_model().stream()
    probability = float(stream.push("red").probabilities.max())
    assert stream.decided(probability) and not stream.decided(min(probability + 1e-6, 1.0))
    for threshold in (0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match=str(threshold)):
            stream.decided(threshold)


def test_tokens_beyond_the_limit_are_ignored_as_in_predict():
    model = text_model(max_length=2)
    stream = model.stream()
    answer = stream.push("red green")
    assert stream.push(" blue blue").probabilities.tolist() == answer.probabilities.tolist()
    assert stream.answer.steps == 2


@pytest.mark.parametrize("arguments", [{}, {"cell": "cnn", "pooling": "max"}, {"conv_size": 3}])
def test_a_model_of_both_directions_is_refused(arguments):
    with pytest.raises(ConfigError, match="bidirectional = false"):
        text_model(bidirectional=True, **arguments).stream()


@pytest.mark.parametrize("truncate", ["tail", "both"])
def test_a_model_of_the_last_tokens_is_refused(truncate):
    with pytest.raises(ConfigError, match=truncate):
        text_model(max_length=4, truncate=truncate).stream()
    assert text_model(truncate=truncate).stream().push("red").steps == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"wide": "ngrams"}, "model.wide"), ({"cell": "none", "wide": "ngrams"}, "model.wide"), ({}, "subwords")],
)
def test_text_models_that_need_the_whole_sequence_are_refused(arguments, named):
    tokenizer = "words" if arguments else "subwords"
    with pytest.raises(ConfigError, match=named):
        text_model(tokenizer=tokenizer, **arguments).stream()


def test_series_that_are_scaled_one_by_one_are_refused():
    series = [np.arange(6.0) * factor for factor in (1, -2, 3, -4)]
    model = SequenceClassifier(**{**TINY, "tokenizer": "numeric", "scale": "series"}).fit(series, ["up", "down"] * 2)
    with pytest.raises(ConfigError, match=r"data\.scale"):
        model.stream()


def test_before_fit_there_is_no_stream():
    with pytest.raises(NotFittedError):
        SequenceClassifier().stream()


def test_a_finished_stream_reads_no_more():
    stream = text_model().stream()
    stream.push("re")
    answer = stream.finish()
    assert stream.finish().probabilities.tolist() == answer.probabilities.tolist()
    for each in (stream, text_model().stream(stream.state())):
        with pytest.raises(ConfigError, match="finished"):
            each.push("d")


@needs_kernel
def test_a_loaded_model_continues_the_stream_of_the_saved_one(tmp_path):
    model = text_model()
    model.save(tmp_path / "model")
    stream = model.stream()
    stream.push("red gr")
    loaded = ostinato.load(tmp_path / "model", device="cpu")
    probabilities = stream.push("een").probabilities.tolist()
    assert loaded.stream(stream.state()).answer.probabilities.tolist() == probabilities
    assert loaded.predict_proba(["red green"])[0].tolist() == probabilities


def test_a_state_of_another_model_or_format_is_refused():
    model = text_model()
    stream = model.stream()
    stream.push("red")
    state = stream.state()
    with pytest.raises(RunError, match="another model"):
        text_model(seed=1).stream(state)
    with pytest.raises(RunError, match="format 2"):
        model.stream(state | {"format": 2})
    assert stream.answer.steps == 1


DAMAGE = {
    "steps": (-1, "3", None),
    "text": ("\ud800", 1),
    "undecoded": ("zz", "e"),
    "kind": ("model",),
    "tensors": ({}, {"other": ""}, None),
    "has_begun": (1,),
    "finished": ("no",),
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in DAMAGE.items() for value in values])
def test_a_damaged_state_is_refused_with_its_field(field, value):
    model = text_model()
    state = model.stream().state()
    with pytest.raises(RunError, match=f"state.{field}"):
        model.stream(state | {field: value})
    missing = {name: each for name, each in state.items() if name != field}
    with pytest.raises(RunError, match=f"state.{field}"):
        model.stream(missing)


@pytest.mark.parametrize("text", ["*", "AAAA", "AADAfwAAwH8AAMB/AADAfwAAwH8="])  # not base64; too short; NaN
def test_damaged_tensors_are_refused(text):
    model = text_model()
    state = copy.deepcopy(model.stream().state())
    state["tensors"]["state_0_h"] = text
    with pytest.raises(RunError, match="state_0_h"):
        model.stream(state)
