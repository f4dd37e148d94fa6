"""Ray on this machine, for the tests of a module; nothing of it is left afterwards."""

import logging
from contextlib import nullcontext

import pytest
from ray_processes import processes_of_ray

from ostinato.comparison import compare as comparing
from ostinato.comparison import on_cluster

QUIET = {"log_to_driver": False, "logging_level": logging.CRITICAL}


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, with two CPUs."""
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, **QUIET)
    yield ray
    ray.shutdown()
    assert processes_of_ray() == []


@pytest.fixture
def two_nodes():
    """A cluster of two nodes with one CPU each; this process is connected to it. Gives a function that kills a node."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    ray.init(cluster.address, **QUIET)
    yield lambda: cluster.remove_node(second, allow_graceful=False)
    ray.shutdown()
    cluster.shutdown()
    assert processes_of_ray() == []


@pytest.fixture
def no_costs(monkeypatch):
    """Comparisons measure no costs."""
    monkeypatch.setattr(comparing, "measure_cost", lambda run: None)


@pytest.fixture
def unshared(monkeypatch):
    """Nodes do not see the comparison's folder."""
    monkeypatch.setattr(on_cluster, "probe_in", lambda folder: nullcontext(folder / "on another machine"))
