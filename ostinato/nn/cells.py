"""The cells: one step of each recurrence, written as its equation.

Weights have the names and shapes of `torch.nn`: the rows of `weight_ih` and `weight_hh` hold the gates one
after the other, in the order that each cell's equation lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato import plugins
from ostinato.errors import ConfigError
from ostinato.nn.over_time import Gates, OverTime, State, by_kernel, by_scan, by_steps, step_by_step


class Weights(NamedTuple):
    """The parameters of one cell with G gates, D inputs and H units."""

    weight_ih: Tensor  # (G·H, D)
    weight_hh: Tensor  # (G·H, H)
    bias_ih: Tensor  # (G·H,)
    bias_hh: Tensor  # (G·H,)


class ScanWeights(NamedTuple):
    """The parameters of a cell whose gates depend on the input alone."""

    weight_ih: Tensor  # (G·H, D)
    bias_ih: Tensor  # (G·H,)


class NormWeights(NamedTuple):
    """The parameters of a cell with layer norm; `bias_ih` is the one bias of both norms of the gates' sums."""

    weight_ih: Tensor  # (G·H, D)
    weight_hh: Tensor  # (G·H, H)
    bias_ih: Tensor  # (G·H,)
    gain_ih: Tensor  # (G·H,)
    gain_hh: Tensor  # (G·H,)
    bias_c: Tensor  # (H,)
    gain_c: Tensor  # (H,)


@dataclass(frozen=True)
class Cell:
    """A recurrence.

    Args:
        name: its key in `CELLS`.
        gates: G, blocks of H rows in the weights.
        states: number of tensors in the state, each (B, H); the first is the output h.
        step: `(x (B, D), state, weights) -> state`, one time step, from torch's differentiable operations.
        over_time: `(x (T, B, D), state, weights) -> h (T, B, H)`, the same for all steps of a padded batch, as fast as
            torch's operations allow; by default `step` in a loop.
        weights: a NamedTuple class of the parameters that `step` takes. The field names set shapes and initial values:
            `weight_ih` (G·H, D) Glorot; `weight_hh` (G·H, H) orthogonal; `gain_c` and `bias_c` (H,); any other name
            (G·H,). One-dimensional parameters start at 1 when the name begins with `gain`, else at 0.
        initial_bias: a gate's number and the initial value of its `bias_ih`, so that the cell starts by keeping its
            state.
        activations: `(x (n, D), h (n, H), weights) -> {gate: (n, H)}`, the gate values of n steps, from each step's x
            and the h before it; None for a cell without gates.
        native: how the C++ kernel runs it: `recurrent`, `scan`, or None for a cell that runs on torch alone.
    """

    name: str
    gates: int
    states: int
    step: Callable[[Tensor, State, Any], State]
    over_time: OverTime | None = None
    weights: type[tuple[Tensor, ...]] = Weights
    initial_bias: tuple[int, float] | None = None
    activations: Callable[[Tensor, Tensor, Any], Gates] | None = None
    native: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles refer to a cell by its name."""
        return find_cell, (self.name,)

    def run_over_time(self, x: Tensor, state: State, weights: Any) -> Tensor:
        """Every step's h. x (T, B, D) -> (T, B, H)."""
        return (self.over_time or step_by_step(self.step))(x, state, weights)

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter of a direction."""
        rows = self.gates * hidden_size
        known = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_c": (hidden_size,),
            "gain_c": (hidden_size,),
        }
        return {name: known.get(name, (rows,)) for name in field_names(self.weights)}


def field_names(weights: type[tuple[Tensor, ...]]) -> tuple[str, ...]:
    """The names of a NamedTuple's fields."""
    names: tuple[str, ...] = weights._fields  # type: ignore[attr-defined]
    return names


def rnn_tanh_step(x: Tensor, state: State, weights: Weights) -> State:
    """Elman RNN: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). Source: Elman (1990)."""
    (h,) = state
    return (torch.tanh(_rnn_sum(x, h, weights)),)


def rnn_relu_step(x: Tensor, state: State, weights: Weights) -> State:
    """Elman RNN with relu: h' = relu(W_ih x + b_ih + W_hh h + b_hh).

    Source: Le, Jaitly & Hinton (2015), arXiv:1504.00941.
    """
    (h,) = state
    return (torch.relu(_rnn_sum(x, h, weights)),)


