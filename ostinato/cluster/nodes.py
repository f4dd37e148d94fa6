"""The nodes of a cluster, and how its CPUs and GPUs are shared among runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ostinato.cluster.pool import Pool, connection
from ostinato.errors import ConfigError
from ostinato.versions import __version__


class Node(NamedTuple):
    """A machine of a cluster, and what Ray may use of it."""

    address: str
    cpus: int
    gpus: int


class Share(NamedTuple):
    """How a cluster is shared.

    Args:
        parallel: how many calls run at once.
        cpus, gpus: of each.
    """

    parallel: int
    cpus: int
    gpus: int


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to."""

    ray: Any
    nodes: Sequence[Node]

    def __str__(self) -> str:
        cpus, gpus = self.cpus, sum(node.gpus for node in self.nodes)
        counts = [(len(self.nodes), "node"), (cpus, "CPU"), *([(gpus, "GPU")] if gpus else [])]
        return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)

    @property
    def cpus(self) -> int:
        """The CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    def share(self, tasks: int, *, device: str, at_once: int | None = None) -> Share:
        """Divide the cluster among calls: as many CPUs for each as fit, and one GPU where the device is a GPU.

        Args:
            tasks: how many calls there are.
            device: `auto` takes GPUs where the cluster has any.
            at_once: how many run at the same time; None: one for each CPU or GPU.

        Raises:
            ConfigError: no node has a CPU, or a GPU where one is needed.
        """
        gpus = int(device.startswith("cuda") or (device == "auto" and any(node.gpus for node in self.nodes)))

        def slots(cpus: int) -> int:
            return sum(min(node.cpus // cpus, node.gpus if gpus else node.cpus) for node in self.nodes)

        if slots(1) == 0:
            wanted = f"GPU, and device {device} needs one" if gpus else "CPU"
            raise ConfigError(f"No node of the Ray cluster has a {wanted}. Add a node, or set the device to cpu.")
        parallel = max(1, min(at_once or slots(1), slots(1), tasks))
        most = max(node.cpus for node in self.nodes)
        return Share(parallel, max(cpus for cpus in range(1, most + 1) if slots(cpus) >= parallel), gpus)

    def pool(self, function: Callable[..., Any], share: Share) -> Pool:
        """Call a function on the nodes; see `Pool`."""
        return Pool(self.ray, function, cpus=share.cpus, gpus=share.gpus)

    def put(self, value: Any) -> Any:
        """A reference to a value, which nodes fetch once.

        Raises:
            RunError: the connection to the cluster is lost.
        """
        with connection(self.ray):
            return self.ray.put(value)


def nodes_of(ray: Any) -> list[Node]:
    """The nodes that are alive.

    Raises:
        ConfigError: Ostinato is missing on one of them, or has another version.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    _check_versions(ray, {node["NodeID"]: node["NodeManagerAddress"] for node in alive})
    return [
        Node(node["NodeManagerAddress"], *(int(node["Resources"].get(name, 0)) for name in ("CPU", "GPU")))
        for node in alive
    ]


def _check_versions(ray: Any, addresses: dict[str, str]) -> None:
    """Refuse nodes whose Ostinato is another: a run would fail there with an error that does not name the reason."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def version() -> str | None:  # defined here so that it is sent itself, not the name of its module
        try:
            from ostinato.versions import __version__ as found
        except ImportError:
            return None
        return str(found)

    remote = ray.remote(version)
    asked = {
        node: remote.options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True)).remote()
        for node in addresses
    }
    with connection(ray):
        found = {addresses[node]: ray.get(reference) for node, reference in asked.items()}
    problems = [
        f"Node {address} has {'no Ostinato' if version is None else f'Ostinato {version}'}, and this machine has "
        f"{__version__}. Install the same version on every node."
        for address, version in found.items()
        if version != __version__
    ]
    if problems:
        raise ConfigError("\n".join(problems))
