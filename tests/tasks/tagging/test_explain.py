"""Explanations of tags against masking by hand, autograd and the tagger's own probabilities."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain import PLAIN_TAGGER
from toy import PEOPLE, PLACES, columns, sentences

from ostinato import SequenceTagger, cli, explain, runs
from ostinato.errors import ConfigError, DataError, NotFittedError
from ostinato.explanation import measure
from ostinato.nn import Layout
from ostinato.tasks.config import parse_config
from ostinato.tasks.tagging.explain import TAG_METHODS, explain_rows, sentences_with_entities
from ostinato.tasks.tagging.inputs import as_sentences
from ostinato.tasks.tagging.sentence_vectors import neutral_vector

NAMES = {word for name in PEOPLE + PLACES for word in name.split()}
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
        "validation_fraction": None,
        "lr": 3e-2,
        "batch_size": 4,
        "device": "cpu",
    }
    return SequenceTagger(**{**PLAIN_TAGGER, **small, **arguments}).fit(WORDS * 2, tags * 2)


@pytest.fixture(scope="module", params=["crf", "softmax"])
def tagger(request):
    return fit(head=request.param, character_cell="cnn", word_shape_size=2)


@pytest.fixture(scope="module")
def constrained():
    return fit(constrained=True, target_scheme="bioes")


def explain_one(tagger, words, *, token, label=None, method="integrated-gradients"):
    (found,) = explain(tagger, [words], tokens=[token], label=label, method=method)
    return found


def neutral(tagger):
    return neutral_vector(tagger.model_, tagger.encoder_)


def odds(tagger, words, masked, token, tag):
    """The log-odds of a tag's marginal, from the model's own parts, with one word masked."""
    sentence = tagger.encoder_.encode(as_sentences([words], "sentence"))
    with torch.no_grad():
        x = tagger.model_.vectors(sentence)
        if masked is not None:
            x[masked] = neutral(tagger)
        scores = tagger.model_.score(x, Layout(sentence.lengths)).double()
        p = tagger.model_.marginals(scores.float(), sentence.lengths)[token, tagger.codec_.tags.index(tag)].item()
    return np.log(p / (1 - p))


@pytest.mark.parametrize("token", [0, 2])
def test_occlusion_is_what_the_log_odds_lose_when_a_word_is_masked(tagger, token):
    words, tag = WORDS[2], TAGS[2][token]
    found = explain_one(tagger, words, token=token, label=tag, method="occlusion")
    whole = odds(tagger, words, None, token, tag)
    assert found.scores == pytest.approx(
        [whole - odds(tagger, words, masked, token, tag) for masked in range(3)], abs=1e-3
    )
    assert found.probability == pytest.approx(tagger.predict_proba([words])[0][token, tagger.codec_.tags.index(tag)])


def test_integrated_gradients_add_up_to_the_difference(tagger):
    for found in explain(tagger, WORDS, tokens=[0, 2]):
        assert found.gap <= 0.011
        sentence = tagger.encoder_.encode([found.sentence])
        with torch.no_grad():
            masked = neutral(tagger).expand(len(found.tokens), -1)
            scores = tagger.model_.score(masked, Layout(sentence.lengths))
            p = tagger.model_.marginals(scores, sentence.lengths)[
                found.token, tagger.codec_.tags.index(found.label)
            ].item()
        difference = odds(tagger, found.tokens, None, found.token, found.label) - np.log(p / (1 - p))
        assert found.scores.sum() == pytest.approx(difference, rel=0.02, abs=0.01)


def derivative_along_the_way(tagger, words, token, tag):
    """(x − neutral) · ∂F/∂x of each word, by autograd through the probability."""
    sentence = tagger.encoder_.encode(as_sentences([words], "sentence"))
    x = tagger.model_.vectors(sentence).detach().requires_grad_()
    p = tagger.model_.marginals(tagger.model_.score(x, Layout(sentence.lengths)), sentence.lengths)[
        token, tagger.codec_.tags.index(tag)
    ]
    (gradient,) = torch.autograd.grad(p.log() - (1 - p).log(), x)
    return ((x - neutral(tagger)) * gradient).sum(dim=1).detach().numpy()


def test_gradient_x_input_is_the_derivative_along_the_way(tagger):
    found = explain_one(tagger, WORDS[2], token=0, label="B-PER", method="gradient-x-input")
    assert found.scores == pytest.approx(derivative_along_the_way(tagger, WORDS[2], 0, "B-PER"), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("token", "tag"), [(0, "O"), (2, "B-LOC"), (3, "E-LOC")])
def test_gradient_x_input_keeps_to_the_constraints(constrained, token, tag):
    found = explain_one(constrained, WORDS[3], token=token, label=tag, method="gradient-x-input")
    assert found.scores == pytest.approx(
        derivative_along_the_way(constrained, WORDS[3], token, tag), rel=1e-3, abs=1e-5
    )


@pytest.mark.parametrize("method", list(TAG_METHODS))
def test_words_asked_together_have_the_scores_of_each_alone(tagger, method):
    together = explain(tagger, [WORDS[3]], tokens=[0, 1, 3], method=method)
    for found in together:
        alone = explain_one(tagger, WORDS[3], token=found.token, method=method)
        assert found.label == alone.label and found.scores == pytest.approx(alone.scores, rel=1e-3, abs=1e-4)


def test_each_entity_is_explained_at_its_least_certain_word(constrained):
    answers, probabilities = constrained.predict(WORDS), constrained.predict_proba(WORDS)
    assert answers[3] == TAGS[3]
    found = [each for each in explain(constrained, WORDS, method="occlusion") if each.tokens == WORDS[3]]
    best = probabilities[3].max(axis=1)
    assert [each.token for each in found] == [0, 2 + int(best[3] < best[2])]
    assert found[0].label == "S-PER" and found[1].label in ("B-LOC", "E-LOC")  # the tags that were learnt


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
        "validation_fraction": None,
        "lr": 3e-2,
        "batch_size": 4,
        "device": "cpu",
    }
    tagger = SequenceTagger(**small, feature_size=2).fit(X, y)
    found = explain_one(tagger, X[0], token=1, method="occlusion")
    assert (found.tokens, found.label, found.title) == (["it", "is"], "Q", "Q of is/b (word 2)")
    assert found.to_json()["features"] == [["a", "b"]]
    assert neutral(tagger)[-2:] == pytest.approx(tagger.model_.features[0].weight[1:].mean(dim=0).tolist())
    whole = odds(tagger, X[0], None, 1, "Q")
    assert found.scores == pytest.approx([whole - odds(tagger, X[0], masked, 1, "Q") for masked in range(2)], abs=1e-3)
    other = explain_one(tagger, X[1], token=1, method="occlusion")  # the same words, with other features
    assert len(measure(tagger, [found, other]).area.by_group[0]) == 2


def test_a_feature_without_values_masks_nothing():
    X = [[("it", "<unk>"), ("is", "<unk>")]] * 4
    small = {"embedding_size": 4, "hidden_size": 4, "max_epochs": 2, "validation_fraction": None, "device": "cpu"}
    found = explain_one(SequenceTagger(**small).fit(X, [["P", "Q"]] * 4), X[0], token=1)
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("arguments", [{"word_dropout": 0.2}, {"min_count": 3}, {"max_size": 4}])
def test_neutral_word_is_the_unknown_one_where_training_met_it(arguments):
    tagger = fit(max_epochs=1, word_shape_size=2, **arguments)
    found = neutral(tagger)
    assert torch.equal(found[:6], tagger.model_.embed.weight[0])
    assert not torch.equal(found[6:], tagger.model_.word_shapes.weight[0])


def test_neutral_word_is_else_the_mean_of_the_vocabulary(tagger):
    known = list(tagger.encoder_.words.tokens[1:])
    vectors = tagger.model_.vectors(tagger.encoder_.encode(as_sentences([[word] for word in known], "sentence")))
    assert torch.allclose(neutral(tagger), vectors.mean(dim=0), atol=1e-6)
    assert torch.allclose(neutral(tagger)[:6], tagger.model_.embed.weight[1:].mean(dim=0), atol=1e-6)


def test_explaining_leaves_the_model_as_it_was(tagger):
    explain_one(tagger, WORDS[0], token=1)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in tagger.model_.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"method": "attention"},
            "'attention'.*integrated-gradients, gradient-x-input, occlusion",
        ),
        ({"method": "in-silico-mutagenesis"}, "in-silico-mutagenesis'.*words"),
        ({"method": "oclusion"}, "'oclusion'.*'occlusion'"),
        ({"token": 4}, r"sentence 0: .*token 4 .*\(in Oslo we ate\).*0 to 3"),
        ({"token": -1}, "token -1"),
        ({"label": "B-LCO"}, "'B-LCO'.*'B-LOC'"),
    ],
)
def test_what_cannot_be_explained_is_refused(tagger, arguments, message):
    with pytest.raises(ConfigError, match=message):
        explain_one(tagger, WORDS[0], **{"token": 1, **arguments})


def test_a_tag_of_probability_0_is_refused(constrained):
    with pytest.raises(ConfigError, match=r"'I-LOC' .*token 0 \('in'\)"):
        explain_one(constrained, WORDS[0], token=0, label="I-LOC")


def test_bad_sentences_and_models_are_refused(tagger):
    with pytest.raises(DataError, match="sentence 0: .*empty"):
        explain_one(tagger, [], token=0)
    with pytest.raises(NotFittedError, match="SequenceTagger is not fitted"):
        explain(SequenceTagger(), WORDS)


def test_a_script_among_the_words_is_shown_and_not_run(tagger):
    html = explain_one(tagger, ["<script>alert(1)</script>", "saw", "Oslo"], token=2, method="occlusion")._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html and "<script" not in html


def test_explained_tag_as_json(tagger):
    told = explain_one(tagger, WORDS[0], token=1, label="B-LOC", method="occlusion").to_json()
    assert told.keys() == {"method", "tokens", "token", "tag", "probability", "scores"}
    assert told["tokens"] == WORDS[0] and len(told["scores"]) == 4


def test_loss_is_what_masking_the_first_other_words_takes_away(tagger):
    found = explain_one(tagger, WORDS[2], token=2, label="B-LOC", method="occlusion")
    measured = measure(tagger, [found])
    first = int(np.argmax(found.scores[:2]))  # of two others each share up to a half is one word
    whole, masked = (1 / (1 + np.exp(-odds(tagger, WORDS[2], which, 2, "B-LOC"))) for which in (None, first))
    assert measured.comprehensiveness.each[0] == pytest.approx(whole - masked, abs=1e-4)
    assert measured.area.interval is None and "1 tag of 1 sentence" in measured.sentence


def test_curves_of_a_tag_never_mask_its_own_word(tagger):
    found = explain_one(tagger, WORDS[2], token=2, label="B-LOC", method="occlusion")
    measured = measure(tagger, [found])
    sentence = tagger.encoder_.encode(as_sentences([WORDS[2]], "sentence"))
    with torch.no_grad():
        x = tagger.model_.vectors(sentence)
        x[:2] = neutral(tagger)  # both others
        p = tagger.model_.marginals(tagger.model_.score(x, Layout(sentence.lengths)), sentence.lengths)
    expected = p[2, tagger.codec_.tags.index("B-LOC")].item()
    assert measured.deletion[-1] == measured.keeping[0] == pytest.approx(expected, abs=1e-5)
    assert measured.deletion[0] == measured.keeping[-1] == pytest.approx(found.probability, abs=1e-5)


def test_ranking_upside_down_takes_less_away(tagger):
    found = explain_one(tagger, WORDS[3], token=3, label="I-LOC", method="occlusion")
    assert found.scores[:3].max() > found.scores[:3].min()
    measured = [measure(tagger, [each]) for each in (found, replace(found, scores=-found.scores))]
    own, turned = (each.comprehensiveness.value for each in measured)
    assert own > turned


def test_sentences_count_once_however_many_tags_are_explained(tagger):
    explained = explain(tagger, WORDS, tokens=[0, 2], method="occlusion")
    measured = measure(tagger, explained)
    lost = measured.comprehensiveness
    assert measured.n == 8 and len(lost.by_group[0]) == 4
    assert lost.value == pytest.approx(np.mean(lost.each))
    again = measure(tagger, explained[::-1])
    assert again.comprehensiveness.random_each[::-1] == pytest.approx(lost.random_each)


def test_word_alone_has_no_others_to_mask(tagger):
    measured = measure(tagger, [explain_one(tagger, ["Oslo"], token=0, method="occlusion")])
    assert (
        measured.n == 0
        and "no other word" in measured.masking(0)
        and "No sentence has another word" in measured.sentence
    )
    told = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert told["comprehensiveness"] is None and told["deletion"] is None


def test_explanations_of_several_methods_are_not_measured_together(tagger):
    mixed = [explain_one(tagger, WORDS[0], token=1, method=method) for method in ("occlusion", "gradient-x-input")]
    with pytest.raises(ConfigError, match=r"2 methods \(gradient-x-input, occlusion\)"):
        measure(tagger, mixed)
    with pytest.raises(ConfigError, match="rankings 0"):
        measure(tagger, mixed[:1], rankings=0)


def test_an_explanation_of_another_tagger_is_refused(tagger):
    found = explain_one(tagger, WORDS[0], token=1, method="occlusion")
    with pytest.raises(DataError, match="explanation 0 .*'B-ORG'"):
        measure(tagger, [replace(found, label="B-ORG")])


def test_explained_rows_have_sources_true_tags_and_what_has_no_entity(constrained):
    rows = [each._replace(tags=tags) for each, tags in zip(as_sentences(WORDS, "row"), TAGS, strict=True)]
    (nothing,) = as_sentences([["we", "ate"]], "other")
    explained = explain_rows(constrained.fitted_, [nothing, *rows[2:3]], method="occlusion")
    assert explained.unexplained == ["other 0"] and {row.source for row in explained.rows} == {"row 2"}
    told = json.loads(json.dumps(explained.to_json(), allow_nan=False))
    by_token = {row["token"]: row["true_tag"] for row in told["explanations"]}
    assert by_token == {0: "S-PER", 2: "S-LOC"}  # in the scheme that was learnt
    assert explained.rows[0].comparison == "correct" and "comprehensiveness" in told["explanations"][0]


def test_sentences_with_an_entity_are_explained_first(constrained):
    rows = as_sentences([["we", "ate"], WORDS[0], ["ate"], WORDS[2]], "row")
    assert sentences_with_entities(constrained.fitted_, rows, 5) == [rows[1], rows[3]]
    assert sentences_with_entities(constrained.fitted_, rows, 1) == [rows[1]]
    assert sentences_with_entities(constrained.fitted_, rows[::2], 1) == [rows[0]]


def command(monkeypatch, *arguments):
    """Run `ostinato explain run …` in this process; returns its exit status."""
    monkeypatch.setattr("sys.argv", ["ostinato", "explain", "run", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as finished:
        return finished.code
    return 0


def test_the_command_explains_entities_of_the_test_split_and_of_texts(tmp_path, monkeypatch, capsys):
    for seed, split in enumerate(("train", "validation", "test")):
        (tmp_path / f"{split}.conll").write_text(columns(*sentences((150, 20, 20)[seed], seed)), encoding="utf-8")
    data = {"path": str(tmp_path / "train.conll"), "scheme": "iob2", "target_scheme": "none"}
    data |= {f"{split}_path": str(tmp_path / f"{split}.conll") for split in ("validation", "test")}
    model = {"embedding_size": 4, "hidden_size": 4, "character_cell": None}
    training = {"max_epochs": 12, "lr": 0.05, "batch_size": 4, "device": "cpu"}
    config = parse_config({"task": "tagging", "data": data, "model": model, "training": training})
    runs.start_run(config, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "--rows", 2, "--json") == 0
    rows = json.loads(capsys.readouterr().out)["explanations"]
    assert len({row["source"] for row in rows}) == 2 and {row["tokens"][row["token"]] for row in rows} <= NAMES
    assert {row["true_tag"][2:] for row in rows} == {"PER", "LOC"}
    out = tmp_path / "out"
    arguments = ("--text", "saw .", "--text", "Ada saw Oslo", "--out", out)
    assert command(monkeypatch, *arguments, "--method", "occlusion") == 0
    shown = capsys.readouterr().out
    assert "--text 1: no entity found" in shown and "--text 2: B-PER of Ada (word 1)" in shown
    assert "--text 1: no entity found" in (out / "explanations.html").read_text(encoding="utf-8")
    assert command(monkeypatch, "--text", "Ada saw Oslo", "--token", 4) == 2
    assert "word 4" in capsys.readouterr().err
