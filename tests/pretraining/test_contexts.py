"""Skip-gram and two-view: they learn a known source, resume bit for bit, and models of every task start from them."""

import json
import math
import re
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny_pretraining import letters, words

import ostinato
from ostinato import runs
from ostinato.errors import ConfigError, DataError, OstinatoError
from ostinato.nn.contexts import neighbours, region
from ostinato.pretraining.config import parse_config
from ostinato.pretraining.contexts import ContextLoss, importance_of, tallies
from ostinato.pretraining.corpus import build_corpus
from ostinato.pretraining.objective import baseline_loss, build_network, objective_of
from ostinato.pretraining.reading import read_unlabelled
from ostinato.pretraining.report import neighbours as nearest
from ostinato.pretraining.report import report_pretraining
from ostinato.pretraining.run import resume_pretraining, start_pretraining
from ostinato.storage import load_tensors
from ostinato.tasks.config import override
from ostinato.tasks.config import parse_config as parse_task
from ostinato.training.optimizer import make_optimizer
from ostinato.training.pretrained import read_pretrained

OBJECTIVES = ["skip-gram", "two-view"]
SMALL = {"tokenizer": "words", "embedding_size": 8, "max_epochs": 2, "max_tokens": 256, "lr": 1e-2, "device": "cpu"}
TEXTS = words(120)
FROZEN = {"max_epochs": 1, "lr": 1e-30, "weight_decay": 0.0, "validation_fraction": None, "device": "cpu"}
OF_A_TEXT = {
    ostinato.SequenceClassifier: lambda text: "cat" if "cat" in text else "other",
    ostinato.SequenceMultilabelClassifier: lambda text: [word for word in ("cat", "old") if word in text],
    ostinato.SequenceRegressor: lambda text: float(text.split()[-1]),
}


def config_of(folder, texts, objective, **training):
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    settings = {"max_epochs": 2, "max_tokens": 64, "device": "cpu", **training}
    values = {"data": {"path": str(folder / "*.txt"), "min_count": 1}, "model": {"embedding_size": 8}}
    return parse_config({**values, "training": {"objective": objective, **settings}})


@pytest.fixture(scope="module", params=OBJECTIVES)
def encoder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / request.param
    ostinato.pretrain(TEXTS, folder, objective=request.param, window=2, **SMALL)
    return folder


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_training_begins_at_the_baseline_exactly(tmp_path, objective):
    config = config_of(tmp_path, TEXTS, objective, window=2)
    corpus = build_corpus(config, read_unlabelled(config.data))
    found = objective_of(config, corpus).metrics(build_network(config, corpus), corpus.validation)
    assert found == {"loss": pytest.approx(baseline_loss(config, corpus), rel=1e-5)}


@pytest.mark.parametrize("are_sets", [False, True])
def test_the_log_odds_have_the_least_loss_of_all_logits_without_context(are_sets):
    ids, lengths, alike = torch.tensor([1, 2, 2, 1, 3, 4, 4, 0]), torch.tensor([5, 3]), torch.ones(5)
    targets = region(ids, lengths, 1, 3, alike) if are_sets else neighbours(ids, lengths, 2, alike)
    draws = torch.tensor([0.1, 0.5, 0.2, 0.3, 0.4], dtype=torch.float64)
    present, absent = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for tokens, weights in zip(targets.ids.tolist(), targets.weights.tolist(), strict=True):
        own = [token for token, weight in zip(tokens, weights, strict=True) if weight]
        for token, weight in zip(tokens, weights, strict=True):
            present[token] += weight
        for token in range(5):
            absent[token] += 0 if are_sets and token in own else sum(weights) * draws[token]

    class Predicts:
        def targets(self, *given):
            return [targets]

    class Data:
        def __init__(self):
            self.lengths = lengths

        def at(self, indices, device):
            return type("Batch", (), {"sequences": type("Ragged", (), {"values": ids}), "lengths": lengths})

    counts = (draws / 5) ** (1 / 0.75) * 1e6  # from which these draws follow, up to their sum
    (found,) = tallies(Predicts(), Data(), counts)
    assert torch.allclose(found.present, present)
    assert torch.allclose(found.absent, absent * 5 / draws.sum())
    least = found.loss((found.present / found.absent).log())
    for token in range(5):
        for step in (-0.1, 0.1):
            logits = (found.present / found.absent).log()
            logits[token] += step
            assert found.loss(logits) >= least


