"""`accelerate`: our engines inside any PyTorch model.

A layer is swapped by changing its class to that of our drop-in. The object stays the same, and so do its parameters,
hooks, mode and every reference to it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ostinato.errors import ConfigError, OstinatoError
from ostinato.nn.drop_in import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from ostinato.nn.kernel import check_precision, why_not_bfloat16
from ostinato.nn.probe import Arguments, Call, SpeedUp, arguments, compare_speed

TOLERANCES = {"float32": 1e-3, "bfloat16": 3e-2, "int8": 3e-2}  # of relative errors, by the precision of products

DROP_INS: dict[type[nn.Module], type[nn.Module]] = {
    nn.RNN: RNN,
    nn.LSTM: LSTM,
    nn.GRU: GRU,
    nn.RNNCell: RNNCell,
    nn.LSTMCell: LSTMCell,
    nn.GRUCell: GRUCell,
}

BUDGET_S = 0.5  # to time the whole model, and again to time all its layers
MOST_PAIRS, CLEAR_PAIRS = 50, 5  # pairs of runs at most, and from which on clear ones suffice
SLOWER_WHOLE = "restored: the whole model was slower"


@dataclass(frozen=True)
class LayerReport:
    """What `accelerate` did with one layer.

    Args:
        name: its name in the model; empty if it is the model itself.
        kind: its class.
        engine: what runs it by default now: `native` or `torch`.
        is_swapped: whether `accelerate` changed its class to our drop-in.
        reason: why it was not swapped, or why the engine is `torch`; else empty.
        speed_up: time with `torch.nn` divided by time with the native engine, on the layer's input in the example; None
            if not measured.
        speed_up_quartiles: those of the ratios of neighbouring runs; None if not measured.
    """

    name: str
    kind: str
    engine: str
    is_swapped: bool
    reason: str = ""
    speed_up: float | None = None
    speed_up_quartiles: tuple[float, float] | None = None


@dataclass(frozen=True)
class Proof:
    """The model with our engines compared with the original, on an example.

    Errors are relative, ‖ours − theirs‖ / ‖theirs‖, the worst tensor of each group; 0 for an empty group.

    Args:
        outputs, parameter_gradients, input_gradients: the errors.
        speed_up: time before divided by time after.
        work: what was timed: `forward and backward` of a model in training mode, `forward` in eval mode.
        speed_up_quartiles: those of the ratios of neighbouring runs.
    """

    outputs: float
    parameter_gradients: float
    input_gradients: float
    speed_up: float
    work: str
    speed_up_quartiles: tuple[float, float]


@dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did; printed, it is a table.

    Args:
        note: why products are not in the precision that was asked for; else empty.
    """

    layers: tuple[LayerReport, ...]
    proof: Proof | None = None
    note: str = ""

    def __str__(self) -> str:
        if not self.layers:
            return "No recurrent layer of torch.nn found: there is nothing to accelerate."
        rows = [("layer", "class", "engine", "speed-up", "note")]
        for layer in self.layers:
            speed_up = _printed(layer.speed_up, layer.speed_up_quartiles)
            rows.append((layer.name or "(the module)", layer.kind, layer.engine, speed_up, layer.reason))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        if self.proof is not None:
            p = self.proof
            is_restored = any(layer.reason.startswith(SLOWER_WHOLE) for layer in self.layers)
            lines.append(
                f"whole model, {p.work}: {_printed(p.speed_up, p.speed_up_quartiles)} times as fast"
                + (" with our engines, so its layers were restored" if is_restored else "")
            )
            lines.append(
                f"worst error: outputs {p.outputs:.1e}, parameter gradients {p.parameter_gradients:.1e}, "
                f"input gradients {p.input_gradients:.1e}"
            )
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)


def _printed(speed_up: float | None, quartiles: tuple[float, float] | None) -> str:
    """A speed-up, with its quartiles where the runs disagree."""
    if speed_up is None or quartiles is None:
        return ""
    low, high = quartiles
    return f"{speed_up:.2f}" if high < 1.5 * low and not low < 1 < high else f"{speed_up:.2f} ({low:.2f}–{high:.2f})"


