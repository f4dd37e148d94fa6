"""Shared by the kernel's tests: cases, and their results by the kernel and by torch.nn, sequence by sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from ostinato.nn.kernel import Spec, recurrent

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
PEERS: dict[str, Callable[..., nn.RNNBase]] = {
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


@dataclass(frozen=True)
class Case:
    """A stack and a batch; a padded block has `padding` more steps than the longest sequence."""

    cell: str = "lstm"
    input_size: int = 5
    hidden_size: int = 7
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    lengths: tuple[int, ...] = (4, 2)
    order: str = "ragged"
    padding: int = 0
    states: bool = False  # whether h0 and c0 are given
    table_rows: int = 0  # if positive, steps are ids of a table with this many rows
    seed: int = 0
    precision: str = "float32"

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def padded_length(self) -> int:
        return 0 if self.order == "ragged" else max(self.lengths, default=0) + self.padding

    @property
    def spec(self) -> Spec:
        return Spec(
            self.cell,
            self.hidden_size,
            self.num_layers,
            self.bidirectional,
            self.bias,
            self.order,
            len(self.lengths),
            self.padded_length,
            self.precision,
        )

    @property
    def rows(self) -> Tensor:
        """(N,) the row of the kernel's matrices that holds each step."""
        B, T = len(self.lengths), self.padded_length
        if self.order == "ragged":
            return torch.arange(sum(self.lengths))
        return torch.tensor(
            [b * T + t if self.order == "batch_first" else t * B + b for b in range(B) for t in range(self.lengths[b])],
            dtype=torch.int64,
        )


WIDE = Case(
    input_size=24, hidden_size=40, num_layers=2, bidirectional=True, lengths=(31, 64, 5, 0, 90, 17, 1, 64), states=True
)  # enough work for several threads


@st.composite
def cases(draw_from):
    order = draw_from(st.sampled_from(["ragged", "batch_first", "time_first"]))
    return Case(
        cell=draw_from(st.sampled_from(list(GATES))),
        input_size=draw_from(st.integers(1, 40)),
        hidden_size=draw_from(st.integers(1, 70)),
        num_layers=draw_from(st.integers(1, 3)),
        bidirectional=draw_from(st.booleans()),
        bias=draw_from(st.booleans()),
        lengths=tuple(draw_from(st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any))),
        order=order,
        padding=0 if order == "ragged" else draw_from(st.integers(0, 3)),
        states=draw_from(st.booleans()),
        table_rows=draw_from(st.integers(0, 9)) if order == "ragged" else 0,
        seed=draw_from(st.integers(0, 2**32)),
    )


