"""Streams of a tagger against `predict` for whole sentences."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import PLAIN_TAGGER

from ostinato import SequenceTagger
from ostinato.errors import ConfigError, DataError
from ostinato.nn import kernel

SENTENCES = [["Ann", "sees", "Bo"], ["Bo", "runs", "!"]] * 4
TAGS = [["B-PER", "O", "B-PER"], ["B-PER", "O", "O"]] * 4
PARTS = ["Ann", "Bo", " ", "!", "é", "\u0301", "語", "runs ", "x"]
TINY = {
    **PLAIN_TAGGER,
    "embedding_size": 3,
    "hidden_size": 5,
    "max_epochs": 3,
    "lr": 0.1,
    "validation_fraction": None,
    "device": "cpu",
}


def tagger_of(sentences=SENTENCES, **arguments):
    arguments = {**TINY, "bidirectional": False, "head": "softmax", **arguments}
    return SequenceTagger(**arguments).fit(sentences, TAGS)


@pytest.fixture(scope="module", params=["lstm", "mingru"])
def tagger(request):
    return tagger_of(cell=request.param, num_layers=2, character_cell="lstm", word_shape_size=2)


@pytest.mark.skipif(not kernel.is_built(), reason="the kernel was not compiled")
@settings(max_examples=25, deadline=None)
@given(
    text=st.lists(st.sampled_from(PARTS), max_size=12).map("".join),
    cuts=st.lists(st.integers(0, 30), max_size=8),
)
def test_all_tags_together_have_the_bits_of_the_whole(tagger, text, cuts):
    stream, data = tagger.stream(), text.encode()
    ends = sorted({min(each, len(data)) for each in cuts})
    pieces = [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    answers = [*map(stream.push, pieces), stream.finish()]
    tags = [tag for answer in answers for tag in answer.tags]
    if text.strip():
        assert tags == tagger.predict([text])[0]
        probabilities = np.concatenate([answer.probabilities for answer in answers])
        assert probabilities.tolist() == tagger.predict_proba([text])[0].tolist()
    assert answers[-1].steps == len(tags)


def test_a_word_is_tagged_when_it_is_complete(tagger):
    stream = tagger.stream()
    assert stream.push("An").tokens == []
    assert stream.push("n ").tokens == ["Ann"]
    assert stream.push("sees Bo").tokens == ["sees"]
    assert stream.push(["runs"]).tokens == ["Bo", "runs"]
    assert stream.push("x!").tokens == ["x", "!"]
    assert stream.finish().tokens == []


def test_a_state_continues_inside_a_word(tagger):
    stream = tagger.stream()
    stream.push("Ann se")
    state = json.loads(json.dumps(stream.state()))
    answers = [each.push("es ") for each in (stream, tagger.stream(state))]
    assert answers[0].tokens == answers[1].tokens == ["sees"]
    assert answers[0].probabilities.tolist() == answers[1].probabilities.tolist()


def test_words_with_features_come_in_tuples():
    sentences = [[(word, word[0]) for word in sentence] for sentence in SENTENCES]
    tagger = tagger_of(sentences)
    stream = tagger.stream()
    answers = [stream.push(sentences[0][:1]), stream.push(sentences[0][1:])]
    assert [tag for answer in answers for tag in answer.tags] == tagger.predict(sentences[:1])[0]
    with pytest.raises(DataError, match="1 feature"):
        stream.push("Ann ")


def test_what_needs_later_words_is_refused_all_at_once():
    with pytest.raises(ConfigError) as error:
        tagger_of(bidirectional=True, head="crf").stream()
    assert "bidirectional = false" in str(error.value) and 'head = "softmax"' in str(error.value)
    with pytest.raises(ConfigError, match="iobes"):
        tagger_of(target_scheme="iobes").stream()


def test_no_single_answer_is_decided(tagger):
    with pytest.raises(ConfigError, match="whole sequence"):
        tagger.stream().decided(0.9)


@pytest.mark.parametrize("piece", [7, None, [1], [""], ["\ud800"], "\ud800"])
def test_what_is_not_text_is_refused(tagger, piece):
    with pytest.raises(DataError):
        tagger.stream().push(piece)
