"""Drop-ins for `torch.nn`'s recurrent layers and cells, on our engines.

They are subclasses of `torch.nn`'s with the same constructors, parameters, inputs and outputs; the layers also take
`lengths=`. Calls that the native engine cannot run go to `torch.nn`, and so do invalid calls, so that the error message
is torch's own.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from ostinato.errors import ConfigError
from ostinato.nn.cells import CELLS
from ostinato.nn.engines import choose_engine, forced_engine, why_not_native
from ostinato.nn.kernel import Spec, chosen_precision, recurrent
from ostinato.nn.layout import gather_rows
from ostinato.nn.over_time import State
from ostinato.nn.reference import run_layer

# (spec, x (rows, D), lengths, states (L · directions, B, H), weights) -> y (rows, directions · H), final states
CHECKS = ("check_forward_args", "check_input", "check_hidden_size", "get_expected_hidden_size", "permute_hidden")
Runner = Callable[[Spec, Tensor, Tensor | None, State, Sequence[Tensor]], tuple[Tensor, State]]


class _Layer(nn.RNNBase):
    """The forward of `RNN`, `LSTM` and `GRU`; the next class in the method resolution order is `torch.nn`'s."""

    precision = "float32"  # of the native engine's products, outside of `use_precision`
    _is_updated = False  # whether `_flat_weights` are those of the call that runs
    _overridden: str | None = None  # a method that a subclass overrides and that only torch.nn's forward calls

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        base = next(kind for kind in cls.__mro__ if kind in (nn.RNN, nn.LSTM, nn.GRU))
        cls._overridden = next((name for name in CHECKS if getattr(cls, name) is not getattr(base, name)), None)

    def forward(self, input: Any, hx: Any = None, *, lengths: Tensor | Sequence[int] | None = None) -> Any:
        packed = isinstance(input, PackedSequence)
        values: Tensor = input.data if packed else input
        if lengths is not None and (packed or values.dim() != 3):
            kind = "a PackedSequence" if packed else f"an input of {values.dim()} dimensions"
            raise ConfigError(f"lengths= was given with {kind}. Expected a padded batch of 3 dimensions: omit lengths.")
        states: State = (
            () if hx is None else tuple(hx) if self.mode == "LSTM" and isinstance(hx, (tuple, list)) else (hx,)
        )
        if not self._fits(values, input.batch_sizes if packed else None, lengths is not None, states):
            return super().forward(input, hx)  # raises torch's own error
        if lengths is not None:
            lengths = _checked(lengths, *(values.shape[:2] if self.batch_first else values.shape[1::-1]))
        weights = self._current_weights()
        engine = _choose(values, [*weights, *states], self._lacks(weights))
        if engine == "torch":
            return self._as_torch(input, hx) if lengths is None else self._by_packing(input, states, lengths)
        run = _native if engine == "native" else run_layer
        return (
            self._packed(run, input, states, weights) if packed else self._padded(run, values, lengths, states, weights)
        )

    def why_torch(self) -> str | None:
        """Why this layer, with its current weights, runs on `torch.nn` by default; None when it runs on our kernel."""
        weights: list[Any] = self._flat_weights
        return self._lacks(weights) or why_not_native(weights[0], weights)

    def _current_weights(self) -> list[Any]:
        """The weights of this call, taken exactly as `torch.nn` takes them.

        That is `_flat_weights`, which a program may have edited; read again from the named weights if one of those was
        replaced since, as by a parametrization, pruning or `functional_call`.
        """
        named = self._parameters
        for name, ref in zip(self._flat_weights_names, self._flat_weight_refs, strict=True):
            if ref is None or named.get(name) is not ref():
                if torch.compiler.is_compiling():  # an exporter refuses code that changes attributes
                    return [getattr(self, weight) for weight in self._flat_weights_names]
                self._update_flat_weights()
                break
        weights: list[Any] = self._flat_weights
        return weights

    def _update_flat_weights(self) -> None:
        if not self._is_updated:
            super()._update_flat_weights()

    def _lacks(self, weights: Sequence[Any]) -> str | None:
        """Why our engines cannot run this layer; None if they can."""
        if self.proj_size:
            return f"it does not support projections, but proj_size is {self.proj_size}"
        if self._overridden is not None:
            return f"it does not call {self._overridden}, which {type(self).__name__} overrides"
        if torch.compiler.is_compiling():  # the operator checks shapes
            return None
        shapes = _weight_shapes(
            self.mode, self.input_size, self.hidden_size, self.num_layers, self.bidirectional, self.bias
        )
        if [getattr(weight, "shape", None) for weight in weights] != shapes:
            names = ", ".join(_describe(weight) for weight in weights)
            return f"it expects weights of shapes {', '.join(map(str, shapes))}, but they are {names}"
        return None

    def _as_torch(self, input: Any, hx: Any) -> Any:
        """Run on `torch.nn`, which must not evaluate the weights again: a parametrization may change at each time."""
        self._is_updated = not torch.compiler.is_compiling()
        try:
            return super().forward(input, hx)
        finally:
            del self._is_updated

    def _fits(self, values: Tensor, batch_sizes: Tensor | None, ragged: bool, states: State) -> bool:
        """Whether the shapes are valid."""
        if values.dim() not in ((2,) if batch_sizes is not None else (2, 3)) or values.shape[-1] != self.input_size:
            return False
        batched = batch_sizes is not None or values.dim() == 3
        if batch_sizes is None and not ragged and 0 in values.shape[:-1]:  # no steps, or no sequences
            return False
        if not states:
            return True
        batch_size = int(batch_sizes[0]) if batch_sizes is not None else values.shape[0 if self.batch_first else 1]
        rows = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if self.mode == "LSTM" else 1]
        expected = [(rows, batch_size, size) if batched else (rows, size) for size in sizes]
        return len(states) == len(sizes) and all(
            isinstance(s, Tensor) and s.shape == shape for s, shape in zip(states, expected, strict=True)
        )

    def _padded(
        self, run: Runner, values: Tensor, lengths: Tensor | None, states: State, weights: Sequence[Tensor]
    ) -> Any:
        batched = values.dim() == 3
        # draw dropout time first, as torch.nn does, so that the same seed gives the same mask
        transposed = batched and self.batch_first and self._drops()
        if transposed:
            values = values.transpose(0, 1)  # (B, T, D) -> (T, B, D)
        time_first = transposed or not (batched and self.batch_first)
        block = values if batched else values.unsqueeze(1)  # (T, D) -> (T, 1, D)
        steps, batch_size = block.shape[:2] if time_first else block.shape[1::-1]
        spec = self._spec("time_first" if time_first else "batch_first", batch_size, steps)
        y, final = self._stack(
            run,
            spec,
            block.flatten(0, 1),
            lengths,
            states if batched else tuple(s.unsqueeze(1) for s in states),
            weights,
        )
        if not batched:
            return y, self._hidden(tuple(part.squeeze(1) for part in final))
        y = y.view(*block.shape[:2], y.shape[1])
        return y.transpose(0, 1) if transposed else y, self._hidden(final)

    def _packed(self, run: Runner, packed: PackedSequence, states: State, weights: Sequence[Tensor]) -> Any:
        rows, lengths = _ragged_rows(packed.batch_sizes)
        back = torch.empty_like(rows).scatter_(0, rows, torch.arange(len(rows)))
        rows, back = rows.to(packed.data.device), back.to(packed.data.device)
        if packed.sorted_indices is not None:
            states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        spec = self._spec("ragged", len(lengths), 0)

        def drop(y: Tensor) -> Tensor:
            return gather_rows(
                F.dropout(gather_rows(y, back), self.dropout), rows
            )  # in torch.nn's order, to draw the same mask

        y, final = self._stack(run, spec, gather_rows(packed.data, rows), lengths, states, weights, drop)
        if packed.unsorted_indices is not None:
            final = tuple(state.index_select(1, packed.unsorted_indices) for state in final)
        return PackedSequence(
            gather_rows(y, back), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
        ), self._hidden(final)

    def _stack(
        self,
        run: Runner,
        spec: Spec,
        x: Tensor,
        lengths: Tensor | None,
        states: State,
        weights: Sequence[Tensor],
        drop: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, State]:
        """All layers in one call of the kernel; one by one in the reference, or with dropout between them."""
        if run is _native and not self._drops():
            return run(spec, x, lengths, states, weights)
        directions, group = 2 if self.bidirectional else 1, len(weights) // self.num_layers
        finals = []
        for k in range(self.num_layers):
            if k and self._drops():
                x = drop(x) if drop is not None else F.dropout(x, self.dropout)
            start = tuple(state[k * directions : (k + 1) * directions] for state in states)
            x, final = run(spec._replace(num_layers=1), x, lengths, start, weights[k * group : (k + 1) * group])
            finals.append(final)
        return x, tuple(torch.cat(parts) for parts in zip(*finals, strict=True))

    def _by_packing(self, input: Tensor, states: State, lengths: Tensor) -> Any:
        """`lengths=` on torch: a packed batch of the sequences that are not empty."""
        batch_dim, steps = (0, input.shape[1]) if self.batch_first else (1, input.shape[0])
        batch_size, rows = input.shape[batch_dim], self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: 2 if self.mode == "LSTM" else 1]
        start = states or tuple(input.new_zeros(rows, batch_size, size) for size in sizes)
        real = lengths.nonzero().squeeze(1)
        if not len(real):
            width = sizes[0] * (2 if self.bidirectional else 1)
            return input.new_zeros(*input.shape[:2], width), self._hidden(start)
        lengths, real = lengths[real], real.to(input.device)
        packed = pack_padded_sequence(
            input.index_select(batch_dim, real), lengths, self.batch_first, enforce_sorted=False
        )
        output, final = self._as_torch(packed, self._hidden(tuple(state.index_select(1, real) for state in start)))
        output = pad_packed_sequence(output, self.batch_first, total_length=steps)[0]
        whole = output.new_zeros(*input.shape[:2], output.shape[2]).index_copy(batch_dim, real, output)
        final = final if self.mode == "LSTM" else (final,)
        return whole, self._hidden(
            tuple(old.to(new.dtype).index_copy(1, real, new) for old, new in zip(start, final, strict=True))
        )

    def _spec(self, order: str, batch_size: int, padded_length: int) -> Spec:
        return Spec(
            self.mode.lower(),
            self.hidden_size,
            self.num_layers,
            self.bidirectional,
            self.bias,
            order,
            batch_size,
            padded_length,
            chosen_precision(self.precision),
        )

    def _drops(self) -> bool:
        return self.training and self.dropout > 0 and self.num_layers > 1

    def _hidden(self, states: State) -> Any:
        """The states in the form of `torch.nn`: a pair for LSTM, else one tensor."""
        return states if self.mode == "LSTM" else states[0]


