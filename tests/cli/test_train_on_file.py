"""`ostinato train FILE` as a user types it."""

import json
import signal

import pytest
from commands import REVIEWS, answers, run, tiny
from searching import FIT, write_noise

from ostinato.cli import portfolio
from ostinato.runs import is_complete
from ostinato.tasks.base import Task


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path


def train(*arguments):
    return run("train", "reviews.csv", "--minutes", "0.02", *tiny("training.device=cpu"), *arguments)


def test_a_file_becomes_a_run_that_predicts(here, capsys):
    assert train() == 0
    shown = capsys.readouterr()
    assert "label_column" in shown.err and "first look: linear: accuracy" in shown.err
    assert shown.out.count("(chosen)") == 1
    assert shown.out.index("candidate") < shown.out.index("test accuracy")
    assert run("predict", "runs/reviews", "--text", "a great film") == 0
    assert answers(capsys)[0]["label"] in ("neg", "pos")


def test_json_has_the_metrics_and_the_leaderboard(here, capsys):
    assert train("--out", "mine", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["run"] == "mine" and "accuracy" in answer["test"] and "linear" in answer["baselines"]
    assert answer["leaderboard"] == json.loads((here / "mine" / "leaderboard.json").read_text(encoding="utf-8"))


def test_ctrl_c_says_how_to_go_on_and_resuming_ends_the_search(here, capsys, monkeypatch):
    def stop(task, config, data, **options):
        if options.get("folder") is not None and config.model.cell != "none":
            signal.raise_signal(signal.SIGINT)
        return FIT(task, config, data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Task, "fit", stop)
        assert run("train", "reviews.csv", "--minutes", "1", *tiny("training.device=cpu"), "--out", "mine") == 130
    shown = capsys.readouterr()
    assert "ostinato train --resume mine" in shown.err and "best model so far, linear" in shown.err
    assert is_complete(here / "mine")
    assert run("train", "--resume", "mine") == 0
    assert run("train", "--resume", "mine", "--minutes", "0.01") == 0
    assert json.loads((here / "mine" / "leaderboard.json").read_text(encoding="utf-8"))["finished"]


def test_a_model_that_falls_short_is_said_to_before_any_table(here, capsys, monkeypatch):
    write_noise(here / "noise.csv")
    monkeypatch.setattr(Task, "shortfall", lambda task, metrics: "It does not beat the majority.")
    assert run("train", "noise.csv", "--minutes", "0.01", *tiny("training.device=cpu")) == 0
    assert capsys.readouterr().out.startswith("It does not beat the majority.\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("missing.csv",), "missing.csv"),
        (("reviews.csv", "--minutes", "0"), "--minutes 0"),
        (("reviews.csv", "--minutes", "nan"), "--minutes nan"),
        (("majority", "--minutes", "1"), "--minutes 1"),
        (("reviews.csv", "--set", "model.cell=nonsense"), "nonsense"),
        (("reviews.csv", "--out", "occupied"), "occupied"),
        (("--resume", "occupied", "--minutes", "1"), "--minutes 1"),
        (("--resume", "occupied"), "occupied"),
    ],
)
def test_what_cannot_be_used_is_named_and_makes_no_folder(here, capsys, arguments, named):
    (here / "occupied").mkdir()
    (here / "occupied" / "notes.txt").write_text("mine", encoding="utf-8")
    assert run("train", *arguments) == 2
    assert named in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["occupied", "reviews.csv"]


def test_damaged_files_are_refused_and_a_damaged_leaderboard_is_written_again(here, capsys):
    assert train("--out", "mine") == 0
    resume = ("train", "--resume", "mine", "--minutes", "0.01")
    for name in ("portfolio.json", "trials.jsonl"):
        path = here / "mine" / name
        before = path.read_text(encoding="utf-8")
        path.write_text("{", encoding="utf-8")
        assert run(*resume) == 2
        assert name in capsys.readouterr().err
        path.write_text(before, encoding="utf-8")
    (here / "mine" / "leaderboard.json").write_text("{", encoding="utf-8")
    assert run(*resume) == 0
    assert json.loads((here / "mine" / "leaderboard.json").read_text(encoding="utf-8"))["finished"]


def test_the_folder_of_a_search_is_known_without_importing_anything_heavy(here):
    assert not portfolio.is_search(here)
    (here / "portfolio.json").write_text("{}", encoding="utf-8")
    assert portfolio.is_search(here)
