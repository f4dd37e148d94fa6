"""Wrong files in a run folder: each is named in an error or made again; none is accepted, none gives a traceback."""

import json
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import TASKS, config_of, reviews_config, write_reviews

from ostinato import runs
from ostinato.errors import OstinatoError, RunError
from ostinato.runs.report import read_run
from ostinato.runs.table import print_results
from ostinato.storage import METRICS, load_tensors, save_tensors
from ostinato.tasks.model_file import load_model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two finished runs that differ in the seed, a copy of the first one's config, and their data."""
    folder = tmp_path_factory.mktemp("made")
    write_reviews(folder / "reviews.csv")
    for name, seed in (("run", 0), ("again", 0), ("other", 1)):
        runs.start_run(reviews_config(folder / "reviews.csv", f"training.seed={seed}"), folder / name)
    return folder


@pytest.fixture
def finished(made, tmp_path):
    return shutil.copytree(made / "run", tmp_path / "run")


@pytest.fixture
def unfinished(finished):
    (finished / METRICS).unlink()
    return finished


@pytest.mark.parametrize("source", ["other", "again"])
@pytest.mark.parametrize("name", ["best", "last"])
def test_a_checkpoint_of_another_run_is_refused(made, unfinished, source, name):
    path = unfinished / "checkpoints" / f"{name}.safetensors"
    shutil.copy(made / source / "checkpoints" / path.name, path)
    with pytest.raises(RunError, match=path.name):
        runs.resume_run(unfinished)


@pytest.mark.parametrize("place", ["checkpoints/last.safetensors", "checkpoints/best.safetensors"])
@pytest.mark.parametrize(
    "source",
    ["checkpoints/last.safetensors", "checkpoints/best.safetensors", "model.safetensors", "rows.safetensors"],
)
def test_a_file_in_place_of_another_is_refused(unfinished, source, place):
    if source == place:
        return
    shutil.copy(unfinished / source, unfinished / place)
    with pytest.raises(RunError, match=place.rpartition("/")[2]):
        runs.resume_run(unfinished)


def test_best_weights_of_another_epoch_are_refused(unfinished):
    path = unfinished / "checkpoints" / "best.safetensors"
    stored = load_tensors(path)
    save_tensors(path, stored.tensors, {**stored.facts, "epoch": stored.facts["epoch"] + 1})
    with pytest.raises(RunError, match="best.safetensors"):
        runs.resume_run(unfinished)


def test_an_epoch_that_contradicts_the_history_is_refused(unfinished):
    path = unfinished / "checkpoints" / "last.safetensors"
    stored = load_tensors(path)
    save_tensors(path, stored.tensors, {**stored.facts, "state": {**stored.facts["state"], "epoch": 0}})
    with pytest.raises(RunError, match=r"last.safetensors.*history ends with epoch"):
        runs.resume_run(unfinished)