def _rnn_sum(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    return F.linear(x, weights.weight_ih, weights.bias_ih) + F.linear(h, weights.weight_hh, weights.bias_hh)


def lstm_gates(x: Tensor, h: Tensor, weights: Weights) -> Gates:
    """The gates i, f, o by sigmoid, and the candidate g by tanh."""
    sums = F.linear(x, weights.weight_ih, weights.bias_ih) + F.linear(h, weights.weight_hh, weights.bias_hh)
    i, f, g, o = sums.chunk(4, dim=-1)  # (B, 4·H) -> 4 × (B, H)
    return {"i": torch.sigmoid(i), "f": torch.sigmoid(f), "g": torch.tanh(g), "o": torch.sigmoid(o)}


def lstm_step(x: Tensor, state: State, weights: Weights) -> State:
    """Long short-term memory: c' = f·c + i·g and h' = o·tanh(c'), with gates i, f, o by sigmoid and g by tanh.

    Source: Hochreiter & Schmidhuber (1997); the forget gate: Gers, Schmidhuber & Cummins (2000).
    """
    h, c = state
    i, f, g, o = lstm_gates(x, h, weights).values()
    c = f * c + i * g
    h = o * torch.tanh(c)
    return h, c


def gru_gates(x: Tensor, h: Tensor, weights: Weights) -> Gates:
    """The gates r, z by sigmoid, and the candidate n by tanh."""
    x_r, x_z, x_n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(3, dim=-1)  # (B, 3·H) -> 3 × (B, H)
    h_r, h_z, h_n = F.linear(h, weights.weight_hh, weights.bias_hh).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)
    return {"r": r, "z": torch.sigmoid(x_z + h_z), "n": torch.tanh(x_n + r * h_n)}


def gru_step(x: Tensor, state: State, weights: Weights) -> State:
    """Gated recurrent unit: h' = (1 − z)·n + z·h with n = tanh(W_in x + b_in + r·(W_hn h + b_hn)), r, z by sigmoid.

    Source: Cho et al. (2014), arXiv:1406.1078. As in PyTorch and cuDNN, r applies after the recurrent product and z
    keeps the old state; the paper applies r before the product (ONNX: `linear_before_reset=0`).
    """
    (h,) = state
    _, z, n = gru_gates(x, h, weights).values()
    return ((1 - z) * n + z * h,)


def mingru_gates(x: Tensor, h: Tensor | None, weights: ScanWeights) -> Gates:
    """The gate z by sigmoid and the candidate n by g; neither depends on h."""
    z, n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(2, dim=-1)  # (B, 2·H) -> 2 × (B, H)
    return {"z": torch.sigmoid(z), "n": positive(n)}


def mingru_step(x: Tensor, state: State, weights: ScanWeights) -> State:
    """Minimal gated recurrent unit: h' = (1 − z)·h + z·n, with z by sigmoid and n = g(W_n x + b_n).

    Gate and candidate depend on the input alone, so the recurrence is linear in h and all steps can be computed at
    once. With g (`positive`) h stays positive, so it cannot flip a sign and cannot learn parity.

    Source: Feng et al. (2024), arXiv:2410.01201, section 3.1 and appendix B; here the initial state is zero.
    """
    (h,) = state
    z, n = mingru_gates(x, h, weights).values()
    return ((1 - z) * h + z * n,)


def mingru_terms(x: Tensor, weights: ScanWeights) -> tuple[Tensor, Tensor]:
    """The factor 1 − z and the addend z·n of all steps, for the scan."""
    z, n = mingru_gates(x, None, weights).values()
    return 1 - z, z * n


def minlstm_gates(x: Tensor, h: Tensor | None, weights: ScanWeights) -> Gates:
    """The gates f and i by sigmoid, divided by their sum, and the candidate n by g; none depends on h."""
    f, i, n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(3, dim=-1)  # (B, 3·H) -> 3 × (B, H)
    share = F.logsigmoid(f) - F.logsigmoid(i)  # its sigmoid is σ(f) / (σ(f) + σ(i)), even when both underflow
    return {"f": torch.sigmoid(share), "i": torch.sigmoid(-share), "n": positive(n)}


def minlstm_step(x: Tensor, state: State, weights: ScanWeights) -> State:
    """Minimal long short-term memory: h' = f·h + i·n, with gates f and i that sum to one and n = g(W_n x + b_n).

    Source: Feng et al. (2024), arXiv:2410.01201, section 3.2 and appendix B; here the initial state is zero.
    """
    (h,) = state
    f, i, n = minlstm_gates(x, h, weights).values()
    return (f * h + i * n,)


def minlstm_terms(x: Tensor, weights: ScanWeights) -> tuple[Tensor, Tensor]:
    """The factor f and the addend i·n of all steps, for the scan."""
    f, i, n = minlstm_gates(x, None, weights).values()
    return f, i * n


def positive(x: Tensor) -> Tensor:
    """g(x) = x + 0.5 for x ≥ 0, else sigmoid(x). Source: Feng et al. (2024), appendix B.3."""
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


def lnlstm_inputs(x: Tensor, weights: NormWeights) -> Tensor:
    """The input's part of the gates' sums: normalised, with gain and bias. (…, D) -> (…, 4·H)."""
    return F.layer_norm(F.linear(x, weights.weight_ih), weights.bias_ih.shape, weights.gain_ih, weights.bias_ih)


def lnlstm_gates_of(inputs: Tensor, h: Tensor, weights: NormWeights) -> Gates:
    """The gates i, f, o by sigmoid and the candidate g by tanh, from `lnlstm_inputs` and the previous h."""
    sums = inputs + F.layer_norm(F.linear(h, weights.weight_hh), weights.gain_hh.shape, weights.gain_hh)
    i, f, g, o = sums.chunk(4, dim=-1)  # (B, 4·H) -> 4 × (B, H)
    return {"i": torch.sigmoid(i), "f": torch.sigmoid(f), "g": torch.tanh(g), "o": torch.sigmoid(o)}