def accelerate(
    module: nn.Module,
    example_inputs: Any = None,
    *,
    method: str | Callable[..., Any] | None = None,
    precision: str = "float32",
    tolerance: float | None = None,
) -> Acceleration:
    """Run every `nn.RNN`, `LSTM`, `GRU` and their cells inside `module` on our engines, in place.

    With an example, also verify: run it forward and backward before and after, compare the results, time both, and keep
    the faster engine for each layer; if the whole is slower, restore all of them. Parameters, gradients, buffers,
    attributes and random states do not change.

    Args:
        module: any model, or a recurrent layer itself.
        example_inputs: a batch: a tensor or `PackedSequence`, a tuple or list of positional arguments, or a dict of
            keyword arguments; or a function without arguments that makes one, for a forward that consumes its input.
        method: what to run on the example instead of the module's forward: the name of one of its methods, or a
            function that takes the example and uses the module.
        precision: of the native engine's products: `float32`, `bfloat16` where the processor multiplies it faster, or
            `int8` for a model in eval mode, of which outputs alone are compared (see `use_precision`). The layers keep
            it.
        tolerance: the largest relative error accepted; None: 0.001 in float32, 0.03 in bfloat16 and int8.

    Raises:
        OstinatoError: outputs or gradients of the example differ by more than the tolerance, or the example raises an
            error. All layers are restored.
        ConfigError: the module has no such method; the precision is unknown, or int8 for a model in training mode.
    """
    check_precision(precision)
    if precision == "int8" and module.training:
        raise ConfigError(
            "precision 'int8' is for inference, but the model is in training mode. Call model.eval() first."
        )
    without_bfloat16 = why_not_bfloat16() if precision == "bfloat16" else None
    found = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, (nn.RNNBase, nn.RNNCellBase))]
    reports: dict[nn.Module, LayerReport] = {layer: _report(name, layer) for name, layer in found}
    swapped = _Swapped([layer for layer, report in reports.items() if report.is_swapped], precision)
    with ExitStack() as undo:
        undo.callback(swapped.switch, ours=False)
        swapped.switch(ours=True)
        reports.update({layer: _engine_of(reports[layer], layer) for layer in swapped.kinds})
        proof = None
        if example_inputs is not None:
            tolerance = TOLERANCES[precision] if tolerance is None else tolerance
            call = replace(_example_call(module, example_inputs, method), with_gradients=precision != "int8")
            proof = _prove(call, swapped, reports, tolerance)
        undo.pop_all()
    note = "" if without_bfloat16 is None else f"products are in float32, not in bfloat16: {without_bfloat16}"
    return Acceleration(tuple(reports.values()), proof, note)


def _example_call(module: nn.Module, example: Any, method: str | Callable[..., Any] | None) -> Call:
    """What is verified and timed."""
    function = getattr(module, method, None) if isinstance(method, str) else method
    if isinstance(method, str) and not callable(function):
        raise ConfigError(
            f"{type(module).__name__} has no method {method!r}. Pass the name of one of its methods, or a function."
        )

    def make() -> Arguments:
        return arguments(example)

    return Call(module, make, module.training, function)


def _prove(call: Call, swapped: "_Swapped", reports: dict[nn.Module, LayerReport], tolerance: float) -> Proof:
    """Compare, then time; restores what is slower, and updates the reports."""
    errors = _compare(call, swapped, tolerance)
    try:
        reports.update(_time_layers(call, swapped, reports))
        speed_up = _speed_up(call, swapped, BUDGET_S)
    except Exception as error:
        raise _failed("repeatedly, to time it", error) from error
    if speed_up.ratio < 0.98:  # 2 % is the precision of the measurement
        reports.update(_restore_all(swapped, reports))
    work = "forward and backward" if call.with_backward else "forward"
    return Proof(*errors, speed_up.ratio, work, (speed_up.low, speed_up.high))


# ---- choosing and swapping layers ------------------------------------------------------------------------------------


def _report(name: str, layer: nn.Module) -> LayerReport:
    kind: Any = parametrize.type_before_parametrizations(layer)
    if issubclass(kind, tuple(DROP_INS.values())):
        return _engine_of(LayerReport(name, kind.__name__, "native", False, "already a drop-in"), layer)
    if drop_in_of(kind) is None:
        return LayerReport(name, kind.__name__, "torch", False, "not swapped: its own forward does not call super()'s")
    if "forward" in vars(layer):
        return LayerReport(name, kind.__name__, "torch", False, "not swapped: its forward was replaced on the object")
    return LayerReport(name, kind.__name__, "native", True)


