"""`patched`: `torch.nn.LSTM(…)` and the like make our drop-ins inside a block."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules import rnn

from ostinato.nn.accelerate import DROP_INS


@contextmanager
def patched() -> Iterator[None]:
    """Let `torch.nn.RNN`, `LSTM`, `GRU` and their cells be our drop-ins inside the block.

    For programs that make their modules themselves, such as a clone of a skorch net. The names `torch.nn.LSTM`,
    `torch.nn.modules.LSTM` and `torch.nn.modules.rnn.LSTM` refer to ours in every thread until the block ends, also by
    an exception; blocks may be nested. Modules made inside keep their class afterwards. Code that imported a name
    before, by `from torch.nn import LSTM`, keeps torch's class.
    """
    places = (nn, nn.modules, rnn)
    before = [(place, kind.__name__, getattr(place, kind.__name__)) for kind in DROP_INS for place in places]
    try:
        for kind, ours in DROP_INS.items():
            for place in places:
                setattr(place, kind.__name__, ours)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
