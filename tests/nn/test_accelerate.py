"""accelerate: which layers it swaps, its verification, and that it leaves the model unchanged."""

import copy
import itertools
import pickle
import random
import subprocess
import sys
import time
from importlib import import_module

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import ostinato
from ostinato import nn as ours
from ostinato.errors import ConfigError, OstinatoError
from ostinato.nn import accelerate as swap
from ostinato.nn.probe import Call, SpeedUp, compare_speed

MODULE = import_module("ostinato.nn.accelerate")  # in the package, its name refers to the function


class Tagger(nn.Module):
    """Everything a swap must preserve: dropout, batch statistics, sharing, a carried state, a cell in a loop."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.encoder = nn.LSTM(8, 6, num_layers=2, dropout=0.3, bidirectional=True, batch_first=True)
        self.norm = nn.BatchNorm1d(12)
        self.decoder = nn.GRU(12, 12, batch_first=True)
        self.again = self.decoder
        self.cell = nn.GRUCell(12, 4)
        self.unused = nn.RNN(3, 3)
        self.head = nn.Linear(4, 3)
        self.state = None
        self.calls = 0

    def forward(self, ids, scale=1.0):
        self.calls += 1
        x = self.encoder(self.embedding(ids))[0]
        x = self.norm(x.transpose(1, 2)).transpose(1, 2) * scale
        x = self.again(self.decoder(x)[0], self.state)[0]
        self.state = x[:, -1].unsqueeze(0).detach()
        h = None
        for step in x.unbind(1):
            h = self.cell(step, h)
        return {"scores": self.head(h).log_softmax(-1), "ids": ids, "coin": torch.tensor(random.random())}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(MODULE, "BUDGET_S", 0.0)  # one pair of runs each


@pytest.fixture
def level(quick, monkeypatch):
    """Every layer measures as fast as before, so that none is restored."""
    monkeypatch.setattr(MODULE, "_speed_up", lambda *_: SpeedUp(1.0, 1.0, 1.0))


def ids():
    return torch.randint(0, 20, (5, 7))


def test_every_plain_layer_is_swapped_in_place():
    model = Tagger()
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    expected, state = copy.deepcopy(model).eval()(ids := torch.arange(10).view(2, 5))["scores"], model.state_dict()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hooked = []
    model.encoder.register_forward_hook(lambda *_: hooked.append(True))
    model.decoder.eval()

    report = ostinato.accelerate(model)

    assert [(layer.name, layer.kind, layer.is_swapped) for layer in report.layers] == [
        ("encoder", "LSTM", True),
        ("decoder", "GRU", True),
        ("cell", "GRUCell", True),
        ("unused", "RNN", True),
    ]
    assert (type(model.encoder), type(model.decoder), type(model.cell), type(model.unused)) == (
        ours.LSTM,
        ours.GRU,
        ours.GRUCell,
        ours.RNN,
    )
    assert model.again is model.decoder
    assert not model.decoder.training and model.encoder.training
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    model.eval()
    torch.testing.assert_close(model(ids)["scores"], expected)
    assert hooked == [True]
    weight = model.encoder.weight_hh_l0.detach().clone()
    model(ids)["scores"][:, 0].sum().backward()
    optimizer.step()
    assert not torch.equal(model.encoder.weight_hh_l0, weight)


def test_a_layer_itself_is_swapped_in_place():
    layer = nn.LSTM(3, 4)
    report = ostinato.accelerate(layer)
    assert type(layer) is ours.LSTM
    assert "(the module)" in str(report)


def test_swapped_models_are_copied_and_pickled():
    model, twin = Tagger().eval(), Tagger().eval()
    swap(model)
    x = ids()
    expected = copy.deepcopy(model)(x)["scores"]
    assert torch.equal(pickle.loads(pickle.dumps(model))(x)["scores"], expected)
    twin.load_state_dict(model.state_dict())
    torch.testing.assert_close(twin(x)["scores"], expected)


def test_parametrized_layers_keep_their_parametrization_and_copies_their_class():
    layer = nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0")
    twin, x = copy.deepcopy(layer), torch.randn(5, 2, 3)
    swap(layer)
    copied = copy.deepcopy(layer)
    assert isinstance(layer, ours.GRU) and isinstance(copied, ours.GRU) and not isinstance(twin, ours.GRU)
    torch.testing.assert_close(layer(x)[0], twin(x)[0])
    torch.testing.assert_close(copied(x)[0], twin(x)[0])
    nn.utils.parametrize.remove_parametrizations(layer, "weight_hh_l0")
    assert type(layer) is ours.GRU


def test_other_classes_than_torch_nns_are_not_swapped_and_the_report_says_why():
    class Subclass(nn.LSTM):
        def forward(self, input, hx=None):
            return nn.LSTM.forward(self, input, hx)

    patched = nn.GRU(3, 4)
    patched.forward = lambda x: x
    model = nn.ModuleList(
        [Subclass(3, 4), patched, ours.LSTM(3, 4), nn.LSTM(3, 4, proj_size=2), nn.GRU(3, 4).double(), nn.RNNCell(3, 4)]
    )
    subclass, replaced, already, projected, double, cell = swap(model).layers
    assert (type(model[0]), type(patched)) == (Subclass, nn.GRU)
    assert "super()" in subclass.reason and "replaced on the object" in replaced.reason and "already" in already.reason
    assert not subclass.is_swapped and not replaced.is_swapped and not already.is_swapped
    assert (projected.engine, double.engine, cell.engine) == ("torch", "torch", "torch")
    assert "proj_size is 2" in projected.reason and "float64" in double.reason and "single step" in cell.reason


class Plain(nn.GRU):
    """Only adds to torch's class."""

    def width(self):
        return self.hidden_size


