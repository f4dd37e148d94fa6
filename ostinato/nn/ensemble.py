"""An ensemble of sequence networks: the weighted mean of their answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ostinato.nn.layers import Stack
from ostinato.nn.linear import Linear
from ostinato.nn.sequence_network import SequenceNetwork


class Ensemble(SequenceNetwork):
    """Averages the answers of its members: p(x) = Σₘ wₘ pₘ(x); the outputs are those whose answers are p.

    It is the second base of a task's ensemble class: the first, the task's network, says what outputs mean.

    Members that read the same tokens get the same values. If they read different ones, the first column of `values` is
    the index of the encoding that a step belongs to; the steps of one encoding are in their order.

    Args:
        num_outputs: C, of every member.
        members: M trained networks.
        encodings: (M,) the index of the encoding that each member reads; all 0: values have no column for it.

    Attributes:
        weights: (M,) float64, at least 0, with sum 1; all equal at first.

    Source: Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474, section 2.4.
    """

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {"weights": (0.0, 1.0)}

    position = None
    conv_stem = None
    wide = None

    weights: Tensor

    def __init__(self, *, num_outputs: int, members: Sequence[SequenceNetwork], encodings: Sequence[int]) -> None:
        super(SequenceNetwork, self).__init__()  # without layers of its own
        self.members = nn.ModuleList(members)
        self.encodings = tuple(encodings)
        self.register_buffer("weights", torch.full((len(members),), 1 / len(members), dtype=torch.float64))

    @property
    def head(self) -> Linear:  # type: ignore[override]
        """The output layer of the first member, which has the device and the number of outputs of all."""
        return self._parts[0].head

    @property
    def stack(self) -> Stack:  # type: ignore[override]
        """The layers of the first member."""
        return self._parts[0].stack

    @property
    def engine(self) -> str:
        """The engines of all members."""
        return ", ".join(dict.fromkeys(member.engine for member in self._parts))

    @property
    def is_linear(self) -> bool:
        return all(member.is_linear for member in self._parts)

    @property
    def _parts(self) -> list[SequenceNetwork]:
        """The members, with their type."""
        return list(self.members)  # type: ignore[arg-type]

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        inputs = [(values, lengths)] if not any(self.encodings) else list(_separated(values, lengths, self.encodings))
        return self.combine([member(*inputs[read]) for member, read in zip(self.members, self.encodings, strict=True)])

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        """The ensemble's outputs, from those of each member. M times (B, C) -> (B, C)."""
        mean = torch.zeros(outputs[0].shape, dtype=torch.float64, device=outputs[0].device)
        for weight, member, each in zip(self.weights, self._parts, outputs, strict=True):
            # one product after the other: the sum has the same bits at any batch size
            mean = mean + weight.to(mean.device) * member.answers(each).double()
        return self.outputs_for(mean).to(outputs[0].dtype)


def _separated(values: Tensor, lengths: Tensor, encodings: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """The values and lengths of each encoding. (N, 2) ids, or (N, 1 + channels) -> (n,) or (n, channels), (B,)."""
    row_of = torch.repeat_interleave(torch.arange(len(lengths)), lengths.cpu())
    encoding_of = values[:, 0].cpu()
    for encoding in range(max(encodings) + 1):
        chosen = encoding_of == encoding
        own = values[chosen.to(values.device), 1:].contiguous()
        counts = torch.bincount(row_of[chosen], minlength=len(lengths))
        yield (own if values.is_floating_point() else own.squeeze(1)), counts
