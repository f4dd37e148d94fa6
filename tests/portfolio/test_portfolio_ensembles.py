"""The mean of the best models as a candidate: when it is chosen, and its run."""

import pytest
import torch
from searching import Killed, World, kill, write_reviews
from toy import columns, sentences

import ostinato
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS
from ostinato.portfolio.ensembles import SIZES
from ostinato.portfolio.plan import CANDIDATES, ENSEMBLE, Attempt, choose, has_weights, read_attempts
from ostinato.portfolio.search import Search
from ostinato.runs import finished_metrics, is_complete
from ostinato.runs.leaderboard import Leaderboard
from ostinato.runs.report import report_run
from ostinato.storage import load_tensors
from ostinato.tasks.model_file import load_model

TAGGER = ("model.embedding_size=8", "training.max_epochs=4", "training.batch_size=64", "training.device=cpu")
BEST = Search.best


def attempt(name, score, members=()):
    return Attempt(
        session=1,
        stage=2,
        name=name,
        score=score,
        interval=(score - 0.08, score + 0.08),  # half a standard error is 0.02
        epochs=0 if members else 3,
        seconds=1.0,
        seconds_per_epoch=0.3,
        parameters=10,
        complete=True,
        problem=None,
        members=members,
    )


@pytest.mark.parametrize(("score", "expected"), [(0.86, ENSEMBLE), (0.825, "linear"), (0.7, "linear")])
def test_an_ensemble_must_beat_each_single_model_by_more_than_noise(score, expected):
    attempts = [attempt("linear", 0.81), attempt("cnn", 0.82), attempt(ENSEMBLE, score, ("linear-1-2", "cnn-1-2"))]
    assert choose(attempts, ["linear", "cnn"], CLASSIFICATION_METRICS["accuracy"]).name == expected


def best_is_an_ensemble(search):
    """As if an ensemble were better than the others by more than noise."""
    joined = [each for each in search.attempts if each.members and has_weights(search.folder, each, search.plan)]
    return joined[-1] if joined else BEST(search)


def test_its_run_has_the_mean_of_its_members_and_goes_on_with_more_time(tmp_path, monkeypatch):
    file, folder = write_reviews(tmp_path / "reviews.csv"), tmp_path / "run"
    monkeypatch.setattr(Search, "best", best_is_an_ensemble)
    metrics = World(monkeypatch).train(file, folder, seconds=60)
    tried = read_attempts(folder)[-1]
    assert len(tried.members) in SIZES and tried.stage == 3
    assert metrics == finished_metrics(folder) and is_complete(folder)
    assert metrics["validation"]["accuracy"] == tried.score
    assert metrics["model"]["parameters"] == tried.parameters
    assert [each["run"] for each in metrics["ensemble"]["members"]] == tried.member_names
    assert metrics["baselines"]["linear"]["versus"]["test"] == "McNemar, exact"
    found = Leaderboard.read(folder / "leaderboard.json")
    (entry,) = [each for each in found.entries if each.name == found.winner == ENSEMBLE]
    assert (entry.score, entry.reason) == (tried.score, f"the mean of {', '.join(tried.member_names)}")
    model = load_model(folder)
    assert model.network.weights.tolist() == pytest.approx([1 / len(tried.members)] * len(tried.members))
    for key, member in zip(tried.members, model.members, strict=True):
        saved = load_tensors(folder / CANDIDATES / key / "best.safetensors").tensors
        weights = member.network.head.weight
        assert any(each.shape == weights.shape and torch.equal(each, weights) for each in saved.values())
    assert ostinato.load(folder / "model.safetensors").predict(["a great film"]).shape == (1,)
    report_run(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Candidates" in page and all(name in page for name in tried.member_names)

    world = World(monkeypatch)
    assert world.resume(folder) == metrics
    world.resume(folder, seconds=250)
    sessions = [each.session for each in read_attempts(folder) if each.members]
    assert sessions == [1, 2] and is_complete(folder)


def test_an_ensemble_that_is_killed_while_it_becomes_the_run_is_written_again(tmp_path, monkeypatch):
    (tmp_path / "tags.conll").write_text(columns(*sentences(80)), encoding="utf-8")
    monkeypatch.setattr(Search, "best", best_is_an_ensemble)
    runs = [tmp_path / "whole", tmp_path / "killed"]
    World(monkeypatch).train(tmp_path / "tags.conll", runs[0], settings=TAGGER)
    with monkeypatch.context() as patch:
        patch.setattr("ostinato.portfolio.ensembles.write_ensemble", lambda *rest: kill())
        with pytest.raises(Killed):
            World(patch).train(tmp_path / "tags.conll", runs[1], settings=TAGGER)
    assert not is_complete(runs[1])
    World(monkeypatch).resume(runs[1])
    whole, found = (load_tensors(run / "model.safetensors").tensors for run in runs)
    assert whole.keys() == found.keys() and all(torch.equal(whole[name], found[name]) for name in whole)
    assert finished_metrics(runs[0])["test"] == finished_metrics(runs[1])["test"]


def test_a_single_model_that_is_the_run_can_become_a_member(tmp_path, monkeypatch):
    file, folder = write_reviews(tmp_path / "reviews.csv"), tmp_path / "run"
    world = World(monkeypatch)
    world.train(file, folder, seconds=30)
    first = Leaderboard.read(folder / "leaderboard.json").winner
    assert first != ENSEMBLE and not (folder / CANDIDATES).exists()
    monkeypatch.setattr(Search, "best", best_is_an_ensemble)
    monkeypatch.setattr(Search, "_pending", lambda search, stage: search.candidates[1:3] if stage == 0 else [])
    world.resume(folder, seconds=100)
    tried = read_attempts(folder)[-1]
    assert first in tried.member_names and is_complete(folder)
    assert len(load_model(folder).members) == len(tried.members)
