"""Buffers for what a forward saves for its backward, reused from step to step."""

import torch
from torch import Tensor

STORED, LARGEST_STORED = 2, 128 << 20  # buffers, and floats of the largest: new memory costs a page fault every 4 KiB
_store: list[Tensor] = []


class Buffer:
    """A buffer that goes back to the store when its last user lets go of it, so that the next step finds it warm."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __del__(self, store: list[Tensor] = _store, stored: int = STORED, largest: int = LARGEST_STORED) -> None:
        if self.tensor.numel() <= largest:  # defaults, for at exit the module may be gone
            store.append(self.tensor)
            del store[:-stored]


def take_buffer(floats: int) -> Buffer:
    """A buffer of at least so many floats, from the store or new."""
    for k in range(len(_store) - 1, -1, -1):
        try:
            buffer = _store.pop(k)
        except IndexError:  # another thread was faster
            break
        if floats <= buffer.numel() <= 4 * floats + 65_536:
            return Buffer(buffer)
        _store.append(buffer)
    return Buffer(torch.empty(floats + floats // 8 if floats < LARGEST_STORED else floats))