class Doubled(Plain):
    """Has a forward that calls the one above it."""

    def forward(self, input, hx=None):
        output, state = super().forward(2 * input, hx)
        return 2 * output, state


class DoubledCell(nn.LSTMCell):
    def forward(self, input, hx=None):
        return super().forward(2 * input, hx)


@pytest.mark.parametrize("kind", [Plain, Doubled, DoubledCell])
def test_subclasses_that_call_the_forward_above_get_ours_there(kind, monkeypatch):
    layer, x = kind(4, 5), torch.randn(3, 4)
    twin = copy.deepcopy(layer)
    ours_kind, reached = ours.LSTMCell if kind is DoubledCell else ours.GRU, []
    report = swap(layer)
    assert report.layers[0].is_swapped and report.layers[0].engine == "native"
    assert isinstance(layer, kind) and isinstance(layer, ours_kind) and type(layer).__name__ == kind.__name__
    torch.testing.assert_close(layer(x), twin(x))
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(copied) is type(layer)
        torch.testing.assert_close(copied(x), twin(x))
    forward = ours_kind.__mro__[1].forward
    monkeypatch.setattr(ours_kind.__mro__[1], "forward", lambda *args: reached.append(1) or forward(*args))
    layer(x)
    assert reached
    assert not swap(layer).layers[0].is_swapped


def test_a_model_without_recurrent_layers_is_reported_as_such():
    assert "No recurrent layer" in str(swap(nn.Linear(2, 2)))


