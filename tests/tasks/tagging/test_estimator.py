"""The tagger: learns, answers each sentence by itself, is saved whole, and refuses what it cannot use."""

import numpy as np
import pytest
import torch
from toy import sentences

from ostinato import SequenceTagger, load
from ostinato.errors import ConfigError, DataError, NotFittedError
from ostinato.tasks.tagging.codec import UNSEEN, TagCodec
from ostinato.tasks.tagging.encoder import SentenceEncoder, refuse_unseen_features
from ostinato.tasks.tagging.encoding import word_shape
from ostinato.tasks.tagging.inputs import labelled_sentences
from ostinato.tasks.tagging.network import predict_certain_tags, predict_marginals, predict_tags
from ostinato.training.ranks import Ranks

SMALL = {
    "embedding_size": 8,
    "hidden_size": 8,
    "max_epochs": 12,
    "lr": 2e-2,
    "batch_size": 8,
    "validation_fraction": 0.2,
    "device": "cpu",
}


def plain(*sentences):
    """Sentences of words that are no entities."""
    return labelled_sentences(sentences, [["O"] * len(words) for words in sentences], "sentence")


@pytest.fixture(scope="module")
def tagger():
    X, y = sentences(80)
    features = {"character_cell": "cnn", "character_embedding_size": 4, "character_size": 6, "word_shape_size": 2}
    return SequenceTagger(**SMALL, **features, target_scheme="bioes", constrained=True).fit(X, y)


def test_it_learns_entities_from_the_words_around_them(tagger):
    X, y = sentences(40, seed=1)
    assert tagger.score(X, y) > 0.9
    assert tagger.predict([["Ada", "left", "Oslo", "."]]) == [["B-PER", "O", "B-LOC", "O"]]


def test_answers_are_in_the_scheme_that_was_given(tagger):
    assert {tag[:2] for tag in tagger.classes_} == {"O", "B-", "I-", "E-", "S-"}
    assert {tag[:2] for tags in tagger.predict(sentences(30, seed=2)[0]) for tag in tags} == {"O", "B-", "I-"}


def test_a_sentence_s_answer_does_not_depend_on_its_batch(tagger):
    X, _ = sentences(30, seed=3)
    together = tagger.predict_proba(X)
    for row in (0, 7, 29):
        alone = tagger.predict_proba([X[row]])[0]
        np.testing.assert_array_equal(
            alone, together[row]
        ) if tagger.model_.engine == "native" else np.testing.assert_allclose(alone, together[row], atol=1e-6)


def test_probabilities_add_up_and_forbidden_tags_have_none(tagger):
    probabilities = tagger.predict_proba([["Ada", "left"]])[0]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities[0, list(tagger.classes_).index("I-PER")] == 0  # no sentence begins inside an entity


