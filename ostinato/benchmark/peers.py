"""The sides of each row: the same layers and models through Ostinato, torch.nn, ONNX Runtime and Keras on JAX.

All sides of a row start from the same weights and see the same numbers.
"""

import copy
import io
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

import ostinato.nn
from ostinato.benchmark.timing import Side, need
from ostinato.nn import Layout, RecurrentStack, use_engine

CELLS = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru"}


@dataclass(frozen=True)
class Batch:
    """Sequences of random numbers, and the gradient that comes back to the output of each step.

    Args:
        x: (N, D).
        dy: (N, directions · H).
        lengths: (B,) on the CPU.
    """

    x: Tensor
    dy: Tensor
    lengths: Tensor

    @classmethod
    def random(cls, module: nn.RNNBase, lengths: Sequence[int]) -> "Batch":
        width = module.hidden_size * (2 if module.bidirectional else 1)
        x, dy = (
            torch.randn(sum(lengths), size, device=next(module.parameters()).device)
            for size in (module.input_size, width)
        )
        return cls(x, dy, torch.tensor(lengths))

    def pad(self, values: Tensor) -> Tensor:
        """(N, D) -> (T, B, D), zeros past each length."""
        return pad_sequence(list(values.split(self.lengths.tolist())))

    def unpad(self, padded: Tensor) -> Tensor:
        """(T, B, H) -> (N, H)."""
        return torch.cat([padded[:length, b] for b, length in enumerate(self.lengths.tolist())])


Forward = Callable[[Tensor, Batch], Tensor]


def layer_side(module: nn.Module, forward: Forward, batches: Sequence[Batch], *, padded: bool, trains: bool) -> Side:
    """Forward, and with `trains` backward, over some batches: (N, D) each, or (T, B, D) when `padded`."""
    inputs = [(batch.pad(batch.x) if padded else batch.x.clone()).requires_grad_(trains) for batch in batches]
    upstream = [batch.pad(batch.dy) if padded else batch.dy for batch in batches]
    leaves = [*inputs, *module.parameters()]

    def run() -> list[Tensor]:
        if not trains:
            with torch.inference_mode():
                return [forward(x, batch) for x, batch in zip(inputs, batches, strict=True)]
        for leaf in leaves:
            leaf.grad = None
        outputs = []
        for x, dy, batch in zip(inputs, upstream, batches, strict=True):
            outputs.append(forward(x, batch))
            outputs[-1].backward(dy)
        return [output.detach() for output in outputs]

    def answer() -> list[Tensor]:
        outputs, gradients = run(), [x.grad for x in inputs if x.grad is not None]
        steps = [
            batch.unpad(part) if padded else part
            for parts in (outputs, gradients)
            for part, batch in zip(parts, batches, strict=False)
        ]
        return [*steps, *(parameter.grad for parameter in module.parameters() if parameter.grad is not None)]

    return Side(run, answer, tokens=sum(len(batch.x) for batch in batches))


# ---- layers --------------------------------------------------------------------------------------------------------


