"""A rank that dies or is stopped ends all; the run resumes, and ends with the weights of an undisturbed one."""

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from tiny_runs import config_of
from torchrun import children, ranks_of_machines, script, torchrun, variable

from ostinato.config import to_toml
from ostinato.storage import load_tensors

DEADLINE_S = 30  # for all ranks to end after one of them
LONGEST_TRAINING_S = 120
LATEST_KILL_S = 2.0  # after the first epoch
LONGEST_STEP_S = 3

needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes of torchrun in /proc")


def write_config(folder, epochs):
    settings = [f"training.max_epochs={epochs}", "training.checkpoint_every_s=0.01"]
    path = folder / "config.toml"
    path.write_text(to_toml(config_of("classification", folder, *settings)), encoding="utf-8")
    return path


def start(config, run):
    return torchrun(2, "-m", "ostinato", "train", config, "--out", run)


def resume(run):
    return torchrun(2, "-m", "ostinato", "train", "--resume", run)


def wait_for(condition, *processes):
    """Wait until something is true while processes run."""
    while not condition():
        assert all(each.poll() is None for each in processes)
        time.sleep(0.02)


def epochs_of(run):
    path = run / "metrics.jsonl"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def kill_rank(rank, process):
    """Kill a rank of torchrun; returns what is printed until all have ended."""
    (victim,) = [pid for pid in children(process.pid) if variable(pid, "RANK") == str(rank)]
    os.kill(victim, signal.SIGKILL)
    printed, _ = process.communicate(timeout=DEADLINE_S)
    return printed


@needs_proc
def test_a_rank_that_dies_ends_all_is_named_and_the_run_resumes(tmp_path):
    run = tmp_path / "run"
    process = start(write_config(tmp_path, epochs=100_000), run)
    try:
        wait_for(lambda: epochs_of(run) > 0, process)
        printed = kill_rank(1, process)
    finally:
        process.kill()
    assert process.returncode != 0 and "rank      : 1" in printed
    before = epochs_of(run)
    again = resume(run)
    try:
        wait_for(lambda: epochs_of(run) > before, again)
        again.send_signal(signal.SIGTERM)
        again.communicate(timeout=DEADLINE_S)
    finally:
        again.kill()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A config, and the run that two ranks make of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = write_config(folder, epochs=150)
    finish(start(config, folder / "run"))
    return config, folder / "run"


def finish(process):
    try:
        printed, _ = process.communicate(timeout=LONGEST_TRAINING_S)
    finally:
        process.kill()
    assert process.returncode == 0, printed


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_run_whose_rank_was_killed_ends_with_the_same_weights(undisturbed, tmp_path, victim):
    config, expected = undisturbed
    run, pause_s = tmp_path / "run", random.SystemRandom().uniform(0, LATEST_KILL_S)
    process = start(config, run)
    try:
        wait_for(lambda: epochs_of(run) > 0, process)
        time.sleep(pause_s)
        printed = kill_rank(victim, process)
    finally:
        process.kill()
    assert f"rank      : {victim}" in printed.partition("Root Cause")[2], f"after {pause_s} s: {printed}"
    assert 0 < epochs_of(run) < 150 and not (run / "metrics.json").exists()
    finish(resume(run))
    weights, wanted = (load_tensors(each / "model.safetensors").tensors for each in (run, expected))
    assert all(torch.equal(weights[name], tensor) for name, tensor in wanted.items()), f"killed after {pause_s} s"
    scores, wanted = (json.loads((each / "metrics.json").read_text(encoding="utf-8")) for each in (run, expected))
    assert scores["test"] == wanted["test"]


@pytest.mark.slow
def test_a_rank_that_is_stopped_ends_the_others_after_the_longest_step(tmp_path):
    write_config(tmp_path, epochs=100_000)
    run = tmp_path / "run"
    first, second = ranks_of_machines(2, script("rank_of_runs.py"), tmp_path, "--longest-step", LONGEST_STEP_S)
    try:
        wait_for(lambda: epochs_of(run) > 0, first, second)
        second.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        printed, _ = first.communicate(timeout=DEADLINE_S)
        assert time.monotonic() - stopped > LONGEST_STEP_S / 2
    finally:
        first.kill()
        second.kill()
        second.communicate()
    assert first.returncode != 0 and re.search(r"LostRankError: Rank 0 of 2 .*\(Timed out", printed), printed
