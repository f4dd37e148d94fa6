"""How many threads a network uses: the kernel several, PyTorch's own operations one, except in large convolutions."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ostinato.nn.convolution import Convolution
from ostinato.nn.kernel.threads import torch_threads, use_threads
from ostinato.nn.layers import RecurrentStack
from ostinato.nn.network import Network
from ostinato.threads import thread_limit

NARROW = 64  # units of a recurrent layer that the torch engine runs on one thread
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
