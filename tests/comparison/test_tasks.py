"""A small comparison of each task that predicts something else than one class; taggers have a file of their own."""

import json

import pytest

from ostinato.comparison.compare import read_comparison, run_comparison
from ostinato.comparison.cost import measure_cost
from ostinato.comparison.options import make_plan
from ostinato.comparison.page import write_comparison_page
from ostinato.tasks.config import PRESETS, override

SMALL = [
    "data.train_size=120",
    "data.validation_size=40",
    "data.test_size=60",
    "training.max_epochs=2",
    "model.hidden_size=8",
    "model.embedding_size=4",
]


def plan_of(preset, *vary, settings=(), **options):
    return make_plan(override(PRESETS[preset](), [*SMALL, *settings]), vary, **{"seeds": "2", **options})


@pytest.mark.parametrize(
    ("preset", "metric", "baseline"), [("dna-motifs", "micro_f1", "linear"), ("count-ones", "rmse", "ridge")]
)
def test_two_cells_are_compared_by_the_main_metric_of_the_task(preset, metric, baseline, one_worker, tmp_path):
    comparison = run_comparison(plan_of(preset, "model.cell=rnn,gru"), tmp_path / "cells")
    assert comparison.metric == metric
    assert [row.name for row in comparison.summary] == ["rnn", "gru"]
    for row in comparison.summary:
        runs = [run for run in comparison.runs if run.settings == row.settings]
        assert row.scores == pytest.approx([run.test[metric] for run in runs])
        saved = json.loads((tmp_path / "cells" / runs[0].folder / "metrics.json").read_text(encoding="utf-8"))
        assert row.baselines[baseline] == pytest.approx(saved["baselines"][baseline][metric])
    (pair,) = comparison.pairs
    rnn, gru = comparison.summary
    assert pair.difference == pytest.approx(rnn.mean - gru.mean)
    assert read_comparison(tmp_path / "cells") == comparison
    page = write_comparison_page(comparison, tmp_path / "cells").read_text(encoding="utf-8")
    assert metric.replace("_", " ") in page


@pytest.mark.parametrize(("preset", "lengths"), [("dna-motifs", "60,100"), ("count-ones", "12,40")])
def test_generated_sets_are_tested_at_other_lengths(preset, lengths, one_worker, tmp_path):
    comparison = run_comparison(plan_of(preset, f"data.length={lengths}", seeds="1"), tmp_path / "lengths")
    assert [row.settings["data.length"] for row in comparison.summary] == lengths.split(",")
    (run,) = comparison.runs
    for row in comparison.summary:
        assert row.mean == pytest.approx(run.lengths[row.settings["data.length"]][comparison.metric])


def test_a_run_whose_metric_is_undefined_has_a_reason_and_no_row(one_worker, tmp_path):
    plan = plan_of("count-ones", "training.loss=squared,quantile", seeds="1", metric="pinball_loss")
    comparison = run_comparison(plan, tmp_path / "loss")
    squared, quantile = comparison.runs  # only the second predicts quantiles
    assert (squared.status, squared.test["pinball_loss"]) == ("finished", None)
    assert "pinball_loss" in squared.reason
    assert quantile.reason is None
    assert [row.name for row in comparison.summary] == ["loss quantile"]
    assert comparison.pairs == []
    assert squared.reason in write_comparison_page(comparison, tmp_path / "loss").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["dna-motifs", "count-ones"])
def test_the_cost_of_each_task_is_measured(preset, one_worker, tmp_path):
    comparison = run_comparison(plan_of(preset, "model.cell=gru", seeds="1"), tmp_path / "cost")
    cost = measure_cost(tmp_path / "cost" / comparison.runs[0].folder)
    assert cost.parameters == comparison.runs[0].parameters
    assert min(cost.batch_ms, cost.sequences_per_s, cost.training_tokens_per_s) > 0
