"""`ostinato compare`: what is typed, what is seen, and the exit status."""

import json

import pytest
from typer.testing import CliRunner

from ostinato.cli import app

SMALL = ["data.train_size=100", "data.validation_size=40", "data.test_size=60", "training.max_epochs=1"]


@pytest.fixture
def run(one_worker, tmp_path):
    def run(*arguments):
        settings = [part for setting in SMALL for part in ("--set", setting)]
        return CliRunner().invoke(app, ["compare", "majority", *arguments, *settings, "--out", str(tmp_path / "cells")])

    return run


def test_a_comparison_is_told_in_a_table_and_in_sentences(run, tmp_path):
    done = run("--vary", "model.cell=rnn,gru", "--seeds", "2")
    assert done.exit_code == 0, done.stderr
    assert "[4/4]" in done.stderr
    header, rnn, gru, *rest = done.stdout.splitlines()
    assert header.split()[:2] == ["cell", "accuracy"]
    assert (rnn.split()[0], gru.split()[0]) == ("rnn", "gru")
    assert any(line.startswith(("rnn and gru are ", "rnn is ")) and "95 % interval" in line for line in rest)
    assert {path.name for path in (tmp_path / "cells").glob("*.*")} == {
        "base.toml",
        "plan.json",
        "comparison.json",
        "comparison.csv",
        "comparison.html",
    }


def test_what_has_no_pair_says_so(run):
    done = run("--vary", "model.cell=gru", "--seeds", "1")
    assert "There is no pair of combinations to compare" in done.stdout


def test_a_failed_run_shows_in_the_exit_status(run):
    done = run("--vary", "training.lr=0.005,1e30", "--set", "training.max_grad_norm=none", "--seeds", "1", "--json")
    assert done.exit_code == 1, done.stderr
    answer = json.loads(done.stdout)
    assert [each["status"] for each in answer["runs"]] == ["finished", "failed"]
    assert "failed:" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give either a preset or config file, or --resume"),
        (["majority"], "Nothing to compare"),
        (["majority", "--vary", "model.cell=rnn,gru", "--jobs", "0"], "--jobs 0"),
        (["--resume", "x", "--vary", "model.cell=rnn,gru"], "--resume goes on"),
        (["majority", "--vary", "model.cell=rnn,mingur"], "mingur"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_made(arguments, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["compare", *arguments])
    assert told in str(refused.exception)
    assert not list(tmp_path.iterdir())
