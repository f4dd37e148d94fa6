"""What `--on` accepts, and what it says when there is no cluster."""

import signal
import sys
import time
from types import SimpleNamespace

import pytest

from ostinato.cluster import check_on, connected, connection, nodes
from ostinato.errors import ConfigError, MissingExtraError
from ostinato.progress import Progress
from ostinato.threads import thread_limit

QUIET = Progress(quiet=True)


@pytest.mark.parametrize(
    "on", ["spark", "ray://", "ray:head", "ray://head:port", "ray://head:6379/x", "localhost:6379"]
)
def test_an_unknown_place_is_refused(on):
    with pytest.raises(ConfigError, match=on):
        check_on(on)


def test_local_needs_no_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    check_on("local")
    with connected("local", QUIET) as cluster:
        assert cluster is None


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ostinato\[ray\]"):
        check_on("ray")


@pytest.mark.parametrize(
    ("on", "ray_address", "named"),
    [
        ("ray://127.0.0.1:1", "", r"ray://127\.0\.0\.1:1: .*refused"),
        ("ray", "127.0.0.1:1", r"127\.0\.0\.1:1: .*refused"),
        ("ray://no-such-host.invalid", "", r"no-such-host\.invalid:10001"),
    ],
)
def test_an_address_where_nothing_listens_is_an_error_within_seconds(on, ray_address, named, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=named), connected(on, QUIET):
        pytest.fail("connected")
    assert time.monotonic() - started < 20


def fake_ray(monkeypatch, init):
    """Ray whose `init` is another; there is no node."""
    errors = SimpleNamespace(RayError=OSError)
    fake = SimpleNamespace(
        init=init,
        is_initialized=lambda: False,
        exceptions=errors,
        nodes=list,
        remote=lambda function: None,
        shutdown=int,
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr(connection, "_silence", lambda address: None)
    monkeypatch.setattr(connection, "nodes_of", lambda ray: [])


def test_a_version_that_the_cluster_refuses_is_explained_by_ray_itself(monkeypatch):
    def refuse(*address, **options):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0")

    fake_ray(monkeypatch, refuse)
    with (
        pytest.raises(ConfigError, match=r"--on ray://head: .*Version mismatch.* Ray: 2\.9\.0"),
        connected("ray://head", QUIET),
    ):
        pytest.fail("connected")


@pytest.mark.parametrize("ray_address", ["", "local"])
def test_ray_starts_here_where_there_is_no_cluster(ray_address, monkeypatch):
    calls = []

    def init(address, **options):
        calls.append((address, options.get("num_cpus")))
        if address == "auto":
            raise ConnectionError("Could not find any running Ray instance. Please specify the one to connect to.")

    fake_ray(monkeypatch, init)
    monkeypatch.setenv("RAY_ADDRESS", ray_address)
    with connected("ray", QUIET):
        assert calls == [*([] if ray_address else [("auto", None)]), ("local", thread_limit().number)]


def test_a_cluster_that_has_crashed_counts_as_none(monkeypatch, tmp_path):
    calls = []
    fake_ray(monkeypatch, lambda address, **options: calls.append(address))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:6379", encoding="utf-8")
    for silence in ("Connection refused", None):
        monkeypatch.setattr(connection, "_silence", lambda address, silence=silence: silence)
        with connected("ray", QUIET):
            pass
    assert calls == ["local", "auto"]


def test_no_second_ray_starts_where_a_cluster_cannot_be_joined(monkeypatch):
    def init(address, **options):
        assert address == "auto"
        raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379")

    fake_ray(monkeypatch, init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1:6379.* RAY_ADDRESS=local"), connected("ray", QUIET):
        pytest.fail("connected")


def test_sigterm_is_left_to_the_command(monkeypatch):
    def init(address, **options):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray sets its own

    fake_ray(monkeypatch, init)
    before = signal.getsignal(signal.SIGTERM)
    with connected("ray", QUIET):
        assert signal.getsignal(signal.SIGTERM) is before


def test_what_ray_prints_goes_to_standard_error(monkeypatch, capsys):
    fake_ray(monkeypatch, lambda address, **options: None)
    with connected("ray", QUIET):
        print("(raylet) a worker died")
    assert capsys.readouterr() == ("", "(raylet) a worker died\n")


def test_a_node_with_another_ostinato_is_refused(ray, monkeypatch):
    monkeypatch.setattr(nodes, "__version__", "9.9.9")
    with pytest.raises(ConfigError, match=r"Ostinato .* this machine has 9\.9\.9"), connected("ray", QUIET):
        pytest.fail("connected")


def test_an_existing_connection_is_used_and_stays(ray):
    with connected("ray", QUIET) as cluster:
        assert str(cluster) == "1 node, 2 CPUs"
    assert ray.is_initialized()