def test_saved_and_loaded_it_answers_the_same(tagger, tmp_path):
    X, _ = sentences(20, seed=4)
    tagger.save(tmp_path / "tagger.safetensors")
    again = load(tmp_path / "tagger.safetensors")
    assert isinstance(again, SequenceTagger)
    assert again.predict(X) == tagger.predict(X)
    for ours, theirs in zip(again.predict_proba(X), tagger.predict_proba(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "settings",
    [
        {"head": "softmax"},
        {"head": "crf"},
        {"character_cell": "lstm", "cell": "gru", "num_layers": 2, "residual": True, "dropout": 0.2},
    ],
)
def test_every_kind_trains(settings):
    X, y = sentences(60)
    model = SequenceTagger(**{**SMALL, "max_epochs": 15, "dropout": 0.0, **settings}).fit(X, y)  # 8 units are few
    assert model.score(X, y) > 0.7


def test_the_same_seed_gives_the_same_weights():
    X, y = sentences(30)
    first, second = (
        SequenceTagger(**{**SMALL, "max_epochs": 2}, word_dropout=0.2, dropout=0.3).fit(X, y) for _ in range(2)
    )
    for name, tensor in first.model_.state_dict().items():
        assert torch.equal(tensor, second.model_.state_dict()[name]), name


def test_tags_without_entities_are_tagged_one_by_one():
    X = [["a", "dog", "barks"], ["the", "cat", "sleeps"]] * 10
    y = [["DT", "NN", "VB"], ["DT", "NN", "VB"]] * 10
    model = SequenceTagger(**{**SMALL, "validation_fraction": None}, head="softmax").fit(X, y)
    assert model.codec_.scheme is None
    assert model.predict([["the", "dog", "sleeps"]]) == [["DT", "NN", "VB"]]
    assert model.score(X, y) == 1


def test_tags_unseen_in_training_count_as_wrong_and_do_not_stop_training():
    X, y = sentences(40)
    other = ([["Ada", "left", "Mars", "."]], [["B-PER", "O", "B-PLANET", "O"]])
    for head in ("crf", "softmax"):
        model = SequenceTagger(**{**SMALL, "max_epochs": 2}, head=head).fit(X, y, validation_data=other)
        assert np.isfinite(model.history_[-1]["validation_loss"])
        assert model.history_[-1]["validation_accuracy"] <= 0.75
        assert model.history_[-1]["validation_f1"] < 1
    assert model.codec_.encode(labelled_sentences(*other, "sentence")).tolist()[2] == UNSEEN


def test_entities_without_a_type_are_learnt():
    X, y = [["a", "red", "fox"], ["one", "blue", "cat"]] * 10, [["O", "B", "I"]] * 20
    for settings in ({}, {"constrained": True, "target_scheme": "bioes"}):
        model = SequenceTagger(**{**SMALL, "validation_fraction": None}, **settings).fit(X, y)
        assert all(len(tag) == 1 for tag in model.classes_)
        assert model.score(X, y) == 1


def test_held_out_tags_must_follow_the_scheme():
    X, y = sentences(10)
    model = SequenceTagger(**{**SMALL, "max_epochs": 1})
    with pytest.raises(DataError, match="validation sentence 0, token 1: .*iob2.*Q-X"):
        model.fit(X, y, validation_data=([["a"]], [["Q-X"]]))
    with pytest.raises(DataError, match="sentence 0, token 1: .*iob2.*I-LOC"):
        model.fit(X, y).score([["a"]], [["I-LOC"]])


FEATURED = [
    [("it", "a"), ("is", "x"), ("it", "b")],
    [("it", "b"), ("is", "y"), ("it", "b")],
    [("is", "y"), ("it", "a")],
]


def test_features_decide_where_the_words_do_not(tmp_path):
    y = [["P" if token[1] in "ax" else "Q" for token in sentence] for sentence in FEATURED]
    model = SequenceTagger(**{**SMALL, "validation_fraction": None, "max_epochs": 40}, feature_size=3).fit(
        FEATURED * 4, y * 4
    )
    assert model.predict(FEATURED) == y
    assert [feature.tokens for feature in model.encoder_.features] == [("<unk>", "b", "a", "y", "x")]
    assert model.model_.features[0].weight.shape == (5, 3)
    model.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").predict(FEATURED) == y


def test_features_are_held_out_with_their_words():
    X = [[("a", str(n % 2)), ("b", "0")] for n in range(20)]
    with pytest.warns(UserWarning, match="^1 different sentence"):  # alike in their words
        SequenceTagger(**SMALL).fit(X, [["O", "O"]] * 20)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [["it"]],
            r"sentence 0: .*data.feature_columns",
        ),
        (
            [[("it", "a")], "it is"],
            r"^sentence 1: .*feature",
        ),
        (
            [[("it", "a", "b")]],
            r"sentence 0: .*2 features.*1 feature",
        ),
        ([[("it", "a"), "is"]], r"sentence 0: 'is'.*\('it', 'a'\)"),
        (
            [[("it", "a"), ("is", 3)]],
            r"sentence 0: \('is', 3\)",
        ),
        ([[("it", "a"), ()]], r"sentence 0: \(\) is not a word"),
    ],
)
def test_words_without_the_features_of_training_are_refused(X, message):
    model = SequenceTagger(**{**SMALL, "validation_fraction": None, "max_epochs": 1}).fit(
        FEATURED, [["O"] * len(each) for each in FEATURED]
    )
    with pytest.raises(DataError, match=message):
        model.predict(X)


