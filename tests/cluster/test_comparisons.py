"""`ostinato compare --on ray`: the runs of a comparison on nodes equal those of this machine, also after losses."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from ray_processes import processes_of_ray
from small_comparisons import LONG, SMALL, on_ray, plan, starts, wait_for_two_running, weights

from ostinato.comparison import on_cluster
from ostinato.comparison.compare import read_comparison, run_comparison
from ostinato.errors import DataError

pytestmark = pytest.mark.usefixtures("no_costs")


def test_runs_on_a_cluster_equal_local_ones_and_are_sent_back(ray, unshared, tmp_path):
    found, lines = on_ray(plan(seeds="1"), tmp_path / "ray")
    local = run_comparison(plan(seeds="1"), tmp_path / "local", processes=1)
    assert [run.test for run in found.runs] == [run.test for run in local.runs]
    assert len(weights(tmp_path / "ray")) == 2
    assert weights(tmp_path / "ray") == weights(tmp_path / "local")
    for run in local.runs:
        names = [
            {path.name for path in (top / run.folder).rglob("*")} for top in (tmp_path / "ray", tmp_path / "local")
        ]
        assert names[0] == names[1]
    assert lines[0] == "Ray: 1 node, 2 CPUs."
    assert sorted(line.split()[0] for line in lines[1:]) == ["[1/2]", "[2/2]"]
    again, lines = on_ray(plan(seeds="1"), tmp_path / "ray")  # nothing is trained twice
    assert again.runs == found.runs
    assert lines[1:] == ["2 of 2 runs are already finished."]


def test_nodes_that_share_the_folder_train_in_it_and_test_at_other_lengths(ray, tmp_path):
    varied = plan(vary=["model.cell=rnn,gru", "data.length=20,40"], seeds="1")
    folder = tmp_path / "ray"
    (folder / ".arriving" / "new").mkdir(parents=True)  # a process was killed while it wrote a run
    varied.record().write(folder / "plan.json")
    found, _ = on_ray(varied, folder)
    local = run_comparison(varied, tmp_path / "local", processes=1)
    assert all(list(run.lengths) == ["20", "40"] for run in found.runs)
    assert [run.lengths for run in found.runs] == [run.lengths for run in local.runs]
    assert weights(folder) == weights(tmp_path / "local")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_a_run_that_fails_is_reported_and_the_others_go_on(ray, tmp_path):
    settings = [*SMALL, "training.max_grad_norm=none"]
    found, _ = on_ray(plan(settings, ["training.lr=0.005,1e30"], seeds="1"), tmp_path / "c")
    assert [run.status for run in found.runs] == ["finished", "failed"]
    assert "loss" in found.failed[0].reason


def test_data_that_cannot_be_prepared_fail_their_runs_only(ray, tmp_path, monkeypatch):
    prepare = on_cluster.PreparedData.of

    def refuse(self, config):
        if config.data.train_fraction == 0.5:
            raise DataError("half of the data is missing")
        return prepare(self, config)

    monkeypatch.setattr(on_cluster.PreparedData, "of", refuse)
    found, _ = on_ray(plan(vary=["data.train_fraction=0.5,1"], seeds="1"), tmp_path / "c")
    assert [(run.status, run.reason) for run in found.runs] == [
        ("failed", "half of the data is missing"),
        ("finished", None),
    ]


@pytest.mark.slow
def test_a_ray_client_is_a_cluster_like_any_other(tmp_path):
    pytest.importorskip("ray")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}  # nobody else reaches this address
    where = ["--node-ip-address", "127.0.0.1", "--port", "0", "--ray-client-server-port", port, "--num-cpus", "2"]
    head = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--head",
            "--block",
            "--include-dashboard",
            "false",
            *where,
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(int(port))
        done = compare(tmp_path / "ray", SMALL, "--on", f"ray://127.0.0.1:{port}", env=environment)
        _, errors = done.communicate(timeout=200)
    finally:
        head.terminate()
        head.wait(60)
    assert done.returncode == 0, errors
    assert "Ray: 1 node, 2 CPUs." in errors
    local = run_comparison(plan(seeds="1"), tmp_path / "local", processes=1)
    assert [run.test for run in read_comparison(tmp_path / "ray").runs] == [run.test for run in local.runs]
    assert weights(tmp_path / "ray") == weights(tmp_path / "local")
    assert processes_of_ray() == []


def wait_for_port(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    pytest.fail("Ray did not start")


def compare(out, settings, *more, env):
    """The command, in a process of its own."""
    pairs = [part for setting in settings for part in ("--set", setting)]
    start = ["compare", "majority", "--vary", "model.cell=rnn,gru", "--seeds", "1", "--out", str(out)]
    command = [sys.executable, "-m", "ostinato", *start, *pairs, *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)


@pytest.mark.slow
def test_ctrl_c_leaves_checkpoints_from_which_the_comparison_resumes(tmp_path):
    pytest.importorskip("ray")
    alone = {**os.environ, "RAY_ADDRESS": "local", "OMP_NUM_THREADS": "2"}  # not in the cluster of another test
    running = compare(tmp_path / "c", LONG, "--on", "ray", env=alone)
    wait_for_two_running(tmp_path / "c")
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 130
    assert re.search(r"ostinato compare --resume \S+ --on ray", errors)
    assert weights(tmp_path / "c") == {}
    resumed = run_comparison(plan(LONG, seeds="1"), tmp_path / "c", processes=1)
    local = run_comparison(plan(LONG, seeds="1"), tmp_path / "local", processes=1)
    assert [run.test for run in resumed.runs] == [run.test for run in local.runs]
    assert weights(tmp_path / "c") == weights(tmp_path / "local")
    assert starts(tmp_path / "c") == [2, 2]
