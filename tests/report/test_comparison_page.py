import json
import re

import pytest
from ostinato.report.comparison_page import command, pareto_front, write_comparison_page

from ostinato.comparison.table import told_apart

COST = {
    "latency_ms": {"p50": 0.2, "p99": 0.3},
    "training_tokens_per_s": 5e5,
    "batch_ms": 0.4,
    "sequences_per_s": 1e5,
    "memory_mib": 380.0,
    "file_bytes": 4096,
}


def row(name, mean, seconds, **settings):
    return {
        "name": name,
        "settings": {"model.cell": name, **settings},
        "parameters": 500,
        "interval_over": "seeds",
        "interval": [mean - 0.02, mean + 0.02],
        "scores": [mean - 0.01, mean + 0.01],
        "mean": mean,
        "baselines": {"linear": 0.85, "majority": 0.5},
        "training_s": seconds,
        "cost": COST,
    }


def pair(verdict):
    sentence = f"rnn is {verdict}"
    common = {
        "first": "rnn",
        "second": "<b>gru</b>",
        "difference": -0.1,
        "interval": [-0.12, -0.08],
        "p": 0.01,
        "effect": -0.3,
        "effect_name": "Cohen's h",
    }
    return {**common, "test": "paired t over examples and seeds", "verdict": verdict, "sentence": sentence}


def results(*rows, verdict="worse", **plan):
    base = {
        "config": 'task = "classification"\n',
        "vary": {"model.cell": ["rnn", "gru"]},
        "seeds": [0, 1],
        "lengths": [],
        "match": "parameters",
        "trials": 0,
    }
    runs = [
        {
            "folder": "runs/rnn/seed-0",
            "status": "finished",
            "test": {"accuracy": 0.8},
            "reason": None,
            "epochs": 2,
            "seconds": 1.0,
        },
        {"folder": "runs/gru/seed-1", "status": "failed", "reason": "the loss is not finite"},
    ]
    environment = {
        "ostinato": "0.1.0",
        "python": "3",
        "platform": "p",
        "processor": "c",
        "cores": 2,
        "packages": {"torch": "2"},
    }
    return {
        "task": "classification",
        "metric": "accuracy",
        "plan": {**base, "metric": "accuracy", **plan},
        "runs": runs,
        "summary": list(rows or (row("rnn", 0.8, 1.0), row("gru", 0.9, 2.0))),
        "pairs": [pair(verdict)],
        "environment": environment,
    }


def test_the_page_tells_who_differs_what_failed_and_how_to_do_it_again(tmp_path):
    page = write_comparison_page(results(), tmp_path).read_text(encoding="utf-8")
    assert "Of 1 pair, 1 is told apart" in page
    assert "runs/gru/seed-1: the loss is not finite" in page
    assert "Behind a linear model" in page
    assert "rnn (0.800, that model 0.850)" in page
    assert "&lt;b&gt;gru" in page
    assert (
        f"ostinato compare {tmp_path.name}/base.toml --vary model.cell=rnn,gru --seeds 0,1 --match parameters --metric accuracy"
        in page
    )
    assert not re.search(r"<script|https?://|src=|url\(['\"]?http", page)
    assert (tmp_path / "figures" / "intervals.png").stat().st_size > 1000


def test_nothing_is_said_to_win_where_nothing_is_told_apart(tmp_path):
    assert "none is told apart" in told_apart(results(verdict="not significantly different"))
    assert "no pair of combinations" in told_apart({**results(), "pairs": []})


@pytest.mark.parametrize(("key", "title"), [("data.train_fraction", "Learning curves"), ("data.length", "Lengths")])
def test_curves_are_drawn_where_size_or_length_is_varied(key, title, tmp_path):
    rows = [
        row(cell, mean, 1.0, **{key: size}) for cell, mean in (("rnn", 0.7), ("gru", 0.8)) for size in ("20", "200")
    ]
    page = write_comparison_page(results(*rows), tmp_path).read_text(encoding="utf-8")
    assert f">{title}</h2>" in page


def test_a_page_of_failures_alone_is_written(tmp_path):
    page = write_comparison_page({**results(), "summary": [], "pairs": []}, tmp_path).read_text(encoding="utf-8")
    assert "the loss is not finite" in page


def test_the_front_holds_what_no_other_beats():
    rows = [row("rnn", 0.8, 1.0), row("lstm", 0.79, 2.0), row("gru", 0.9, 2.0), row("slow", 0.9, 3.0)]
    assert [each["name"] for each in pareto_front(rows, lambda each: each["training_s"], "accuracy")] == ["rnn", "gru"]
    assert [each["name"] for each in pareto_front(rows, lambda each: each["training_s"], "log_loss")] == ["rnn", "lstm"]


def test_the_command_can_be_typed_again(tmp_path):
    found = results(vary={"model.pooling": [["mean", "max"], ["last"]]}, seeds=[3], lengths=[20, 200], trials=4)
    told = command(found, tmp_path / "my folder")
    assert told == (
        "ostinato compare 'my folder/base.toml' --vary model.pooling=mean+max,last --vary data.length=20,200 --seeds 3, "
        "--match parameters --metric accuracy --budget-trials 4"
    )
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("parameters", "vary", "told"),
    [(600, "data.vectors", True), (505, "data.vectors", False), (600, "model.cell", False)],
)
def test_weights_that_varied_data_add_are_told(tmp_path, parameters, vary, told):
    rows = [row("rnn", 0.8, 2.0), row("gru", 0.9, 3.0) | {"parameters": parameters}]
    page = write_comparison_page(results(*rows, vary={vary: ["rnn", "gru"]}), tmp_path).read_text(encoding="utf-8")
    assert ("What the varied data add to them (vocabulary, features) is left." in page) is told
