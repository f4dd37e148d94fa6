"""Recurrent layers (a cell run over time) and stacks of layers."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.backends.cudnn.rnn
from torch import Tensor, nn

from ostinato.errors import ConfigError, look_up
from ostinato.nn.cells import Weights, field_names, find_cell
from ostinato.nn.engines import ENGINES, choose_engine, run_native_stack
from ostinato.nn.kernel.threads import torch_threads
from ostinato.nn.layout import Layout


class RecurrentLayer(nn.Module):
    """A cell run over every sequence of a ragged batch, forwards or in both directions, from a zero state.

    Parameters have the names and shapes of `torch.nn` (`weight_ih_l0`, …, `bias_hh_l0_reverse`), so it loads the state
    dict of a one-layer `torch.nn.RNN`, `LSTM` or `GRU`. For other cells, `Cell.weights` names the parameters.

    Args:
        input_size: D.
        hidden_size: H, of each direction.
        cell: one of `CELLS`, or a cell of yours (see `register_cell`).
        bidirectional: also read each sequence backwards, from its own last step.
        engine: `auto`, `reference`, `torch` or `native`; `auto` chooses at each call.
        weight_dropout: in training, probability of each recurrent weight to be zero, with one mask for all sequences
            and steps of a forward pass; the others are divided by 1 - weight_dropout.

    Shapes:
        values (N, D) with a layout of N steps -> (N, H), or (N, 2·H) for both directions.

    Raises:
        ConfigError: `cell` or `engine` is unknown; `weight_dropout` of a cell without recurrent weights.

    Source: for weight_dropout, Merity et al. (2017), arXiv:1708.02182, section 2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        cell: str,
        bidirectional: bool = False,
        engine: str = "auto",
        weight_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cell = find_cell(cell)
        self.input_size, self.hidden_size, self.bidirectional = input_size, hidden_size, bidirectional
        self.engine, self.weight_dropout = engine, weight_dropout
        if engine != "auto":
            look_up(ENGINES, engine, "engine")
        if weight_dropout and "weight_hh" not in field_names(self.cell.weights):
            raise ConfigError(
                f"weight_dropout {weight_dropout:g}: cell {cell} has no recurrent weights to drop. Set weight_dropout "
                "to 0, or choose a cell such as lstm or gru."
            )
        shapes = self.cell.shapes(input_size, hidden_size)
        suffixes = ("_l0", "_l0_reverse") if bidirectional else ("_l0",)
        self._names = [[name + suffix for name in shapes] for suffix in suffixes]  # for each direction
        for names in self._names:
            for name, shape in zip(names, shapes.values(), strict=True):
                self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    @property
    def output_size(self) -> int:
        return self.hidden_size * (2 if self.bidirectional else 1)

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, gains of 1, biases of 0 except the cell's `initial_bias`.

        Then the cell's `initialise` sets what its paper starts from.

        Source: Glorot & Bengio (2010); Saxe et al. (2014); for the LSTM's forget bias of 1, Jozefowicz et al. (2015),
        section 2.2.
        """
        H, names = self.hidden_size, field_names(self.cell.weights)
        with torch.no_grad(), torch_threads(1):  # the bits of an orthogonal matrix depend on the number of threads
            for weights in self.directions():
                for name, weight in zip(names, weights, strict=True):
                    if weight.dim() == 1:
                        weight.fill_(1.0 if name.startswith("gain") else 0.0)
                        continue
                    for gate in weight.split(H):
                        nn.init.xavier_uniform_(gate) if name == "weight_ih" else nn.init.orthogonal_(gate)
                if self.cell.initial_bias is not None:  # in b_ih only, because b_ih and b_hh are added
                    gate, bias = self.cell.initial_bias
                    weights.bias_ih[gate * H : (gate + 1) * H].fill_(bias)
                if self.cell.initialise is not None:
                    self.cell.initialise(weights)

    def directions(self) -> list[Any]:
        """The weights of the forward direction, then of the reverse one, each as a `Cell.weights`."""
        own: dict[str, Any] = self._parameters  # a parametrized weight is an attribute instead
        return [
            self.cell.weights(*[own[name] if name in own else getattr(self, name) for name in names])
            for names in self._names
        ]

    def dropped_directions(self) -> list[Any]:
        """The weights of each direction for one forward pass: in training, with a fresh mask on the recurrent ones."""
        if not (self.training and self.weight_dropout):
            return self.directions()
        drop = nn.functional.dropout
        return [side._replace(weight_hh=drop(side.weight_hh, self.weight_dropout)) for side in self.directions()]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RecurrentLayer":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for weights in self.directions():  # cuDNN wants the weights of a call in one block of memory
            if self._is_cudnns() and weights.weight_ih.is_cuda and torch._use_cudnn_rnn_flatten_weight():
                mode = torch.backends.cudnn.rnn.get_cudnn_mode(self.cell.name.upper())  # type: ignore[no-untyped-call]
                with torch.no_grad():
                    torch._cudnn_rnn_flatten_weight(
                        list(weights), 4, self.input_size, mode, self.hidden_size, 0, 1, False, False
                    )
        return self

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        return ENGINES[self.engine_for(values)](self.cell, values, layout, self.dropped_directions())

    def engine_for(self, values: Tensor) -> str:
        """The engine that runs these values now."""
        return choose_engine(self.engine, values, [weight for side in self.directions() for weight in side], self.cell)

    def extra_repr(self) -> str:
        sizes = f"{self.input_size}, {self.hidden_size}"
        text = f"{sizes}, cell={self.cell.name}, bidirectional={self.bidirectional}, engine={self.engine}"
        return text + (f", weight_dropout={self.weight_dropout:g}" if self.weight_dropout else "")

    def _is_cudnns(self) -> bool:
        return self.cell.native == "recurrent" and self.cell.weights is Weights


class VariationalDropout(nn.Module):
    """Dropout with one mask per sequence, the same at every step. Does nothing in eval mode.

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
        mask = values.new_empty(layout.batch_size, values.shape[-1]).bernoulli_(1 - self.p) / (1 - self.p)
        return values * mask[layout.sequence]  # (B, D) -> (N, D)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Stack(nn.Module):
    """Layers on top of each other, with dropout before each layer, and a residual connection and layer norm after it.

    Args:
        layers: each maps values (N, D) and a layout to (N, `output_size`).
        output_size: H of every layer.
        residual: from the second layer on, add the layer's input to its output.
        layer_norm: normalise each layer's output, after the residual (Ba et al. 2016).
        dropout: probability of the variational dropout before each layer, including the first.

    Shapes:
        values (N, D) -> (N, H).
    """

    def __init__(
        self, layers: Iterable[nn.Module], output_size: int, *, residual: bool, layer_norm: bool, dropout: float
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.residual = residual
        self.dropout = VariationalDropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(output_size) if layer_norm else nn.Identity() for _ in self.layers)

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        for _, _, _, outputs in self.layer_by_layer(values, layout):
            values = outputs
        return values

    def layer_by_layer(self, values: Tensor, layout: Layout) -> Iterator[tuple[Any, Tensor, Tensor, Tensor]]:
        """Each layer, its input, its hidden states, and its output after residual and norm: the next layer's input."""
        for depth, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            inputs = self.dropout(values, layout)
            hidden = layer(inputs, layout)
            values = norm(hidden + values if self.residual and depth > 0 else hidden)
            yield layer, inputs, hidden, values