WRONG = st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=3), st.lists(st.integers(), max_size=2), st.just({}))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_well_formed_checkpoints_with_wrong_facts_end_cleanly(made, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spoiled") / "run"
    shutil.copytree(made / "run", folder)
    (folder / METRICS).unlink()
    name = data.draw(st.sampled_from(["last", "best"]))
    path = folder / "checkpoints" / f"{name}.safetensors"
    tensors, facts, _ = load_tensors(path)
    tables = [facts, *(each for each in facts.values() if isinstance(each, dict))]
    table = data.draw(st.sampled_from(tables))
    key = data.draw(st.sampled_from(sorted(table)))
    before = table.pop(key)
    if data.draw(st.booleans()):
        table[key] = data.draw(WRONG.filter(lambda value: value != before))
    save_tensors(path, tensors, facts)
    try:
        metrics = runs.resume_run(folder)
    except OstinatoError:
        return
    assert metrics["training"]["epochs"] == 2  # a number of the progress that nothing depends on


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_well_formed_checkpoints_with_wrong_tensors_are_refused(made, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("spoiled") / "run"
    shutil.copytree(made / "run", folder)
    (folder / METRICS).unlink()
    path = folder / "checkpoints" / data.draw(st.sampled_from(["last.safetensors", "best.safetensors"]))
    tensors, facts, _ = load_tensors(path)
    name = data.draw(st.sampled_from(sorted(tensors)))
    tensor = tensors.pop(name)
    how = data.draw(st.sampled_from(["missing", "renamed", "longer"]))
    if how == "renamed":
        tensors[f"{name}x"] = tensor
    elif how == "longer":
        tensors[name] = tensor.flatten().repeat(3)
    save_tensors(path, tensors, facts)
    with pytest.raises(RunError, match=path.name):
        runs.resume_run(folder)


FORMS = [
    b"",
    b"{}",
    b"[]",
    b"3",
    b'"text"',
    b"null",
    b"\xff",
    b"{",
    b"[" * 5000,
    b'{"format": "two"}',
    b'{"format": null}',
]


def use(folder):
    """Everything that reads a finished run."""
    runs.finished_metrics(folder)
    print_results([(folder, runs.resume_run(folder))])
    runs.evaluate_run(load_model(folder), folder)
    read_run(folder)


@pytest.mark.parametrize("content", FORMS, ids=lambda content: repr(content[:20]))
@pytest.mark.parametrize("name", ["environment.json", "metrics.json"])
def test_a_damaged_file_of_a_finished_run_is_named(finished, name, content):
    (finished / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        use(finished)


REBUILT = [
    "audit.json",
    "vocabulary.json",
    "metrics.jsonl",
    "rows.safetensors",
    "model.safetensors",
    "predictions.parquet",
]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
@pytest.mark.parametrize("name", REBUILT)
def test_a_lost_or_damaged_file_is_made_again(made, finished, name, content):
    if content is None:
        (finished / name).unlink()
    else:
        (finished / name).write_bytes(content)
    assert not runs.is_complete(finished)
    said = []
    progress = type("Said", (runs.training.Progress,), {"say": lambda self, line: said.append(line)})(quiet=True)
    metrics = runs.resume_run(finished, progress=progress)
    assert any(name in line for line in said)
    assert (finished / name).read_bytes() == (made / "run" / name).read_bytes()
    assert metrics == json.loads((made / "run" / METRICS).read_text(encoding="utf-8"))
    use(finished)


@pytest.mark.parametrize("name", ["metrics.jsonl", "predictions.parquet", "audit.json"])
def test_a_report_refuses_a_file_of_another_run(made, finished, name):
    shutil.copy(made / "other" / name, finished / name)
    if (finished / name).read_bytes() == (made / "run" / name).read_bytes():
        return  # the audit of the same data
    with pytest.raises(RunError, match=name):
        read_run(finished)


def test_the_model_of_another_run_is_refused(made, finished):
    shutil.copy(made / "other" / "model.safetensors", finished / "model.safetensors")
    with pytest.raises(RunError, match="model.safetensors"):
        load_model(finished)
    load_model(finished / "model.safetensors")  # by itself it is a model


@pytest.mark.parametrize("name", ["/dev/zero", "../run/config.toml", "pipe", "checkpoints"])
def test_only_files_of_the_folder_are_read_for_their_digests(finished, name):
    os.mkfifo(finished / "pipe")
    metrics = json.loads((finished / METRICS).read_text(encoding="utf-8"))
    metrics["files"][name] = "0" * 64
    (finished / METRICS).write_text(json.dumps(metrics), encoding="utf-8")
    assert not runs.is_complete(finished)


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_model_is_not_trained_anew_where_its_checkpoints_are_missing(finished, name):
    (finished / "model.safetensors").unlink()
    (finished / "checkpoints" / f"{name}.safetensors").unlink()
    with pytest.raises(RunError, match=f"model.safetensors.*{name}.safetensors"):
        runs.resume_run(finished)


def test_a_run_that_has_lost_its_environment_is_refused(unfinished):
    (unfinished / "environment.json").unlink()
    with pytest.raises(RunError, match="environment.json"):
        runs.resume_run(unfinished)


@pytest.mark.parametrize("name", ["audit.json", "vocabulary.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_an_unfinished_run_writes_its_damaged_files_again(made, unfinished, name, content):
    (unfinished / name).unlink() if content is None else (unfinished / name).write_bytes(content)
    runs.resume_run(unfinished)
    assert (unfinished / name).read_bytes() == (made / "run" / name).read_bytes()


@pytest.mark.parametrize("setting", ["model.pooling=['mean']", "model.dropout=0.4"])
def test_a_model_table_that_was_changed_is_refused(made, unfinished, setting):
    from ostinato.config import to_toml

    (unfinished / "config.toml").write_text(to_toml(reviews_config(made / "reviews.csv", setting)), encoding="utf-8")
    with pytest.raises(RunError, match=r"\[model\]"):
        runs.resume_run(unfinished)


@pytest.mark.parametrize("task", TASKS)
def test_runs_of_every_task_know_their_files(tmp_path, task):
    metrics = runs.start_run(config_of(task, tmp_path), tmp_path / "run")
    assert runs.is_complete(tmp_path / "run")
    assert {"model.safetensors", "rows.safetensors"} < metrics["files"].keys()
    (tmp_path / "run" / "model.safetensors").unlink()
    assert runs.resume_run(tmp_path / "run") == metrics


def test_nothing_of_a_run_is_written_through_a_planted_link(made, tmp_path):
    names = [".metrics.json.tmp", "predictions.tmp", "metrics.json", "metrics.jsonl", "model.safetensors", "audit.json"]
    config = reviews_config(made / "reviews.csv")
    runs.create_run(config, tmp_path / "run")
    for name in names[:2] + names[3:]:
        (tmp_path / f"victim-{name}").write_text("mine")
        (tmp_path / "run" / name).symlink_to(tmp_path / f"victim-{name}")
    runs.resume_run(tmp_path / "run")
    assert {path.read_text() for path in tmp_path.glob("victim-*")} == {"mine"}


@pytest.mark.parametrize("name", ["training.log", "checkpoints"])
def test_a_planted_link_that_would_be_followed_is_refused(made, tmp_path, name):
    runs.create_run(reviews_config(made / "reviews.csv"), tmp_path / "run")
    victim = tmp_path / "victim"
    victim.mkdir() if name == "checkpoints" else victim.write_text("mine")
    (tmp_path / "run" / name).symlink_to(victim)
    with pytest.raises(RunError, match=name):
        runs.resume_run(tmp_path / "run")
    assert not list(victim.iterdir()) if victim.is_dir() else victim.read_text() == "mine"
