"""Training on several processes of torchrun: the numbers of one process with the whole batch."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_runs import TASKS, config_of
from torchrun import script, torchrun

from ostinato import runs
from ostinato.cli import training
from ostinato.config import to_toml
from ostinato.errors import ConfigError, MissingExtraError, OstinatoError
from ostinato.storage import load_tensors
from ostinato.tasks.config import read_run_config
from ostinato.tasks.model_file import load_model
from ostinato.training.ranks import Ranks, joined_ranks

SAME = [  # as one process has it with the whole batch: without dropout, which each rank draws for itself
    "model.dropout=0",
    "training.max_epochs=3",
    "training.ema_decay=0.9",
    "training.gradient_accumulation_steps=2",
]
MORE = {
    "classification": ['training.class_weight={"0"=1.0,"1"=3.0}', "model.wide=ngrams"],
    "multilabel": [],
    "regression": [],
    "tagging": [],
}
SCORE = {"classification": "log_loss", "multilabel": "log_loss", "regression": "mae", "tagging": "accuracy"}
RANKS = 2


def train_on(ranks, folders, *options):
    process = torchrun(ranks, script("rank_of_runs.py"), *folders, *options)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed


def write_configs(folder, batch_size):
    """A folder with a config for each task."""
    folders = []
    for task in TASKS:
        chosen = folder / task
        chosen.mkdir(parents=True)
        config = config_of(task, folder, *SAME, *MORE[task], f"training.batch_size={batch_size}")
        (chosen / "config.toml").write_text(to_toml(config), encoding="utf-8")
        folders.append(chosen)
    return folders


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs of all tasks: on one process, on two, and on two that were stopped, and resumed by one or by three."""
    folder = tmp_path_factory.mktemp("ranks")
    alone = write_configs(folder / "alone", 4 * RANKS)
    for each in alone:
        runs.start_run(read_run_config(each / "config.toml"), each / "run")
    together, stopped = (write_configs(folder / name, 4) for name in ("together", "stopped"))
    train_on(RANKS, together)
    train_on(RANKS, stopped, "--stop-after", "4")
    assert not any(runs.is_complete(each / "run") for each in stopped)
    grown = [Path(shutil.copytree(each, folder / "grown" / each.name)) for each in stopped]
    for each in stopped:
        runs.resume_run(each / "run")
    train_on(RANKS + 1, grown)
    kinds = (alone, together, stopped, grown)
    return {task: [found[number] / "run" for found in kinds] for number, task in enumerate(TASKS)}


def history(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize("task", TASKS)
def test_ranks_train_as_one_process_with_the_whole_batch(trained, task):
    alone, *others = trained[task]
    expected = history(alone)
    assert len(expected) >= 3
    for run in others:
        assert [entry.keys() for entry in history(run)] == [entry.keys() for entry in expected]
        for entry, wanted in zip(history(run), expected, strict=True):
            assert entry == pytest.approx(wanted, rel=1e-5, abs=1e-6)
        weights, wanted = (load_tensors(each / "model.safetensors").tensors for each in (run, alone))
        for name, tensor in wanted.items():
            assert torch.allclose(weights[name], tensor, rtol=1e-3, atol=1e-4), name
        scores, wanted = (json.loads((each / "metrics.json").read_text(encoding="utf-8")) for each in (run, alone))
        assert scores["test"][SCORE[task]] == pytest.approx(wanted["test"][SCORE[task]], rel=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test_ranks_score_the_test_split_with_the_bits_of_one_process(trained, task):
    for run in trained[task]:
        scores = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
        again = runs.evaluate_run(load_model(run / "model.safetensors"), run).to_json()
        assert {name: scores[name] for name in again} == again


@pytest.mark.slow  # 12 seconds
def test_splits_may_be_smaller_than_the_number_of_ranks(tmp_path):
    sizes = ["data.train_size=6", "data.validation_size=2", "data.test_size=2", "training.max_tokens=none"]
    folders = []
    for name, batch_size in (("alone", 6), ("together", 2)):
        (tmp_path / name).mkdir()
        settings = [*SAME, *sizes, f"training.batch_size={batch_size}"]
        config = config_of("classification", tmp_path, *settings)
        (tmp_path / name / "config.toml").write_text(to_toml(config), encoding="utf-8")
        folders.append(tmp_path / name)
    runs.start_run(read_run_config(folders[0] / "config.toml"), folders[0] / "run")
    train_on(3, folders[1:])
    for entry, wanted in zip(*(history(each / "run") for each in reversed(folders)), strict=True):
        assert entry == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_a_variable_of_torchrun_that_is_missing_is_named():
    with pytest.raises(ConfigError, match="LOCAL_RANK"), joined_ranks({"WORLD_SIZE": "2", "RANK": "0"}):
        pass


def test_other_commands_than_train_are_refused_on_several_ranks():
    command = [sys.executable, "-m", "ostinato", "compare", "majority"]
    found = subprocess.run(command, env=os.environ | {"WORLD_SIZE": "2"}, capture_output=True, text=True)
    assert found.returncode == 2 and "compare" in found.stderr and "2 processes" in found.stderr


@pytest.mark.parametrize("error", [ConfigError("no such file"), MissingExtraError("dnaio", "dna", "FASTA")])
def test_an_error_of_another_rank_names_it(monkeypatch, error):
    def fails(ranks):
        raise error

    @contextmanager
    def second():
        yield Ranks(1, 2)

    monkeypatch.setattr(runs, "help_train", fails)
    monkeypatch.setattr(training, "all_ranks", second)
    with pytest.raises(OstinatoError, match=re.escape(f"Rank 1: {error}")):
        training.train("majority")
