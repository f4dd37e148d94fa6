"""Which work of a network runs on several threads; the caller's number is restored, also with many callers."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from ostinato.nn import ConvolutionStack, Linear, Network, RecurrentStack, TokenEmbedding, few_threads
from ostinato.nn.kernel.threads import num_threads
from ostinato.nn.threads import flush_denormals, thread_limit
from ostinato.threads import ThreadLimit


class Tiny(Network):
    def __init__(self, stack):
        super().__init__()
        self.embed, self.stack, self.head = TokenEmbedding(4, 8), stack, Linear(stack.output_size, 2)


def recurrent(hidden_size, engine="auto"):
    return Tiny(RecurrentStack(8, hidden_size, cell="lstm", engine=engine))


def convolution(hidden_size):
    options = {"residual": False, "layer_norm": False, "dropout": 0.0}
    return Tiny(ConvolutionStack(8, hidden_size, kernel_size=5, centred=True, num_layers=2, **options))


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr("ostinato.nn.threads.thread_limit", lambda: ThreadLimit(2, "a test"))
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("model", "tokens", "inside"),
    [
        (recurrent(128, "native"), 1e6, 1),
        (recurrent(64, "torch"), 1e6, 1),
        (recurrent(65, "torch"), 10, 2),
        (convolution(64), 500, 1),
        (convolution(64), 1e5, 2),
    ],
    ids=["kernel", "narrow", "wide", "small convolution", "large convolution"],
)
def test_torch_has_one_thread_unless_its_own_work_is_large(model, tokens, inside):
    with few_threads(model, tokens=tokens):
        assert (torch.get_num_threads(), num_threads()) == (inside, 2)
        with few_threads(convolution(64), tokens=1):  # validation within a training
            assert (torch.get_num_threads(), num_threads()) == (1, 2)
        assert torch.get_num_threads() == inside
    assert (torch.get_num_threads(), num_threads()) == (2, 2)


def test_an_error_restores_the_number():
    with pytest.raises(KeyError), few_threads(recurrent(8), tokens=1):
        raise KeyError
    assert torch.get_num_threads() == 2


def test_the_limit_is_obeyed(monkeypatch):
    monkeypatch.setattr("ostinato.nn.threads.thread_limit", lambda: ThreadLimit(1, "a test"))
    with few_threads(recurrent(65, "torch"), tokens=1e6):
        assert (torch.get_num_threads(), num_threads()) == (1, 1)


def test_threads_of_python_do_not_take_each_other_s_number():
    everyone_inside = threading.Barrier(4, timeout=30)

    def work(_):
        with few_threads(recurrent(8), tokens=1):
            everyone_inside.wait()
            inside = (torch.get_num_threads(), num_threads())
        return (*inside, torch.get_num_threads())

    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(work, range(4))) == [(1, 2, 2)] * 4
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(torch.get_num_threads).result() == 2


def test_the_limit_is_that_of_this_process():
    assert 1 <= thread_limit().number <= (os.cpu_count() or 1)


def test_denormals_are_flushed_inside_the_block_forward_and_backward_and_only_there():
    x = torch.full((3,), 1e-20, requires_grad=True)
    with flush_denormals():
        (x * 1e-20).sum().backward(torch.tensor(1e-20))
        assert (x * 1e-20).tolist() == x.grad.tolist() == [0.0] * 3
        with flush_denormals():
            pass
        assert (x * 1e-20).tolist() == [0.0] * 3
    assert (x * 1e-20).min() > 0
