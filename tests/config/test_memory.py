"""What is available or was used, and what is refused because it needs more."""

import subprocess
import sys

import pytest

from ostinato.config import memory
from ostinato.config.memory import available_bytes, in_units, peak_bytes, refuse_more_than
from ostinato.errors import ConfigError

MIB = 2**20


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 4 GiB available, 1 GiB of swap, and no limits."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_of_limits", lambda: iter(()))
    write(tmp_path / "proc/meminfo", f"MemTotal: {8 * MIB} kB\nMemAvailable: {4 * MIB} kB\nSwapFree: {MIB} kB\n")
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_free_memory_and_swap_are_available(machine):
    assert available_bytes() == 5 * 2**30


def test_the_limit_of_a_container_counts_and_droppable_pages_are_free(machine):
    write(machine / "proc/self/cgroup", "0::/box/job\n")
    write(machine / "cgroup/box/memory.max", f"{100 * MIB}\n")
    write(machine / "cgroup/box/memory.current", f"{60 * MIB}\n")
    write(machine / "cgroup/box/memory.stat", f"anon 1\ninactive_file {10 * MIB}\n")
    write(machine / "cgroup/box/job/memory.max", "max\n")
    write(machine / "cgroup/box/job/memory.current", f"{50 * MIB}\n")
    assert available_bytes() == 50 * MIB


def test_the_older_files_of_containers_are_read(machine):
    write(machine / "proc/self/cgroup", "1:cpu:/x\n4:memory:/job\n0::/\n")
    write(machine / "cgroup/memory/job/memory.limit_in_bytes", f"{70 * MIB}\n")
    write(machine / "cgroup/memory/job/memory.usage_in_bytes", f"{30 * MIB}\n")
    assert available_bytes() == 40 * MIB


def test_what_cannot_be_known_is_not_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "_of_limits", lambda: iter(()))
    assert available_bytes() is None
    refuse_more_than(None, 10**30, "This", "Reduce it.")


def test_an_error_says_what_is_needed_and_what_there_is():
    refuse_more_than(MIB, MIB, "This", "Reduce it.")
    with pytest.raises(
        ConfigError, match="This needs at least 1.5 GiB of memory, and 1.0 MiB are available. Reduce it"
    ):
        refuse_more_than(MIB, 3 * 2**29, "This", "Reduce it.")


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**40, "1.0 TiB")]
)
def test_bytes_are_shown_in_the_largest_unit_that_they_fill(number, shown):
    assert in_units(number) == shown
    assert in_units(10**40).endswith(" EiB")


def test_the_peak_is_that_of_the_process_and_not_of_the_one_that_started_it():
    ours = bytearray(300 * MIB)
    ours[::4096] = b"x" * len(range(0, len(ours), 4096))  # so that all of it is resident
    code = "from ostinato.config.memory import peak_bytes; print(peak_bytes())"
    theirs = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert peak_bytes() > 300 * MIB > theirs > 5 * MIB
