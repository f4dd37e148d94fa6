"""Buffers for what forward saves for backward, reused from step to step."""

import torch
from torch import Tensor

STORED, LARGEST_STORED = 2, 128 << 20  # number of buffers, floats per buffer; new memory costs a page fault per 4 KiB
_store: list[Tensor] = []


class Buffer:
    """Memory that returns to the store when its last reference is dropped, so that the next step can reuse it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __del__(self, store: list[Tensor] = _store, stored: int = STORED, largest: int = LARGEST_STORED) -> None:
        if self.tensor.numel() <= largest:  # the defaults remain when the module is already gone at exit
            store.append(self.tensor)
            del store[:-stored]


def take_buffer(floats: int) -> Buffer:
    """A buffer of at least this many floats, from the store or new."""
    for k in range(len(_store) - 1, -1, -1):
        try:
            buffer = _store.pop(k)
        except IndexError:  # another thread took it
            break
        if floats <= buffer.numel() <= 4 * floats + 65_536:
            return Buffer(buffer)
        _store.append(buffer)
    return Buffer(torch.empty(floats + floats // 8 if floats < LARGEST_STORED else floats))
