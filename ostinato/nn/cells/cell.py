"""What a cell is: one step of a recurrence, and the names of its weights.

Weights have the names and shapes of `torch.nn`: the rows of `weight_ih` and `weight_hh` hold the gates one
after the other, in the order that each cell's equation lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from ostinato.nn.over_time import Gates, OverTime, State, step_by_step


class Weights(NamedTuple):
    """The parameters of one cell with G gates, D inputs and H units."""

    weight_ih: Tensor  # (G·H, D)
    weight_hh: Tensor  # (G·H, H)
    bias_ih: Tensor  # (G·H,)
    bias_hh: Tensor  # (G·H,)


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
        own_shapes: `H -> {name: shape}`, for parameters whose shapes differ from these.
        initial_bias: a gate's number and the initial value of its `bias_ih`, so that the cell starts by keeping its
            state.
        initialise: `(weights) -> None`, sets initial values that differ from these, in place and without gradient.
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
    own_shapes: Callable[[int], dict[str, tuple[int, ...]]] | None = None
    initial_bias: tuple[int, float] | None = None
    initialise: Callable[[Any], None] | None = None
    activations: Callable[[Tensor, Tensor, Any], Gates] | None = None
    native: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles refer to a cell by its name."""
        from ostinato.nn.cells.table import find_cell

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
            **(self.own_shapes(hidden_size) if self.own_shapes else {}),
        }
        return {name: known.get(name, (rows,)) for name in field_names(self.weights)}


def field_names(weights: type[tuple[Tensor, ...]]) -> tuple[str, ...]:
    """The names of a NamedTuple's fields."""
    names: tuple[str, ...] = weights._fields  # type: ignore[attr-defined]
    return names
