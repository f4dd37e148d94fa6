"""`ostinato compare`: its arguments, its output and its exit status."""

import json

import pytest
from typer.testing import CliRunner

from ostinato.cli import app
from ostinato.comparison.compare import read_comparison
from ostinato.errors import OstinatoError

SMALL = ["data.train_size=100", "data.validation_size=40", "data.test_size=60", "training.max_epochs=1"]


@pytest.fixture
def run(one_worker, tmp_path):
    def run(*arguments):
        settings = [part for setting in SMALL for part in ("--set", setting)]
        return CliRunner().invoke(app, ["compare", "majority", *arguments, *settings, "--out", str(tmp_path / "cells")])

    return run


def test_a_comparison_prints_a_table_and_sentences(run, tmp_path):
    done = run("--vary", "model.cell=rnn,gru", "--seeds", "2")
    assert done.exit_code == 0, done.stderr
    assert "[4/4]" in done.stderr
    header, rnn, gru, *rest = done.stdout.splitlines()
    assert header.split()[:2] == ["cell", "accuracy"]
    assert (rnn.split()[0], gru.split()[0]) == ("rnn", "gru")
    (pair,) = read_comparison(tmp_path / "cells").pairs
    assert pair.sentence in rest
    assert {path.name for path in (tmp_path / "cells").glob("*.*")} == {
        "base.toml",
        "plan.json",
        "comparison.json",
        "comparison.csv",
        "comparison.html",
    }


def test_a_single_combination_has_no_pair(run):
    done = run("--vary", "model.cell=gru", "--seeds", "1")
    assert "no pair of combinations" in done.stdout


def test_a_failed_run_exits_with_status_1(run):
    done = run("--vary", "training.lr=0.005,1e30", "--set", "training.max_grad_norm=none", "--seeds", "1", "--json")
    assert done.exit_code == 1, done.stderr
    answer = json.loads(done.stdout)
    assert [each["status"] for each in answer["runs"]] == ["finished", "failed"]
    assert "failed:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ([], "--resume FOLDER"),
        (["majority"], "--vary"),
        (["majority", "--vary", "model.cell=rnn,gru", "--jobs", "0"], "--jobs 0"),
        (["--resume", "x", "--vary", "model.cell=rnn,gru"], "--resume"),
        (["majority", "--resume", "x"], "--resume"),
        (["majority", "--vary", "model.cell=rnn,mingur"], "mingur"),
        (["--resume", "x"], "x: is not a comparison"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_created(arguments, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["compare", *arguments])
    assert isinstance(refused.exception, OstinatoError)
    assert wrong in str(refused.exception)
    assert not list(tmp_path.iterdir())