def _engine_of(report: LayerReport, layer: Any) -> LayerReport:
    reason: str | None = layer.why_torch()
    return report if reason is None else replace(report, engine="torch", reason=f"not native: {reason}")


@cache
def drop_in_of(kind: Any) -> Any:
    """Our class in place of a class of `torch.nn` or of a subclass of it; None if its forward never gets to ours.

    For a subclass it is a class made on the fly, derived from it and then from ours, so that its `super()` is ours.
    """
    if kind in DROP_INS:
        return DROP_INS[kind]
    base = next(own for own in kind.__mro__ if own in DROP_INS or own in (nn.RNNBase, nn.RNNCellBase))
    above = kind.__mro__[: kind.__mro__.index(base)]
    codes = [getattr(vars(own)["forward"], "__code__", None) for own in above if "forward" in vars(own)]
    if base not in DROP_INS or not all(code is not None and "__class__" in code.co_freevars for code in codes):
        return None

    def reduce(self: Any, protocol: Any) -> Any:  # copies and pickles refer to the subclass by its name
        return _blank, (kind,), self.__getstate__()

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__reduce_ex__": reduce}
    return type(kind.__name__, (kind, DROP_INS[base]), names)


def _blank(kind: Any) -> Any:
    made = drop_in_of(kind)
    return made.__new__(made)


class _Swapped:
    """Layers that can switch to our class and back."""

    def __init__(self, layers: Sequence[nn.Module], precision: str) -> None:
        self.precision = precision
        self.kinds = {layer: parametrize.type_before_parametrizations(layer) for layer in layers}

    def switch(self, *, ours: bool) -> None:
        for layer, kind in self.kinds.items():
            _become(layer, drop_in_of(kind) if ours else kind)
            if ours and self.precision != "float32":
                layer.precision = self.precision  # type: ignore[assignment]
            else:
                vars(layer).pop("precision", None)

    def restore(self, layer: nn.Module) -> None:
        """Restore a layer's own class for good."""
        _become(layer, self.kinds.pop(layer))
        vars(layer).pop("precision", None)

    def only(self, layer: nn.Module) -> "_Swapped":
        chosen = _Swapped([], self.precision)
        chosen.kinds[layer] = self.kinds[layer]
        return chosen


def _become(layer: nn.Module, kind: type[nn.Module]) -> None:
    """Change a layer's class.

    A parametrized layer has a generated class on top of its own, shared with its copies, so it gets a new one.
    """
    if parametrize.is_parametrized(layer):
        body = {key: value for key, value in vars(type(layer)).items() if key not in ("__dict__", "__weakref__")}
        kind = type(type(layer).__name__, (kind,), body)
    layer.__class__ = kind


# ---- comparing results -----------------------------------------------------------------------------------------------


def _compare(call: Call, swapped: _Swapped, tolerance: float) -> tuple[float, float, float]:
    """The errors of outputs, parameter gradients and input gradients.

    Raises:
        OstinatoError: an error is over the tolerance, or NaN.
    """
    swapped.switch(ours=False)
    theirs = _outcome(call, "on the model with torch.nn's layers")
    swapped.switch(ours=True)
    try:
        mine = call.outcome()
    except Exception as error:
        swapped.switch(ours=False)
        _outcome(call, "a second time on the model with torch.nn's layers")
        raise _failed("on the model with our engines, though it runs with torch.nn's layers", error) from error
    errors = _errors(mine, theirs)
    if all(error <= tolerance for error in errors):
        return errors
    swapped.switch(ours=False)
    message = (
        f"On the example the model with our engines differs from torch.nn by {_worst(errors):.1e}; "
        f"the tolerance is {tolerance:.0e}"
    )
    own = _worst(_errors(call.outcome(), theirs))
    if own <= tolerance:
        raise OstinatoError(
            f"{message}. All layers are torch.nn's again. "
            "Please report this with the sizes of the layer and the shape of its input."
        )
    raise OstinatoError(
        f"{message}. But torch.nn alone differs from run to run by {own:.1e}. All layers are torch.nn's again. "
        "Make the model's forward repeatable under torch.manual_seed and random.seed; if it consumes its input, pass "
        "a function that makes new ones; or omit the example."
    )