@pytest.mark.parametrize("fraction", [None, 0.2])
def test_a_training_sentence_without_the_others_features_is_named(fraction):
    X = [[(f"it{row}", "a")] for row in range(20)]
    for row in (5, 19):
        given = [["it"] if number == row else sentence for number, sentence in enumerate(X)]
        with pytest.raises(
            DataError,
            match=f"^sentence {row}: ",
        ):
            SequenceTagger(**{**SMALL, "validation_fraction": fraction, "max_epochs": 1}).fit(given, [["O"]] * 20)
    with pytest.raises(DataError, match="^validation sentence 0: "):
        SequenceTagger(**SMALL).fit(X, [["O"]] * 20, validation_data=([["it"]], [["O"]]))


def test_each_of_several_features_has_its_own_vocabulary():
    X = [[("it", left, right)] for left in "ab" for right in "ab"]
    y = [[left + right] for left in "ab" for right in "ab"]
    model = SequenceTagger(**{**SMALL, "validation_fraction": None, "max_epochs": 60}, head="softmax").fit(X * 4, y * 4)
    assert model.predict(X) == y
    encoded = model.encoder_.encode(plain([("it", "a", "b"), ("it", "c", "a")]))
    left, right = model.encoder_.features
    assert encoded.features.tolist() == [[left.id("a"), right.id("b")], [0, right.id("a")]]
    assert encoded.select([0]).features.tolist() == encoded.features.tolist()
    assert encoded.digest() != model.encoder_.encode(plain([("it", "a", "b"), ("it", "a", "a")])).digest()


def test_a_feature_value_unseen_in_training_has_a_zero_vector():
    X, y = [[("it", "a"), ("is", "b")]] * 8, [["P", "Q"]] * 8
    model = SequenceTagger(**{**SMALL, "validation_fraction": None, "max_epochs": 3}, feature_size=4).fit(X, y).model_
    assert not model.features[0].weight[0].any()
    assert model.features[0].weight[1:].any(dim=1).all()


def test_a_file_whose_feature_values_are_all_unseen_is_refused():
    encoder = SentenceEncoder.fit(plain(*FEATURED))
    for some_known in ([("it", "NN"), ("is", "a")], [("it", "NN"), ("is", "NN")], ["it"]):  # one value says little
        refuse_unseen_features(encoder, plain(some_known))
    with pytest.raises(
        DataError,
        match="sentence 0: feature 1 is NN, VB.*data.feature_columns",
    ):
        refuse_unseen_features(encoder, plain([("it", "NN"), ("is", "VB")]))


def test_no_sentences_give_no_answers(tagger):
    assert (tagger.predict([]), tagger.predict_proba([])) == ([], [])


def test_words_are_looked_up_in_lower_case_with_lowercase():
    encoder = SentenceEncoder.fit(plain(["The", "Cat"]), lowercase=True)
    encoded = encoder.encode(plain(["the", "CAT", "dog"]))
    assert encoded.words.values.tolist() == [encoder.words.id("the"), encoder.words.id("cat"), 0]
    assert encoder.knows(["THE", "dog"]).tolist() == [True, False]


def test_each_distinct_form_is_spelt_once():
    encoder = SentenceEncoder.fit(plain(["no", "go", "no"]))
    encoded = encoder.encode(plain(["no", "go"], ["no"]))
    assert (encoded.forms.tolist(), encoded.characters.lengths.tolist()) == ([0, 1, 0], [2, 2])
    second = encoded.select(torch.tensor([1]))
    assert (second.forms.tolist(), second.characters.lengths.tolist(), second.words.values.tolist()) == (
        [0],
        [2],
        [encoder.words.id("no")],
    )


def test_extra_words_are_found_as_written_and_in_lower_case():
    encoder = SentenceEncoder.fit(plain(["Oslo", "the"]))
    assert encoder.encode(plain(["The", "OSLO"])).words.values.tolist() == [
        0,
        0,
    ]  # nothing but the training words is known
    encoder = encoder.with_extra(["rome", "Oslo"])
    ids = {word: encoder.words.id(word) for word in ("the", "Oslo", "rome")}
    assert encoder.encode(plain(["Rome", "rome", "The", "Oslo", "OSLO"])).words.values.tolist() == [
        ids["rome"],
        ids["rome"],
        ids["the"],
        ids["Oslo"],
        0,
    ]
    assert encoder.knows(["Rome", "The", "the"]).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("word", "pattern"),
    [("cat", 0), ("Cat", 1), ("A", 1), ("NATO", 2), ("iPod", 3), ("1,996", 4), ("B2", 5), ("--", 6)],
)
def test_words_have_seven_shapes(word, pattern):
    assert word_shape(word) == pattern


