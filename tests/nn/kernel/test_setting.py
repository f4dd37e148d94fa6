"""Settings of a block of code, in eager and compiled functions."""

import threading

import pytest
import torch

import ostinato.nn
from ostinato.nn import kernel, use_engine, use_precision
from ostinato.nn.kernel.setting import Setting


def test_blocks_nest():
    setting = Setting("test")
    outer, inner = setting.block("outer"), setting.block("inner")
    with outer:
        assert setting.get() == setting.last == "outer"
        with inner:
            assert setting.get() == setting.last == "inner"
        assert setting.get() == setting.last == "outer"
    assert setting.get() is setting.last is None


def test_blocks_of_threads_that_overlap_leave_nothing_behind():
    setting, entered, leave = Setting("test"), threading.Event(), threading.Event()

    def other():
        with setting.block("other"):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with setting.block("mine"):
        thread.start()
        assert entered.wait(10)
        assert setting.get() == "mine" and setting.last == "other"
    assert setting.get() is None and setting.last == "other"
    leave.set()
    thread.join()
    assert setting.last is None


@pytest.mark.skipif(not kernel.is_built(), reason="the kernel was not compiled")
def test_compiled_layers_follow_the_precision_of_the_block():
    layers, x = [ostinato.nn.LSTM(5, 20) for _ in range(2)], torch.randn(9, 4, 5)
    with torch.no_grad(), torch._dynamo.config.patch(allow_rnn=True):
        for layer in layers:  # they share compiled code
            compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
            for precision in ("int8", "bfloat16", "float32", "int8"):
                with use_precision(precision):
                    assert torch.equal(compiled(x)[0], layer(x)[0])
            assert torch.equal(compiled(x)[0], layer(x)[0])


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch.compile does
def test_compiled_layers_follow_the_engine_of_the_block():
    layer, x = ostinato.nn.RecurrentStack(5, 20, cell="gru"), torch.randn(9, 5)
    layout = ostinato.nn.Layout(torch.tensor([4, 5]))
    with torch.no_grad():
        compiled = torch.compile(layer, backend="aot_eager")
        for engine in ("reference", "auto", "reference"):
            with use_engine(engine):
                assert torch.equal(compiled(x, layout), layer(x, layout))