def ours(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """A stack of Ostinato's on ragged batches."""
    stack = stack_like(reference)
    return layer_side(
        stack, lambda x, batch: stack(x, Layout(batch.lengths, x.device)), batches, padded=False, trains=trains
    )


def torch_engine(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """The layers of torch.nn, each batch cut into length buckets and those padded."""
    side = ours(reference, batches, trains=trains)

    def within(function: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            with use_engine("torch"):
                return function()

        return call

    assert side.answer is not None
    return side._replace(run=within(side.run), answer=within(side.answer))


def drop_in(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """Ostinato's drop-in for the layer, on padded batches with `lengths=`."""
    kind = {"LSTM": ostinato.nn.LSTM, "GRU": ostinato.nn.GRU}[reference.mode]
    module = kind(
        reference.input_size, reference.hidden_size, reference.num_layers, bidirectional=reference.bidirectional
    ).to(reference.weight_ih_l0.device)
    module.load_state_dict(reference.state_dict())
    return layer_side(module, lambda x, batch: module(x, lengths=batch.lengths)[0], batches, padded=True, trains=trains)


def padded(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """The layer of torch.nn on padded batches, padding computed."""
    module = copy.deepcopy(reference)
    return layer_side(module, lambda x, batch: module(x)[0], batches, padded=True, trains=trains)


def packed(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """The layer of torch.nn as its tutorials use it on sequences of different lengths."""
    module = copy.deepcopy(reference)

    def forward(x: Tensor, batch: Batch) -> Tensor:
        steps, _ = module(pack_padded_sequence(x, batch.lengths, enforce_sorted=False))
        return pad_packed_sequence(steps)[0]

    return layer_side(module, forward, batches, padded=True, trains=trains)


def onnx_layer(reference: nn.RNNBase, batches: Sequence[Batch]) -> Side:
    """Inference by ONNX Runtime, on batches of equal lengths."""
    run = onnx_session(reference, batches[0].pad(batches[0].x))
    return layer_side(nn.Identity(), lambda x, batch: run(x), batches, padded=True, trains=False)


def stack_like(reference: nn.RNNBase) -> RecurrentStack:
    """A stack of Ostinato's with the sizes and weights of a layer of torch.nn."""
    cell = CELLS[reference.mode]
    stack = RecurrentStack(
        reference.input_size,
        reference.hidden_size,
        cell=cell,
        num_layers=reference.num_layers,
        bidirectional=reference.bidirectional,
    )
    copy_weights(reference, stack)
    return stack.to(next(reference.parameters()).device)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the weights of a module whose parameters stand in the same order."""
    with torch.no_grad():
        for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
            mine.copy_(theirs)


def onnx_session(module: nn.Module, example: Tensor) -> Callable[[Tensor], Tensor]:
    """The module in ONNX Runtime, for inputs of the example's shape, with as many threads as torch has.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    need("onnx")
    need("onnxruntime")
    import onnxruntime

    file = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    # only the old exporter knows ONNX's LSTM and GRU: it warns that it is old, and that the shape is fixed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(copy.deepcopy(module).eval(), (example,), file, dynamo=False, **names)  # type: ignore[arg-type]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["y"], {"x": x.numpy()})[0])


# ---- models as textbooks write them --------------------------------------------------------------------------------


class CellLoop(nn.Module):
    """A vanilla RNN, one `nn.RNNCell` call a step. (B, T) -> (B, 2)."""

    def __init__(self, num_tokens: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.cell = nn.RNNCell(embedding_size, hidden_size)
        self.head = nn.Linear(hidden_size, 2)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        h = x.new_zeros(len(ids), self.cell.hidden_size)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.head(h)


class LastState(nn.Module):
    """`nn.RNN` or `nn.LSTM` read at its last state. ids (B, T), with lengths packed -> (B, 2)."""

    def __init__(self, num_tokens: int, embedding_size: int, layer: nn.RNNBase) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size, 2)

    def forward(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.embedding(ids)
        steps = x if lengths is None else pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.layer(steps)
        h = state[0] if isinstance(state, tuple) else state  # (L, B, H)
        return self.head(h[-1])


class AttentionGRU(nn.Module):
    """A bidirectional GRU with additive attention, all sequences of one length. (B, T) -> (B, 2)."""

    def __init__(self, num_tokens: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden_size, 2 * hidden_size)
        self.score = nn.Linear(2 * hidden_size, 1, bias=False)
        self.head = nn.Linear(2 * hidden_size, 2)

    def forward(self, ids: Tensor) -> Tensor:
        h, _ = self.gru(self.embedding(ids))
        weights = self.score(torch.tanh(self.project(h))).softmax(dim=1)  # (B, T, H) -> (B, T, 1)
        return self.head((weights * h).sum(dim=1))


def model_inference(
    model: nn.Module,
    forward: Callable[[], Tensor],
    tokens: int,
    within: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Side:
    """A whole model's answer in eval mode."""
    model.eval()

    def run() -> Tensor:
        with torch.inference_mode():
            return forward()

    return Side(run, lambda: [run()], tokens, within=within)


def textbook_step(model: nn.Module, targets: Tensor, *inputs: Tensor, tokens: int) -> Side:
    """A whole training step as a textbook writes it: Adam, cross-entropy, the loss read each step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(*inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Side(run, lambda: logits_and_gradients(model, model(*inputs), targets), tokens)


def logits_and_gradients(model: nn.Module, logits: Tensor, targets: Tensor) -> list[Tensor]:
    """Logits and the gradient of every parameter, in order; no gradient is left behind."""
    F.cross_entropy(logits, targets).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    return [logits.detach(), *gradients]


def keras_step(reference: AttentionGRU, ids: Tensor, targets: Tensor) -> Side:
    """The whole training step of `AttentionGRU` by Keras on JAX, compiled: `train_on_batch`.

    Raises:
        MissingExtraError: keras or jax is not installed.
    """
    need("jax")
    need("keras")
    os.environ["KERAS_BACKEND"] = "jax"  # read when keras is imported first
    import jax
    import keras

    inputs = keras.Input(shape=ids.shape[1:], dtype="int32")
    x = keras.layers.Embedding(*reference.embedding.weight.shape)(inputs)
    h = keras.layers.Bidirectional(
        keras.layers.GRU(reference.gru.hidden_size, return_sequences=True, reset_after=True)
    )(x)
    scores = keras.layers.Dense(1, use_bias=False)(keras.layers.Dense(h.shape[-1], activation="tanh")(h))
    pooled = keras.ops.sum(keras.ops.softmax(scores, axis=1) * h, axis=1)  # (B, T, H) -> (B, H)
    model = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    model.set_weights([weight.numpy() for weight in keras_weights(reference)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=True)
    tokens, labels = ids.int().numpy(), targets.int().numpy()

    def answer() -> list[Tensor]:  # logits and the embedding's gradient, which depends on every other
        trained, fixed = (
            [variable.value for variable in group]
            for group in (model.trainable_variables, model.non_trainable_variables)
        )
        gradient = jax.grad(lambda weights: loss(labels, model.stateless_call(weights, fixed, tokens)[0]))(trained)[0]
        return [
            torch.tensor(array.__array__()) for array in (model.stateless_call(trained, fixed, tokens)[0], gradient)
        ]

    return Side(lambda: model.train_on_batch(tokens, labels), answer, ids.numel())


def keras_weights(reference: AttentionGRU) -> list[Tensor]:
    """Keras keeps weights transposed, the gates z, r, n where PyTorch has r, z, n, and a GRU's two biases in one."""
    gru = reference.gru

    def swapped(weight: Tensor) -> Tensor:
        r, z, n = weight.detach().chunk(3)
        return torch.cat([z, r, n])

    weights = [reference.embedding.weight.detach()]
    for end in ("l0", "l0_reverse"):
        weight_ih, weight_hh, bias_ih, bias_hh = (
            swapped(getattr(gru, f"{name}_{end}")) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        weights += [weight_ih.T, weight_hh.T, torch.stack([bias_ih, bias_hh])]
    linears = (
        reference.project.weight.T,
        reference.project.bias,
        reference.score.weight.T,
        reference.head.weight.T,
        reference.head.bias,
    )
    return [*weights, *(part.detach() for part in linears)]
