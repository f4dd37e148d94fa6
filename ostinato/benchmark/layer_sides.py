"""A recurrent layer in Ostinato, in torch.nn and in ONNX Runtime, with the same weights and inputs."""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

import ostinato.nn
from ostinato.benchmark.frameworks import onnx_session
from ostinato.benchmark.textbook import copy_weights
from ostinato.benchmark.timing import Side
from ostinato.nn import Layout, RecurrentStack, use_engine, use_precision

CELLS = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru"}
DROP_INS: dict[str, type[nn.Module]] = {"LSTM": ostinato.nn.LSTM, "GRU": ostinato.nn.GRU}


@dataclass(frozen=True)
class Batch:
    """Random sequences, laid end to end, and a random gradient for the output of each step.

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
        """A batch for a layer of torch.nn, on its device."""
        device = next(module.parameters()).device
        output_size = module.hidden_size * (2 if module.bidirectional else 1)
        x, dy = (torch.randn(sum(lengths), size, device=device) for size in (module.input_size, output_size))
        return cls(x, dy, torch.tensor(lengths))

    def last_state_only(self) -> "Batch":
        """The same batch with a gradient at the last step of each sequence alone."""
        last = self.lengths.cumsum(0).to(self.dy.device) - 1
        dy = torch.zeros_like(self.dy)
        dy[last] = self.dy[last]
        return replace(self, dy=dy)

    def pad(self, values: Tensor) -> Tensor:
        """Zeros after each sequence's end. (N, D) -> (T, B, D)."""
        return pad_sequence(list(values.split(self.lengths.tolist())))

    def unpad(self, padded: Tensor) -> Tensor:
        """The sequences without padding. (T, B, H) -> (N, H)."""
        return torch.cat([padded[:length, b] for b, length in enumerate(self.lengths.tolist())])


Forward = Callable[[Tensor, Batch], Tensor]


def layer_side(module: nn.Module, forward: Forward, batches: Sequence[Batch], *, padded: bool, trains: bool) -> Side:
    """A forward pass, and with `trains` a backward pass, over each batch.

    Args:
        forward: from a batch's x, (N, D) or with `padded` (T, B, D), to the output of each step.
    """
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


def ours(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """Ostinato's stack on ragged batches."""
    stack = stack_like(reference)
    return layer_side(
        stack, lambda x, batch: stack(x, Layout(batch.lengths, x.device)), batches, padded=False, trains=trains
    )


def in_bfloat16(side: Side) -> Side:
    """The same with products in bfloat16. Its answer is not compared with those in float32."""
    return side._replace(context=lambda: use_precision("bfloat16"), answer=None)


def in_int8(side: Side) -> Side:
    """The same with recurrent weights in int8. Its answer is not compared with those in float32."""
    return side._replace(context=lambda: use_precision("int8"), answer=None)


def autocast(side: Side) -> Side:
    """The same under PyTorch's autocast to bfloat16. Its answer is not compared with those in float32."""
    return side._replace(context=lambda: torch.autocast("cpu", torch.bfloat16), answer=None)


def torch_engine(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """Ostinato's stack on torch.nn's kernels: each batch is divided into length buckets, and each bucket is padded."""
    stack = stack_like(reference)

    def forward(x: Tensor, batch: Batch) -> Tensor:
        with use_engine("torch"):
            return stack(x, Layout(batch.lengths, x.device))

    return layer_side(stack, forward, batches, padded=False, trains=trains)


def drop_in(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """Ostinato's drop-in replacement of the layer, on padded batches with `lengths=`."""
    sizes = (reference.input_size, reference.hidden_size, reference.num_layers)
    module = DROP_INS[reference.mode](*sizes, bidirectional=reference.bidirectional)
    module.load_state_dict(reference.state_dict())
    module.to(next(reference.parameters()).device)
    return layer_side(module, lambda x, batch: module(x, lengths=batch.lengths)[0], batches, padded=True, trains=trains)


def padded(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """The layer of torch.nn on padded batches; it also processes the padding."""
    module = copy.deepcopy(reference)
    return layer_side(module, lambda x, batch: module(x)[0], batches, padded=True, trains=trains)


def dynamically_quantized(reference: nn.RNNBase, batches: Sequence[Batch]) -> Side:
    """Inference by PyTorch's layer with weights in int8. Its answer is not compared with those in float32."""
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated
        module = quantize_dynamic(nn.Sequential(reference), {type(reference)}, dtype=torch.qint8)
    side = layer_side(module, lambda x, batch: module(x)[0], batches, padded=True, trains=False)
    return side._replace(answer=None)


def packed(reference: nn.RNNBase, batches: Sequence[Batch], *, trains: bool = True) -> Side:
    """The layer of torch.nn on packed sequences, as tutorials handle different lengths."""
    module = copy.deepcopy(reference)

    def forward(x: Tensor, batch: Batch) -> Tensor:
        steps, _ = module(pack_padded_sequence(x, batch.lengths, enforce_sorted=False))
        return pad_packed_sequence(steps)[0]

    return layer_side(module, forward, batches, padded=True, trains=trains)


def onnx_layer(reference: nn.RNNBase, batches: Sequence[Batch]) -> Side:
    """Inference in ONNX Runtime, on batches of equal lengths.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    run = onnx_session(reference, batches[0].pad(batches[0].x))
    return layer_side(nn.Identity(), lambda x, batch: run(x), batches, padded=True, trains=False)


def stack_like(reference: nn.RNNBase) -> RecurrentStack:
    """A stack with the sizes, weights and device of a layer of torch.nn."""
    stack = RecurrentStack(
        reference.input_size,
        reference.hidden_size,
        cell=CELLS[reference.mode],
        num_layers=reference.num_layers,
        bidirectional=reference.bidirectional,
    )
    copy_weights(reference, stack)
    return stack.to(next(reference.parameters()).device)
