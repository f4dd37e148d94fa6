"""Ensembles of estimators: their answers are the mean of the members', from a file and in any batch."""

import numpy as np
import pytest
import torch

import ostinato
from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.explanation import measure
from ostinato.storage import load_tensors, save_tensors

SMALL = {"embedding_size": 4, "hidden_size": 4, "max_epochs": 3, "validation_fraction": None, "device": "cpu"}
rng = np.random.default_rng(0)
TEXTS = [" ".join(rng.choice(["good", "bad", "film", "plot"], rng.integers(1, 9))) for _ in range(60)]
COUNTS = [each.count("good") for each in TEXTS]
TARGETS = {
    SequenceClassifier: ["few" if count < 1 else "some" if count < 2 else "many" for count in COUNTS],
    SequenceMultilabelClassifier: [
        ["good"] * (count > 0) + ["long"] * (len(text) > 20) for text, count in zip(TEXTS, COUNTS, strict=True)
    ],
    SequenceRegressor: COUNTS,
}
KINDS = list(TARGETS)


def answers(model, texts=TEXTS):
    return model.predict(texts) if isinstance(model, SequenceRegressor) else model.predict_proba(texts)


def trained(kind, **arguments):
    settings = {"tokenizer": "words", **SMALL, **arguments}
    return kind(**settings).fit(TEXTS, TARGETS[kind])


@pytest.fixture(scope="module")
def members():
    """For each kind: a model of words, another seed of it, and a model of characters with a wide part."""
    return {
        kind: [trained(kind), trained(kind, seed=1), trained(kind, tokenizer="characters", cell="gru", wide="ngrams")]
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chosen", [[0, 1], [0, 2], [2, 0, 1]], ids=str)
def test_answers_are_the_mean_of_the_members(members, kind, chosen):
    models = [members[kind][index] for index in chosen]
    expected = np.mean([answers(model) for model in models], axis=0)
    assert answers(ostinato.ensemble(models)) == pytest.approx(expected, abs=1e-5)


def test_given_weights_are_scaled_to_the_sum_1(members):
    one, two = members[SequenceClassifier][:2]
    found = answers(ostinato.ensemble([one, two], weights=[1, 3]))
    assert found == pytest.approx(0.25 * answers(one) + 0.75 * answers(two), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_ensemble_answers_with_the_same_bits_alone_and_in_a_batch(members, kind, tmp_path):
    model = ostinato.ensemble(members[kind], "validation", (TEXTS, TARGETS[kind]))
    model.save(tmp_path / "ensemble.safetensors")
    loaded = ostinato.load(tmp_path / "ensemble.safetensors")
    assert type(loaded) is kind
    expected = answers(model)
    assert np.array_equal(answers(loaded), expected)
    alone = np.concatenate([answers(loaded, [text]) for text in TEXTS])
    assert np.array_equal(alone, expected)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "ensemble.safetensors").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_fitted_weights_are_not_worse_than_equal_ones(members, kind):
    targets = TARGETS[kind]

    def loss(model):
        fitted = model.fitted_
        rows = fitted.task.labelled_rows(fitted, TEXTS, targets)
        examples = fitted.task.encode(fitted, rows)
        scores = fitted.task.joining.scores(fitted, examples, fitted.task.outputs(fitted.network, examples))
        return scores.get("log_loss", scores.get("rmse"))

    def with_weights(weights):
        return ostinato.ensemble(members[kind], weights)

    found = ostinato.ensemble(members[kind], "validation", (TEXTS, targets)).model_.weights
    assert loss(with_weights(found.tolist())) <= loss(with_weights(None)) + 1e-6


def test_validation_data_calibrates_the_mean(members):
    models = members[SequenceClassifier]
    plain = ostinato.ensemble(models)
    calibrated = ostinato.ensemble(models, validation_data=(TEXTS, TARGETS[SequenceClassifier]))
    assert plain.model_.temperature == 1 and calibrated.model_.temperature != 1
    assert (plain.predict(TEXTS) == calibrated.predict(TEXTS)).all()


def test_members_of_different_scales_are_averaged_in_the_unit_of_the_target():
    hundred = SequenceRegressor(tokenizer="words", **SMALL).fit(TEXTS, [100 * count for count in COUNTS])
    one = trained(SequenceRegressor)
    expected = (answers(one) + answers(hundred)) / 2
    assert answers(ostinato.ensemble([one, hundred])) == pytest.approx(expected, rel=1e-5)


def test_an_explanation_is_the_mean_of_the_members(members):
    models = members[SequenceClassifier][:2]
    (found,) = ostinato.explain(ostinato.ensemble(models, weights=[0.25, 0.75]), TEXTS[:1], label="many")
    own = [ostinato.explain(model, TEXTS[:1], label="many")[0].scores for model in models]
    assert found.scores == pytest.approx(0.25 * own[0] + 0.75 * own[1])


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
def test_an_explanation_of_different_tokens_is_on_those_of_the_first(members, method):
    words, _, letters = members[SequenceClassifier]
    text = "good film"
    (found,) = ostinato.explain(ostinato.ensemble([words, letters]), [text], method=method, label="many")
    of_words, of_letters = (
        ostinato.explain(model, [text], method=method, label="many")[0].scores for model in (words, letters)
    )
    of_letters = np.array([of_letters[:4].sum(), of_letters[5:].sum()])
    assert found.tokens == ["good", "film"] and found.scores == pytest.approx((of_words + of_letters) / 2)


def test_masking_every_token_gives_the_mean_of_the_masked_members(members):
    words, _, letters = members[SequenceClassifier]
    text = "goodfilm"  # one word, which covers all letters
    model = ostinato.ensemble([words, letters])
    (found,) = ostinato.explain(model, [text], label="many")
    masked = []
    for each in (words, letters, model):
        (own,) = ostinato.explain(each, [text], label="many")
        made = each.fitted_.task.masking(each.fitted_).input(own, 0)
        masked.append(made.answer(np.ones((1, len(own.scores)), bool))[0])
    assert masked[2] == pytest.approx((masked[0] + masked[1]) / 2, abs=1e-6)
    assert measure(model, [found]).n == 1


def test_what_ensembles_cannot_do_is_refused(members):
    model = ostinato.ensemble(members[SequenceClassifier][:2])
    with pytest.raises(ConfigError, match="ensemble"):
        model.stream()
    with pytest.raises(ConfigError, match="ensemble"):
        ostinato.trace(model, "good film")
    with pytest.raises(ConfigError, match="attention"):
        ostinato.explain(model, ["good"], method="attention")


def test_a_row_that_one_member_cannot_read_is_refused(members):
    words, _, letters = members[SequenceClassifier]
    with pytest.raises(DataError, match="sequence 1"):
        ostinato.ensemble([words, letters]).predict(["good", "  "])


def test_members_that_do_not_fit_each_other_are_refused(members):
    first = members[SequenceClassifier][0]
    two_classes = SequenceClassifier(**SMALL, tokenizer="words").fit(TEXTS, [str(count > 0) for count in COUNTS])
    series = SequenceClassifier(**SMALL).fit([np.ones(3), np.zeros(4), np.ones(2)], ["few", "some", "many"])
    quantiles = trained(SequenceRegressor, loss="quantile", quantiles=[0.1, 0.5, 0.9])
    refused = {
        "least two": [first],
        "'True'.*lacks 'few'": [first, two_classes],
        "regression": [first, members[SequenceRegressor][0]],
        "series of 1": [first, series],
        "ensemble itself": [first, ostinato.ensemble([first, first])],
        "0.9": [members[SequenceRegressor][0], quantiles],
    }
    for message, models in refused.items():
        with pytest.raises(ConfigError, match=message):
            ostinato.ensemble(models)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], "validation", "best"], ids=str)