class RNN(_Layer, nn.RNN):
    """`torch.nn.RNN` on our engines, with `lengths=` for padded batches.

    Args:
        lengths: argument of `forward`: (B,) number of steps of each sequence of a padded batch, in any order, zero
            allowed; a tensor of any integer dtype on any device, or a list. Outputs past a length are zero and the
            input there is ignored. Each direction's final state is that of the sequence (the initial state without
            steps).

    Shapes:
        as in `torch.nn.RNN`.

    Raises:
        ConfigError: `lengths` do not fit the input; the engine of `use_engine` cannot run the layer.
    """


class LSTM(_Layer, nn.LSTM):
    """`torch.nn.LSTM` on our engines, with `lengths=` for padded batches; see `RNN`."""


class GRU(_Layer, nn.GRU):
    """`torch.nn.GRU` on our engines, with `lengths=` for padded batches; see `RNN`."""


class _Cell(nn.RNNCellBase):
    """The forward of `RNNCell`, `LSTMCell` and `GRUCell`."""

    precision = "float32"  # of the native engine's products, outside of `use_precision`

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        name = self._name()
        num_states = 2 if name == "lstm" else 1
        states: State = () if hx is None else tuple(hx) if num_states == 2 else (hx,)
        shape = (*input.shape[:-1], self.hidden_size)
        fits = input.dim() in (1, 2) and 0 not in input.shape and input.shape[-1] == self.input_size and name in CELLS
        if not fits or (states and (len(states) != num_states or any(state.shape != shape for state in states))):
            return super().forward(input, hx)  # raises torch's own error
        weights = self._weights()
        if not torch.compiler.is_compiling() and [weight.shape for weight in weights] != _weight_shapes(
            name, self.input_size, self.hidden_size, 1, False, self.bias
        ):
            return super().forward(input, hx)
        engine = _choose(input, [*weights, *states], None, self._is_slower())
        if engine == "torch":
            return super().forward(input, hx)
        x = input if input.dim() == 2 else input.unsqueeze(0)
        start = tuple(state.view(1, len(x), self.hidden_size) for state in states)
        spec = Spec(
            name, self.hidden_size, 1, False, self.bias, "batch_first", len(x), 1, chosen_precision(self.precision)
        )
        y, final = (_native if engine == "native" else run_layer)(spec, x, None, start, weights)
        new = [y.view(shape), *(state.view(shape) for state in final[1:])]
        return tuple(new) if num_states == 2 else new[0]

    def why_torch(self) -> str | None:
        """Why this cell, with its current weights, runs on `torch.nn` by default; None when it runs on our kernel."""
        weights = self._weights()
        return (
            "a single step of this size is faster in torch"
            if self._is_slower()
            else why_not_native(weights[0], weights)
        )

    def _is_slower(self) -> bool:
        # The kernel packs the weights at each call, which rarely pays off for one step. Relative to torch.nn it ran at
        # 0.9-1.5 times the speed for LSTM and GRU of H 16, and at 0.25-0.9 times for RNN and for wider cells (batches
        # of 1 to 128, PyTorch 2.13).
        return self._name().startswith("rnn") or self.hidden_size > 32

    def _weights(self) -> list[Tensor]:
        return [self.weight_ih, self.weight_hh, *((self.bias_ih, self.bias_hh) if self.bias else ())]

    def _name(self) -> str:
        raise NotImplementedError