@pytest.mark.parametrize("training", [True, False])
def test_the_proof_finds_equal_results_and_leaves_the_model_unchanged(training, quick):
    model = Tagger().train(training)
    model.head.weight.grad = torch.ones(3, 4)
    state, python, torch_state = copy.deepcopy(model.state_dict()), random.getstate(), torch.get_rng_state()
    example = torch.arange(20).view(4, 5)
    report = swap(model, {"ids": example, "scale": torch.tensor(2.0)})
    assert max(report.proof.outputs, report.proof.parameter_gradients, report.proof.input_gradients) < 1e-4
    assert report.proof.work == ("forward and backward" if training else "forward")
    assert random.getstate() == python and torch.equal(torch.get_rng_state(), torch_state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert (model.calls, model.state) == (0, None)
    assert torch.equal(model.head.weight.grad, torch.ones(3, 4)) and model.head.bias.grad is None
    assert not model.encoder._forward_pre_hooks
    assert "worst error" in str(report)


def test_each_layer_keeps_its_faster_engine(monkeypatch):
    ratios = {8: 3.0, 6: 0.5}  # by input size

    def speed_up(call, *_):
        ratio = ratios.get(getattr(call.module, "input_size", None), 2.0)
        return SpeedUp(ratio, ratio, ratio)

    monkeypatch.setattr(MODULE, "_speed_up", speed_up)
    model = nn.ModuleDict({"fast": nn.GRU(8, 6), "slow": nn.GRU(6, 4)})
    model.forward = lambda x: model["slow"](model["fast"](x)[0])[0]
    report = swap(model, torch.randn(5, 2, 8))
    assert [(layer.engine, layer.is_swapped, layer.speed_up) for layer in report.layers] == [
        ("native", True, 3.0),
        ("torch", False, 0.5),
    ]
    assert (type(model["fast"]), type(model["slow"])) == (ours.GRU, nn.GRU)
    assert "slower" in report.layers[1].reason and report.proof.speed_up == 2.0


def test_layers_that_the_example_does_not_reach_are_reported(level):
    model = Tagger()
    assert {layer.name: layer.reason for layer in swap(model, ids()).layers}[
        "unused"
    ] == "the example does not reach it"


@pytest.mark.parametrize(
    "example",
    [
        torch.randn(6, 3, 4),
        (torch.randn(6, 3, 4), torch.randn(1, 3, 5)),
        {"input": torch.randn(6, 3, 4)},
        pack_padded_sequence(torch.randn(6, 3, 4), [6, 4, 1]),
    ],
    ids=["tensor", "arguments", "keywords", "packed"],
)
def test_examples_are_accepted_in_every_form(example, level):
    layer = nn.GRU(4, 5)
    assert 0 <= swap(layer, example).proof.outputs < 1e-5
    assert type(layer) is ours.GRU


def test_a_wrong_output_is_refused_and_every_layer_restored(monkeypatch, quick):
    def wrong(self, *args, **kwargs):
        output, final = nn.GRU.forward(self, *args, **kwargs)
        return output * 1.01, final

    monkeypatch.setattr(ours.GRU, "forward", wrong)
    model = Tagger()
    with pytest.raises(OstinatoError, match="1e-03"):
        swap(model, ids())
    assert (type(model.encoder), type(model.decoder), type(model.unused)) == (nn.LSTM, nn.GRU, nn.RNN)
    with pytest.raises(OstinatoError, match="differs"):
        swap(model, ids(), tolerance=1e-6)
    swap(model, ids(), tolerance=0.5)


def test_a_wrong_gradient_alone_is_refused(monkeypatch, quick):
    class Twice(torch.autograd.Function):
        forward = staticmethod(lambda ctx, x: x.clone())
        backward = staticmethod(lambda ctx, gradient: 1.01 * gradient)

    def wrong(self, *args):
        output, final = nn.GRU.forward(self, *args)
        return Twice.apply(output), final

    monkeypatch.setattr(ours.GRU, "forward", wrong)
    layer = nn.GRU(4, 5)
    with pytest.raises(OstinatoError, match="differs"):
        swap(nn.Sequential(layer), torch.randn(6, 3, 4))
    assert type(layer) is nn.GRU


def test_a_model_that_is_not_repeatable_is_reported_as_such(quick):
    class Drifting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.GRU(4, 5)

        def forward(self, x):
            return self.layer(x)[0] * next(numbers)

    numbers = itertools.count(1)

    with pytest.raises(OstinatoError, match="from run to run"):
        swap(Drifting(), torch.randn(6, 3, 4))


def test_an_error_on_the_way_restores_every_layer(monkeypatch, quick):
    layer = nn.LSTM(4, 5)
    with pytest.raises(OstinatoError, match="RuntimeError: .*input_size") as wrong_input:
        swap(layer, torch.randn(6, 3, 7))
    assert type(layer) is nn.LSTM
    assert isinstance(wrong_input.value.__cause__, RuntimeError)

    def broken(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ours.LSTM, "forward", broken)
    with pytest.raises(OstinatoError, match="with our engines.*out of memory"):
        swap(layer, torch.randn(6, 3, 4))
    assert type(layer) is nn.LSTM


def test_frozen_models_masked_scores_and_inplace_writes_to_the_input_are_compared(quick):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.GRU(4, 5)

        def forward(self, x):
            x[0] = 0
            return self.layer(x)[0].masked_fill(torch.eye(5, dtype=torch.bool), -torch.inf)

    for model in (Odd(), Odd().requires_grad_(False)):
        example = torch.ones(6, 5, 4)
        with torch.no_grad():
            proof = swap(model, example).proof
        assert max(proof.outputs, proof.input_gradients) < 1e-5
        assert example.all()


def test_layers_are_restored_if_the_whole_model_is_slower(monkeypatch):
    def speed_up(call, *_):
        ratio = 1.2 if isinstance(call.module, nn.GRU) else 0.85
        return SpeedUp(ratio, 0.8 * ratio, 1.2 * ratio)

    monkeypatch.setattr(MODULE, "_speed_up", speed_up)
    model = nn.Sequential(nn.GRU(4, 5))
    report = swap(model, torch.randn(6, 3, 4))
    assert type(model[0]) is nn.GRU
    (layer,) = report.layers
    assert (layer.is_swapped, layer.engine, layer.speed_up) == (False, "torch", 1.2)
    assert report.proof.speed_up == 0.85 and report.proof.speed_up_quartiles == pytest.approx((0.68, 1.02))
    assert "whole model was slower" in layer.reason
    assert "0.85 (0.68–1.02)" in str(report) and "restored" in str(report).splitlines()[-2]


def test_speed_ups_ignore_runs_that_other_programs_disturbed():
    measured = compare_speed([2.0, 2.0, 2.0, 50.0, 2.0, 2.0], [1.0, 1.0, 30.0, 1.0, 1.0, 1.0])
    assert (measured.ratio, measured.low, measured.high) == (2.0, 2.0, 2.0)
    assert measured.is_clear
    assert not compare_speed([1.0, 2.0, 1.0, 2.0], [2.0, 1.0, 2.0, 1.0]).is_clear
    assert compare_speed([3.0], [2.0]).ratio == 1.5


def test_speed_is_measured_in_processor_time_on_one_thread(monkeypatch):
    class Sleeping(nn.Module):
        def forward(self, x):
            slept.append(time.sleep(0.05))
            return x

    slept, threads = [], torch.get_num_threads()
    call = Call(Sleeping(), lambda: ((torch.ones(1),), {}), with_backward=False)
    try:
        torch.set_num_threads(1)
        assert call.seconds() < 0.04
        torch.set_num_threads(2)
        assert call.seconds() >= 0.05
    finally:
        torch.set_num_threads(threads)
    assert len(slept) == 2


class Consuming(nn.Module):
    """Reads batches from an iterator, and keeps its outputs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(4, 5)
        self.outputs, self.by_name = [], {"all": []}

    def forward(self, batches):
        output = sum(self.layer(batch)[0] for batch in list(batches)[:1]) * len(batches.taken)
        self.outputs.append(output)
        self.by_name["all"].append(output)
        return output

    def score(self, x, *, factor):
        return self.layer(x)[0] * factor


class Batches:
    def __init__(self):
        self.taken = []

    def __iter__(self):
        if not self.taken:
            self.taken.append(True)
            yield torch.ones(6, 3, 4)


def test_a_consumed_example_is_refused_and_a_function_makes_new_ones(quick):
    model = Consuming()
    with pytest.raises(OstinatoError, match="function that makes new ones"):
        swap(model, Batches())
    assert type(model.layer) is nn.GRU
    report = swap(model, lambda: (Batches(),))
    assert report.proof.outputs < 1e-5 and report.layers[0].speed_up is not None


def test_containers_in_attributes_are_as_before(quick):
    model = Consuming()
    outputs = model.outputs
    swap(model, lambda: (Batches(),))
    assert model.outputs is outputs and outputs == [] and model.by_name == {"all": []}
    copy.deepcopy(model)  # fails where outputs that require gradients are left in an attribute


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_computed_during_the_proof_are_not_left_in_the_layer(quick):
    layer = nn.utils.parametrizations.weight_norm(nn.GRU(4, 5), "weight_hh_l0")
    swap(layer, torch.randn(6, 3, 4))
    copied = copy.deepcopy(layer)  # fails where a computed weight that requires gradients is left in an attribute
    assert torch.equal(copied.weight_hh_l0, layer.weight_hh_l0)


@pytest.mark.parametrize("named", [True, False])
def test_another_method_or_function_is_verified_and_timed(named, quick):
    model, calls = Consuming(), []

    def score(x, factor):
        calls.append(factor)
        return model.score(x, factor=factor)

    example = {"x": torch.randn(6, 3, 4), "factor": 2.0}
    report = swap(model, example, method="score" if named else score)
    assert report.proof.outputs < 1e-5 and report.proof.parameter_gradients > 0
    assert named or set(calls) == {2.0}
    with pytest.raises(ConfigError, match="'scores'"):
        swap(Consuming(), example, method="scores")


def test_it_needs_torch_alone():
    code = """
import sys
class OnlyTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(name)
BLOCKED = {"numpy", "pydantic", "sklearn", "scipy", "pyarrow", "tokenizers", "pandas", "safetensors", "rich", "typer",
           "tomli_w"}
sys.meta_path.insert(0, OnlyTorch())
import warnings
warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
import torch, ostinato, ostinato.nn
from ostinato.nn import LSTM, use_engine
model = torch.nn.Sequential(torch.nn.GRU(3, 4))
report = ostinato.accelerate(model, torch.randn(5, 2, 3))
LSTM(3, 4)(torch.randn(5, 2, 3), lengths=[5, 2])[0].sum().backward()
print(report.layers[0].kind, BLOCKED & {name.split(".")[0] for name, module in sys.modules.items() if module})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "GRU set()", done.stderr


# ---- products in bfloat16 --------------------------------------------------------------------------------------------


def test_layers_keep_the_precision_that_was_asked_for(level):
    model = nn.Sequential(nn.GRU(5, 16))
    x = torch.randn(9, 3, 5)
    exact = model(x)[0]
    report = ostinato.accelerate(model, x, precision="bfloat16")
    reason = ours.why_not_bfloat16()
    assert (reason is None) == (report.note == "") == (report.proof.outputs > 1e-4)
    assert reason is None or reason in str(report)
    assert model[0].precision == "bfloat16" and report.proof.parameter_gradients < 3e-2
    with ours.use_precision("float32"):
        torch.testing.assert_close(model(x)[0], exact)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(x)[0], model(x)[0])


