"""Taggers with a wide part start where the linear CRF ends, and do all that other taggers do."""

import contextlib
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy import columns, sentences

from ostinato import SequenceTagger, explain, load, runs
from ostinato.errors import ConfigError, RunError
from ostinato.nn.sequence_network import log_odds
from ostinato.runs import training
from ostinato.storage import load_tensors, save_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_config
from ostinato.tasks.tagging.sentence_vectors import SentenceVectors, neutral_vector
from ostinato.tasks.tagging.wide import linear_baseline

LINEAR = {"cell": "none", "wide": "features"}
DEEP = {"cell": "gru", "hidden_size": 5, "embedding_size": 4, "wide": "features", "max_epochs": 3, "batch_size": 8}
WORDS, TAGS = sentences(60)
NEW = [["Then", "Ada", "saw", "Oslo", "!"], ["Zoe", "left", "New", "Rome"], ["Rome"]]


@pytest.fixture(scope="module")
def linear():
    return SequenceTagger(**LINEAR, constrained=True, target_scheme="bioes").fit(WORDS, TAGS)


@pytest.fixture(scope="module")
def deep():
    return SequenceTagger(**DEEP, character_cell="cnn", lr=0.02, validation_fraction=None).fit(WORDS, TAGS)


def test_a_linear_crf_learns_from_words_around_a_name():
    tagger = SequenceTagger(**LINEAR).fit(WORDS, TAGS)
    assert tagger.score(*sentences(30, seed=1)) > 0.95
    assert [entry["epoch"] for entry in tagger.history_] == [0]
    assert tagger.model_.is_linear and tagger.model_.embed.weight.numel() == 0


def test_word_endings_tag_words_that_training_did_not_have():
    X = [[stem + ending] for stem in ("walk", "talk", "jump", "play", "look") for ending in ("ing", "ed")]
    y = [["ing" if words[0].endswith("ing") else "ed"] for words in X]
    tagger = SequenceTagger(**LINEAR, scheme="plain", validation_fraction=None).fit(X, y)
    assert tagger.predict([["sinking"], ["hated"]]) == [["ing"], ["ed"]]


def test_the_first_epoch_of_a_deep_tagger_is_the_linear_model():
    split = {"validation_data": sentences(20, seed=2)}
    alone, both = (SequenceTagger(**kind).fit(WORDS, TAGS, **split) for kind in (LINEAR, DEEP))
    first = {key: value for key, value in both.history_[0].items() if key.startswith("validation")}
    assert first == {key: pytest.approx(alone.history_[0][key], abs=1e-6) for key in first}
    assert len(both.history_) == 1 + DEEP["max_epochs"]
    assert min(each["validation_loss"] for each in both.history_) <= first["validation_loss"]
    torch.testing.assert_close(both.model_.wide.weight, alone.model_.wide.weight)


def test_the_answer_for_a_sentence_has_the_same_bits_in_any_batch(linear, deep):
    for tagger in (linear, deep):
        together = tagger.predict_proba(NEW)
        for words, expected in zip(NEW, together, strict=True):
            np.testing.assert_array_equal(tagger.predict_proba([words])[0], expected)


@pytest.mark.parametrize("name", ["linear", "deep"])
def test_a_saved_tagger_gives_the_same_answers(name, tmp_path, request):
    tagger = request.getfixturevalue(name)
    tagger.save(tmp_path / "model.safetensors")
    for first, second in zip(
        tagger.predict_proba(NEW), load(tmp_path / "model.safetensors").predict_proba(NEW), strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_damaged_weights_are_refused(linear, tmp_path):
    path = tmp_path / "model.safetensors"
    linear.save(path)
    stored = load_tensors(path)
    for name, tensor in stored.tensors.items():
        others = {key: each for key, each in stored.tensors.items() if key != name}
        for damaged in ({}, {name: tensor.double() + 0.5}, {name: tensor.flatten()[None]}):
            save_tensors(path, {**others, **damaged}, stored.facts)
            with pytest.raises(RunError, match="weights"):
                load(path)


def test_features_out_of_order_are_refused(linear, tmp_path):
    path = tmp_path / "model.safetensors"
    linear.save(path)
    stored = load_tensors(path)
    save_tensors(path, {**stored.tensors, "wide.keys": stored.tensors["wide.keys"].flip(0)}, stored.facts)
    with pytest.raises(RunError, match="ascend"):
        load(path)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cell": "none"}, "wide"),
        ({"wide": "features", "head": "softmax"}, "softmax"),
        ({"wide": "ngrams"}, "ngrams"),
        ({**LINEAR, "vectors": "glove-50d"}, "glove-50d"),
    ],
)
def test_settings_without_effect_are_refused(settings, named):
    with pytest.raises(ConfigError, match=named):
        SequenceTagger(**settings).fit(WORDS, TAGS)