class RNNCell(_Cell, nn.RNNCell):
    """`torch.nn.RNNCell` on our engines."""

    def _name(self) -> str:
        return f"rnn_{self.nonlinearity}"


class LSTMCell(_Cell, nn.LSTMCell):
    """`torch.nn.LSTMCell` on our engines."""

    def _name(self) -> str:
        return "lstm"


class GRUCell(_Cell, nn.GRUCell):
    """`torch.nn.GRUCell` on our engines."""

    def _name(self) -> str:
        return "gru"


@lru_cache(maxsize=256)
def _weight_shapes(
    mode: str, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool, bias: bool
) -> list[tuple[int, ...]]:
    """The shapes of a layer's weights, in the order of `_flat_weights`."""
    rows, directions = CELLS[mode.lower()].gates * hidden_size, 2 if bidirectional else 1
    shapes: list[tuple[int, ...]] = []
    for below in (input_size, *[directions * hidden_size] * (num_layers - 1)):
        shapes += [(rows, below), (rows, hidden_size), *[(rows,)] * (2 if bias else 0)] * directions
    return shapes


def _describe(weight: Any) -> str:
    return str(tuple(weight.shape)) if isinstance(weight, Tensor) else repr(weight)


def _choose(values: Tensor, tensors: Sequence[Tensor], lacks: str | None, is_slower: bool = False) -> str:
    """The engine of a call. `lacks`: why our engines cannot run it; `is_slower`: whether the native one is slower."""
    wanted = forced_engine() or "auto"
    if lacks is not None and wanted in ("native", "reference"):
        raise ConfigError(
            f"The {wanted} engine cannot run this layer: {lacks}. Run it with use_engine('auto') or 'torch'."
        )
    if wanted == "auto" and (lacks is not None or is_slower):
        return "torch"
    return choose_engine("auto", values, tensors)


