"""Calls on nodes: results, errors, losses and stops."""

import time
from types import SimpleNamespace

import pytest

from ostinato.cluster.nodes import Cluster, Node, Share
from ostinato.cluster.pool import Lost
from ostinato.errors import RunError


@pytest.fixture
def cluster(ray):
    return Cluster(ray, [Node("here", 2, 0)])


@pytest.fixture
def share(cluster):
    return cluster.share(2, device="cpu")


def test_results_come_with_their_keys_and_values_that_were_put_arrive(cluster, share):
    def add(x, y):
        import threading

        import torch

        assert threading.current_thread() is threading.main_thread()  # where signals can be handled
        return x + y, torch.get_num_threads()

    with cluster.pool(add, share) as pool:
        shared = cluster.put(10)
        for number in range(3):
            pool.submit(f"call {number}", shared, number)
        assert len(pool) == 3
        assert dict(pool.take() for _ in range(3)) == {f"call {number}": (10 + number, 1) for number in range(3)}
        assert len(pool) == 0


@pytest.mark.slow
def test_a_call_whose_process_dies_is_tried_again_and_given_up_at_last(cluster, share, tmp_path):
    def die(folder, times):
        import os

        tries = len(list(folder.iterdir()))
        (folder / str(tries)).touch()
        if tries < times:
            os.kill(os.getpid(), 9)
        return tries

    (tmp_path / "once").mkdir()
    (tmp_path / "always").mkdir()
    with cluster.pool(die, share) as pool:
        pool.submit("once", tmp_path / "once", 1)
        pool.submit("always", tmp_path / "always", 100)
        results = dict(pool.take() for _ in range(2))
    assert results["once"] == 1
    assert isinstance(results["always"], Lost)
    assert "4 tries" in results["always"].reason
    assert len(list((tmp_path / "always").iterdir())) == 4


def test_a_call_that_sigterm_interrupts_is_tried_again(cluster, share, tmp_path):
    def work(folder):
        import os
        import signal

        def stop(number, frame):  # as a training does after its checkpoint
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGTERM, stop)
        try:
            if not (folder / "tried").exists():
                (folder / "tried").touch()
                os.kill(os.getpid(), signal.SIGTERM)
            return "done"
        finally:
            signal.signal(signal.SIGTERM, before)

    with cluster.pool(work, share) as pool:
        pool.submit("call", tmp_path)
        assert pool.take() == ("call", "done")


def test_an_error_of_the_function_is_raised(cluster, share):
    def fail():
        raise ZeroDivisionError("of the function")

    with cluster.pool(fail, share) as pool:
        pool.submit("call")
        with pytest.raises(ZeroDivisionError, match="of the function"):
            pool.take()


def test_a_package_that_a_node_lacks_is_named(cluster, share, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def run(): pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with cluster.pool(only_here.run, share) as pool:
        pool.submit("call")
        with pytest.raises(RunError, match="only_here"):
            pool.take()


def test_a_lost_connection_says_how_to_continue():
    def fail(*arguments, **options):
        raise OSError("Broken pipe")

    ray = SimpleNamespace(exceptions=SimpleNamespace(RayTaskError=ZeroDivisionError), put=fail, wait=fail, cancel=fail)
    ray.remote = lambda function: SimpleNamespace(
        options=lambda **options: SimpleNamespace(remote=lambda *call: "call")
    )
    lost = Cluster(ray, [Node("here", 1, 0)])
    with pytest.raises(RunError, match=r"Broken pipe.* continues"):
        lost.put("value")
    with lost.pool(print, Share(1, 1, 0)) as pool:
        pool.submit("call")
        with pytest.raises(RunError, match=r"Broken pipe.* continues"):
            pool.take()


def test_leaving_the_pool_interrupts_what_runs_and_waits_for_its_checkpoint(cluster, share, tmp_path):
    def work(folder):
        import signal
        import time

        received = []
        signal.signal(signal.SIGINT, lambda number, frame: received.append(number))  # as a training does
        (folder / "started").touch()
        while not received:
            time.sleep(0.01)
        time.sleep(0.5)  # writes a checkpoint
        (folder / "saved").touch()
        raise KeyboardInterrupt

    with cluster.pool(work, share) as pool:
        pool.submit("call", tmp_path)
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
    assert (tmp_path / "saved").exists()
