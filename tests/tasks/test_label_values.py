"""Labels come back as they were given, or are refused: strings, numbers and booleans of every kind, in every task."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ostinato
from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceTagger
from ostinato.data.encoder import SequenceEncoder
from ostinato.data.splits import numbered, stratified_split
from ostinato.errors import DataError
from ostinato.tasks.classification.codec import ClassCodec
from ostinato.tasks.multilabel.codec import LabelSetCodec
from ostinato.tasks.sequences.label_array import label_array
from ostinato.tasks.sequences.labels import clash
from ostinato.tasks.sequences.predictions import read_columns, write_columns
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.inputs import labelled_sentences

TINY = {"embedding_size": 3, "hidden_size": 4, "max_epochs": 1, "validation_fraction": None, "device": "cpu"}
SCALARS = st.one_of(
    st.text(st.sampled_from("a1.\0T"), max_size=3),
    st.sampled_from(["True", "1", "1.0", "None", "nan"]),
    st.integers(-(2**70), 2**70),
    st.integers(0, 2),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)
APART = [["a\0", "a"], [-1, 2**63], [2**53 + 1, 2**53], [2**200, 1], [True, False], [0.5, 1.0], ["", " "]]
TOGETHER = [[1, "1"], [True, 1], [0, False], ["True", True], [0.5, "0.5"], [np.int64(3), "3"]]


def with_classes(labels):
    return SequenceClassifier(**TINY).fit(["red", "blue"] * 4, labels * 4)


def with_label_sets(labels):
    return SequenceMultilabelClassifier(**TINY).fit(["red", "blue"] * 4, [[label] for label in labels] * 4)


@pytest.mark.parametrize("fit", [with_classes, with_label_sets])
@pytest.mark.parametrize("labels", APART)
def test_labels_keep_their_value_also_in_a_file(labels, fit, tmp_path):
    model = fit(labels)
    model.save(tmp_path / "model.safetensors")
    for each in (model, ostinato.load(tmp_path / "model.safetensors")):
        found = each.classes_.tolist()
        assert sorted(found) == sorted(labels)
        assert {type(label) for label in found} == {type(label) for label in labels}


@pytest.mark.parametrize("fit", [with_classes, with_label_sets])
@pytest.mark.parametrize("labels", TOGETHER)
def test_labels_that_answers_could_not_tell_apart_are_refused(labels, fit):
    with pytest.raises(DataError, match=repr(str(labels[0])).strip("'")):
        fit(labels)


@pytest.mark.parametrize("fit", [with_classes, with_label_sets])
@pytest.mark.parametrize("label", [None, float("nan"), np.float64("nan"), "bad \ud83d", np.datetime64("NaT")])
def test_a_label_that_is_missing_or_not_unicode_is_refused_with_its_row(label, fit):
    with pytest.raises(DataError, match=r"(sequence|row) 1.*(None|nan|ud83d|NaT)"):
        fit(["a", label])


def test_the_missing_value_of_pandas_is_refused():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match=r"sequence 1: <NA>"):
        with_classes(["a", pandas.NA])


def test_a_codec_refuses_half_a_surrogate_pair_with_its_row():
    for codec, labels in ((ClassCodec, ["a", "\ud83d"]), (LabelSetCodec, [["a"], ["\ud83d"]])):
        with pytest.raises(DataError, match=r"train.csv, row 3.*ud83d"):
            codec.fit(labels, ["train.csv, row 2", "train.csv, row 3"])
    with pytest.raises(DataError, match="ud83d"):
        TagCodec.fit(labelled_sentences([["Ann"]], [["\ud83d"]], "sentence"), None)


@pytest.mark.parametrize("tags", [["a\0", "a"], ["O", "B-\0"]])
def test_tags_keep_their_value(tags):
    model = SequenceTagger(**TINY, scheme="plain").fit([["Ann", "Bo"]] * 4, [tags] * 4)
    assert model.classes_.tolist() == sorted(tags)


@given(labels=st.lists(SCALARS, min_size=1, max_size=6))
def test_an_array_of_labels_holds_the_same_values_of_the_same_types(labels):
    found = label_array(labels).tolist()
    assert found == labels
    assert list(map(type, found)) == list(map(type, labels))


@given(labels=st.lists(SCALARS, min_size=2, max_size=6))
def test_accepted_labels_have_a_text_each_and_survive_json(labels):
    pair = clash(labels)
    if pair is not None:
        with pytest.raises(DataError):
            ClassCodec.fit(labels, list(map(str, range(len(labels)))))
        return
    codec = ClassCodec.fit(labels, list(map(str, range(len(labels)))))
    assert len(set(map(str, codec.labels))) == len(codec.labels) == len(set(labels))
    assert ClassCodec.from_json(json.loads(json.dumps(codec.to_json()))) == codec


@settings(deadline=None)
@given(names=st.lists(st.text(st.sampled_from("ab\0"), max_size=3), min_size=1, max_size=8))
def test_names_are_numbered_in_order_and_none_is_merged(names):
    distinct, numbers = numbered(names)
    assert distinct == sorted(set(names))
    assert [distinct[number] for number in numbers] == names


def test_a_split_is_stratified_by_labels_that_end_with_nul():
    train, validation, _ = stratified_split(["a\0", "a"] * 10, None, (None, 0.2, 0), 0)
    assert [sum(row % 2 for row in rows) for rows in (train, validation)] == [8, 2]


def test_predictions_keep_labels_that_end_with_nul(tmp_path):
    write_columns(tmp_path / "predictions.parquet", ["row 1", "row 2"], {"label": ["a\0", "a"]})
    _, columns = read_columns(tmp_path / "predictions.parquet", ["label"], known=["a\0", "a"])
    assert columns["label"].tolist() == ["a\0", "a"]


def test_five_thousand_classes(tmp_path):
    labels = [f"class {number}" for number in range(5000)]
    model = SequenceClassifier(**TINY, tokenizer="characters").fit([label[6:] for label in labels], labels)
    model.save(tmp_path / "model.safetensors")
    again = ostinato.load(tmp_path / "model.safetensors")
    assert again.predict_proba(["17"]).shape == (1, 5000)
    assert again.predict(["17", "4999"]).tolist() == model.predict(["17", "4999"]).tolist()


@settings(deadline=None)
@given(
    texts=st.lists(
        st.lists(st.sampled_from(["ΟΔΟΣ", "οδος", "ΣΟΦΟΣ!", "Σ", "ΑΣ.ΑΣ", "İI", "STRAẞE"]), max_size=4).map(" ".join),
        min_size=1,
        max_size=4,
    )
)
def test_lower_case_depends_on_the_word_alone(texts):
    encoder = SequenceEncoder.fit([*texts, "x"], tokenizer="words")
    together, alone = encoder.encode(texts).values, [encoder.encode([text]).values for text in texts]
    words = [encoder.encode([word]).values for text in texts for word in text.split()]
    assert together.tolist() == [each for part in alone for each in part.tolist()]
    assert together.tolist() == [each for part in words for each in part.tolist()]
    assert (together > 0).all()  # training and prediction agree: every word is known


def test_a_tagger_knows_a_final_sigma_that_it_was_trained_on():
    model = SequenceTagger(**TINY, lowercase=True).fit([["ΟΔΟΣ", "ΣΟΦΟΣ"]] * 4, [["a", "b"]] * 4)
    assert model.encoder_.knows(["ΟΔΟΣ", "οδος", "σοφος"]).all()