def test_encoder_and_codec_go_through_json(tagger):
    encoder = tagger.encoder_.with_extra(["Reykjavik"])
    again = SentenceEncoder.from_json(encoder.to_json())
    assert again == encoder
    assert TagCodec.from_json(tagger.codec_.to_json()) == tagger.codec_
    assert again.encode(plain(["Reykjavik"])).words.values.tolist() == [len(encoder.words)]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([["a", "b"]], [["O"]], "sentence 0: 2 words.*1 tags"),
        ([["a"], []], [["O"], []], "sentence 1: the sentence is empty"),
        ([["a"]], [["O"], ["O"]], "X has 1 sentences.*2 lists"),
        ("abc", [["O"]], "X is .*'abc'"),
        ([["a", ""]], [["O", "O"]], "sentence 0: '' is not a word"),
        ([["a", "b"]], [["O", "I-LOC"]], "sentence 0, token 2: .*iob2.*I-LOC"),
        ([["a", "\ud83d"]], [["O", "O"]], "sentence 0: character 0 is '.ud83d', half of a surrogate pair"),
        ([["a", "b"]], [[0, 1]], "sentence 0: 0 is not a tag. Expected a non-empty string"),
    ],
)
def test_sentences_that_cannot_be_used_are_named(X, y, message):
    with pytest.raises(DataError, match=message):
        SequenceTagger(**{**SMALL, "validation_fraction": None}, scheme="iob2").fit(X, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "crff"}, "model.head: unknown value 'crff'. Did you mean 'crf'"),
        ({"head": "softmax", "constrained": True}, "constrained: true constrains the transitions of a CRF"),
        ({"cell": "cnn"}, "model.cell: unknown cell 'cnn'"),
        ({"monitor": "f1"}, "training.monitor f1"),
        (
            {"constrained": True, "target_scheme": "bioes"},
            "data.target_scheme, model.constrained",
        ),
        ({"monitor": "macro_f1"}, "training.monitor: unknown value 'macro_f1'"),
        ({"freeze_vectors": 3}, "training.freeze_vectors 3"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        SequenceTagger(validation_fraction=None, **settings).fit([["a"]], [["O"]])


def test_predict_before_fit_is_refused():
    with pytest.raises(NotFittedError, match="not fitted yet"):
        SequenceTagger().predict([["a"]])


def test_the_probability_of_an_answer_is_the_marginal_of_its_tag(tagger):
    encoded = tagger.encoder_.encode(plain(*sentences(30, seed=5)[0]))
    tags, certainty = predict_certain_tags(tagger.model_, encoded)
    assert torch.equal(tags, predict_tags(tagger.model_, encoded)[0])
    assert torch.equal(certainty, predict_marginals(tagger.model_, encoded).gather(1, tags.unsqueeze(1)).squeeze(1))


@pytest.mark.parametrize("size", [2, 3, 40])  # 40: more ranks than sentences
def test_the_answers_of_all_ranks_add_up_to_those_of_one(tagger, monkeypatch, size):
    encoded = tagger.encoder_.encode(plain(*sentences(30, seed=5)[0]))
    whole = predict_certain_tags(tagger.model_, encoded)
    sent = []
    monkeypatch.setattr(Ranks, "add", lambda self, tensor: sent.append(tensor) or tensor)
    for rank in range(size):
        predict_certain_tags(tagger.model_, encoded, Ranks(rank, size))
    tags, probabilities = torch.stack(sent[::2]), torch.stack(sent[1::2])  # (ranks, N)
    assert (probabilities > 0).sum(dim=0).tolist() == [1] * encoded.num_tokens
    assert torch.equal(tags.sum(dim=0), whole.tags)
    assert torch.allclose(probabilities.sum(dim=0), whole.probabilities, rtol=1e-6, atol=0)
