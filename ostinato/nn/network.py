"""What every network has: token vectors, a stack, an output layer, and the number of threads that suits it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import nn

from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.layers import RecurrentStack, Stack
from ostinato.nn.linear import Linear

NARROW = 64  # units of a layer that the torch engine runs on one thread


class Network(nn.Module):
    """A stack between an embedding and an output layer.

    Attributes:
        embed: tokens or channels to vectors; what `[training] freeze_vectors` does not train.
        has_trained_unknown: whether training saw out-of-vocabulary tokens, so that their vector means something.
        RANGES: the lowest and highest value of tensors that are not any number, by name.
    """

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {}

    has_trained_unknown: bool = False

    embed: TokenEmbedding | Linear
    stack: Stack
    head: Linear

    @property
    def engine(self) -> str:
        """The engine that serves the stack where the model is now; convolutions train on PyTorch alone."""
        return self.stack.engine_for(self.head.weight) if isinstance(self.stack, RecurrentStack) else "torch"

    @property
    def device(self) -> torch.device:
        return self.head.weight.device


@contextmanager
def few_threads(model: Network) -> Iterator[None]:
    """Narrow recurrent layers run on one thread of PyTorch's kernels; the process's own number is back after the block.

    Up to 64 units, a second thread of the torch engine took 10 to 25 % off a step on two idle cores, and tripled it
    where another program used one of them: its threads wait for each other at every time step. The native engine's
    threads do not, and have its own measure of what is worth a thread.
    """
    before = torch.get_num_threads()
    if isinstance(model.stack, RecurrentStack) and model.stack.hidden_size <= NARROW and model.engine == "torch":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
