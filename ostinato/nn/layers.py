"""Recurrent layers (a cell run over time) and stacks of them."""

from collections.abc import Callable, Iterator

import torch
import torch.backends.cudnn.rnn
from torch import Tensor, nn

from ostinato.errors import look_up
from ostinato.nn.cells import CELLS, Weights
from ostinato.nn.engines import ENGINES, choose_engine, run_native_stack
from ostinato.nn.layout import Layout


class RecurrentLayer(nn.Module):
    """A cell run over every sequence of a ragged batch, forwards or in both directions, from a zero state.

    Parameters are named and shaped as in `torch.nn` (`weight_ih_l0`, …, `bias_hh_l0_reverse`), so the state dicts
    of `torch.nn.RNN`, `LSTM` and `GRU` of one layer fit.

    Args:
        input_size: D.
        hidden_size: H, a direction.
        cell: `rnn_tanh`, `rnn_relu`, `lstm` or `gru`.
        bidirectional: also read each sequence from its own end.
        engine: `auto`, `reference`, `torch` or `native`; `auto` chooses at each call.

    Shapes:
        values (N, D) with a layout of N steps -> (N, H), or (N, 2·H) for both directions.

    Raises:
        ConfigError: `cell` or `engine` is unknown.
    """

    def __init__(self, input_size: int, hidden_size: int, *, cell: str, bidirectional: bool = False, engine: str = "auto") -> None:
        super().__init__()
        self.cell = look_up(CELLS, cell, "cell")
        self.input_size, self.hidden_size, self.bidirectional = input_size, hidden_size, bidirectional
        self.engine = engine
        if engine != "auto":
            look_up(ENGINES, engine, "engine")
        rows = self.cell.gates * hidden_size
        for suffix in self._suffixes():
            self.register_parameter(f"weight_ih{suffix}", nn.Parameter(torch.empty(rows, input_size)))
            self.register_parameter(f"weight_hh{suffix}", nn.Parameter(torch.empty(rows, hidden_size)))
            self.register_parameter(f"bias_ih{suffix}", nn.Parameter(torch.empty(rows)))
            self.register_parameter(f"bias_hh{suffix}", nn.Parameter(torch.empty(rows)))
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        return self.hidden_size * (2 if self.bidirectional else 1)

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero biases, forget gates that start open.

        Source: Glorot & Bengio (2010); Saxe et al. (2014); Jozefowicz et al. (2015), section 2.2, for the forget bias of 1.
        """
        with torch.no_grad():
            for weights in self.directions():
                for gate in range(self.cell.gates):
                    rows = slice(gate * self.hidden_size, (gate + 1) * self.hidden_size)
                    nn.init.xavier_uniform_(weights.weight_ih[rows])
                    nn.init.orthogonal_(weights.weight_hh[rows])
                    # b_ih and b_hh add up: the forget gate's 1 stands in one of them only
                    weights.bias_ih[rows].fill_(1.0 if gate == self.cell.forget_gate else 0.0)
                    weights.bias_hh[rows].zero_()

    def directions(self) -> list[Weights]:
        """The weights of the forward direction, then of the reverse one."""
        return [Weights(*(getattr(self, name + suffix) for name in Weights._fields)) for suffix in self._suffixes()]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RecurrentLayer":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for weights in self.directions():  # cuDNN wants each call's weights in one block of memory
            if weights.weight_ih.is_cuda and torch._use_cudnn_rnn_flatten_weight():
                mode = torch.backends.cudnn.rnn.get_cudnn_mode(self.cell.kernel.__name__.upper())  # type: ignore[no-untyped-call]
                with torch.no_grad():
                    torch._cudnn_rnn_flatten_weight(list(weights), 4, self.input_size, mode, self.hidden_size, 0, 1, False, False)
        return self

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        return ENGINES[self.engine_for(values)](self.cell, values, layout, self.directions())

    def engine_for(self, values: Tensor) -> str:
        """The engine that would serve these values now."""
        return choose_engine(self.engine, values, [weight for side in self.directions() for weight in side])

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, cell={self.cell.name}, bidirectional={self.bidirectional}, engine={self.engine}"

    def _suffixes(self) -> list[str]:
        return ["_l0", "_l0_reverse"] if self.bidirectional else ["_l0"]


class VariationalDropout(nn.Module):
    """Dropout with one mask a sequence, the same at every step. Nothing is dropped in eval mode.

    Shapes:
        values (N, D) -> (N, D).

    Source: Gal & Ghahramani (2016), arXiv:1512.05287.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        if not self.training or self.p == 0:
            return values
        kept = values.new_empty(layout.batch_size, values.shape[-1]).bernoulli_(1 - self.p) / (1 - self.p)
        return values * kept[layout.sequence]  # (B, D) -> (N, D)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class RecurrentStack(nn.Module):
    """Recurrent layers on top of each other, with dropout before each, residuals and layer norm after.

    Args:
        input_size: D.
        hidden_size: H, a direction.
        num_layers: layers in the stack.
        residual: from the second layer on, add the layer's input to its output (the sizes agree there).
        layer_norm: normalise each layer's output, the residual included (Ba et al. 2016).
        dropout: of the variational dropout before each layer, the first included.

    Shapes:
        values (N, D), or token ids (N,) with their table (V, D) -> (N, H), or (N, 2·H) for both directions.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        cell: str,
        num_layers: int = 1,
        bidirectional: bool = False,
        residual: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.residual = residual
        self.dropout = VariationalDropout(dropout)
        self.layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        size = input_size
        for _ in range(num_layers):
            layer = RecurrentLayer(size, hidden_size, cell=cell, bidirectional=bidirectional, engine=engine)
            size = layer.output_size
            self.layers.append(layer)
            self.norms.append(nn.LayerNorm(size) if layer_norm else nn.Identity())
        self.output_size = size

    def forward(self, values: Tensor, layout: Layout, table: Tensor | None = None) -> Tensor:
        if self._is_plain() and self.engine_for(values if table is None else table) == "native":
            first: RecurrentLayer = self.layers[0]  # type: ignore[assignment]
            return run_native_stack(first.cell, values, layout, [layer.directions() for layer in self.layers], table)  # type: ignore[operator]
        if table is not None:
            values = nn.functional.embedding(values, table)  # (N,) -> (N, D)
        for _, _, _, outputs in self.layer_by_layer(values, layout):
            values = outputs
        return values

    def layer_by_layer(self, values: Tensor, layout: Layout) -> Iterator[tuple[RecurrentLayer, Tensor, Tensor, Tensor]]:
        """Each layer, what it reads, its hidden states, and what these become by residual and norm: the next one's input."""
        for depth, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            inputs = self.dropout(values, layout)
            hidden = layer(inputs, layout)
            values = norm(hidden + values if self.residual and depth > 0 else hidden)
            yield layer, inputs, hidden, values  # type: ignore[misc]

    def engine_for(self, values: Tensor) -> str:
        """The engine that would serve these values (N, D) now."""
        first: RecurrentLayer = self.layers[0]  # type: ignore[assignment]
        return choose_engine(first.engine, values, first.directions()[0])

    def _is_plain(self) -> bool:
        """Whether nothing stands between the layers at the moment, so that one call can run them all."""
        dropping = self.training and self.dropout.p > 0
        return not dropping and not (self.residual and len(self.layers) > 1) and all(isinstance(norm, nn.Identity) for norm in self.norms)
