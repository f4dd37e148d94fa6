"""The number of threads: the smallest limit of environment, CPU mask and container, obeyed by every command."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.threads import OF_VERSION_1, VARIABLES, cpu_quota, limit_program, smallest_limit


def write_groups(root, lines, files):
    """A file system with the control groups of a process."""
    for path, text in {"proc/self/cgroup": lines, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("lines", "files", "quota"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"sys/fs/cgroup/a/cpu.max": "50000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 0.5),
        (
            "0::/host/path\n",
            {"sys/fs/cgroup/cpu.max": "200000 100000\n"},
            2.0,
        ),  # a container sees its own group as root
        ("0::/a\n", {"sys/fs/cgroup/a/cpu.max": "garbage"}, None),
        ("0::/a\n", {"sys/fs/cgroup/a/cpu.max": "100000 0\n"}, None),
        ("0::/\n", {}, None),
        ("9:memory:/a\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, None),
    ],
)
def test_the_quota_of_control_groups_is_read(tmp_path, lines, files, quota):
    assert cpu_quota(write_groups(tmp_path, lines, files)) == quota


@pytest.mark.parametrize("mount", OF_VERSION_1)
@pytest.mark.parametrize(("time", "quota"), [("-1", None), ("250000", 2.5)])
def test_the_quota_of_version_1_is_read(tmp_path, mount, time, quota):
    folder = f"sys/fs/cgroup/{mount}/docker/1"
    files = {f"{folder}/cpu.cfs_quota_us": f"{time}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}
    assert cpu_quota(write_groups(tmp_path, f"3:{mount}:/docker/1\n0::/\n", files)) == quota


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path) is None


NUMBERS = st.integers(1, 300)
VALUES = st.one_of(
    NUMBERS.map(str), NUMBERS.map(lambda number: f" {number} , 7"), st.sampled_from(["", "0", "-1", "x", "2x"])
)


@given(
    cpus=NUMBERS,
    quota=st.none() | st.floats(0.01, 300),
    environment=st.dictionaries(st.sampled_from([*VARIABLES, "OTHER"]), VALUES),
)
def test_the_smallest_limit_counts(cpus, quota, environment):
    limit = smallest_limit(cpus, quota, environment)
    texts = [environment[name].split(",")[0].strip() for name in VARIABLES if name in environment]
    numbers = [int(text) for text in texts if text.isdecimal()]
    others = [] if quota is None else [max(1, int(quota))]
    assert limit.number == min([cpus, *others, *(number for number in numbers if number > 0)])
    assert limit.number >= 1
    assert limit.source.startswith("CPU mask" if limit.number == cpus else ("container's quota", *VARIABLES))


@given(environment=st.dictionaries(st.sampled_from(VARIABLES), VALUES))
def test_a_program_s_libraries_get_the_limit_and_a_second_call_changes_nothing(environment):
    had_number = bool(environment)
    limit_program(environment)
    once = dict(environment)
    limit_program(environment)
    assert environment == once
    assert int(environment["RAYON_NUM_THREADS"]) >= 1
    if had_number:
        assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == environment["RAYON_NUM_THREADS"]


@pytest.mark.parametrize("variable", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "RAYON_NUM_THREADS"])
def test_what_the_user_has_set_stays(variable):
    environment = {variable: "17"}
    limit_program(environment)
    assert environment[variable] == "17"
    assert ("GOMP_SPINCOUNT" in environment) == (variable != "OMP_WAIT_POLICY")


def doctor(*command, **variables):
    """What `ostinato doctor` finds, run under a command with variables of the environment."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    command = [*command, sys.executable, "-m", "ostinato", "doctor", "--json"]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def test_doctor_shows_the_limit_and_its_source():
    found = doctor(OMP_NUM_THREADS="1")
    assert found["threads"] == 1
    if len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else "12") > 1:
        assert found["thread_limit"] == "1 (OMP_NUM_THREADS)"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be confined to a core here")
def test_the_cpu_mask_limits_what_the_environment_asks_for():
    cpu = min(os.sched_getaffinity(0))
    confine = f"import os, sys; os.sched_setaffinity(0, {{{cpu}}}); os.execv(sys.argv[1], sys.argv[1:])"
    found = doctor(sys.executable, "-c", confine, OMP_NUM_THREADS="2")
    assert (found["threads"], found["thread_limit"]) == (1, "1 (CPU mask, 1 CPUs)")
