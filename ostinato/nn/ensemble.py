"""Ensembles of networks: the weighted mean of their answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ostinato.nn.layers import Stack
from ostinato.nn.linear import Linear
from ostinato.nn.network import Network
from ostinato.nn.sequence_network import SequenceNetwork


class Members(Network):
    """The members of an ensemble, and the weights of their answers.

    Args:
        members: M trained networks.

    Attributes:
        weights: (M,) float64, at least 0, with sum 1; all equal at first.
    """

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {"weights": (0.0, 1.0)}

    weights: Tensor

    def __init__(self, members: Sequence[Network]) -> None:
        nn.Module.__init__(self)  # without layers of its own
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", torch.full((len(members),), 1 / len(members), dtype=torch.float64))

    @property
    def head(self) -> Linear:  # type: ignore[override]
        """The output layer of the first member, which has the device and the number of outputs of all."""
        return self._first.head

    @property
    def stack(self) -> Stack:  # type: ignore[override]
        """The layers of the first member."""
        return self._first.stack

    @property
    def engine(self) -> str:
        """The engines of all members."""
        return ", ".join(dict.fromkeys(member.engine for member in self.members))  # type: ignore[misc]

    @property
    def is_linear(self) -> bool:
        return all(member.is_linear for member in self.members)

    @property
    def _first(self) -> Network:
        first: Network = self.members[0]  # type: ignore[assignment]
        return first

    def weighted_mean(self, answers: Iterable[Tensor]) -> Tensor:
        """Σₘ wₘ aₘ in float64, which has the same bits for a row in any batch. M times (n, C) -> (n, C)."""
        total: Tensor | None = None
        for weight, each in zip(self.weights, answers, strict=True):
            share = weight.to(each.device) * each.double()
            total = share if total is None else total + share
        assert total is not None, "an ensemble has members"
        return total


class Ensemble(Members, SequenceNetwork):
    """Averages the answers of its members: p(x) = Σₘ wₘ pₘ(x); the outputs are those whose answers are p.

    It is the second base of a task's ensemble class: the first, the task's network, says what outputs mean.

    Members that read the same tokens get the same values. If they read different ones, the first column of `values` is
    the index of the encoding that a step belongs to; the steps of one encoding are in their order.

    Args:
        num_outputs: C, of every member.
        members: M trained networks.
        encodings: (M,) the index of the encoding that each member reads; all 0: values have no column for it.

    Source: Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474, section 2.4.
    """

    position = None
    conv_stem = None
    wide = None

    def __init__(self, *, num_outputs: int, members: Sequence[SequenceNetwork], encodings: Sequence[int]) -> None:
        Members.__init__(self, members)
        self.encodings = tuple(encodings)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        inputs = [(values, lengths)] if not any(self.encodings) else list(_separated(values, lengths, self.encodings))
        return self.combine([member(*inputs[read]) for member, read in zip(self.members, self.encodings, strict=True)])

    def combine(self, outputs: Sequence[Tensor]) -> Tensor:
        """The ensemble's outputs, from those of each member. M times (B, C) -> (B, C)."""
        mean = self.weighted_mean(member.answers(each) for member, each in zip(self.members, outputs, strict=True))  # type: ignore[operator]
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