def test_a_stream_and_an_export_are_refused_with_the_reason(deep):
    with pytest.raises(ConfigError, match="wide = features"):
        deep.stream()
    with pytest.raises(ConfigError, match="wide features"):
        deep.task.onnx(deep.fitted_)


@pytest.mark.parametrize("name", ["linear", "deep"])
def test_integrated_gradients_add_up_to_the_whole_difference(name, request):
    tagger = request.getfixturevalue(name)
    for explanation in explain(tagger, NEW[:2], tokens=[1, 3]):
        encoded = tagger.encoder_.encode([explanation.sentence])
        vectors = SentenceVectors(tagger.model_, encoded, neutral_vector(tagger.model_, tagger.encoder_))
        masks = np.array([[False] * len(encoded.words.values), [True] * len(encoded.words.values)])
        answers = vectors.masked(masks, np.array([explanation.token]))[:, 0]
        tag = torch.tensor([tagger.codec_.tags.index(explanation.label)] * 2)
        full, masked = log_odds(answers.double(), tag).tolist()
        assert explanation.scores.sum() == pytest.approx(full - masked, abs=0.02 * max(abs(full - masked), 0.1))


def test_occlusion_of_a_linear_crf_ignores_the_features_of_the_masked_word(linear):
    (found,) = explain(linear, NEW[:1], tokens=[1], method="occlusion")
    network, encoded = linear.model_, linear.encoder_.encode([found.sentence])
    tag = torch.tensor([linear.codec_.tags.index(found.label)])
    for word in range(len(NEW[0])):
        hidden = torch.arange(len(NEW[0])) == word
        odds = []
        for mask in (None, hidden):
            scores = network.deep(encoded) + network.wide(encoded.tokens(), mask)
            odds.append(log_odds(network.marginals(scores, encoded.lengths).log()[1:2].double(), tag).item())
        assert found.scores[word] == pytest.approx(odds[0] - odds[1], abs=1e-3)


def config_of(folder, **model):
    (folder / "train.conll").write_text(columns(*sentences(80)), encoding="utf-8")
    return parse_config(
        {
            "task": "tagging",
            "data": {"path": str(folder / "train.conll"), "validation_size": 0.2, "test_size": 0.2},
            "model": {"hidden_size": 5, "embedding_size": 4, "wide": "features", **model},
            "training": {"max_epochs": 3, "batch_size": 8, "device": "cpu", "monitor": "f1"},
        }
    )


def test_a_resumed_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    config = config_of(tmp_path)
    metrics = runs.start_run(config, tmp_path / "whole")
    stops = iter([False] * 8 + [True] * 2)
    with monkeypatch.context() as patch:
        patch.setattr(training, "stop_signals", lambda: contextlib.nullcontext(lambda: next(stops, True)))
        with pytest.raises(KeyboardInterrupt):
            runs.start_run(config, tmp_path / "stopped")
    again = runs.resume_run(tmp_path / "stopped")
    assert again["test"] == metrics["test"] and again["baselines"] == metrics["baselines"]
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def test_the_linear_baseline_is_the_linear_tagger(tmp_path):
    config = config_of(tmp_path, cell="none")
    metrics = runs.start_run(config, tmp_path / "run")
    assert metrics["baselines"]["linear"]["f1"] == metrics["test"]["f1"]
    assert "features" in metrics["baselines"]["linear"]["description"]
    predicted, _ = linear_baseline(TASKS["tagging"].prepare(config.data))
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert predicted == [row["predicted"] for row in rows]
