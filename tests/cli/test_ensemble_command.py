"""The command `ensemble`, and other commands on its run folder."""

import json

import pytest
from commands import TEXTS, answers, contents, run, tiny


@pytest.fixture
def ensemble(folder):
    """A run of the same reviews that reads characters, and its ensemble with the run of words."""
    settings = tiny("data.tokenizer=characters", "model.cell=gru")
    assert run("train", "reviews.toml", *settings, "--out", "letters") == 0
    assert run("ensemble", "run", "letters", "--out", "both", "--weights", "validation") == 0
    return folder / "both"


def test_every_command_takes_the_run_folder(ensemble, capsys):
    capsys.readouterr()
    assert run("predict", ensemble, "--text", TEXTS[0], "--text", TEXTS[1]) == 0
    assert [set(each) for each in answers(capsys)] == [{"label", "probabilities"}] * 2
    assert run("evaluate", ensemble, "--json") == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored == json.loads((ensemble / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert run("evaluate", ensemble, "reviews.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["seen_in_training"] > 0
    assert run("explain", ensemble, "--text", TEXTS[0]) == 0
    assert run("report", ensemble) == 0


@pytest.mark.parametrize("arguments", [("predict", "both", "-", "--follow"), ("trace", "both", "--text", "a")])
def test_what_ensembles_cannot_do_is_refused(ensemble, capsys, arguments):
    assert run(*arguments) == 2
    assert "ensemble" in capsys.readouterr().err


def test_it_shows_members_and_baselines(ensemble, capsys):
    run("ensemble", "run", "letters", "--out", "again")
    shown = capsys.readouterr().out
    assert all(each in shown for each in ("letters", "characters", "brier", "majority"))


def test_seeds_are_trained_and_joined(folder, capsys):
    assert run("ensemble", "reviews.toml", "--seeds", 2, *tiny(), "--out", "e", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == "e" and [each["run"] for each in found["ensemble"]["members"]] == ["e-seed-0", "e-seed-1"]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["run"], "at least two"),
        (["reviews.toml"], "--seeds 3"),
        (["run", "numeric"], "numeric"),
        (["run", "missing"], "missing"),
        (["run", "run"], "named twice"),
        (["run", "run/model.safetensors"], "model.safetensors"),
        (["run", "numeric", "--weights", "best"], "best"),
        (["run", "numeric", "--set", "model.cell=gru"], "model.cell=gru"),
        (["reviews.toml", "--seeds", "1"], "--seeds 1"),
        (["reviews.toml", "series.toml", "--seeds", "2"], "--seeds 2"),
    ],
)
def test_bad_arguments_are_refused_and_change_nothing(folder, capsys, arguments, value):
    before = contents(folder)
    assert run("ensemble", *arguments, "--out", "out") == 2
    assert value in capsys.readouterr().err
    assert contents(folder) == before
