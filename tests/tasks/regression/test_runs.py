"""A regression from file to run folder: results, answers, resuming, reports, comparisons, tuning."""

import csv
import json
import random

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from typer.testing import CliRunner

from ostinato import runs
from ostinato.cli import app
from ostinato.comparison.compare import run_comparison
from ostinato.comparison.options import make_plan
from ostinato.comparison.page import write_comparison_page
from ostinato.errors import DataError
from ostinato.evaluation.statistics import compare, verdict
from ostinato.runs.report import report_run
from ostinato.storage import load_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.config import override, parse_config
from ostinato.tasks.regression.scoring import Predictions
from ostinato.tuning import make_search, tune

TASK = TASKS["regression"]
TINY = {"cell": "gru", "hidden_size": 6, "embedding_size": 4}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """DNA with its number of Gs and its length; some sequences are measured twice."""
    rng = random.Random(0)
    sequences = ["".join(rng.choice("ACGT") for _ in range(rng.randint(6, 15))) for _ in range(150)]
    rows = [(dna, dna.count("G") + rng.gauss(0, 0.1), len(dna)) for dna in [*sequences, *sequences[:20]]]
    path = tmp_path_factory.mktemp("data") / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "g", "length"), *rows, rows[0]])
    return path


def tiny(table, *settings):
    config = parse_config(
        {
            "task": "regression",
            "data": {"path": str(table), "target_columns": ["g", "length"], "tokenizer": "nucleotides"},
            "model": TINY,
            "training": {"max_epochs": 3, "lr": 1e-2, "device": "cpu", "loss": "quantile"},
        }
    )
    return override(config, settings)


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, runs.start_run(tiny(table), folder)