def test_importance_is_that_of_word2vec_and_spares_small_vocabularies():
    counts = torch.tensor([0] + [400] * 100 + [1] * 60_000)
    found = importance_of(counts)
    assert found[1].item() == pytest.approx(math.sqrt(1e-4 / 0.004))
    assert found[200].item() == 1
    assert importance_of(torch.tensor([0, 10, 10, 10])).min().item() == pytest.approx(math.sqrt(0.25 / (1 / 3)))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_of_a_sample_estimates_that_of_all_tokens(tmp_path, objective):
    config = config_of(tmp_path, TEXTS, objective, window=2)
    corpus = build_corpus(config, read_unlabelled(config.data))
    model = build_network(config, corpus)
    torch.manual_seed(0)
    for parameter in model.tables:
        torch.nn.init.normal_(parameter)
    sampled, whole = (ContextLoss(corpus.counts, count) for count in (16, None))
    assert (sampled.negatives, whole.negatives) == (16, None)
    with torch.no_grad():
        losses = [sampled.loss(model, corpus.train, config.training).item() for _ in range(200)]
        exact = whole.loss(model, corpus.train, config.training).item()
    error = np.std(losses) / math.sqrt(len(losses))
    assert abs(np.mean(losses) - exact) < 4 * error
    assert error < 0.02 * exact


def skip_gram_loss(follows):
    """The least skip-gram loss with window 1 on letters in equal shares, whose neighbours are drawn from `follows`."""
    negatives = 5 / 3  # of each of three letters
    odds = follows / negatives
    return float((follows * np.log1p(1 / odds) + negatives * np.log1p(odds)).sum(1).mean())


def test_skip_gram_falls_to_the_least_loss_of_its_source(tmp_path):
    settings = {
        **SMALL,
        "tokenizer": "characters",
        "max_epochs": 6,
        "window": 1,
        "objective": "skip-gram",
        "validation_size": 60,
    }
    found = ostinato.pretrain(letters(250), tmp_path, **settings)["validation"]
    both = np.full((3, 3), 0.475) - np.eye(3) * 0.425  # the next letter is cyclic, the previous one is too
    expected = skip_gram_loss(both)
    assert found["loss"] == pytest.approx(expected, abs=0.02)
    assert found["baseline_loss"] == pytest.approx(skip_gram_loss(np.full((3, 3), 1 / 3)), abs=0.02)
    assert found["loss"] < found["baseline_loss"] - 0.05


def test_two_view_falls_to_the_least_loss_of_its_source(tmp_path):
    texts = letters(700)
    pairs = [(ord(second) - ord(first)) % 3 for text in texts for first, second in pairwise(text)]
    settings = {**SMALL, "tokenizer": "characters", "max_epochs": 6, "window": 1, "objective": "two-view"}
    found = ostinato.pretrain(texts, tmp_path, validation_size=400, **settings)["validation"]
    follows = np.bincount(pairs, minlength=3) / len(pairs)
    negatives = 5 / 3 * (1 - follows)  # a set of one letter: only the others are negatives
    expected = float((follows * np.log1p(negatives / follows) + negatives * np.log1p(follows / negatives)).sum())
    assert found["loss"] == pytest.approx(expected, abs=0.03)
    assert found["loss"] < 0.6 * found["baseline_loss"]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_words_in_the_same_places_become_neighbours(tmp_path, objective):
    ostinato.pretrain(words(600), tmp_path, objective=objective, window=2, **{**SMALL, "max_epochs": 15})
    pretrained = read_pretrained(tmp_path)
    ids, tokens = pretrained.encoder.vocabulary.ids, pretrained.encoder.vocabulary.tokens
    vectors = torch.nn.functional.normalize(pretrained.vectors, dim=1)
    for group in (["cat", "dog", "fox"], ["runs", "eats", "naps"]):
        for word in group:
            assert {tokens[each] for each, _ in nearest(vectors, ids[word], 2)} == set(group) - {word}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("steps", [1, 7])
