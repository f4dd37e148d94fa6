"""A run notices that its data have changed, and counts rows that it has seen in training."""

import json

import pytest
from tiny_runs import TASKS, config_of, reviews_config, write_reviews, write_sentences
from typer.testing import CliRunner

from ostinato import runs
from ostinato.cli import app
from ostinato.errors import OstinatoError, RunError
from ostinato.runs.report import report_run
from ostinato.tasks.model_file import load_model


def invoke(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    write_reviews(folder / "reviews.csv")
    runs.start_run(reviews_config(folder / "reviews.csv"), folder / "run")
    return folder, (folder / "reviews.csv").read_text(encoding="utf-8")


@pytest.fixture
def reviews(trained):
    """The folder with a run and its data file, which is restored afterwards."""
    folder, text = trained
    yield folder
    (folder / "reviews.csv").write_text(text, encoding="utf-8")


def sort_rows(path):
    head, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(head + "".join(sorted(rows)), encoding="utf-8")


def swap_labels(path):
    path.write_text(path.read_text(encoding="utf-8").replace(",a\n", ",c\n"))


def drop_a_row(path):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")


@pytest.mark.parametrize("change", [sort_rows, swap_labels, drop_a_row])
def test_a_run_is_not_scored_on_data_that_have_changed(reviews, change):
    change(reviews / "reviews.csv")
    with pytest.raises(RunError, match="run: the data are not those of the run"):
        runs.evaluate_run(load_model(reviews / "run"), reviews / "run")
    with pytest.raises(RunError, match="run: the data are not those of the run"):
        report_run(reviews / "run")
    assert not (reviews / "run" / "report.html").exists()


def test_tags_that_have_changed_are_noticed(tmp_path):
    runs.start_run(config_of("tagging", tmp_path), tmp_path / "run")
    write_sentences(tmp_path / "tags.conll", seed=1)
    with pytest.raises(RunError, match="run: the data are not those of the run"):
        runs.test_rows(tmp_path / "run")


def test_a_training_file_that_grows_does_not_change_a_test_file(tmp_path):
    write_reviews(tmp_path / "train.csv")
    write_reviews(tmp_path / "test.csv", rows=30, seed=1)
    config = reviews_config(tmp_path / "train.csv", f"data.test_path={tmp_path / 'test.csv'}")
    figures = runs.start_run(config, tmp_path / "run")
    with (tmp_path / "train.csv").open("a", encoding="utf-8") as file:
        file.write("an entirely different review,a\n")
    again = runs.evaluate_run(load_model(tmp_path / "run"), tmp_path / "run")
    assert again.to_json() == figures["test"]


def test_a_deleted_data_file_is_named(reviews):
    (reviews / "reviews.csv").unlink()
    with pytest.raises(OstinatoError, match="reviews.csv"):
        runs.test_rows(reviews / "run")


@pytest.mark.parametrize("task", TASKS)
def test_rows_seen_in_training_and_validation_are_counted(tmp_path, task):
    config = config_of(task, tmp_path)
    runs.start_run(config, tmp_path / "run")
    model = load_model(tmp_path / "run")
    data = model.task.prepare(config.data)
    known = {split: set(model.task.row_keys(model.encoder, data.rows[split])) for split in data.rows}
    for rows in data.rows.values():
        keys = list(model.task.row_keys(model.encoder, rows))
        seen = runs.seen_rows(model, tmp_path / "run", rows)
        assert seen.rows == len(keys)
        assert seen.training == sum(key in known["train"] for key in keys)
        assert seen.validation == sum(key in known["validation"] - known["train"] for key in keys)


def test_evaluate_says_how_many_rows_were_seen_in_training(reviews):
    run = reviews / "run"
    head, *lines = (reviews / "reviews.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (reviews / "new.csv").write_text(head + "".join(f"new {line}" for line in lines[:9]), encoding="utf-8")
    plain = invoke("evaluate", run, reviews / "new.csv")
    assert plain.stdout.startswith("metric")
    fresh = json.loads(invoke("evaluate", run, reviews / "new.csv", "--json").stdout)
    assert (fresh["seen_in_training"], fresh["seen_in_validation"]) == (0, 0)
    all_rows = json.loads(invoke("evaluate", run, reviews / "reviews.csv", "--json").stdout)
    sizes = [json.loads((run / "audit.json").read_text())["splits"][name]["rows"] for name in ("train", "validation")]
    assert [all_rows["seen_in_training"], all_rows["seen_in_validation"]] == sizes
    first = invoke("evaluate", run, reviews / "reviews.csv").stdout.splitlines()[0]
    assert f"{sizes[0]} in its training data and {sizes[1]} in its validation data" in first
    model_alone = json.loads(invoke("evaluate", run / "model.safetensors", reviews / "new.csv", "--json").stdout)
    assert model_alone["seen_in_training"] is None


@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_damaged_hashes_are_named(tmp_path, content):
    write_reviews(tmp_path / "reviews.csv")
    runs.start_run(reviews_config(tmp_path / "reviews.csv"), tmp_path / "run")
    (tmp_path / "run" / "rows.safetensors").write_bytes(content)
    rows = runs.test_rows(tmp_path / "run")
    with pytest.raises(RunError, match="rows.safetensors"):
        runs.seen_rows(load_model(tmp_path / "run"), tmp_path / "run", rows)
