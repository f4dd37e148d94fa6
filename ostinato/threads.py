"""How many threads this process may use: within the environment's variables, the CPU mask and the container's quota."""

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

VARIABLES = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS")
# Rounds that an idle thread of OpenMP spins before it sleeps, some 20 µs: libgomp's own choice where there are more
# threads than cores. By default it spins for milliseconds, and takes the cores from the threads that it waits for.
SPIN = "1000"
OF_VERSION_1 = ("cpu", "cpu,cpuacct", "cpuacct,cpu")  # where the CPU controller of cgroup version 1 is mounted


class ThreadLimit(NamedTuple):
    """A number of threads of at least 1, and what sets it."""

    number: int
    source: str


def thread_limit() -> ThreadLimit:
    """The most threads that this process may use, and the smallest limit's source."""
    return smallest_limit(num_cpus(), cpu_quota(Path("/")), os.environ)


def limit_program(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make libraries that are imported later obey the limit, and their idle threads sleep instead of spin.

    For programs only, before they import PyTorch: it changes the environment of the process. Where nothing but the CPU
    mask limits the threads, each library keeps its own default, such as one thread for each physical core.
    """
    limit = smallest_limit(num_cpus(), cpu_quota(Path("/")), environment)
    if limit.number < num_cpus() or any(name in environment for name in VARIABLES):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # NumPy's OpenBLAS and pyarrow read the first, too
            environment[name] = str(limit.number)
    environment.setdefault("RAYON_NUM_THREADS", str(limit.number))  # of the tokenizers
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPIN)


def smallest_limit(cpus: int, quota: float | None, environment: Mapping[str, str]) -> ThreadLimit:
    """The smallest limit.

    Args:
        cpus: that the process may run on.
        quota: CPUs' worth of time that its container may use; None: no limit.
        environment: a variable that is not a positive number limits nothing, as in OpenMP.
    """
    limits = [ThreadLimit(cpus, f"CPU mask, {cpus} CPUs")]
    if quota is not None:
        limits.append(ThreadLimit(max(1, int(quota)), f"container's quota, {quota:g} CPUs"))
    for name in VARIABLES:
        number = re.match(r"\s*(\d+)\s*(,|$)", environment.get(name, ""), re.ASCII)  # the first of "4,2": outer regions
        if number and int(number[1]) > 0:
            limits.append(ThreadLimit(int(number[1]), name))
    return min(limits, key=lambda limit: limit.number)


def num_cpus() -> int:
    """The CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_quota(root: Path) -> float | None:
    """CPUs' worth of time that the process's control groups allow, the smallest of all levels; None: no limit.

    Args:
        root: of the file system.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return None
    mounted = root / "sys/fs/cgroup"
    quotas: list[float] = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        for folder in _levels(path):
            if controllers == "":  # version 2
                quotas += _quota(_words(mounted / folder / "cpu.max"))
            elif "cpu" in controllers.split(","):
                for mount in OF_VERSION_1:
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    quotas += _quota([word for name in names for word in _words(mounted / mount / folder / name)])
    return min(quotas, default=None)


def _levels(path: str) -> Iterator[PurePosixPath]:
    """A group's folder and its parents'; in a container, only those that it sees exist. "/a/b" -> a/b, a, the root."""
    folder = PurePosixPath(path.lstrip("/"))
    yield from (folder, *folder.parents)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []


def _quota(words: list[str]) -> list[float]:
    """Time in a period and the period, in microseconds; "max" or -1 is no limit."""
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return []
    return [int(words[0]) / int(words[1])]
