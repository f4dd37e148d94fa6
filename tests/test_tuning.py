"""Searches on tiny tasks, for real; Optuna proposes and our training answers."""

import csv
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ostinato.cli import app
from ostinato.config import Range, to_toml
from ostinato.errors import ConfigError, RunError, TrainingError
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override, parse_config
from ostinato.tuning import TuningResults, make_search, read_search, tune
from ostinato.tuning import trial as trials_of_tuning

pytest.importorskip("optuna", reason="needs the extra tune")

SMALL = ["data.train_size=100", "data.validation_size=40", "data.test_size=60", "training.max_epochs=2"]
MAJORITY = override(PRESETS["majority"](), SMALL)


def config(**search):
    return MAJORITY.model_copy(update={"search": search})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning") / "majority"
    return folder, tune(make_search(MAJORITY, trials=4), folder)


def test_the_first_trial_is_the_config_itself_and_the_best_is_no_worse(finished):
    _, found = finished
    assert len(found.trials) == 4
    assert found.trials[0].values == pytest.approx(
        {
            "training.lr": 5e-3,
            "model.hidden_size": 16,
            "model.dropout": 0.0,
            "model.num_layers": 1,
            "training.batch_size": 32,
        }
    )
    scores = [trial.score for trial in found.trials if trial.state == "complete"]
    assert found.untuned == found.trials[0].score
    assert found.best.score == min(scores) <= found.untuned


def test_the_best_config_is_complete_and_reproduces_its_score(finished):
    folder, found = finished
    best = found.best_config()
    assert (folder / "best.toml").read_text(encoding="utf-8") == found.config
    assert best.search is None
    search = make_search(best.model_copy(update={"search": {"model.dropout": [best.model.dropout]}}), trials=1)
    assert tune(search, folder.with_name("again")).best.score == found.best.score


def test_results_are_saved_as_json_and_csv(finished):
    folder, found = finished
    assert TuningResults.read(folder / "tuning.json") == found
    lines = list(csv.DictReader((folder / "trials.csv").read_text(encoding="utf-8").splitlines()))
    assert [line["state"] for line in lines] == [trial.state for trial in found.trials]
    assert [float(line["training.lr"]) for line in lines] == [trial.values["training.lr"] for trial in found.trials]


def test_the_test_split_is_never_scored(monkeypatch, tmp_path):
    task = type(TASKS["classification"])
    prepare = task.prepare

    def refuse(*arguments, **options):
        raise AssertionError("scored")

    def without_test(self, config):
        data = prepare(self, config)
        return replace(data, splits={name: split for name, split in data.splits.items() if name != "test"})

    monkeypatch.setattr(task, "score", refuse)
    monkeypatch.setattr(task, "score_baselines", refuse)
    monkeypatch.setattr(task, "prepare", without_test)
    assert tune(make_search(MAJORITY, trials=1), tmp_path / "search").best.score > 0


def test_a_finished_search_continues_only_for_more_trials(finished, monkeypatch):
    folder, found = finished
    trained = []
    monkeypatch.setattr(trials_of_tuning, "_train", lambda config, data, trial: trained.append(trial.number) or 0.5)
    assert tune(read_search(folder), folder).trials == found.trials
    assert trained == []
    more = tune(read_search(folder, trials=6), folder)
    assert len(trained) == 2
    assert more.trials[:4] == found.trials


@pytest.mark.parametrize("preset", ["dna-motifs", "count-ones"])
def test_other_tasks_are_tuned_by_their_own_monitor(preset, tmp_path):
    config = override(PRESETS[preset](), [*SMALL, "model.hidden_size=8", "training.max_epochs=1"])
    found = tune(make_search(config, trials=2), tmp_path / preset)
    assert found.monitor == config.training.monitor
    assert [trial.state for trial in found.trials] == ["complete"] * 2