def _outcome(call: Call, where: str) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    try:
        return call.outcome()
    except Exception as error:  # a model's own code may raise anything
        raise _failed(where, error) from error


def _failed(where: str, error: Exception) -> OstinatoError:
    return OstinatoError(
        f"The example cannot be run {where}: {type(error).__name__}: {error}\nAll layers are torch.nn's again. "
        "Pass arguments that the model accepts. If its forward consumes them, pass a function that makes new ones, as "
        "in accelerate(model, lambda: (batch(),)); if the work is another method, pass method=. Or omit the example."
    )


def _errors(ours: Sequence[list[Tensor]], theirs: Sequence[list[Tensor]]) -> tuple[float, float, float]:
    outputs, parameters, inputs = (_error(mine, other) for mine, other in zip(ours, theirs, strict=True))
    return outputs, parameters, inputs


def _error(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """The worst ‖ours − theirs‖ / ‖theirs‖.

    A tensor that is tiny compared with the group (zero except for rounding) is compared with 1 % of the group's norm.
    Infinite if their numbers or shapes differ.
    """
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return float("inf")
    distances, norms = [], []
    for mine, other in zip(ours, theirs, strict=True):
        a, b = mine.detach().to("cpu", torch.float64), other.detach().to("cpu", torch.float64)
        same = (a == b) | (a.isnan() & b.isnan())  # infinities
        distances.append(float(torch.where(same, 0, a - b).norm()))
        norms.append(float(b[b.isfinite()].norm()))
    whole = sum(norm**2 for norm in norms) ** 0.5
    return _worst([distance / max(norm, 0.01 * whole, 1e-30) for distance, norm in zip(distances, norms, strict=True)])


def _worst(errors: Sequence[float]) -> float:
    return float(torch.tensor([0.0, *errors], dtype=torch.float64).max())  # NaN if any is NaN


# ---- timing ----------------------------------------------------------------------------------------------------------


def _time_layers(
    call: Call, swapped: _Swapped, reports: Mapping[nn.Module, LayerReport]
) -> dict[nn.Module, LayerReport]:
    """Time each layer on its input in the example, and restore those that are slower."""
    native = [layer for layer in swapped.kinds if reports[layer].engine == "native"]
    calls, timed = call.inputs_of(native), {}
    for layer in native:
        if layer not in calls:
            timed[layer] = replace(reports[layer], reason="the example does not reach it")
            continue
        speed_up = _speed_up(calls[layer], swapped.only(layer), BUDGET_S / len(native))
        timed[layer] = replace(
            reports[layer], speed_up=speed_up.ratio, speed_up_quartiles=(speed_up.low, speed_up.high)
        )
        if speed_up.ratio < 1:
            swapped.restore(layer)
            timed[layer] = replace(
                timed[layer], engine="torch", is_swapped=False, reason="restored: slower on this example"
            )
    return timed


def _restore_all(swapped: _Swapped, reports: Mapping[nn.Module, LayerReport]) -> dict[nn.Module, LayerReport]:
    """Restore every layer, because the whole model became slower: calls of one step each, for instance."""
    restored = {}
    for layer in [layer for layer in swapped.kinds if reports[layer].engine == "native"]:
        swapped.restore(layer)
        restored[layer] = replace(reports[layer], engine="torch", is_swapped=False, reason=SLOWER_WHOLE)
    return restored


def _speed_up(call: Call, swapped: _Swapped, budget_s: float) -> SpeedUp:
    """How much faster the call is with our classes; measured in alternation. Ends with our classes."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    end = time.perf_counter() + budget_s
    while True:
        for ours in (False, True):
            swapped.switch(ours=ours)
            seconds[ours].append(call.seconds())
        measured, pairs = compare_speed(seconds[False], seconds[True]), len(seconds[True])
        if time.perf_counter() > end or pairs == MOST_PAIRS or (pairs >= CLEAR_PAIRS and measured.is_clear):
            return measured