class Inputs(NamedTuple):
    """Inputs of one case. `x` holds the steps, sequence after sequence, (N, D), or is the table (V, D) of `ids`."""

    x: Tensor
    ids: Tensor | None
    h0: Tensor | None
    c0: Tensor | None
    weights: list[Tensor]
    upstream: list[Tensor]  # gradients of y, h_n and c_n

    @property
    def leaves(self) -> list[Tensor]:
        return [tensor for tensor in (self.x, self.h0, self.c0, *self.weights) if tensor is not None]

    def to(self, dtype: torch.dtype) -> "Inputs":
        def cast(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.detach().to(dtype, copy=True).requires_grad_()

        return Inputs(
            cast(self.x),
            self.ids,
            cast(self.h0),
            cast(self.c0),
            [cast(w) for w in self.weights],
            [u.to(dtype) for u in self.upstream],
        )


class Answer(NamedTuple):
    """Outputs of all steps (N, directions · H), final states, and the gradients of `Inputs.leaves`."""

    y: Tensor
    h_n: Tensor
    c_n: Tensor | None
    gradients: list[Tensor]

    @property
    def outputs(self) -> list[Tensor]:
        return [tensor for tensor in (self.y, self.h_n, self.c_n) if tensor is not None]

    @property
    def tensors(self) -> list[Tensor]:
        return [*self.outputs, *self.gradients]


def draw(case: Case) -> Inputs:
    """Standard normal values and states; weights too small to saturate a unit.

    When h approaches 1, 1 - h² loses its precision in float32, in torch.nn too.
    """
    generator = torch.Generator().manual_seed(case.seed)
    H, G, B, N = case.hidden_size, GATES[case.cell], len(case.lengths), sum(case.lengths)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    sizes = [case.input_size] * case.directions + [case.directions * H] * case.directions * (case.num_layers - 1)
    shapes = [shape for size in sizes for shape in ((G * H, size), (G * H, H), *[(G * H,)] * (2 if case.bias else 0))]
    bound = 0.5 * max(H, case.input_size) ** -0.5
    weights = [torch.empty(shape).uniform_(-bound, bound, generator=generator) for shape in shapes]
    state = (case.num_layers * case.directions, B, H)
    h0 = normal(*state) if case.states else None
    c0 = normal(*state) if case.states and case.cell == "lstm" else None
    ids = torch.randint(case.table_rows, (N,), generator=generator) if case.table_rows else None
    x = normal(case.table_rows or N, case.input_size)
    return Inputs(x, ids, h0, c0, weights, [normal(N, case.directions * H), normal(*state), normal(*state)])


def forward(case: Case, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor | None]:
    """The kernel's y, h_n and c_n, with the steps of y in the order of the sequences; checks that other rows stay 0."""
    rows, x, lengths = case.rows, inputs.x, torch.tensor(case.lengths, dtype=torch.int64)
    if case.order != "ragged":  # NaN in padding, which must not be read
        x = inputs.x.new_full((len(case.lengths) * case.padded_length, case.input_size), torch.nan).index_copy(
            0, rows, inputs.x
        )
    full = case.order != "ragged" and len(rows) == len(x)
    y, h_n, c_n = recurrent(case.spec, x, inputs.ids, None if full else lengths, inputs.h0, inputs.c0, inputs.weights)
    assert not y.detach().index_fill(0, rows, 0).any(), "rows without a step must stay zero"
    return y[rows], h_n, c_n


def native(case: Case, inputs: Inputs) -> Answer:
    """The kernel's results."""
    inputs = inputs.to(torch.float32)
    return _answer(inputs, *forward(case, inputs))


@lru_cache(maxsize=1000)
def peer_of(case: Case, dtype: torch.dtype) -> Answer:
    """The results of torch.nn for the case as drawn, cached because every variant is compared with them."""
    return peer(case, draw(case), dtype)


def peer(case: Case, inputs: Inputs, dtype: torch.dtype) -> Answer:
    """The results of torch.nn, each sequence by itself."""
    inputs = inputs.to(dtype)
    options = {"num_layers": case.num_layers, "bidirectional": case.bidirectional, "bias": case.bias}
    module = PEERS[case.cell](case.input_size, case.hidden_size, **options).to(dtype)
    parameters = dict(zip(dict(module.named_parameters()), inputs.weights, strict=True))
    steps = inputs.x if inputs.ids is None else inputs.x[inputs.ids]
    ys, finals = [], []
    for b, x in enumerate(steps.split(case.lengths) if case.lengths else []):
        state = [inputs.x.new_zeros(case.num_layers * case.directions, 1, case.hidden_size)] * (
            2 if case.cell == "lstm" else 1
        )
        if case.states:
            state = [part[:, b : b + 1] for part in (inputs.h0, inputs.c0) if part is not None]
        if len(x):
            y, state = torch.func.functional_call(
                module, parameters, (x.unsqueeze(1), tuple(state) if case.cell == "lstm" else state[0])
            )
            ys.append(y.squeeze(1))  # (T, 1, directions · H)
        finals.append(state if isinstance(state, (tuple, list)) else [state])
    y = torch.cat(ys) if ys else inputs.x.new_zeros(0, case.directions * case.hidden_size)
    h_n, *c_n = (torch.cat(parts, dim=1) for parts in zip(*finals, strict=True))
    return _answer(inputs, y, h_n, c_n[0] if c_n else None)


def _answer(inputs: Inputs, y: Tensor, h_n: Tensor, c_n: Tensor | None) -> Answer:
    loss = sum(
        (out * upstream).sum() for out, upstream in zip((y, h_n, c_n), inputs.upstream, strict=True) if out is not None
    )
    if loss.requires_grad:
        gradients = torch.autograd.grad(loss, inputs.leaves, allow_unused=True, materialize_grads=True)
    else:  # no steps at all
        gradients = tuple(torch.zeros_like(leaf) for leaf in inputs.leaves)
    return Answer(y.detach(), h_n.detach(), None if c_n is None else c_n.detach(), list(gradients))


def relative_error(ours: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """‖ours - exact‖ / ‖exact‖ in the Euclidean norm, all tensors of each concatenated."""
    a, b = (torch.cat([tensor.flatten().double() for tensor in tensors]) for tensors in (ours, exact))
    return float((a - b).norm() / b.norm().clamp_min(1e-30))


def assert_same_bits(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    """Bit-identical; -0 differs from 0."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))