def _checked(lengths: Tensor | Sequence[int], batch_size: int, steps: int) -> Tensor:
    """(B,) int64 on the CPU."""
    given = (
        lengths if isinstance(lengths, Tensor) else torch.tensor(lengths, dtype=None if len(lengths) else torch.int64)
    )
    if given.shape != (batch_size,) or given.is_floating_point() or given.is_complex() or given.dtype is torch.bool:
        kind = f"{str(given.dtype).removeprefix('torch.')} of shape {tuple(given.shape)}"
        raise ConfigError(f"lengths are {kind}. Expected one integer for each of the {batch_size} sequences.")
    counts = given.to("cpu", torch.int64).contiguous()
    if not torch.compiler.is_compiling() and batch_size and not 0 <= int(counts.min()) <= int(counts.max()) <= steps:
        wrong = int(((counts < 0) | (counts > steps)).nonzero()[0])
        raise ConfigError(
            f"lengths[{wrong}] is {int(counts[wrong])}. Expected 0 to {steps}, the number of steps in the input."
        )
    return counts


def _ragged_rows(batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Of a packed batch: the row of each step, sequence by sequence (N,), and the lengths (B,)."""
    time = torch.repeat_interleave(batch_sizes)  # the step of each row
    sequence = torch.arange(len(time)) - (batch_sizes.cumsum(0) - batch_sizes)[time]
    lengths = torch.bincount(sequence)
    starts = lengths.cumsum(0) - lengths
    return torch.empty_like(time).scatter_(0, starts[sequence] + time, torch.arange(len(time))), lengths


def _native(
    spec: Spec, x: Tensor, lengths: Tensor | None, states: State, weights: Sequence[Tensor]
) -> tuple[Tensor, State]:
    h0, c0 = (*states, None, None)[:2]
    y, h_n, c_n = recurrent(spec, x, None, lengths, h0, c0, weights)
    return y, (h_n,) if c_n is None else (h_n, c_n)
