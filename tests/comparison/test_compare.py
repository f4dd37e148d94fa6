"""Small comparisons, trained for real."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ostinato.comparison import compare as comparing
from ostinato.comparison.compare import read_comparison, run_comparison
from ostinato.comparison.options import make_plan
from ostinato.comparison.plan import read_plan
from ostinato.comparison.workers import train_all
from ostinato.config.renamed import RENAMED
from ostinato.errors import RunError
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS
from ostinato.evaluation.statistics import compare, holm, score_seeds
from ostinato.tasks.classification.scoring import read_predictions
from ostinato.tasks.config import PRESETS, override

SMALL = ["data.train_size=100", "data.validation_size=40", "data.test_size=60", "training.max_epochs=2"]
MAJORITY = override(PRESETS["majority"](), SMALL)


def plan_of(*vary, base=MAJORITY, **options):
    return make_plan(base, vary, seeds=options.pop("seeds", "2"), **options)


def same(comparison):
    """What two comparisons with the same plan share: everything but times and costs."""
    return {
        "runs": [run.model_copy(update={"seconds": None}) for run in comparison.runs],
        "summary": [row.model_copy(update={"cost": None, "training_s": 0}) for row in comparison.summary],
        "pairs": comparison.pairs,
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two cells, two seeds, trained in two processes; all of it for real."""
    folder = tmp_path_factory.mktemp("comparison") / "cells"
    return folder, run_comparison(plan_of("model.cell=rnn,gru"), folder, processes=2)


def test_results_are_those_of_the_runs(finished):
    folder, results = finished
    assert [run.status for run in results.runs] == ["finished"] * 4
    for run in results.runs:
        metrics = json.loads((folder / run.folder / "metrics.json").read_text(encoding="utf-8"))
        assert run.test["accuracy"] == metrics["test"]["accuracy"]
        assert run.parameters == metrics["model"]["parameters"]
    for row, cell in zip(results.summary, ("rnn", "gru"), strict=True):
        scores = [run.test["accuracy"] for run in results.runs if run.settings["model.cell"] == cell]
        assert row.scores == pytest.approx(scores)
        assert row.mean == pytest.approx(np.mean(scores))


def test_a_pair_is_tested_on_the_predictions_of_its_runs(finished):
    folder, results = finished
    (pair,) = results.pairs

    def predictions(cell):
        return [
            read_predictions(folder / "runs" / f"cell={cell}" / f"seed-{seed}" / "predictions.parquet", ["0", "1"])
            for seed in (0, 1)
        ]

    first, second = (
        score_seeds(
            seeds[0].targets, np.stack([each.probabilities for each in seeds]), CLASSIFICATION_METRICS["accuracy"]
        )
        for seeds in (predictions("rnn"), predictions("gru"))
    )
    expected = compare(first, second)
    assert pair.difference == pytest.approx(expected.difference)
    assert pair.p == pytest.approx(holm([expected.p])[0])
    assert pair.interval == pytest.approx(expected.interval)
    assert pair.sentence.startswith("rnn ")


def test_cost_is_measured(finished):
    _, results = finished
    for row in results.summary:
        cost = row.cost
        assert 0 < cost.latency_ms.p50 <= cost.latency_ms.p99
        assert min(cost.batch_ms, cost.sequences_per_s, cost.training_tokens_per_s) > 0
        assert cost.tokens_per_s == pytest.approx(cost.sequences_per_s * 20)  # every sequence has 20 tokens
        assert cost.parameters == row.parameters
        assert cost.file_bytes > 4 * cost.parameters
        assert cost.memory_mib is None or cost.memory_mib <= cost.training_memory_mib


def test_the_csv_has_a_line_for_each_run(finished):
    folder, results = finished
    lines = list(csv.DictReader((folder / "comparison.csv").read_text(encoding="utf-8").splitlines()))
    assert [float(line["accuracy"]) for line in lines] == [run.test["accuracy"] for run in results.runs]
    assert {line["status"] for line in lines} == {"finished"}


def test_results_are_read_as_they_were_written(finished, tmp_path):
    folder, results = finished
    assert read_comparison(folder) == results
    with pytest.raises(RunError, match="comparison.json"):
        read_comparison(tmp_path)


def test_a_finished_comparison_trains_nothing_again(finished, monkeypatch):
    folder, results = finished

    def refuse(jobs, *arguments, **options):
        assert not jobs
        return iter(())

    monkeypatch.setattr(comparing, "train_all", refuse)
    assert run_comparison(read_plan(folder), folder) == results


def test_another_plan_is_refused_in_the_same_folder(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(RunError, match="cells: holds another comparison"):
        run_comparison(plan_of("model.cell=rnn,lstm"), folder)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="is not empty"):
        run_comparison(plan_of("model.cell=rnn,gru"), tmp_path)
    with pytest.raises(RunError, match="is not a comparison"):
        read_plan(tmp_path)


def test_two_processes_find_what_one_finds(finished, one_worker, tmp_path):
    _, results = finished
    one_after_the_other = run_comparison(plan_of("model.cell=rnn,gru"), tmp_path / "cells")
    assert same(one_after_the_other) == same(results)


