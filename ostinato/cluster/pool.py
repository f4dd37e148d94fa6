"""Calls of a function on the nodes of a cluster.

Ray calls again, on another node, what was lost with a node or a process. What cannot be finished is `Lost`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, NamedTuple

from ostinato.errors import RunError

RETRIES = 3  # of a call that is lost with its node or process
STOP_S = 60  # for checkpoints, when the caller stops


@contextmanager
def connection(ray: Any) -> Iterator[None]:
    """Name what Ray raises when it loses the cluster: an OSError, for most without a reason that helps.

    Raises:
        RunError: the connection is lost.
    """
    try:
        yield
    except ray.exceptions.RayTaskError:  # of a function that was called
        raise
    except OSError as error:
        raise RunError(
            f"The connection to the Ray cluster is lost ({error}). Start the command again: it continues with what is "
            "missing."
        ) from None


class Lost(NamedTuple):
    """The result of a call that was lost each time it was tried, and why."""

    reason: str


class Call(NamedTuple):
    """A call, and how many times it was started before."""

    key: Any
    arguments: Sequence[Any]
    retries: int = 0


class Interrupted(NamedTuple):
    """The result of a call that SIGTERM stopped, because its node is stopping, or that the driver has cancelled."""


class Pool:
    """Calls that run in parallel, as a context; those that are not finished at its end are stopped.

    Args:
        function: of a module; it runs in the main thread of a process with `cpus` threads.
        cpus, gpus: that a call takes.
    """

    def __init__(self, ray: Any, function: Callable[..., Any], *, cpus: int, gpus: int) -> None:
        self._ray, self._function, self._cpus = ray, function, cpus
        # Idle threads sleep instead of spin, as `ostinato.threads` explains; Ray sets OMP_NUM_THREADS.
        environment = {"GOMP_SPINCOUNT": "1000", "RAYON_NUM_THREADS": str(cpus)}
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": RETRIES}
        self._remote = ray.remote(_call).options(**options, runtime_env={"env_vars": environment})
        self._calls: dict[Any, Call] = {}  # by Ray's reference to the result

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        pending = list(self._calls)
        with suppress(OSError):  # the connection is lost, and an error that says so is on its way
            for reference in pending:
                self._ray.cancel(reference)
            if pending:
                self._ray.wait(pending, num_returns=len(pending), timeout=STOP_S, fetch_local=False)

    def __len__(self) -> int:
        """The number of calls whose results have not been taken."""
        return len(self._calls)

    def submit(self, key: Any, *arguments: Any) -> None:
        """Start a call. An argument that `Cluster.put` made arrives as the value itself.

        Raises:
            RunError: the connection to the cluster is lost.
        """
        self._start(Call(key, arguments))

    def _start(self, call: Call) -> None:
        with connection(self._ray):
            self._calls[self._remote.remote(self._function, self._cpus, *call.arguments)] = call

    def take(self) -> tuple[Any, Any]:
        """Wait for the next result, in whatever order they come. Returns the key of its call, and the result or `Lost`.

        Raises:
            RunError: the connection to the cluster is lost, or a node lacks a package.
        """
        while True:
            with connection(self._ray):
                (reference, *_), _ = self._ray.wait(list(self._calls), num_returns=1)
                call = self._calls.pop(reference)
                result = self._result(reference)
            if not isinstance(result, Interrupted):
                return call.key, result
            if call.retries == RETRIES:
                return call.key, Lost(f"interrupted on each of {RETRIES + 1} tries, by SIGTERM or a stopping node")
            self._start(call._replace(retries=call.retries + 1))

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:  # an error of the function itself, or its arguments cannot be read
            if isinstance(error.cause, errors.RaySystemError):
                line = str(error.cause).strip().splitlines()[0]
                raise RunError(f"A node cannot run this: {line}. Install the same packages on every node.") from None
            raise
        except errors.RayError as error:
            line = str(error).strip().splitlines()[0]
            return Lost(f"lost with its node or process on each of {RETRIES + 1} tries ({line})")


def _call(function: Callable[..., Any], threads: int, *arguments: Any) -> Any:
    """Call the function in a process of a node."""
    import torch

    torch.set_num_threads(threads)
    try:
        return function(*arguments)
    except KeyboardInterrupt:  # as an error, Ray would neither try it again nor tell it from others
        return Interrupted()