def test_a_killed_search_resumes_and_repeats_the_interrupted_trial(tmp_path):
    folder = tmp_path / "search"
    options = [
        part
        for setting in [*SMALL[:3], "training.max_epochs=40", "training.patience=none"]
        for part in ("--set", setting)
    ]
    command = [sys.executable, "-m", "ostinato", "tune", "majority", "--trials", "3", *options, "--out", folder]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = folder / "study.journal"
    while process.poll() is None and (
        not journal.exists() or journal.read_text(encoding="utf-8").count('"op_code": 4') < 1
    ):  # until a trial has started
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = tune(read_search(folder), folder)
    assert len(found.trials) == 3
    assert found.trials[0].values["model.hidden_size"] == 16  # the config's own, although it was interrupted


class InterruptedHereError(Exception):
    """In place of a kill."""


def quick_training(moments, monkeypatch):
    """Replace training by a function of the values, which is interrupted before some of all of its epochs."""
    optuna = pytest.importorskip("optuna")
    epoch = iter(range(10**6))

    def train(config, data, trial):
        score = 1 + abs(math.log(config.training.lr / 1e-3)) + config.model.dropout
        for step in range(1, 7):
            if next(epoch) in moments:
                raise InterruptedHereError
            trial.report(score + 3 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        if config.model.num_layers == 2 and config.model.hidden_size > 26:
            raise TrainingError("too large")
        return score

    monkeypatch.setattr(trials_of_tuning, "_train", train)


def without_seconds(found):
    return [trial.model_copy(update={"seconds": None}) for trial in found.trials]


@pytest.mark.parametrize("seed", range(4))
def test_a_search_interrupted_at_any_moments_has_the_trials_of_an_uninterrupted_one(tmp_path, monkeypatch, seed):
    search = make_search(MAJORITY, trials=20, seed=seed)
    quick_training((), monkeypatch)
    whole = tune(search, tmp_path / "whole")
    assert {trial.state for trial in whole.trials} >= {"complete", "pruned"}
    moments = random.Random(seed).sample(range(90), 12)
    quick_training({0, *moments}, monkeypatch)  # also in the first epoch of the first trial
    found, interruptions = None, 0
    while found is None:
        try:
            found = tune(read_search(tmp_path / "parts") if interruptions else search, tmp_path / "parts")
        except InterruptedHereError:
            interruptions += 1
    assert interruptions > 6
    assert without_seconds(found) == without_seconds(whole)
    assert found.config == whole.config


def test_a_torn_line_of_the_journal_is_forgotten(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "search")
    with (folder / "study.journal").open("a", encoding="utf-8") as journal:
        journal.write('{"op_code":4,"worker_id":"a-')
    planned = read_search(folder).trials  # another test may have added some
    assert tune(read_search(folder), folder).trials[:4] == finished[1].trials
    assert tune(read_search(folder, trials=planned + 1), folder).trials[:4] == finished[1].trials


@pytest.mark.parametrize("content", ["{}\n", "[]\n", "nonsense\nmore\n", '{"op_code": 99}\n', "null\n"])
def test_a_damaged_journal_is_named(finished, tmp_path, content):
    folder = shutil.copytree(finished[0], tmp_path / "search")
    (folder / "study.journal").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"study\.journal"):
        tune(read_search(folder), folder)


def test_a_journal_is_not_written_through_a_planted_link(finished, tmp_path):
    victim, folder = tmp_path / "victim", shutil.copytree(finished[0], tmp_path / "search")
    victim.write_text("mine", encoding="utf-8")
    (folder / "study.journal").unlink()
    (folder / "study.journal").symlink_to(victim)
    with pytest.raises(RunError, match=r"study\.journal"):
        tune(read_search(folder), folder)
    assert victim.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"null", b"[" * 5000])
