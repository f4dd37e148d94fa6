"""How many threads a network uses: the kernel several, PyTorch's own operations one, except in large convolutions.

And how these threads treat denormal numbers.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ostinato.nn.convolution import Convolution
from ostinato.nn.kernel.threads import torch_threads, use_threads
from ostinato.nn.layers import RecurrentStack
from ostinato.nn.network import Network
from ostinato.threads import thread_limit

NARROW = 64  # units of a recurrent layer that the torch engine runs on one thread
SMALLEST_NORMAL = sys.float_info.min
WORTH_THREADS = 2e8  # operations of a batch's convolutions, some 4 ms; in half of that a second thread gained nothing


@contextmanager
def few_threads(model: Network, *, tokens: float) -> Iterator[None]:
    """Run a network on threads that are worth it; PyTorch's own number is restored after the block.

    The kernel may use as many threads as PyTorch had, within `thread_limit`. It measures the work of each call, gives
    the same bits on any number of threads, and waits for none that another program keeps from its core.

    PyTorch's operations run on one thread. Each of them waits for all its threads: where other programs use the cores,
    a small one takes milliseconds, and a training on two threads took up to 140 times as long as on one. Only what
    PyTorch computes at length has several threads: large convolutions, and recurrent layers of more than 64 units where
    there is no kernel. The choice depends on the network and the batch, never on what else the machine does.

    Args:
        tokens: in a batch.
    """
    with torch_threads(1) as before:
        most = min(before, thread_limit().number)
        if torch_is_worth_threads(model, tokens):
            torch.set_num_threads(most)
        with use_threads(most):
            yield


def torch_is_worth_threads(model: Network, tokens: float) -> bool:
    """Whether PyTorch's own operations in the network are so large that several threads help.

    Args:
        tokens: in a batch.
    """
    if isinstance(model.stack, RecurrentStack) and model.engine == "torch" and model.stack.hidden_size > NARROW:
        return True
    weights = sum(part.weight.numel() for part in model.modules() if isinstance(part, Convolution))
    return 2 * weights * tokens >= WORTH_THREADS


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Let PyTorch's operations on this thread treat denormal numbers as zeros inside the block, as the kernel does.

    A gradient that vanishes through time ends in denormal numbers, below 1e-38, and many processors take some hundred
    times as long for each. The autograd engine runs the backward of CPU operations on the thread that calls it.
    """
    is_flushing = SMALLEST_NORMAL / 2 == 0.0  # PyTorch cannot be asked, but Python's arithmetic obeys the same register
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(is_flushing)
