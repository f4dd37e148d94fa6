import re
from typing import Any

import pytest

from ostinato.comparison.page import command, pareto_front, write_comparison_page
from ostinato.comparison.results import Comparison, SummaryRow
from ostinato.comparison.table import significance_summary
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS

COST = {
    "parameters": 500,
    "file_bytes": 4096,
    "latency_ms": {"p50": 0.2, "p99": 0.3},
    "batch_ms": 0.4,
    "sequences_per_s": 1e5,
    "tokens_per_s": 2e6,
    "training_tokens_per_s": 5e5,
    "memory_mib": 380.0,
    "training_memory_mib": 400.0,
}
RUN = {"settings": {"model.cell": "rnn"}, "seed": 0, "fold": None, "hidden_size": 8}
RUNS = [
    {
        **RUN,
        "folder": "runs/rnn/seed-0",
        "status": "finished",
        "reason": None,
        "test": {"accuracy": 0.8},
        "parameters": 500,
        "epochs": 2,
        "seconds": 1.0,
    },
    {**RUN, "folder": "runs/gru/seed-1", "status": "failed", "reason": "the loss is not finite"},
]
PAIR = {
    "first": "rnn",
    "second": "<b>gru</b>",
    "difference": -0.1,
    "interval": [-0.12, -0.08],
    "p": 0.01,
    "p_uncorrected": 0.01,
    "effect": -0.3,
    "effect_name": "Cohen's h",
    "test": "paired t over examples and seeds",
    "sentence": "rnn is compared with <b>gru</b>",
}
PLAN = {
    "format": 2,
    "config": 'task = "classification"\n',
    "vary": {"model.cell": ["rnn", "gru"]},
    "seeds": [0, 1],
    "lengths": [],
    "match": "parameters",
    "metric": "accuracy",
    "trials": 0,
}
ENVIRONMENT = {
    "ostinato": "0.2.0",
    "python": "3",
    "platform": "p",
    "processor": "c",
    "cores": 2,
    "threads": 2,
    "gpu": None,
    "packages": {"torch": "2"},
}


def row(name, mean, seconds, *, parameters=500, **settings):
    return SummaryRow.model_validate(
        {
            "name": name,
            "settings": {"model.cell": name, **settings},
            "hidden_size": 8,
            "parameters": parameters,
            "n": 100,
            "seeds": 2,
            "failed": 0,
            "mean": mean,
            "interval": [mean - 0.02, mean + 0.02],
            "interval_over": "seeds",
            "scores": [mean - 0.01, mean + 0.01],
            "baselines": {"linear": 0.85, "majority": 0.5},
            "training_s": seconds,
            "epochs": 2,
            "cost": COST,
        }
    )


def results(*rows, verdict="worse", plan=None, **changes) -> Comparison:
    values: dict[str, Any] = {
        "format": 2,
        "task": "classification",
        "metric": "accuracy",
        "plan": {**PLAN, **(plan or {})},
        "runs": RUNS,
        "summary": list(rows or (row("rnn", 0.8, 1.0), row("gru", 0.9, 2.0))),
        "pairs": [{**PAIR, "verdict": verdict}],
        "environment": ENVIRONMENT,
    }
    return Comparison.model_validate({**values, **changes})


def test_the_page_shows_what_differs_what_failed_and_how_to_repeat_it(tmp_path):
    page = write_comparison_page(results(), tmp_path).read_text(encoding="utf-8")
    assert "1 pair compared, 1 significantly different" in page
    assert "runs/gru/seed-1: the loss is not finite" in page
    assert "Worse than a linear model" in page
    assert "rnn (0.800, baseline 0.850)" in page
    assert "&lt;b&gt;gru" in page
    options = "--vary model.cell=rnn,gru --seeds 0,1 --match parameters --metric accuracy"
    assert f"ostinato compare {tmp_path.name}/base.toml {options}" in page
    assert not re.search(r"<script|https?://|src=|url\(['\"]?http", page)
    assert (tmp_path / "figures" / "intervals.png").stat().st_size > 1000


def test_the_summary_counts_significant_pairs():
    assert "no significant difference" in significance_summary(results(verdict="not significantly different"))
    assert "no pair of combinations" in significance_summary(results(pairs=[]))


@pytest.mark.parametrize(("key", "title"), [("data.train_fraction", "Learning curves"), ("data.length", "Lengths")])
def test_curves_are_drawn_where_size_or_length_is_varied(key, title, tmp_path):
    rows = [
        row(cell, mean, 1.0, **{key: size}) for cell, mean in (("rnn", 0.7), ("gru", 0.8)) for size in ("20", "200")
    ]
    page = write_comparison_page(results(*rows), tmp_path).read_text(encoding="utf-8")
    assert f">{title}</h2>" in page


def test_a_page_of_failures_alone_is_written(tmp_path):
    page = write_comparison_page(results(summary=[], pairs=[]), tmp_path).read_text(encoding="utf-8")
    assert "the loss is not finite" in page


def test_the_pareto_front_has_the_rows_that_no_other_beats():
    rows = [row("rnn", 0.8, 1.0), row("lstm", 0.79, 2.0), row("gru", 0.9, 2.0), row("slow", 0.9, 3.0)]

    def front(metric):
        found = pareto_front(rows, lambda each: each.training_s, CLASSIFICATION_METRICS[metric])
        return [each.name for each in found]

    assert front("accuracy") == ["rnn", "gru"]
    assert front("log_loss") == ["rnn", "lstm"]


def test_the_command_can_be_typed_again(tmp_path):
    plan = {
        "vary": {"model.pooling": [["mean", "max"], ["last"]], "model.residual": [True]},
        "seeds": [3],
        "lengths": [20, 200],
        "trials": 4,
    }
    assert command(results(plan=plan), tmp_path / "my folder") == (
        "ostinato compare 'my folder/base.toml' --vary model.pooling=mean+max,last --vary model.residual=true "
        "--vary data.length=20,200 --seeds 3, --match parameters --metric accuracy --budget-trials 4"
    )


@pytest.mark.parametrize(
    ("parameters", "key", "is_explained"),
    [(600, "data.vectors", True), (505, "data.vectors", False), (600, "model.cell", False)],
)
def test_weights_that_varied_data_add_are_explained(tmp_path, parameters, key, is_explained):
    rows = [row("rnn", 0.8, 2.0), row("gru", 0.9, 3.0, parameters=parameters)]
    comparison = results(*rows, plan={"vary": {key: ["rnn", "gru"]}})
    page = write_comparison_page(comparison, tmp_path).read_text(encoding="utf-8")
    assert ("comes from the varied data" in page) is is_explained
