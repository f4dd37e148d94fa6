import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet
import pytest
from sklearn.metrics import f1_score
from typer.testing import CliRunner

import ostinato
from ostinato.cli import app
from ostinato.config import to_toml
from ostinato.errors import DataError
from ostinato.runs import resume_run, start_run
from ostinato.runs.report import report_run
from ostinato.storage import load_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.config import override, parse_config
from ostinato.tasks.multilabel.presets import dna_motifs

TRAINING = {"max_epochs": 15, "lr": 0.03, "batch_size": 8}
MODEL = {"cell": "gru", "embedding_size": 8, "hidden_size": 8, "pooling": ["max"]}


def config_for(path, **data):
    data = {"path": str(path), "tokenizer": "characters", **data}
    return parse_config({"task": "multilabel", "data": data, "model": MODEL, "training": TRAINING})


@pytest.fixture(scope="module")
def run(csv_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "letters"
    start_run(config_for(csv_file), folder)
    return folder


def command(*arguments, **options):
    return CliRunner().invoke(app, list(map(str, arguments)), **options)


def metrics_of(run):
    return json.loads((run / "metrics.json").read_text())


def test_run_scores_its_test_split_beside_its_baselines(run):
    metrics = metrics_of(run)
    assert metrics["test"]["micro_f1"] > 0.95
    assert metrics["baselines"]["linear"]["description"].startswith("TF-IDF of characters")
    assert list(metrics["baselines"]) == ["linear", "nbsvm", "frequency"]
    assert metrics["baselines"]["frequency"]["micro_f1"] < 0.7
    assert list(metrics["test"]["per_label"]) == ["a", "b", "c"]


def test_predictions_of_the_test_split_are_written_row_by_row(run, csv_file):
    table = pyarrow.parquet.read_table(run / "predictions.parquet").to_pydict()
    lines = csv_file.read_text().splitlines()
    for source, labels in zip(table["source"], table["labels"], strict=True):
        number = int(source.rpartition(" ")[2])
        assert lines[number - 1].partition(",")[2] == "|".join(labels)
    thresholds = {label: each["threshold"] for label, each in metrics_of(run)["test"]["per_label"].items()}
    for row, predicted in enumerate(table["predicted"]):
        assert predicted == [label for label in "abc" if table[f"probability_{label}"][row] >= thresholds[label]]
    true, found = (
        np.array([[label in labels for label in "abc"] for labels in table[name]]) for name in ("labels", "predicted")
    )
    assert metrics_of(run)["test"]["micro_f1"] == pytest.approx(f1_score(true, found, average="micro"))


def test_evaluate_repeats_the_test_metrics(run):
    result = command("evaluate", run, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["micro_f1"] == metrics_of(run)["test"]["micro_f1"]


def test_predict_answers_text_files_and_bad_rows(run, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text('text\nuvwxab\n""\nuvwxyz\n')
    result = command("predict", run, path)
    good, bad, none = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert (good["labels"], none["labels"]) == (["a", "b"], [])
    assert set(good["probabilities"]) == {"a", "b", "c"}
    assert "row 3" in bad["error"]
    typed = command("predict", run, "--text", "uvwxab", "--text", "cuvwx")
    assert [json.loads(line)["labels"] for line in typed.stdout.splitlines()] == [["a", "b"], ["c"]]
    piped = command("predict", run, "-", input="uvwxab\n")
    assert json.loads(piped.stdout) == good


def test_loaded_run_predicts_as_the_command_line_does(run):
    model = ostinato.load(run)
    assert model.predict(["uvwxab", "uvwxyz"]) == [("a", "b"), ()]


def test_explain_says_which_labels_the_row_has(run, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,labels\nuvwxab,a|b\nuvwxyz,\n")
    result = command("explain", run, path, "--label", "b", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["explanations"]
    assert [row["true_label"] for row in rows] == ["a, b", "without labels"]
    assert [row["label"] for row in rows] == ["b", "b"]


def test_label_columns_and_lists_train_as_separated_labels(run, letters, tmp_path):
    X, labels = letters
    columns, lists = tmp_path / "columns.csv", tmp_path / "lists.jsonl"
    flags = [
        f"{text},{','.join(str(int(label in row)) for label in 'abc')}" for text, row in zip(X, labels, strict=True)
    ]
    columns.write_text("\n".join(["text,a,b,c", *flags]) + "\n")
    rows = [json.dumps({"text": text, "labels": row}) for text, row in zip(X, labels, strict=True)]
    lists.write_text("\n".join(rows) + "\n")
    expected = load_tensors(run / "model.safetensors").tensors
    for name, config in (
        ("columns", config_for(columns, label_columns=["a", "b", "c"])),
        ("lists", config_for(lists)),
    ):
        start_run(config, tmp_path / name)
        found = load_tensors(tmp_path / name / "model.safetensors").tensors
        assert all((found[key] == expected[key]).all() for key in expected)


def test_unknown_label_in_a_file_to_evaluate_names_its_row(run, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text,labels\nuvwxab,a|B\n")
    result = command("evaluate", run, path)
    assert isinstance(result.exception, DataError)
    assert "row 2: label 'B'" in str(result.exception)


def test_conflicting_rows_are_removed_whatever_the_order_of_labels(tmp_path, letters):
    X, labels = letters
    path = tmp_path / "rows.csv"
    rows = [f"{text},{'|'.join(row)}" for text, row in zip(X, labels, strict=True)]
    extra = [f"{X[0]},a|b|c|d", "same,a|b", "same,b|a"]
    path.write_text("\n".join(["text,labels", *rows, *extra]) + "\n")
    cleaning = TASKS["multilabel"].prepare(config_for(path).data).audit.cleaning
    assert cleaning.conflicting_dropped == 2
    assert cleaning.duplicates_dropped == 1


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights(csv_file, run, tmp_path):
    config = override(config_for(csv_file), ["training.checkpoint_every_s=0.01"])
    folder = tmp_path / "killed"
    program = (
        "import sys; from pathlib import Path; from ostinato.runs import start_run; "
        "from ostinato.tasks.config import read_config; start_run(read_config(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    (tmp_path / "config.toml").write_text(to_toml(config))
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "config.toml"), str(folder)])
    history, deadline = folder / "metrics.jsonl", time.monotonic() + 120
    while (not history.exists() or not history.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resume_run(folder)
    expected, found = (load_tensors(each / "model.safetensors").tensors for each in (run, folder))
    assert all((found[key] == expected[key]).all() for key in expected)


def test_report_holds_every_label_and_the_mistakes(run):
    page = report_run(run).read_text()
    for section in (
        "result",
        "data",
        "metrics",
        "labels",
        "calibration",
        "lengths",
        "examples",
        "mistakes",
        "model-card",
    ):
        assert f'id="{section}"' in page, section
    assert "threshold" in page
    assert "any of 3 labels" in (run / "model_card.md").read_text()


def test_report_without_a_test_split_says_so(csv_file, tmp_path):
    start_run(override(config_for(csv_file, test_size=0), ["training.max_epochs=1"]), tmp_path / "run")
    assert "no test split" in report_run(tmp_path / "run").read_text()


def test_run_without_validation_keeps_half_thresholds(csv_file, tmp_path):
    start_run(override(config_for(csv_file, validation_size=0), ["training.max_epochs=1"]), tmp_path / "run")
    assert {each["threshold"] for each in metrics_of(tmp_path / "run")["test"]["per_label"].values()} == {0.5}
    assert "no validation split" in report_run(tmp_path / "run").read_text()


@pytest.mark.slow
def test_two_cells_are_compared_over_seeds(csv_file, tmp_path):
    (tmp_path / "config.toml").write_text(
        f'task = "multilabel"\n[data]\npath = "{csv_file}"\ntokenizer = "characters"\n'
        "[model]\nhidden_size = 4\nembedding_size = 4\n[training]\nmax_epochs = 1\n"
    )
    arguments = ["--vary", "model.cell=gru,rnn", "--seeds", "2", "--jobs", "1", "--json"]
    result = command("compare", tmp_path / "config.toml", *arguments, "--out", tmp_path / "compared")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["metric"] == "micro_f1"
    assert len(found["runs"]) == 4
    assert len(found["pairs"]) == 1


def test_search_tunes_on_validation(csv_file, tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "config.toml").write_text(
        f'task = "multilabel"\n[data]\npath = "{csv_file}"\ntokenizer = "characters"\n[model]\nembedding_size = 4\n'
        '[training]\nmax_epochs = 1\nmonitor = "macro_f1"\n[search]\n"model.hidden_size" = [4, 8]\n'
    )
    result = command("tune", tmp_path / "config.toml", "--trials", "2", "--out", tmp_path / "tuned", "--json")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "tuned" / "best.toml").exists()


def test_preset_finds_the_motifs(tmp_path):
    settings = ["data.train_size=2000", "data.validation_size=200", "data.test_size=300", "training.batch_size=32"]
    metrics = start_run(override(dna_motifs(), settings), tmp_path / "motifs")
    assert metrics["test"]["micro_f1"] >= 0.97
