"""Averages of the weights over a training, which replace the last weights when an epoch is scored and saved."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from ostinato.config import TrainingConfig


class WeightAverage:
    """The moving average that `ema_decay` asks for, the mean of epochs that `swa_start` asks for, or neither.

    Attributes:
        weights: the average by parameter, which checkpoints hold; None: nothing is averaged.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.model, self.decay, self.start = model, config.ema_decay, config.swa_start
        is_used = self.decay is not None or self.start is not None
        self.weights = {name: own.detach().clone() for name, own in model.named_parameters()} if is_used else None

    def after_step(self, step: int) -> None:
        """Move the exponential average.

        Args:
            step: how many steps of the optimizer were taken.
        """
        if self.weights is not None and self.decay is not None:
            move_average(self.weights, self.model, self.decay, step)

    @contextmanager
    def after_epoch(self, epoch: int) -> Iterator[None]:
        """Add the epoch to the mean of epochs; inside the block, the model has the average, if there is one by now.

        Args:
            epoch: counted from 0.
        """
        averaged = self.weights
        if averaged is not None and self.start is not None:
            count = epoch + 2 - self.start
            if count > 0:
                _add_epoch(averaged, self.model, count)
            else:
                averaged = None  # the mean begins later
        with _swapped(self.model, averaged):
            yield


def move_average(average: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights, quicker over the first steps. Source: Polyak & Juditsky (1992)."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    for name, parameter in model.named_parameters():
        average[name].lerp_(parameter.detach(), share)


def _add_epoch(average: dict[str, Tensor], model: nn.Module, count: int) -> None:
    """Add an epoch's weights to `average`, which becomes the mean of `count` epochs' weights.

    The first epoch's weights replace what it held. Source: Izmailov et al. (2018), arXiv:1803.05407, algorithm 1.
    """
    for name, parameter in model.named_parameters():
        average[name].lerp_(parameter.detach(), 1 / count)


@contextmanager
def _swapped(model: nn.Module, weights: dict[str, Tensor] | None) -> Iterator[None]:
    """Give the model `weights` inside the block, and restore its own afterwards."""
    if weights is None:
        yield
        return
    own = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.load_state_dict(weights, strict=False)  # without the buffers
    yield
    model.load_state_dict(own, strict=False)