def test_a_resumed_pretraining_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch, objective, steps):
    config = config_of(tmp_path, words(200), objective, negatives=8, checkpoint_every_s=1e-9)
    start_pretraining(config, tmp_path / "whole")
    left = [steps]

    def stop_after_some_steps():
        left[0] -= 1
        return left[0] <= 0

    with monkeypatch.context() as patched:
        patched.setattr("ostinato.pretraining.run.stop_signals", lambda: nullcontext(stop_after_some_steps))
        with pytest.raises(KeyboardInterrupt):
            start_pretraining(config, tmp_path / "resumed")
    metrics = resume_pretraining(tmp_path / "resumed")
    whole, resumed = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert {name for name in whole.tensors if "stack" in name} == set()
    assert all(torch.equal(tensor, resumed.tensors[name]) for name, tensor in whole.tensors.items())
    assert metrics["validation"] == json.loads((tmp_path / "whole" / "metrics.json").read_text())["validation"]


@pytest.mark.parametrize("estimator", OF_A_TEXT)
@pytest.mark.parametrize("cell", ["gru", "cnn"])
def test_a_model_of_any_layers_takes_the_vectors_over(encoder, estimator, cell):
    texts = [*TEXTS[:30], "the new cat naps 5", "a new dog runs 7"]
    options = {"cell": cell, "hidden_size": 5, "num_layers": 2, **FROZEN}
    model = estimator(init=str(encoder), **options).fit(texts, [OF_A_TEXT[estimator](text) for text in texts])
    pretrained, ids = read_pretrained(encoder), model.encoder_.vocabulary.ids
    assert torch.equal(model.model_.embed.weight[: len(pretrained.vectors)], pretrained.vectors)
    assert torch.equal(model.model_.embed.weight[ids["new"]], pretrained.vectors[0])
    assert model.fitted_.config.model.embedding_size == 8


def test_a_tagger_takes_the_vectors_over(encoder):
    sentences = [text.split() for text in TEXTS[:30]]
    tags = [["N" if word in ("cat", "dog", "fox") else "O" for word in sentence] for sentence in sentences]
    model = ostinato.SequenceTagger(init=str(encoder), hidden_size=5, **FROZEN).fit(sentences, tags)
    assert torch.equal(
        model.model_.embed.weight[: len(read_pretrained(encoder).vectors)], read_pretrained(encoder).vectors
    )
    assert model.fitted_.config.data.lowercase


def test_fresh_layers_train_at_the_full_rate_and_the_vectors_at_a_lower_one(encoder):
    model = ostinato.SequenceClassifier(init=str(encoder), num_layers=2, **FROZEN).fit(TEXTS, ["a", "b"] * 60)
    config = model.fitted_.config.training.model_copy(update={"init_lr_ratio": 0.25, "init_freeze": 0.2})
    rates = {}
    for group in make_optimizer(model.model_, config).param_groups:
        rates |= {id(each): (group["ratio"], group["starts"]) for each in group["params"]}
    found = {name: rates[id(each)] for name, each in model.model_.named_parameters()}
    assert found.pop("embed.weight") == (0.25, 0.2)
    assert set(found.values()) == {(1.0, 0.0)}


