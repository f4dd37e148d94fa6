"""A model that does not beat its simplest baseline is said to, before any table; so is a misleading accuracy."""

import json
import random

import pytest

from ostinato.cli import app
from ostinato.evaluation.metrics import accuracy_misleads
from ostinato.tasks import TASKS


@pytest.fixture
def uneven(tmp_path, monkeypatch):
    """A config for 300 rows of noise, of which three in a hundred have the label 1."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    rows = (f"{' '.join(rng.choices('abcdef', k=6))} x{row},{int(row % 33 == 0)}" for row in range(300))
    (tmp_path / "f.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
    (tmp_path / "f.toml").write_text('task = "classification"\n[data]\npath = "f.csv"\n[training]\nmax_epochs = 1\n')


def test_a_run_as_good_as_the_majority_says_so_first_and_shows_the_balanced_accuracy(uneven, capsys):
    app(["train", "f.toml", "--out", "run", "--report"], standalone_mode=False)
    sentence, headings, row = capsys.readouterr().out.splitlines()[:3]
    assert "does not beat always predicting the most frequent class" in sentence
    assert "0.9667" in sentence
    assert headings.index("test accuracy") < headings.index("balanced accuracy")
    with open("run/metrics.json", encoding="utf-8") as file:
        assert f"{json.load(file)['test']['balanced_accuracy']:.3f}" in row
    with open("run/report.html", encoding="utf-8") as page:
        html = page.read()
    assert html.index("does not beat") < html.index("<table")
    assert html.index("classes are uneven") < html.index("<table")


@pytest.mark.parametrize(
    ("accuracy", "balanced", "majority", "misleads"),
    [(0.99, 0.5, 0.99, True), (0.95, 0.93, 0.85, True), (0.7, 0.55, 0.6, True), (0.9, 0.88, 0.6, False)],
)
def test_accuracy_misleads_where_classes_are_uneven(accuracy, balanced, majority, misleads):
    assert accuracy_misleads(accuracy, balanced, majority) == misleads


@pytest.mark.parametrize("name", TASKS)
def test_every_task_compares_with_a_baseline_that_it_has(name):
    task = TASKS[name]
    baseline, action = task.floor
    metric = task.judging_metric({"f1": 0.5})
    assert baseline in task.baselines
    better, worse = (0.7, 0.6) if task.metrics[metric].higher_is_better else (0.6, 0.7)

    def shortfall(value, floor):
        return task.shortfall({"test": {"f1": 0.5, metric: value}, "baselines": {baseline: {metric: floor}}})

    assert shortfall(better, worse) is None
    assert shortfall(better, None) is None
    for value in (better, worse):
        assert action in shortfall(value, better)
