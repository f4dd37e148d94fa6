"""What every network has: token vectors, a stack and an output layer."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.layers import RecurrentStack, Stack
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear


class WidePart(Protocol):
    """A linear model beside the layers."""

    def prepare_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for the features that a stored state, by name, has weights of."""


class Network(nn.Module):
    """A stack between an embedding and an output layer.

    Attributes:
        embed: tokens or channels to vectors; what `[training] freeze_vectors` does not train.
        change_vectors: what replaces the steps' vectors (N, D) behind the embedding, for perturbations in training;
            None: nothing.
        wide: a linear model beside the layers, which is fitted before they are trained; None: there is none.
        has_trained_unknown: whether training saw out-of-vocabulary tokens, so that their vector means something.
        starts_pretrained: whether the embedding starts from a pre-training, and so trains at a lower rate.
        has_pretrained_layers: whether the stack does too.
        RANGES: the lowest and highest value of tensors that are not any number, by name.
    """

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {}

    change_vectors: Callable[[Tensor, Layout], Tensor] | None = None
    has_trained_unknown: bool = False
    starts_pretrained: bool = False
    has_pretrained_layers: bool = False

    embed: TokenEmbedding | Linear
    stack: Stack
    head: Linear
    wide: WidePart | None

    def prepare_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for weights whose shapes follow from the training data, not from the config.

        Raises:
            RunError: the tensors, a stored state of the network, contradict each other.
        """
        if self.wide is not None:
            own = {name.removeprefix("wide."): each for name, each in tensors.items() if name.startswith("wide.")}
            self.wide.prepare_for(own)

    @property
    def starts_fitted(self) -> bool:
        """Whether the network is a useful model before the first epoch, which then competes to be the best."""
        return self.wide is not None

    @property
    def is_linear(self) -> bool:
        """Whether the network is a linear model alone, which is fitted at once and not trained in epochs."""
        return self.head.in_features == 0

    @property
    def engine(self) -> str:
        """The engine that serves the stack where the model is now; convolutions train on PyTorch alone."""
        return self.stack.engine_for(self.head.weight) if isinstance(self.stack, RecurrentStack) else "torch"

    @property
    def device(self) -> torch.device:
        return self.head.weight.device