def test_wrong_weights_are_refused(members, weights):
    with pytest.raises(ConfigError, match="weights"):
        ostinato.ensemble(members[SequenceClassifier][:2], weights)


def test_the_file_has_the_facts_and_weights_of_every_member(members, tmp_path):
    models = members[SequenceClassifier]
    ostinato.ensemble(models).save(tmp_path / "ensemble.safetensors")
    tensors, facts, _ = load_tensors(tmp_path / "ensemble.safetensors")
    assert facts["kind"] == "ensemble"
    for number, model in enumerate(models):
        model.save(tmp_path / "member.safetensors")
        own_tensors, own_facts, _ = load_tensors(tmp_path / "member.safetensors")
        assert facts["members"][number] == own_facts
        assert all(tensors.pop(f"members.{number}.{name}").equal(each) for name, each in own_tensors.items())
    assert sorted(tensors) == ["temperature", "weights"]


@pytest.mark.parametrize("change", ["weights", "members.1.head.bias", "facts"])
def test_a_damaged_file_is_refused(members, tmp_path, change):
    path = tmp_path / "ensemble.safetensors"
    ostinato.ensemble(members[SequenceClassifier][:2]).save(path)
    tensors, facts, _ = load_tensors(path)
    if change == "facts":
        facts = {**facts, "members": facts["members"][:1]}
    else:
        tensors[change] = torch.full_like(tensors[change], 0.7 if change == "weights" else torch.nan)
    save_tensors(path, tensors, facts)
    with pytest.raises(RunError, match=r"ensemble\.safetensors"):
        ostinato.load(path)
