"""How many threads the kernel may use, and how many PyTorch's own operations: two numbers."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_number: ContextVar[int | None] = ContextVar("kernel_threads", default=None)
_lock = threading.Lock()
_before: dict[int, int] = {}  # for each thread of Python inside `torch_threads`: PyTorch's number before it


def num_threads() -> int:
    """The most threads that a call of the kernel may use: the number of `use_threads`, else PyTorch's."""
    return _number.get() or torch.get_num_threads()


@contextmanager
def use_threads(number: int) -> Iterator[None]:
    """Let calls of the kernel use up to `number` threads inside the block; results have the same bits for any number.

    Where PyTorch uses one thread, the kernel's other threads are its own. They sleep between calls, and a call does not
    wait for those that another program keeps from starting.
    """
    token = _number.set(number)
    try:
        yield
    finally:
        _number.reset(token)


@contextmanager
def torch_threads(number: int) -> Iterator[int]:
    """Let PyTorch's operations use `number` threads inside the block; yields the number outside all such blocks.

    PyTorch has a number for each thread of Python. A new thread starts with the one that was set last; if that is the
    number of a block in another thread, the number outside is that thread's.
    """
    thread = threading.get_ident()
    with _lock:
        before, is_outermost = torch.get_num_threads(), thread not in _before
        if is_outermost:
            before = next(iter(_before.values()), before)
            _before[thread] = before
        torch.set_num_threads(number)
    try:
        yield _before[thread]
    finally:
        with _lock:
            torch.set_num_threads(before)
            if is_outermost:
                del _before[thread]


def _start_anew() -> None:
    """In a forked child: another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
