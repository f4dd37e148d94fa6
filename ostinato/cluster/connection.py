"""What `--on` names: this process alone, or a Ray cluster.

`ray` joins the cluster of this machine, or that of RAY_ADDRESS; if there is none, or RAY_ADDRESS is `local`, one starts
on this machine and ends with the command. `ray://HOST:PORT` is a Ray client: this machine need not be a node, and the
port is that of the client server on the head node.
"""

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ostinato.cluster.nodes import Cluster, nodes_of
from ostinato.cluster.pool import RETRIES
from ostinato.errors import ConfigError, MissingExtraError
from ostinato.progress import Progress
from ostinato.threads import thread_limit

LOCAL, RAY, CLIENT = "local", "ray", "ray://"
CLIENT_PORT = 10001  # Ray's default
CONNECT_S = 5
NO_CLUSTER = "Could not find any running Ray instance"  # in the ConnectionError of Ray 2.60
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


def import_ray() -> Any:
    """Ray.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # Ray reads it when it is imported; else for ever
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray", "--on ray") from None
    return ray


def check_on(on: str) -> None:
    """Check the value of `--on`, before anything is read; nothing is connected.

    Raises:
        ConfigError: it is none of `local`, `ray` and `ray://HOST:PORT`.
        MissingExtraError: Ray is not installed.
    """
    if on == LOCAL:
        return
    if on != RAY and not re.fullmatch(r"ray://[^\s/:]+(:\d{1,5})?/?", on):
        raise ConfigError(f"--on {on}: expected local, ray, or ray://HOST:PORT.")
    import_ray()


@contextmanager
def connected(on: str, progress: Progress) -> Iterator[Cluster | None]:
    """Join or start the cluster that `on` names; None for `local`. A connection that exists already is used, and stays.

    Raises:
        ConfigError: nothing listens at the address, the cluster refuses this process, or a node lacks this Ostinato.
    """
    check_on(on)
    if on == LOCAL:
        yield None
        return
    ray = import_ray()
    is_ours = not ray.is_initialized()
    started = is_ours and _connect(ray, on)
    try:
        cluster = Cluster(ray, nodes_of(ray))
        progress.say(f"Ray{', started on this machine' if started else ''}: {cluster}.")
        with redirect_stdout(sys.stderr):  # Ray prints there what it loses; standard output is for results
            yield cluster
    finally:
        if is_ours:
            ray.shutdown()


def _connect(ray: Any, on: str) -> bool:
    """Connect this process, or start a cluster. Returns whether it was started."""
    address = _address(on, os.environ)
    if address is not None:
        _refuse_silence(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if address is not None:
            ray.init(address, **QUIET)
            return False
        return _join_or_start(ray)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"--on {on}: Ray cannot connect: {reason} Check that this machine has the cluster's versions of Ray and "
            "Python, and its token if it has one, with RAY_AUTH_MODE=token. RAY_ADDRESS=local starts a Ray of its own."
        ) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has replaced it


def _join_or_start(ray: Any) -> bool:
    """Join the cluster of this machine; if there is none, start one with the threads that this process may use.

    Returns whether it was started.
    """
    recorded = _recorded_address()
    has_crashed = recorded is not None and _silence(recorded) is not None
    if os.environ.get("RAY_ADDRESS") != LOCAL and not has_crashed:
        try:
            ray.init("auto", **QUIET)
            return False
        except ConnectionError as error:
            if NO_CLUSTER not in str(error):  # there is one, which cannot be joined
                raise
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(LOCAL, num_cpus=thread_limit().number, include_dashboard=False, **QUIET)
    return True


def _address(on: str, environment: Mapping[str, str]) -> str | None:
    """The address of the cluster, with its port; None: that of this machine, if there is one."""
    if on == RAY:
        address = environment.get("RAY_ADDRESS", "")
        return address if ":" in address else None
    host = on.removeprefix(CLIENT).rstrip("/")
    return f"{CLIENT}{host}" if ":" in host else f"{CLIENT}{host}:{CLIENT_PORT}"


def _recorded_address() -> str | None:
    """The address that `ray start` has recorded on this machine; it stays when the cluster crashes."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        return Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip() or None
    except OSError:  # there is none
        return None


def _silence(address: str) -> str | None:
    """Why nothing answers at an address; None: something listens."""
    host, _, port = address.removeprefix(CLIENT).rstrip("/").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _refuse_silence(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would try for minutes.

    Raises:
        ConfigError: says what to check.
    """
    reason = _silence(address)
    if reason is not None:
        option = "ray-client-server-port" if address.startswith(CLIENT) else "port"
        port = address.rstrip("/").rpartition(":")[2]
        raise ConfigError(
            f"{address}: no Ray cluster answers ({reason}). Check the host and the port; on the head node, Ray is "
            f"started with: ray start --head --{option} {port}"
        )
