"""How much memory is available or was used, and a refusal of what needs more, before anything is allocated."""

import sys
from collections.abc import Iterator
from pathlib import Path

from ostinato.errors import ConfigError

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def refuse_more_than(available: int | None, needed: int, what: str, remedy: str) -> None:
    """Refuse what needs more memory than is available.

    Args:
        available: bytes; None: unknown, so nothing is refused.
        needed: bytes, at least.
        what: needs them, as the singular subject of a sentence.
        remedy: what to do, in a sentence.

    Raises:
        ConfigError: `needed` exceeds `available`.
    """
    if available is not None and needed > available:
        raise ConfigError(
            f"{what} needs at least {in_units(needed)} of memory, and {in_units(available)} are available. {remedy}"
        )


def available_bytes() -> int | None:
    """The bytes that this process can still allocate: by the machine, its cgroup and its limits. None: unknown."""
    found = [*_of_machine(), *_of_cgroups(), *_of_limits()]
    return max(min(found), 0) if found else None


def peak_bytes() -> int | None:
    """The highest resident memory of this process so far, files that it has mapped included. None: unknown.

    On Linux, `getrusage` would be wrong: what it gives also counts the process that started this one.
    """
    kib = _facts(PROC / "self" / "status").get("VmHWM:")
    if kib is not None:
        return kib * 1024
    if sys.platform == "win32":
        return None
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def in_units(number: int) -> str:
    """Bytes in the largest unit that they fill, as `1.5 GiB`."""
    power = min(max(number.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    if power == 0:
        return f"{number} bytes"
    tenths = number * 10 >> 10 * power  # in integers: the number may be too large for a float
    return f"{tenths // 10:,}.{tenths % 10} {UNITS[power]}"


def _of_machine() -> Iterator[int]:
    """Free memory and swap."""
    facts = _facts(PROC / "meminfo")
    if "MemAvailable:" in facts:
        yield (facts["MemAvailable:"] + facts.get("SwapFree:", 0)) * 1024


def _of_cgroups() -> Iterator[int]:
    """What each limit of a container or service leaves; pages of files that could be dropped count as free."""
    for line in _lines(PROC / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = CGROUPS / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            limit, used = (next(_lines(folder / name), "") for name in names[:2])
            if limit.isdecimal() and used.isdecimal():
                yield int(limit) - int(used) + _facts(folder / "memory.stat").get(names[2], 0)
            if folder == root:
                break


def _of_limits() -> Iterator[int]:
    """What `ulimit -v` leaves of the address space."""
    if sys.platform == "win32":
        return
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = next(_lines(PROC / "self" / "statm"), "").split()
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0]) * resource.getpagesize()


def _facts(path: Path) -> dict[str, int]:
    """The first number after each name of a file such as /proc/meminfo."""
    rows = (line.split() for line in _lines(path))
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file of the kernel; none where it does not exist."""
    try:
        yield from path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
