"""What spoke for a tag: complete, as masking by hand has it, and refused where a tagger cannot tell."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ostinato.estimators.tagger import as_sentences
from ostinato.explanation.tag_faithfulness import measure_tags
from ostinato.explanation.tagging import TAG_METHODS, explain_tag, neutral_vector

from ostinato import SequenceClassifier, SequenceTagger, explain
from ostinato.errors import ConfigError, DataError, NotFittedError
from ostinato.nn import Layout

WORDS = [
    ["in", "Oslo", "we", "ate"],
    ["to", "Rome", "I", "went"],
    ["Ann", "saw", "Oslo"],
    ["Bob", "left", "New", "York"],
]
TAGS = [["O", "B-LOC", "O", "O"], ["O", "B-LOC", "O", "O"], ["B-PER", "O", "B-LOC"], ["B-PER", "O", "B-LOC", "I-LOC"]]


def fit(tags=TAGS, **arguments):
    small = {
        "embedding_size": 6,
        "hidden_size": 6,
        "max_epochs": 25,
        "patience": None,
        "lr": 3e-2,
        "batch_size": 4,
        "device": "cpu",
    }
    return SequenceTagger(**{**small, **arguments}).fit(WORDS * 2, tags * 2)


@pytest.fixture(scope="module", params=["crf", "softmax"])
def tagger(request):
    return fit(head=request.param, character_cell="cnn", capitals_size=2)


@pytest.fixture(scope="module")
def constrained():
    return fit(constrained=True, target_scheme="bioes")


def odds(tagger, words, masked, token, tag):
    """The log-odds of a tag's marginal, from the model's own parts, with one word masked."""
    sentence = tagger.encoder_.encode(as_sentences([words], "sentence"))
    with torch.no_grad():
        x = tagger.model_.vectors(sentence)
        if masked is not None:
            x[masked] = neutral_vector(tagger)
        scores = tagger.model_.score(x, Layout(sentence.lengths)).double()
        p = tagger.model_.marginals(scores.float(), sentence.lengths)[token, tagger.encoder_.tags.index(tag)].item()
    return np.log(p / (1 - p))


@pytest.mark.parametrize("token", [0, 2])
def test_occlusion_is_what_the_log_odds_lose_when_a_word_is_masked(tagger, token):
    words, tag = WORDS[2], TAGS[2][token]
    found = explain_tag(tagger, words, token=token, tag=tag, method="occlusion")
    whole = odds(tagger, words, None, token, tag)
    assert found.scores == pytest.approx(
        [whole - odds(tagger, words, masked, token, tag) for masked in range(3)], abs=1e-3
    )
    assert found.probability == pytest.approx(tagger.predict_proba([words])[0][token, tagger.encoder_.tags.index(tag)])


def test_integrated_gradients_add_up_to_the_difference(tagger):
    for found in explain(tagger, WORDS, tokens=[0, 2]):
        assert found.gap <= 0.011
        sentence = tagger.encoder_.encode([found.sentence])
        with torch.no_grad():
            neutral = neutral_vector(tagger).expand(len(found.words), -1)
            scores = tagger.model_.score(neutral, Layout(sentence.lengths))
            p = tagger.model_.marginals(scores, sentence.lengths)[
                found.token, tagger.encoder_.tags.index(found.tag)
            ].item()
        difference = odds(tagger, found.words, None, found.token, found.tag) - np.log(p / (1 - p))
        assert found.scores.sum() == pytest.approx(difference, rel=0.02, abs=0.01)


def derivative_along_the_way(tagger, words, token, tag):
    """(x − neutral) · ∂F/∂x of each word, by autograd through the probability."""
    sentence, neutral = tagger.encoder_.encode(as_sentences([words], "sentence")), neutral_vector(tagger)
    x = tagger.model_.vectors(sentence).detach().requires_grad_()
    p = tagger.model_.marginals(tagger.model_.score(x, Layout(sentence.lengths)), sentence.lengths)[
        token, tagger.encoder_.tags.index(tag)
    ]
    (gradient,) = torch.autograd.grad(p.log() - (1 - p).log(), x)
    return ((x - neutral) * gradient).sum(dim=1).detach().numpy()


def test_gradient_x_input_is_the_derivative_along_the_way(tagger):
    found = explain_tag(tagger, WORDS[2], token=0, tag="B-PER", method="gradient-x-input")
    assert found.scores == pytest.approx(derivative_along_the_way(tagger, WORDS[2], 0, "B-PER"), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("token", "tag"), [(0, "O"), (2, "B-LOC"), (3, "E-LOC")])
def test_gradient_x_input_keeps_to_the_constraints(constrained, token, tag):
    found = explain_tag(constrained, WORDS[3], token=token, tag=tag, method="gradient-x-input")
    assert found.scores == pytest.approx(
        derivative_along_the_way(constrained, WORDS[3], token, tag), rel=1e-3, abs=1e-5
    )


@pytest.mark.parametrize("method", list(TAG_METHODS))
def test_words_asked_together_have_the_scores_of_each_alone(tagger, method):
    together = explain(tagger, [WORDS[3]], tokens=[0, 1, 3], method=method)
    for found in together:
        alone = explain_tag(tagger, WORDS[3], token=found.token, method=method)
        assert found.tag == alone.tag and found.scores == pytest.approx(alone.scores, rel=1e-3, abs=1e-4)


def test_each_entity_is_explained_at_its_least_certain_word(constrained):
    answers, probabilities = constrained.predict(WORDS), constrained.predict_proba(WORDS)
    assert answers[3] == TAGS[3]
    found = [each for each in explain(constrained, WORDS, method="occlusion") if each.words == WORDS[3]]
    best = probabilities[3].max(axis=1)
    assert [each.token for each in found] == [0, 2 + int(best[3] < best[2])]
    assert found[0].tag == "S-PER" and found[1].tag in ("B-LOC", "E-LOC")  # the tags that were learnt


def test_without_entities_the_least_certain_word_is_explained():
    tagger = fit([["ADP", "NOUN", "PRON", "VERB"]] * 2 + [["NOUN", "VERB", "NOUN"], ["NOUN", "VERB", "ADJ", "NOUN"]])
    (found,) = explain(tagger, WORDS[:1], method="occlusion")
    assert found.token == int(tagger.predict_proba(WORDS[:1])[0].max(axis=1).argmin())


def test_sentence_without_an_entity_has_no_explanation(tagger):
    assert tagger.predict([["we", "ate"]]) == [["O", "O"]]
    assert explain(tagger, [["we", "ate"]]) == []


def test_a_masked_word_s_features_are_masked_with_it():
    X = [[("it", "a"), ("is", "b")], [("it", "b"), ("is", "a")]] * 4
    y = [["P", "Q"], ["Q", "P"]] * 4
    small = {
        "embedding_size": 4,
        "hidden_size": 6,
        "max_epochs": 40,
        "patience": None,
        "lr": 3e-2,
        "batch_size": 4,
        "device": "cpu",
    }
    tagger = SequenceTagger(**small, feature_size=2).fit(X, y)
    found = explain_tag(tagger, X[0], token=1, method="occlusion")
    assert (found.words, found.tag, found.label) == (["it", "is"], "Q", "Q of is/b (word 2)")
    assert found.to_dict()["features"] == [["a", "b"]]
    assert neutral_vector(tagger)[-2:] == pytest.approx(tagger.model_.features[0].weight[1:].mean(dim=0).tolist())
    whole = odds(tagger, X[0], None, 1, "Q")
    assert found.scores == pytest.approx([whole - odds(tagger, X[0], masked, 1, "Q") for masked in range(2)], abs=1e-3)
    other = explain_tag(tagger, X[1], token=1, method="occlusion")  # the same words, with other features
    assert len(measure_tags(tagger, [found, other]).by_sentence.each) == 2


def test_a_feature_without_values_masks_nothing():
    X = [[("it", "<unk>"), ("is", "<unk>")]] * 4
    small = {"embedding_size": 4, "hidden_size": 4, "max_epochs": 2, "patience": None, "device": "cpu"}
    found = explain_tag(SequenceTagger(**small).fit(X, [["P", "Q"]] * 4), X[0], token=1)
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("arguments", [{"word_dropout": 0.2}, {"min_count": 3}, {"max_size": 4}])
def test_neutral_word_is_the_unknown_one_where_training_met_it(arguments):
    tagger = fit(max_epochs=1, capitals_size=2, **arguments)
    neutral = neutral_vector(tagger)
    assert torch.equal(neutral[:6], tagger.model_.embed.weight[0])
    assert not torch.equal(neutral[6:], tagger.model_.capitals.weight[0])


def test_neutral_word_is_else_the_mean_of_the_vocabulary(tagger):
    known = list(tagger.encoder_.words.tokens[1:])
    vectors = tagger.model_.vectors(tagger.encoder_.encode(as_sentences([[word] for word in known], "sentence")))
    assert torch.allclose(neutral_vector(tagger), vectors.mean(dim=0), atol=1e-6)
    assert torch.allclose(neutral_vector(tagger)[:6], tagger.model_.embed.weight[1:].mean(dim=0), atol=1e-6)


def test_explaining_leaves_the_model_as_it_was(tagger):
    explain_tag(tagger, WORDS[0], token=1)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in tagger.model_.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"method": "attention"},
            "method 'attention' is not one that a tagger has: it has no pooling. Choose from: integrated-gradients, gradient-x-input",
        ),
        ({"method": "in-silico-mutagenesis"}, "its tokens are words"),
        ({"method": "oclusion"}, "Unknown method 'oclusion'. Did you mean 'occlusion'"),
        ({"token": 4}, r"token 4: the sentence has 4 words \(in Oslo we ate\). Choose from 0 to 3"),
        ({"token": -1}, "token -1: the sentence has 4 words"),
        ({"tag": "B-LCO"}, "Unknown tag 'B-LCO'. Did you mean 'B-LOC'"),
    ],
)
def test_what_cannot_be_explained_is_refused(tagger, arguments, message):
    with pytest.raises(ConfigError, match=message):
        explain_tag(tagger, WORDS[0], **{"token": 1, **arguments})


def test_tag_that_cannot_stand_there_is_refused(constrained):
    with pytest.raises(ConfigError, match=r"tag 'I-LOC' has probability 0 at token 0 \('in'\)"):
        explain_tag(constrained, WORDS[0], token=0, tag="I-LOC")


def test_bad_sentences_models_and_arguments_are_refused(tagger, make_linear):
    with pytest.raises(DataError, match="sentence 0: the sentence is empty"):
        explain_tag(tagger, [], token=0)
    with pytest.raises(NotFittedError, match="SequenceTagger is not fitted"):
        explain(SequenceTagger(), WORDS)
    with pytest.raises(NotFittedError, match="SequenceClassifier is not fitted"):
        explain(SequenceClassifier(), ["a"])
    with pytest.raises(ConfigError, match=r"tokens \[0\]: a classifier gives a sequence one label"):
        explain(make_linear(), ["ACGT"], tokens=[0])


def test_a_script_among_the_words_is_shown_and_not_run(tagger):
    html = explain_tag(tagger, ["<script>alert(1)</script>", "saw", "Oslo"], token=2, method="occlusion")._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "<script" not in html


def test_explained_tag_as_json(tagger):
    told = explain_tag(tagger, WORDS[0], token=1, tag="B-LOC", method="occlusion").to_dict()
    assert told.keys() == {"method", "tokens", "token", "tag", "probability", "scores"}
    assert told["tokens"] == WORDS[0] and len(told["scores"]) == 4


def test_loss_is_what_masking_the_first_other_words_takes_away(tagger):
    found = explain_tag(tagger, WORDS[2], token=2, tag="B-LOC", method="occlusion")
    measured = measure_tags(tagger, [found])
    first = int(np.argmax(found.scores[:2]))  # of two others each share up to a half is one word
    whole, masked = (1 / (1 + np.exp(-odds(tagger, WORDS[2], which, 2, "B-LOC"))) for which in (None, first))
    assert measured.lost[0] == pytest.approx(whole - masked, abs=1e-4)
    assert measured.by_sentence.interval is None and "1 tag of 1 sentence" in measured.sentence


def test_ranking_upside_down_takes_less_away(tagger):
    found = explain_tag(tagger, WORDS[3], token=3, tag="I-LOC", method="occlusion")
    assert found.scores[:3].max() > found.scores[:3].min()
    own, turned = (measure_tags(tagger, [each]).lost[0] for each in (found, replace(found, scores=-found.scores)))
    assert own > turned


def test_sentences_count_once_however_many_tags_are_explained(tagger):
    explained = explain(tagger, WORDS, tokens=[0, 2], method="occlusion")
    measured = measure_tags(tagger, explained)
    assert measured.n == 8 and len(measured.by_sentence.each) == 4
    assert measured.by_sentence.value == pytest.approx(np.mean(measured.lost))
    again = measure_tags(tagger, explained[::-1])
    assert again.lost_at_random[::-1] == pytest.approx(measured.lost_at_random)


def test_word_alone_has_no_others_to_mask(tagger):
    measured = measure_tags(tagger, [explain_tag(tagger, ["Oslo"], token=0, method="occlusion")])
    assert (
        measured.n == 0
        and "no other word" in measured.masking(0)
        and "No sentence has another word" in measured.sentence
    )
    assert measured.to_dict()["lost"] is None


def test_explanations_of_several_methods_are_not_measured_together(tagger):
    mixed = [explain_tag(tagger, WORDS[0], token=1, method=method) for method in ("occlusion", "gradient-x-input")]
    with pytest.raises(ConfigError, match=r"2 methods \(gradient-x-input, occlusion\)"):
        measure_tags(tagger, mixed)
    with pytest.raises(ConfigError, match="rankings 0"):
        measure_tags(tagger, mixed[:1], rankings=0)
