"""Searches on tiny tasks, for real; Optuna proposes and our training answers."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ostinato import tuning
from ostinato.cli import app
from ostinato.config import Range
from ostinato.errors import ConfigError, RunError, TrainingError
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override, parse_config
from ostinato.tuning import best_config, make_search, read_search, tune

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
    assert len(found["trials"]) == 4
    first = found["trials"][0]["values"]
    assert first == pytest.approx(
        {
            "training.lr": 5e-3,
            "model.hidden_size": 16,
            "model.dropout": 0.0,
            "model.num_layers": 1,
            "training.batch_size": 32,
        }
    )
    assert (
        found["best"]["score"]
        == min(trial["score"] for trial in found["trials"] if trial["state"] == "complete")
        <= found["untuned"]
    )


def test_the_best_config_is_written_whole_and_gives_its_score_again(finished):
    folder, found = finished
    best = best_config(found)
    assert (folder / "best.toml").read_text(encoding="utf-8") == found["config"]
    assert best.search is None
    again = tune(
        make_search(best.model_copy(update={"search": {"model.dropout": [best.model.dropout]}}), trials=1),
        folder.with_name("again"),
    )
    assert again["best"]["score"] == found["best"]["score"]


def test_the_results_are_written_as_json_and_csv(finished):
    folder, found = finished
    assert json.loads((folder / "tuning.json").read_text(encoding="utf-8")) == found
    lines = list(csv.DictReader((folder / "trials.csv").read_text(encoding="utf-8").splitlines()))
    assert [line["state"] for line in lines] == [trial["state"] for trial in found["trials"]]


def test_the_test_split_is_not_scored(monkeypatch, tmp_path):
    task = type(TASKS[MAJORITY.task])
    prepare = task.prepare

    def refuse(*arguments, **options):
        raise AssertionError("scored")

    def without_test(self, config):
        found = prepare(self, config)
        return replace(found, splits={name: rows for name, rows in found.splits.items() if name != "test"})

    monkeypatch.setattr(task, "score", refuse)
    monkeypatch.setattr(task, "score_baselines", refuse)
    monkeypatch.setattr(task, "prepare", without_test)
    assert tune(make_search(MAJORITY, trials=1), tmp_path / "search")["best"]["score"] > 0


def test_a_finished_search_goes_on_only_for_more_trials(finished, monkeypatch):
    folder, found = finished
    asked = []
    monkeypatch.setattr(tuning, "_train", lambda config, data, trial: asked.append(trial.number) or 0.5)
    assert tune(read_search(folder), folder)["trials"] == found["trials"]
    assert asked == []
    more = tune(read_search(folder, trials=6), folder)
    assert len(asked) == 2
    assert more["trials"][:4] == found["trials"]


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
    ):  # a trial begun
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = tune(read_search(folder), folder)
    assert len(found["trials"]) == 3
    assert found["trials"][0]["values"]["model.hidden_size"] == 16  # the config's own, although it was cut off


def test_a_failed_trial_is_reported_and_the_others_continue(tmp_path):
    found = tune(
        make_search(override(config(**{"training.lr": [1e30, 5e-3]}), ["training.max_grad_norm=none"]), trials=6),
        tmp_path / "lr",
    )
    states = {trial["state"] for trial in found["trials"]}
    assert "complete" in states
    for trial in found["trials"]:
        assert (trial["state"] == "fail") == (trial["values"]["training.lr"] == 1e30) == (trial["reason"] is not None)


def test_a_search_in_which_every_trial_fails_says_why(tmp_path, monkeypatch):
    def fail(*arguments):
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(tuning, "_train", fail)
    with pytest.raises(RunError, match="every trial failed: the loss is nan"):
        tune(make_search(MAJORITY, trials=2), tmp_path / "search")


def test_trials_that_fall_behind_are_pruned(tmp_path):
    base = override(MAJORITY, ["training.max_epochs=8", "training.patience=none"])
    space = {"training.lr": Range(low=1e-7, high=1e-2, log=True)}
    found = tune(make_search(base.model_copy(update={"search": space}), trials=14), tmp_path / "search")
    assert "pruned" in {trial["state"] for trial in found["trials"]}


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
    told = str(refused.value)
    expected = (
        "--trials 0",
        "validation_size 0",
        "low 0.1 is above high 0.01",
        "low 0.0 has no logarithm",
        "Did you mean 'model.cell'",
        "2.0",
        "no choices",
    )
    for fault in expected:
        assert fault in told, fault


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


def test_a_folder_with_other_content_is_refused(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(RunError, match=re.escape(str(folder))):
        tune(make_search(override(MAJORITY, ["model.cell=gru"]), trials=4), folder)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        tune(make_search(MAJORITY, trials=4), tmp_path)
    with pytest.raises(RunError, match="plan.json"):
        read_search(tmp_path)


def test_the_command_prints_the_best_and_scores_the_test_split_once(tmp_path, monkeypatch):
    options = [part for setting in SMALL for part in ("--set", setting)]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["tune", "majority", "--trials", "2", *options, "--out", "found"])
    assert done.exit_code == 0, done.stderr
    assert "[2/2]" in done.stderr
    assert done.stdout.startswith("Best of 2 trials, validation loss ")
    assert (tmp_path / "found" / "best-of-2" / "metrics.json").exists()
