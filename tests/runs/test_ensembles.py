"""An ensemble of runs is an ordinary run folder, or nothing."""

import json
import shutil

import numpy as np
import pytest
from tiny_runs import TASKS, config_of

import ostinato
from ostinato.errors import ConfigError, RunError
from ostinato.report.members import EnsembleRecord
from ostinato.runs import create_run, evaluate_run, is_complete, resume_run, start_run
from ostinato.runs.ensembles import ensemble_runs, train_members
from ostinato.runs.report import report_run
from ostinato.tasks.config import override
from ostinato.tasks.model_file import load_model


@pytest.fixture(scope="module", params=TASKS)
def runs(request, tmp_path_factory):
    """Two finished runs of a task that differ in seed and encoder."""
    folder = tmp_path_factory.mktemp(request.param)
    other = "data.lowercase=true" if request.param == "tagging" else "data.max_length=15"
    settings = {"one": [], "two": ["training.seed=1", "model.cell=gru", other]}
    for name, changed in settings.items():
        start_run(config_of(request.param, folder, *changed), folder / name)
    return [folder / name for name in settings]


@pytest.fixture(scope="module")
def joined(runs):
    out = runs[0].parent / "ensemble"
    return out, ensemble_runs(runs, out, weights="validation")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_is_a_complete_run_with_the_baselines_of_its_members(runs, joined):
    out, metrics = joined
    assert is_complete(out) and read(out / "metrics.json") == metrics == resume_run(out)
    of_first = read(runs[0] / "metrics.json")["baselines"]
    assert metrics["baselines"] == {name: {**scores, "versus": None} for name, scores in of_first.items()}
    assert metrics["training"]["seconds"] == pytest.approx(
        sum(read(run / "metrics.json")["training"]["seconds"] for run in runs)
    )
    assert sorted(path.name for path in out.parent.iterdir() if path.is_dir()) == ["ensemble", "one", "two"]


def test_its_scores_are_those_of_evaluate(joined):
    out, metrics = joined
    assert evaluate_run(load_model(out), out).to_json() == metrics["test"]


def test_members_have_the_scores_of_their_own_runs(runs, joined):
    record = EnsembleRecord.of(*joined)
    for run, member in zip(runs, record.members, strict=True):
        own = read(run / "metrics.json")["test"]
        shared = member.scores.keys() & own.keys()
        assert shared and {name: member.scores[name] for name in shared} == pytest.approx(
            {name: own[name] for name in shared}, rel=1e-5
        )
    assert sum(each.weight for each in record.members) == pytest.approx(1)
    agreement = np.array(record.agreement)
    assert np.diag(agreement) == pytest.approx(1) and agreement == pytest.approx(agreement.T)


def test_it_loads_as_the_ensemble_of_the_loaded_members(runs, joined):
    out, metrics = joined
    model = ostinato.load(out).fitted_
    weights = [each.weight for each in EnsembleRecord.of(out, metrics).members]
    again = ostinato.ensemble([ostinato.load(run) for run in runs], weights).fitted_
    rows = model.task.prepare(model.config.data).rows["test"]
    found, expected = (each.task.outputs(each.network, each.task.encode(each, rows)) for each in (model, again))
    for one, other in zip(parts_of(found), parts_of(expected), strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), abs=1e-6)


def parts_of(outputs):
    """The tensors of outputs: one, or those of a tagger."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


def test_its_report_shows_the_members(runs, joined):
    out, _ = joined
    page = report_run(out).read_text(encoding="utf-8")
    assert all(str(run) in page for run in runs) and "Agreement" in page
    assert f"ostinato ensemble {runs[0]} {runs[1]} --weights validation" in page
    card = (out / "model_card.md").read_text(encoding="utf-8")
    assert "2 models" in card and "One training run" not in card


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two finished classifiers."""
    folder = tmp_path_factory.mktemp("pair")
    for seed in range(2):
        start_run(config_of("classification", folder, f"training.seed={seed}"), folder / f"seed-{seed}")
    return [folder / "seed-0", folder / "seed-1"]


def test_equal_weights_are_equal(pair, tmp_path):
    metrics = ensemble_runs(pair, tmp_path / "out")
    assert [each["weight"] for each in metrics["ensemble"]["members"]] == [0.5, 0.5]


def test_other_test_rows_are_refused_and_nothing_is_written(pair, tmp_path):
    start_run(config_of("classification", tmp_path, "data.seed=5"), tmp_path / "other")
    with pytest.raises(RunError, match="other: its validation split"):
        ensemble_runs([pair[0], tmp_path / "other"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_unfinished_and_repeated_runs_are_refused(pair, tmp_path):
    create_run(config_of("classification", tmp_path), tmp_path / "begun")
    with pytest.raises(RunError, match="begun: the run is not finished"):
        ensemble_runs([pair[0], tmp_path / "begun"], tmp_path / "out")
    with pytest.raises(ConfigError, match="named twice"):
        ensemble_runs([pair[0], pair[0]], tmp_path / "out")
    with pytest.raises(ConfigError, match="best"):
        ensemble_runs(pair, tmp_path / "out", weights="best")
    with pytest.raises(RunError, match="already holds a run"):
        ensemble_runs(pair, pair[0])


def test_fitted_weights_need_a_validation_split(tmp_path):
    config = config_of("classification", tmp_path, "data.validation_size=0")
    folders = train_members(config, 2, tmp_path / "out")
    with pytest.raises(ConfigError, match="validation"):
        ensemble_runs(folders, tmp_path / "out", weights="validation")
    metrics = ensemble_runs(folders, tmp_path / "out")
    assert metrics["test"]["temperature"] is None


def test_scores_are_of_validation_without_a_test_split(tmp_path):
    config = config_of("classification", tmp_path, "data.test_size=0")
    metrics = ensemble_runs(train_members(config, 2, tmp_path / "out"), tmp_path / "out")
    assert metrics["ensemble"]["split"] == "validation" and "test" not in metrics and "baselines" not in metrics
    assert "validation accuracy" in report_run(tmp_path / "out").read_text(encoding="utf-8")


def test_runs_without_rows_to_score_are_refused(tmp_path):
    config = config_of("classification", tmp_path, "data.test_size=0", "data.validation_size=0")
    with pytest.raises(ConfigError, match="neither validation nor test"):
        ensemble_runs(train_members(config, 2, tmp_path / "out"), tmp_path / "out")


def test_a_killed_command_leaves_no_run_and_can_be_repeated(pair, tmp_path, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ostinato.runs.ensembles.save_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            ensemble_runs(pair, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    ensemble_runs(pair, tmp_path / "out")
    assert is_complete(tmp_path / "out") and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_seeds_keep_finished_runs_and_refuse_others(pair, tmp_path):
    config = config_of("classification", tmp_path)
    shutil.copytree(pair[0], tmp_path / "e-seed-0")
    before = (tmp_path / "e-seed-0" / "metrics.json").stat().st_mtime_ns
    folders = train_members(config, 2, tmp_path / "e")
    assert folders == [tmp_path / "e-seed-0", tmp_path / "e-seed-1"] and all(map(is_complete, folders))
    assert (tmp_path / "e-seed-0" / "metrics.json").stat().st_mtime_ns == before
    assert (folders[1] / "model.safetensors").read_bytes() == (pair[1] / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="e-seed-0: holds a run of another config"):
        train_members(override(config, ["model.hidden_size=5"]), 2, tmp_path / "e")
    with pytest.raises(ConfigError, match="--seeds 1"):
        train_members(config, 1, tmp_path / "e")