def command(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result


def test_metrics_agree_with_the_predictions_row_by_row(finished):
    folder, metrics = finished
    columns = pq.read_table(folder / "predictions.parquet").to_pydict()
    targets, predictions = (
        np.stack([columns[f"{what}_{name}"] for name in ("g", "length")], axis=1) for what in ("target", "prediction")
    )
    test = metrics["test"]
    assert test["n"] == len(columns["source"])
    assert test["rmse"] == pytest.approx(root_mean_squared_error(targets, predictions))
    assert test["mae"] == pytest.approx(mean_absolute_error(targets, predictions))
    assert test["r2"] == pytest.approx(r2_score(targets, predictions))
    low, high = np.array(columns["quantile_0.1_g"]), np.array(columns["quantile_0.9_g"])
    inside = (low <= targets[:, 0]) & (targets[:, 0] <= high)
    assert test["per_output"]["g"]["central_intervals"][0]["coverage"] == pytest.approx(inside.mean())


def test_constant_baselines_predict_the_training_mean_and_median(finished, table):
    _, metrics = finished
    data = TASK.prepare(tiny(table).data)
    train, test = (np.array([list(row.values()) for row in data.rows[name].targets]) for name in ("train", "test"))
    for name, constant in (("mean", train.mean(axis=0)), ("median", np.median(train, axis=0))):
        oracle = root_mean_squared_error(test, np.tile(constant, (len(test), 1)))
        assert metrics["baselines"][name]["rmse"] == pytest.approx(oracle)


def test_ridge_regression_is_compared_with_the_model_on_the_test_rows(finished):
    _, metrics = finished
    ridge, versus = metrics["baselines"]["ridge"], metrics["baselines"]["ridge"]["versus"]
    assert versus["difference"] == pytest.approx(metrics["test"]["rmse"] - ridge["rmse"])
    low, high = versus["interval"]
    assert low <= versus["difference"] <= high and (versus["p"] < 0.05) == (low > 0 or high < 0)
    assert metrics["baselines"]["mean"]["versus"] is None


def test_repeated_measurements_stay_in_one_split(table):
    data = TASK.prepare(tiny(table).data)
    held = [set(data.rows[name].sequences) for name in ("train", "validation", "test")]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    assert sum(map(len, data.rows.values())) == 170  # of 171 rows, one is an exact duplicate


def test_repeated_measurements_join_groups(tmp_path):
    lines = ["text,y,who"] + [f"{'ACGT'[n % 4] * (n // 4 + 1)},{n},{n}" for n in range(40)]
    lines += [f"{'ACGT'[n % 4] * (n // 4 + 1)},{n + 0.5},{(n + 1) % 40}" for n in range(0, 40, 2)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    data = {"path": str(tmp_path / "t.csv"), "target_columns": ["y"], "group_column": "who", "tokenizer": "characters"}
    prepared = TASK.prepare(parse_config({"task": "regression", "data": data}).data)
    split_of = {
        int(source.rpartition(" ")[2]) - 2: name for name, rows in prepared.rows.items() for source in rows.sources
    }
    for row in range(0, 40, 2):  # the sequence of row n was measured again for person n + 1
        assert split_of[row] == split_of[40 + row // 2] == split_of[row + 1]


def test_predictions_are_read_as_they_were_written(finished):
    folder, metrics = finished
    found = TASK.read_predictions(folder / "predictions.parquet", metrics["test"])
    assert found.levels == (0.1, 0.5, 0.9)
    assert found.quantiles.shape == (metrics["test"]["n"], 2, 3)
    np.testing.assert_array_equal(found.predictions, found.quantiles[:, :, 1])


def test_predict_prints_numbers_and_intervals_and_goes_on_after_a_bad_row(finished, tmp_path):
    folder, _ = finished
    (tmp_path / "new.csv").write_text("text,g\nACGT,unknown\n,1\n")
    lines = command("predict", folder, tmp_path / "new.csv", code=1).stdout.splitlines()
    answer, error = json.loads(lines[0]), json.loads(lines[1])
    assert set(answer) == {"predictions", "intervals", "quantiles"}
    assert answer["quantiles"]["g"]["0.5"] == answer["predictions"]["g"]
    assert answer["intervals"]["g"] == [answer["quantiles"]["g"]["0.1"], answer["quantiles"]["g"]["0.9"]]
    assert "row 3" in error["error"]


def test_evaluate_scores_another_file_under_another_column_name(table, tmp_path):
    runs.start_run(tiny(table, "data.target_columns=g", "training.loss=absolute"), tmp_path / "run")
    (tmp_path / "new.csv").write_text("text,count\nACGT,1\nGGG,3\nAAAA,0\n")
    result = command("evaluate", tmp_path / "run", tmp_path / "new.csv", "--set", "data.target_columns=count", "--json")
    assert json.loads(result.stdout)["n"] == 3
    answer = json.loads(command("predict", tmp_path / "run", "--text", "ACGT").stdout)
    assert set(answer) == {"prediction"}


def test_number_that_cannot_be_read_is_named_before_training(tmp_path):
    (tmp_path / "t.csv").write_text("text,target\nACGT,1.5\nACG,3;5\n")
    config = tmp_path / "c.toml"
    config.write_text(f'task = "regression"\n[data]\npath = "{tmp_path / "t.csv"}"\n')
    error = CliRunner().invoke(app, ["train", str(config)]).exception  # `main` prints it and exits with 2
    assert isinstance(error, DataError)
    assert "row 3: target is '3;5'" in str(error)


def test_resumed_run_ends_with_identical_weights(table, finished, tmp_path):
    folder, _ = finished
    data = TASK.prepare(tiny(table).data)
    config = TASK.settle(tiny(table), data)
    epochs = []

    def stop():
        return len(epochs) == 1

    with pytest.raises(KeyboardInterrupt):
        TASK.fit(config, data, folder=tmp_path, on_epoch=epochs.append, stop_requested=stop)
    resumed = TASK.fit(config, data, folder=tmp_path).network.state_dict()
    whole = load_tensors(folder / "model.safetensors").tensors
    assert all((resumed[name] == whole[name]).all() for name in whole)


def test_report_shows_residuals_and_coverage(finished):
    folder, metrics = finished
    page = report_run(folder).read_text()
    assert f"{metrics['test']['rmse']:.4g}" in page
    for section in ("residuals", "intervals", "lengths", "faithfulness", "mistakes", "model-card"):
        assert f'id="{section}"' in page
    assert "quantiles 0.1 and 0.9" in (folder / "model_card.md").read_text()


def test_model_with_the_lower_error_is_better():
    targets = np.random.default_rng(0).normal(size=(200, 1))
    sources, none = [f"row {n:03}" for n in range(200)], np.empty((200, 1, 0))
    scored = []
    for error in (0.1, 0.5):
        shift = error * np.random.default_rng(1).normal(size=(200, 1))
        found = Predictions(sources, targets, targets + shift, (), none)
        scored.append(TASK.compared([[found]], "rmse", {})[0])
        assert scored[-1].scores[0] == pytest.approx(np.sqrt((shift**2).mean()))
    difference = compare(*scored)
    assert difference.difference < 0
    assert verdict(difference, difference.p) == "better"


def test_order_of_the_folds_does_not_matter():
    values = np.random.default_rng(0).normal(size=(2, 6, 1))
    whole = Predictions([f"row {n}" for n in range(6)], *values, (), np.empty((6, 1, 0)))
    folds = [
        Predictions(
            [whole.sources[n] for n in rows], whole.targets[rows], whole.predictions[rows], (), whole.quantiles[rows]
        )
        for rows in ([4, 1, 5], [3, 0, 2])
    ]
    (one, first, _), (two, second, _) = (TASK.compared([each], "mae", {}) for each in ([whole], folds))
    assert first == second
    np.testing.assert_array_equal(one.resampled, two.resampled)


@pytest.mark.slow
def test_comparison_shows_errors_in_units(table, tmp_path, monkeypatch):
    monkeypatch.setattr("ostinato.comparison.compare.measure_cost", lambda run: None)
    plan = make_plan(tiny(table, "training.max_epochs=1"), ["model.cell=rnn,gru"], seeds="2", match="none")
    results = run_comparison(plan, tmp_path / "compared", processes=1)
    assert results.metric == "rmse"
    assert [row.seeds for row in results.summary] == [2, 2]
    page = write_comparison_page(results, tmp_path / "compared").read_text()
    assert "unit of the targets" in page


def test_search_minimises_the_monitored_error(table, tmp_path):
    config = tiny(table, "training.monitor=mae", "training.max_epochs=1")
    config = config.model_copy(update={"search": {"training.lr": [1e-6, 3e-2]}})
    found = tune(make_search(config, trials=2), tmp_path / "search")
    assert found.best.score == min(trial.score for trial in found.trials)


@pytest.mark.parametrize("preset", ["count-ones", "motif-position"])
def test_small_generated_set_is_learnt(preset, tmp_path):
    small = ["data.train_size=1500", "data.validation_size=200", "data.test_size=200", "training.batch_size=16"]
    length = {"count-ones": "data.length=[3, 12]", "motif-position": "data.length=[12, 20]"}[preset]
    config = override(TASK.presets[preset](), [*small, length])
    metrics = runs.start_run(config, tmp_path / "run")
    assert metrics["test"]["r2"] > 0.95
    assert metrics["test"]["rmse"] < metrics["baselines"]["mean"]["rmse"]
