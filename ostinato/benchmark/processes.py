"""Functions in a process of their own, and the threads and memory of a process."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
STATUS = Path("/proc/self/status")  # Linux only


def in_subprocess(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """`function(*arguments, **options)` in a new interpreter."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments, **options).result()


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let PyTorch use `number` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resident_mib() -> float:
    """The resident memory of this process in MiB."""
    return _status_kib("VmRSS") / 1024


def peak_resident_mib() -> float:
    """The largest resident memory of this process so far, in MiB."""
    return _status_kib("VmHWM") / 1024


def _status_kib(key: str) -> int:
    lines = STATUS.read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])
