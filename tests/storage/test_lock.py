"""One process at a time writes to a folder; what a killed process leaves behind locks nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from tiny_runs import config_of

from ostinato import runs
from ostinato.comparison.compare import run_comparison
from ostinato.comparison.options import make_plan
from ostinato.errors import RunError
from ostinato.runs.creation import create_run
from ostinato.storage import LOCK
from ostinato.storage.lock import locked

HOLDER = """
import sys, time
from pathlib import Path
from ostinato.storage.lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_folder_in_use_is_refused_with_its_process(tmp_path, holder):
    expected = f"in use by process {holder.pid} on {socket.gethostname()} since 20"
    with pytest.raises(RunError, match=expected), locked(tmp_path):
        pass


def test_the_lock_of_a_killed_process_locks_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_a_lock_file_that_names_a_living_process_locks_nothing_by_itself(tmp_path):
    """The number of a dead process may be that of another one by now."""
    (tmp_path / LOCK).write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname(), "since": "2020"}))
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_an_error_releases_the_lock(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_waiting_ends_when_the_lock_is_released(tmp_path, holder):
    threading.Timer(0.2, holder.kill).start()
    with locked(tmp_path, wait_s=60):
        assert holder.wait() == -signal.SIGKILL


def test_only_one_of_many_holds_the_lock_at_a_time(tmp_path):
    held, most = [], []

    def work():
        for _ in range(30):
            with locked(tmp_path, wait_s=60):
                held.append(1)
                most.append(len(held))
                time.sleep(0)
                held.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 120
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["link", "folder", "hardlink"])
def test_a_planted_lock_file_is_not_followed(tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    {
        "link": lambda: (tmp_path / LOCK).symlink_to(victim),
        "folder": (tmp_path / LOCK).mkdir,
        "hardlink": lambda: (tmp_path / LOCK).hardlink_to(victim),
    }[kind]()
    with pytest.raises(RunError, match="lock"), locked(tmp_path):
        pass
    assert victim.read_text() == "mine"


def test_a_run_in_use_is_not_resumed(tmp_path):
    create_run(config_of("classification", tmp_path), tmp_path / "run")
    with locked(tmp_path / "run"), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        runs.resume_run(tmp_path / "run")
    assert "test" in runs.resume_run(tmp_path / "run")


def test_a_finished_run_is_read_while_it_is_locked(tmp_path):
    done = runs.start_run(config_of("classification", tmp_path), tmp_path / "run")
    with locked(tmp_path / "run"):
        assert runs.resume_run(tmp_path / "run") == done
        assert len(runs.test_rows(tmp_path / "run")) == 30


def test_a_comparison_and_a_search_in_use_are_refused(tmp_path):
    pytest.importorskip("optuna", reason="needs the extra tune")
    from ostinato.tuning import make_search, tune

    config = config_of("classification", tmp_path)
    plan = make_plan(config, ["model.cell=rnn,gru"], seeds="1", folds=None, match="none", metric=None, trials=0)
    with locked(tmp_path), pytest.raises(RunError, match="in use by process"):
        run_comparison(plan, tmp_path)
    with locked(tmp_path), pytest.raises(RunError, match="in use by process"):
        tune(make_search(config, trials=1), tmp_path)
    assert not list(tmp_path.iterdir())
