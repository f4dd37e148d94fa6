"""How many threads the kernel may use, apart from the number that PyTorch's own operations use."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_number: ContextVar[int | None] = ContextVar("kernel_threads", default=None)


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
