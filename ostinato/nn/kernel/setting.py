"""A setting that a block of code makes, such as its engine, and that compiled functions follow."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch


class Setting:
    """A value that a `with` block sets, for the thread or task that runs it.

    A compiler cannot read a context variable. It reads `last`, and compiles a function again when that has changed. So
    compiled functions that run in several threads at once need the same value in all of them.

    Attributes:
        last: what the block that was entered last, in any thread, and not yet left, has set; None outside of blocks.
    """

    def __init__(self, name: str) -> None:
        self.last: str | None = None
        self._value: ContextVar[str | None] = ContextVar(name, default=None)
        self._blocks: list[tuple[object, str]] = []

    def get(self) -> str | None:
        """The value of the innermost block; None outside of blocks."""
        return self.last if torch.compiler.is_compiling() else self._value.get()

    @contextmanager
    def block(self, value: str) -> Iterator[None]:
        """Set the value inside the block."""
        token, entry = self._value.set(value), (object(), value)
        self._blocks.append(entry)
        self.last = value
        try:
            yield
        finally:
            self._value.reset(token)
            self._blocks.remove(entry)
            self.last = self._blocks[-1][1] if self._blocks else None
