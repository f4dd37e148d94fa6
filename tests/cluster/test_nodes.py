"""How a cluster is divided among runs."""

import pytest

from ostinato.cluster.nodes import Cluster, Node, Share
from ostinato.errors import ConfigError


def cluster(*nodes):
    return Cluster(None, [Node(f"10.0.0.{number}", *node) for number, node in enumerate(nodes)])


@pytest.mark.parametrize(
    ("nodes", "tasks", "device", "at_once", "share"),
    [
        ([(4, 0)], 10, "auto", None, Share(4, 1, 0)),  # one run for each CPU
        ([(4, 0)], 2, "auto", None, Share(2, 2, 0)),  # fewer runs share the CPUs
        ([(4, 0), (2, 0)], 3, "cpu", None, Share(3, 2, 0)),  # 2 + 2 on the first node, 2 on the second
        ([(8, 0), (8, 0)], 10, "cpu", 3, Share(3, 4, 0)),  # 5 would fit once on each node, which is too few
        ([(2, 0)], 10, "cpu", 50, Share(2, 1, 0)),  # not more than there are CPUs
        ([(8, 2), (8, 0)], 10, "auto", None, Share(2, 4, 1)),  # a GPU for each run
        ([(8, 2), (8, 0)], 16, "cpu", None, Share(16, 1, 0)),  # GPUs are not asked for
    ],
)
def test_calls_get_the_largest_share_that_fits_on_the_nodes(nodes, tasks, device, at_once, share):
    assert cluster(*nodes).share(tasks, device=device, at_once=at_once) == share


@pytest.mark.parametrize(("nodes", "device", "missing"), [([(4, 0)], "cuda", "GPU"), ([(0, 0)], "cpu", "CPU")])
def test_a_cluster_without_what_is_needed_is_refused(nodes, device, missing):
    with pytest.raises(ConfigError, match=missing):
        cluster(*nodes).share(1, device=device)