def test_a_run_that_fails_is_reported_with_its_reason_and_the_others_continue(one_worker, tmp_path):
    base = override(MAJORITY, ["training.max_grad_norm=none"])
    results = run_comparison(plan_of("training.lr=0.005,1e30", base=base, seeds="1"), tmp_path / "lr")
    good, bad = results.runs
    assert (good.status, bad.status) == ("finished", "failed")
    assert "not finite" in bad.reason or "nan" in bad.reason.lower()
    assert [row.name for row in results.summary] == ["lr 0.005"]
    assert results.failed == [bad]


def test_a_process_that_is_killed_is_replaced(tmp_path):
    plan = plan_of(
        "model.cell=rnn,gru", seeds="1", base=override(MAJORITY, ["training.max_epochs=2000", "training.patience=none"])
    )
    jobs = plan.jobs(plan.combinations())
    outcomes = train_all(jobs, tmp_path, [], processes=1, threads=1)
    histories = [str(tmp_path / job.folder / "metrics.jsonl") for job in jobs]
    spared = " ".join(str(process.pid) for process in multiprocessing.active_children())
    killer = subprocess.Popen([sys.executable, "-S", "-c", KILL_A_CHILD, str(os.getpid()), spared, *histories])
    reasons = [outcome.reason for outcome in outcomes]
    killer.wait()
    assert len(reasons) == 2
    assert all("SIGKILL" in reason for reason in reasons)


KILL_A_CHILD = """
import os, pathlib, signal, sys, time
spared = {os.getpid(), *map(int, sys.argv[2].split())}
for history in map(pathlib.Path, sys.argv[3:]):
    while not history.exists():
        time.sleep(0.05)
    for child in pathlib.Path(f"/proc/{sys.argv[1]}/task").glob("*/children"):
        for pid in map(int, child.read_text().split()):
            if pid not in spared and b"spawn_main" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_comparison_ends_as_an_uninterrupted_one(finished, one_worker, tmp_path):
    _, results = finished
    folder = tmp_path / "cells"
    options = [
        "--vary",
        "model.cell=rnn,gru",
        "--seeds",
        "2",
        "--jobs",
        "1",
        *(part for setting in SMALL for part in ("--set", setting)),
    ]
    command = [sys.executable, "-m", "ostinato", "compare", "majority", *options, "--out", folder]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not list(folder.glob("runs/*/*/metrics.json")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "comparison.json").exists()
    assert same(run_comparison(read_plan(folder), folder)) == same(results)


def test_a_comparison_interrupted_in_version_0_1_resumes(one_worker, tmp_path):
    plan = plan_of("model.cell=rnn,gru", base=override(MAJORITY, ["training.max_grad_norm=0.7"]), seeds="1")
    uninterrupted = run_comparison(plan, tmp_path / "cells")
    shutil.rmtree(tmp_path / "cells" / "runs" / "cell=gru")
    finished = tmp_path / "cells" / uninterrupted.runs[0].folder / "model.safetensors"
    before = finished.stat().st_mtime_ns
    for file in [*tmp_path.rglob("*.toml"), *tmp_path.rglob("plan.json"), *tmp_path.rglob("environment.json")]:
        text = file.read_text(encoding="utf-8").replace('"format": 2', '"format": 1')
        for old, new in RENAMED.items():
            text = text.replace(f"{new} = ", f"{old} = ")
        file.write_text(text, encoding="utf-8")
    assert "clip_norm = 0.7" in (tmp_path / "cells" / "plan.json").read_text(encoding="utf-8")
    assert same(run_comparison(read_plan(tmp_path / "cells"), tmp_path / "cells")) == same(uninterrupted)
    assert finished.stat().st_mtime_ns == before  # not trained again


def test_models_are_tested_at_lengths_they_were_not_trained_at(one_worker, tmp_path):
    results = run_comparison(plan_of("model.cell=rnn,gru", "data.length=20,60", seeds="1"), tmp_path / "lengths")
    assert len(results.runs) == 2  # trained once, whatever the lengths
    assert [row.name for row in results.summary] == [
        "rnn, length 20",
        "rnn, length 60",
        "gru, length 20",
        "gru, length 60",
    ]
    assert [(pair.first, pair.second) for pair in results.pairs] == [
        ("rnn, length 20", "gru, length 20"),
        ("rnn, length 60", "gru, length 60"),
    ]
    assert results.summary[1].n == 60
    for row, run in ((results.summary[1], results.runs[0]), (results.summary[3], results.runs[1])):
        assert row.mean == pytest.approx(run.lengths["60"]["accuracy"])


def test_folds_are_pooled_to_all_rows(one_worker, tmp_path):
    base = override(PRESETS["promoters"](), ["training.max_epochs=1"])
    results = run_comparison(plan_of("model.cell=rnn,gru", base=base, seeds="1", folds=2), tmp_path / "folds")
    assert [row.n for row in results.summary] == [106, 106]
    assert len(results.runs) == 4
    for row, runs in zip(results.summary, (results.runs[0::2], results.runs[1::2]), strict=True):
        accuracy = np.average([run.test["accuracy"] for run in runs])
        assert row.mean == pytest.approx(accuracy, abs=0.02)  # 53 rows in each fold