def test_restored_layers_have_no_precision(quick, monkeypatch):
    monkeypatch.setattr(MODULE, "_speed_up", lambda *_: SpeedUp(0.5, 0.5, 0.5))
    model = nn.Sequential(nn.GRU(5, 16))
    ostinato.accelerate(model, torch.randn(9, 3, 5), precision="bfloat16")
    assert type(model[0]) is nn.GRU and not hasattr(model[0], "precision")


def test_an_unknown_precision_is_refused_before_anything_is_swapped():
    model = nn.LSTM(5, 16)
    with pytest.raises(ConfigError, match="precision 'bf16'"):
        ostinato.accelerate(model, precision="bf16")
    assert type(model) is nn.LSTM


# ---- recurrent weights in int8 ---------------------------------------------------------------------------------------


def test_int8_is_proved_and_used_without_gradients(level):
    model, x = nn.Sequential(nn.LSTM(5, 16)).eval(), torch.randn(9, 3, 5)
    exact = model(x)[0]
    report = ostinato.accelerate(model, x, precision="int8")
    assert report.note == "" and report.proof.parameter_gradients == report.proof.input_gradients == 0
    with torch.no_grad():
        error = float((model(x)[0] - exact).norm() / exact.norm())
    assert error <= 1.001 * report.proof.outputs < 3e-2
    assert error > 1e-5 or ours.why_not_native(x, []) is not None
    torch.testing.assert_close(model(x)[0], exact)


def test_int8_needs_a_model_in_eval_mode():
    model = nn.LSTM(5, 16)
    with pytest.raises(ConfigError, match=r"int8.*model\.eval\(\)"):
        ostinato.accelerate(model, torch.randn(9, 3, 5), precision="int8")
    assert type(model) is nn.LSTM


def test_int8_outside_the_tolerance_restores_the_layers(level):
    model, x = nn.LSTM(5, 16).eval(), torch.randn(9, 3, 5)
    with pytest.raises(OstinatoError, match="tolerance"):
        ostinato.accelerate(model, x, precision="int8", tolerance=1e-6)
    assert type(model) is nn.LSTM and not hasattr(model, "precision")