def lnlstm_gates(x: Tensor, h: Tensor, weights: NormWeights) -> Gates:
    """The gates i, f, o by sigmoid, and the candidate g by tanh."""
    return lnlstm_gates_of(lnlstm_inputs(x, weights), h, weights)


def lnlstm_recur(inputs: Tensor, state: State, weights: NormWeights) -> State:
    """One step, given `lnlstm_inputs`."""
    h, c = state
    i, f, g, o = lnlstm_gates_of(inputs, h, weights).values()
    c = f * c + i * g
    h = o * torch.tanh(F.layer_norm(c, weights.gain_c.shape, weights.gain_c, weights.bias_c))
    return h, c


def lnlstm_step(x: Tensor, state: State, weights: NormWeights) -> State:
    """LSTM with layer norm: gates from LN(W_ih x) + LN(W_hh h) + b; c' = f·c + i·g and h' = o·tanh(LN(c')).

    Each norm spans the sums of all four gates, as in the paper.

    Source: Ba, Kiros & Hinton (2016), arXiv:1607.06450, equations 20 to 22 of the supplement.
    """
    return lnlstm_recur(lnlstm_inputs(x, weights), state, weights)


_recurrent = partial(Cell, native="recurrent")
_scan = partial(Cell, states=1, weights=ScanWeights, native="scan")

CELLS: dict[str, Cell] = {
    "rnn_tanh": _recurrent("rnn_tanh", gates=1, states=1, step=rnn_tanh_step, over_time=by_kernel(torch.rnn_tanh)),
    "rnn_relu": _recurrent("rnn_relu", gates=1, states=1, step=rnn_relu_step, over_time=by_kernel(torch.rnn_relu)),
    "lstm": _recurrent(
        "lstm",
        gates=4,
        states=2,
        step=lstm_step,
        over_time=by_kernel(torch.lstm),
        initial_bias=(1, 1.0),
        activations=lstm_gates,
    ),
    "gru": _recurrent("gru", gates=3, states=1, step=gru_step, over_time=by_kernel(torch.gru), activations=gru_gates),
    "mingru": _scan(
        "mingru",
        gates=2,
        step=mingru_step,
        over_time=by_scan(mingru_terms),
        initial_bias=(0, -1.0),
        activations=mingru_gates,
    ),
    "minlstm": _scan(
        "minlstm",
        gates=3,
        step=minlstm_step,
        over_time=by_scan(minlstm_terms),
        initial_bias=(0, 1.0),
        activations=minlstm_gates,
    ),
    "lnlstm": Cell(
        "lnlstm",
        gates=4,
        states=2,
        step=lnlstm_step,
        over_time=by_steps(lnlstm_inputs, lnlstm_recur),
        weights=NormWeights,
        initial_bias=(1, 1.0),
        activations=lnlstm_gates,
    ),
}


def find_cell(name: str) -> Cell:
    """The cell of this name: built in, registered, or offered by an installed package's entry point.

    A package offers a cell in its pyproject.toml, and the cell is imported when its name is first used:

        [project.entry-points."ostinato.cells"]
        mine = "my_package.cells:MINE"

    Raises:
        ConfigError: `name` is unknown; or the entry point does not refer to a `Cell` of that name.
    """
    cell = plugins.find(plugins.CELLS, name, CELLS, "cell")
    if not isinstance(cell, Cell):
        raise ConfigError(
            f"Entry point {name!r} in {plugins.CELLS} is {cell!r}. Expected an ostinato.nn.Cell: correct or uninstall "
            "the package that offers it."
        )
    return cell


def register_cell(name: str, cell: Cell) -> None:
    """Make a cell available by name: to `RecurrentLayer`, `RecurrentStack` and everything built on them.

    A cell must provide `step` and say how many gates and states it has; see `Cell` for the rest. It runs on the
    `reference` and `torch` engines: forwards, backwards, in both directions, in stacks. Registering a name
    again replaces the cell.

    Example, a leaky RNN:

        def leaky_step(x, state, weights):
            (h,) = state
            sums = x @ weights.weight_ih.T + weights.bias_ih + h @ weights.weight_hh.T + weights.bias_hh
            return (0.9 * h + 0.1 * torch.tanh(sums),)

        ostinato.nn.register_cell("leaky", ostinato.nn.Cell("leaky", gates=1, states=1, step=leaky_step))
        stack = ostinato.nn.RecurrentStack(8, 16, cell="leaky", num_layers=2, bidirectional=True)

    Raises:
        ConfigError: a built-in cell has this name; the cell's own name differs; or it claims a native kernel.
    """
    if cell.name != name:
        raise ConfigError(
            f"Cell {cell.name!r} cannot be registered as {name!r}. Expected one name: make them the same."
        )
    if cell.native is not None:
        raise ConfigError(
            f"Cell {name!r} has native={cell.native!r}. Expected None: only built-in cells have a kernel."
        )
    plugins.register(plugins.CELLS, name, cell, {**CELLS, "rnn": None, "cnn": None, "none": None})  # names of configs