def test_a_run_says_that_its_layers_start_fresh(encoder, tmp_path):
    lines = ["text,label", *(f"{text},{OF_A_TEXT[ostinato.SequenceClassifier](text)}" for text in words(60, seed=5))]
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    values = {"data": {"path": str(tmp_path / "rows.csv")}, "training": {"max_epochs": 1, "device": "cpu"}}
    config = override(parse_task(values), [f"model.init={encoder}", "model.hidden_size=6"])
    runs.start_run(config, tmp_path / "run")
    log = (tmp_path / "run" / "training.log").read_text(encoding="utf-8")
    assert "token vectors of" in log
    assert "layers start fresh" in log


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"embedding_size": 7}, "model.embedding_size: 7.*8"),
        ({"tokenizer": "characters"}, "data.tokenizer: characters.*words"),
        ({"vectors": "glove-50d"}, "data.vectors: glove-50d"),
        ({"cell": "none", "wide": "ngrams"}, "model.cell: none"),
    ],
)
def test_what_contradicts_the_vectors_is_named(encoder, settings, match):
    with pytest.raises(ConfigError, match=match):
        ostinato.SequenceClassifier(init=str(encoder), **settings).fit(TEXTS, ["a", "b"] * 60)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_pretraining_continues_another_with_what_it_has_learnt(tmp_path, objective):
    settings = {**SMALL, "objective": objective, "window": 2}
    first = ostinato.pretrain(words(400), tmp_path / "first", **{**settings, "max_epochs": 8})["validation"]
    more = [*words(300, seed=7), *["the new cat eats 5", "a new cat naps 6"] * 2]
    untrained = {**settings, "max_epochs": 1, "lr": 1e-9, "init": str(tmp_path / "first")}
    second = ostinato.pretrain(more, tmp_path / "second", **untrained)["validation"]
    assert second["loss"] - second["baseline_loss"] < 0.7 * (first["loss"] - first["baseline_loss"]) < 0
    old, new = (read_pretrained(tmp_path / name) for name in ("first", "second"))
    assert "new" in new.encoder.vocabulary.ids or len(new.vectors) == len(old.vectors)
    assert torch.allclose(new.vectors[: len(old.vectors)], old.vectors, atol=1e-6)


def test_layers_can_be_pretrained_on_vectors_and_vectors_on_those_of_layers(encoder, tmp_path):
    layered = {**SMALL, "lr": 1e-30, "weight_decay": 0.0, "max_epochs": 1, "init": str(encoder), "hidden_size": 5}
    ostinato.pretrain(TEXTS, tmp_path / "layers", **layered)
    found, given = read_pretrained(tmp_path / "layers"), read_pretrained(encoder)
    assert found.has_layers
    assert not given.has_layers
    assert torch.equal(found.vectors, given.vectors)
    flat = {key: value for key, value in layered.items() if key != "hidden_size"}
    flat |= {"init": str(tmp_path / "layers"), "objective": "skip-gram"}
    ostinato.pretrain(TEXTS, tmp_path / "vectors", **flat)
    assert torch.equal(read_pretrained(tmp_path / "vectors").vectors, given.vectors)


def test_the_report_shows_neighbours_and_no_continuations(encoder):
    page = report_pretraining(encoder).read_text(encoding="utf-8")
    assert "Neighbours of frequent tokens" in page
    assert "Continuations" not in page
    assert f"objective {encoder.name}" in page


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("sequences", "settings", "error", "match"),
    [
        (
            TEXTS,
            {"hidden_size": 9, "bidirectional": False},
            ConfigError,
            "model.hidden_size 9, model.bidirectional False",
        ),
        (TEXTS, {"window": 0}, ConfigError, "window: 0"),
        (TEXTS, {"r_drop": 1.0}, ConfigError, "r_drop"),
        ([np.ones((9, 2)) * each for each in range(9)], {"tokenizer": None}, ConfigError, "numeric series"),
        (["a", "b", "c", "d"], {}, DataError, "no sequence in"),
    ],
)
def test_what_cannot_be_used_is_named_and_creates_nothing(tmp_path, objective, sequences, settings, error, match):
    with pytest.raises(error, match=re.escape(match)):
        ostinato.pretrain(sequences, tmp_path / "encoder", **{**SMALL, "objective": objective, **settings})
    assert not (tmp_path / "encoder").exists()


def test_regions_need_longer_sequences_and_a_window_needs_its_objective(tmp_path):
    texts = [f"{first} {second} {third}" for first in "abcd" for second in "efgh" for third in "ij"]
    with pytest.raises(DataError, match="4 steps"):
        ostinato.pretrain(texts, tmp_path / "encoder", objective="two-view", **SMALL)
    ostinato.pretrain(texts, tmp_path / "shorter", objective="two-view", window=2, **SMALL)
    with pytest.raises(ConfigError, match="window 3"):
        ostinato.pretrain(texts, tmp_path / "encoder", window=3, **SMALL)
    with pytest.raises(OstinatoError, match="skipgram.*skip-gram"):
        ostinato.pretrain(texts, tmp_path / "encoder", objective="skipgram", **SMALL)
