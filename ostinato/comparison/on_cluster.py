"""The runs of a comparison on the nodes of a cluster.

A node that shares the comparison's folder trains in it. Then a run that is lost with its node continues elsewhere from
its checkpoint. Other nodes train in a folder of their own, and its files are sent back.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ostinato.cluster import Cluster
from ostinato.cluster.folders import ARRIVING, pack, probe_in, replace_folder, unpack
from ostinato.cluster.pool import Lost
from ostinato.cluster.prepared import PreparedData
from ostinato.comparison.plan import Job
from ostinato.comparison.training import FAILURES, Outcome, reason_of, train_run
from ostinato.config import Config
from ostinato.tasks.records import TaskData


class Returned(NamedTuple):
    """What a node returns.

    Args:
        metrics, reason: as in `Outcome`.
        files: of the run folder; empty if the node shares it.
    """

    metrics: dict[str, Any] | None
    reason: str | None
    files: Mapping[str, bytes]


def train_all_on(
    cluster: Cluster, jobs: Sequence[Job], folder: Path, lengths: Sequence[int], *, at_once: int | None
) -> Iterator[Outcome]:
    """Train the jobs on a cluster and yield each outcome as soon as it is there. See `workers.train_all`.

    Args:
        at_once: how many train in parallel; None: one for each CPU or GPU.

    Raises:
        ConfigError: no node has what the jobs need.
        RunError: the connection is lost, or a run cannot be written.
    """
    if not jobs:
        return
    share = cluster.share(len(jobs), device=jobs[0].config.training.device, at_once=at_once)
    prepared = PreparedData(cluster)
    waiting = deque(jobs)
    with probe_in(folder) as probe, cluster.pool(_train_on_node, share) as pool:
        while waiting or len(pool):
            while waiting and len(pool) < share.parallel:
                job = waiting.popleft()
                run = folder.absolute() / job.folder
                try:
                    data = prepared.of(job.config)
                except FAILURES as error:
                    yield Outcome(job, None, reason_of(error))
                else:
                    pool.submit(job, job.config, run, probe, pack(run), list(lengths), data)
            if len(pool):
                yield _outcome(folder, *pool.take())


def _outcome(folder: Path, job: Job, result: Returned | Lost) -> Outcome:
    """The outcome of a job; writes the files that were sent."""
    if isinstance(result, Lost):
        return Outcome(job, None, result.reason)
    if result.files:
        replace_folder(result.files, folder / job.folder, folder / ARRIVING)
    return Outcome(job, result.metrics, result.reason)


def _train_on_node(
    config: Config, run: Path, probe: Path, files: Mapping[str, bytes], lengths: Sequence[int], data: TaskData
) -> Returned:
    """Train in the run's own folder if this node shares it, else in a temporary one that starts with `files`."""
    if probe.exists():
        return Returned(*_train(config, run, lengths, data), {})
    with TemporaryDirectory(prefix="ostinato-") as temporary:
        copy = Path(temporary) / "run"
        unpack(files, copy)
        metrics, reason = _train(config, copy, lengths, data)
        return Returned(metrics, reason and reason.replace(str(copy), str(run)), pack(copy))


def _train(
    config: Config, run: Path, lengths: Sequence[int], data: TaskData
) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return train_run(config, run, lengths, data), None
    except FAILURES as error:
        return None, reason_of(error)