class RecurrentStack(Stack):
    """Recurrent layers on top of each other; see `RecurrentLayer` and `Stack` for the arguments.

    Shapes:
        values (N, D), or token ids (N,) with a table (V, D) of vectors -> (N, H), or (N, 2·H) for both directions.
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
        weight_dropout: float = 0.0,
        engine: str = "auto",
    ) -> None:
        output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [output_size] * (num_layers - 1)
        of_each: dict[str, Any] = {"bidirectional": bidirectional, "engine": engine, "weight_dropout": weight_dropout}
        layers = [RecurrentLayer(size, hidden_size, cell=cell, **of_each) for size in sizes]
        super().__init__(layers, output_size, residual=residual, layer_norm=layer_norm, dropout=dropout)
        self.hidden_size = hidden_size

    def forward(self, values: Tensor, layout: Layout, table: Tensor | None = None) -> Tensor:
        first: RecurrentLayer = self.layers[0]  # type: ignore[assignment]
        if self.is_one_call and self.engine_for(values if table is None else table) == "native":
            directions = [layer.dropped_directions() for layer in self.layers]  # type: ignore[operator]
            return run_native_stack(first.cell, values, layout, directions, table)
        if table is not None:
            values = nn.functional.embedding(values, table)  # (N,) -> (N, D)
        return super().forward(values, layout)

    def engine_for(self, values: Tensor) -> str:
        """The engine that runs these values (N, D) now."""
        first: RecurrentLayer = self.layers[0]  # type: ignore[assignment]
        return choose_engine(first.engine, values, first.directions()[0], first.cell)

    @property
    def is_one_call(self) -> bool:
        """Whether one call of the kernel can run all layers, as nothing stands between them in the current mode."""
        dropping = self.training and self.dropout.p > 0
        layers: list[RecurrentLayer] = list(self.layers)  # type: ignore[arg-type]
        return (
            layers[0].cell.native == "recurrent"
            and not dropping
            and not (self.residual and len(layers) > 1)
            and all(type(norm) is nn.Identity for norm in self.norms)
        )