def test_a_damaged_plan_is_named(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(RunError, match=r"plan\.json"):
        read_search(tmp_path)


def test_a_trial_that_fails_has_a_reason_and_the_others_continue(tmp_path):
    found = tune(
        make_search(override(config(**{"training.lr": [1e30, 5e-3]}), ["training.max_grad_norm=none"]), trials=6),
        tmp_path / "lr",
    )
    assert "complete" in {trial.state for trial in found.trials}
    for trial in found.trials:
        assert (trial.state == "fail") == (trial.values["training.lr"] == 1e30) == (trial.reason is not None)


def test_a_search_in_which_every_trial_fails_names_the_reasons(tmp_path, monkeypatch):
    def fail(*arguments):
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(trials_of_tuning, "_train", fail)
    with pytest.raises(RunError, match="every trial failed: the loss is nan"):
        tune(make_search(MAJORITY, trials=2), tmp_path / "search")


def test_trials_that_fall_behind_are_pruned(tmp_path):
    base = override(MAJORITY, ["training.max_epochs=8", "training.patience=none"])
    space = {"training.lr": Range(low=1e-7, high=1e-2, log=True)}
    found = tune(make_search(base.model_copy(update={"search": space}), trials=14), tmp_path / "search")
    assert "pruned" in {trial.state for trial in found.trials}


def test_all_problems_of_a_space_are_reported_at_once():
    search = {
        "training.lr": Range(low=0.1, high=0.01),
        "training.weight_decay": Range(low=0.0, high=0.1, log=True),
        "model.cel": ["gru"],
        "model.dropout": Range(low=0.0, high=2.0),
        "model.pooling": [],
    }
    with pytest.raises(ConfigError) as refused:
        make_search(override(config(**search), ["data.validation_size=0"]), trials=0)
    message = str(refused.value)
    expected = (
        "--trials 0",
        "validation_size 0",
        "low 0.1 is above high 0.01",
        "low 0.0 has no logarithm",
        "Did you mean 'model.cell'",
        "2.0",
        "no choices",
    )
    for problem in expected:
        assert problem in message, problem


def test_a_space_is_read_from_the_config():
    search = {
        "training.lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "model.pooling": [["last"], ["mean", "max"]],
        "model.num_layers": {"low": 1, "high": 3},
    }
    found = make_search(
        parse_config({"data": {"name": "majority"}, "search": search}), trials=2, fixed=["model.num_layers"]
    )
    assert found.space == {
        "training.lr": Range(low=1e-4, high=1e-2, log=True),
        "model.pooling": [["last"], ["mean", "max"]],
    }


def test_a_folder_that_holds_something_else_is_refused(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(RunError, match="holds another search"):
        tune(make_search(override(MAJORITY, ["model.cell=gru"]), trials=4), folder)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="is not empty"):
        tune(make_search(MAJORITY, trials=4), tmp_path)
    with pytest.raises(RunError, match="is not a search"):
        read_search(tmp_path)


def test_the_command_prints_the_best_trial_and_scores_the_test_split_once(tmp_path, monkeypatch):
    options = [part for setting in SMALL for part in ("--set", setting)]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["tune", "majority", "--trials", "2", *options, "--out", "found"])
    assert done.exit_code == 0, done.stderr
    assert "[2/2]" in done.stderr
    assert done.stdout.startswith("Best of 2 trials: validation loss ")
    assert (tmp_path / "found" / "best-of-2" / "metrics.json").exists()


def test_a_search_interrupted_in_version_0_1_resumes(tmp_path):
    base = override(MAJORITY, ["training.max_grad_norm=0.7", "training.max_epochs=1"])
    before = tune(make_search(base, trials=1), tmp_path)
    change_plan(tmp_path, format=1, config=to_toml(base).replace("max_grad_norm = ", "clip_norm = "))
    after = tune(read_search(tmp_path, trials=2), tmp_path)
    assert after.trials[0] == before.trials[0]
    assert after.best_config().training.max_grad_norm == 0.7


def test_a_search_over_a_renamed_key_is_refused(tmp_path):
    search = make_search(config(**{"training.lr": [1e-3, 1e-2]}), trials=1)
    search.record().write(tmp_path / "plan.json")
    change_plan(tmp_path, format=1, space={"training.clip_norm": [1.0, 5.0]})
    with pytest.raises(RunError, match=r"training\.clip_norm.*training\.max_grad_norm"):
        read_search(tmp_path)


def test_an_altered_plan_is_refused(tmp_path):
    make_search(MAJORITY, trials=1).record().write(tmp_path / "plan.json")
    change_plan(tmp_path, trials="many")
    with pytest.raises(RunError, match=r"plan\.json: trials"):
        read_search(tmp_path)


def change_plan(folder, **values):
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    (folder / "plan.json").write_text(json.dumps({**plan, **values}), encoding="utf-8")
