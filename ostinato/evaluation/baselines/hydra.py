"""Ridge regression on the features of Hydra, for numeric series.

Source: Dempster, Schmidt & Webb (2023), Hydra, arXiv:2203.13652. We depart from it where series differ in length: all
share the dilations of the longest, and windows beyond the end of a series do not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ostinato.data.sampler import BucketSampler
from ostinato.evaluation.baselines.heads import LinearModel
from ostinato.evaluation.baselines.kernels import FEW_FEATURES, FEW_ROWS, MOST_ROWS
from ostinato.evaluation.baselines.ridge import ridge_classes
from ostinato.progress import TimeLeft

TAPS = 9  # values in a window
GROUP = 8  # kernels that compete for a window
GROUPS = 64  # for each dilation; half of them read the differences between neighbours
FEWEST_CHANNELS, MOST_CHANNELS = 2, 8  # that a group adds up
MOST_STEPS = 4_000_000  # of all series, times dilations: 30 seconds
SECONDS_EACH = 1e-5  # for a step at a dilation, with all groups
STEPS_AT_A_TIME = 2**15


@dataclass(frozen=True)
class Hydra:
    """Groups of random kernels, each of which reads every d-th step of a few channels, added up.

    Args:
        dilations: (J,) 1, 2, 4 and so on, up to an eighth of the longest training series.
        weights: (J, 2, g · 8, 1, 9) of the groups of the series, and of those of its differences.
        channels: (J, 2, g, c) the channels that each group adds up.
    """

    dilations: list[int]
    weights: Tensor
    channels: Tensor

    @classmethod
    def draw(cls, longest: int, channels: int, *, groups: int = GROUPS, seed: int) -> "Hydra":
        """Draw kernels; each has the sum 0 and the sum of absolute values 1."""
        generator, half = torch.Generator().manual_seed(seed), groups // 2
        dilations = dilations_of(longest)
        weights = torch.randn(len(dilations), 2, GROUP * half, 1, TAPS, generator=generator)
        weights = weights - weights.mean(-1, keepdim=True)
        weights = weights / weights.abs().sum(-1, keepdim=True)
        count = min(max(channels // 2, FEWEST_CHANNELS), MOST_CHANNELS) if channels > 1 else 1
        chosen = torch.randint(channels, (len(dilations), 2, half, count), generator=generator)
        return cls(dilations, weights, chosen)

    @torch.no_grad()
    def features(self, values: Tensor, lengths: Tensor) -> Tensor:
        """How often each kernel is the best and the worst of its group: summed convolutions, and counts.

        Args:
            values: (N, channels) of all series, end to end.
            lengths: (B,)

        Returns:
            (B, F) float32; for each dilation, of the series and of its differences, first the sums, then the counts.
        """
        found = torch.empty(len(lengths), self.weights[:, :, :, 0, 0].numel() * 2)
        for rows, series in _padded(values, lengths):
            parts: list[Tensor] = []
            for j, dilation in enumerate(self.dilations):
                parts += self._counts(j, 0, dilation, series, lengths[rows])
                parts += self._counts(j, 1, dilation, _differences(series, lengths[rows]), lengths[rows] - 1)
            found[rows] = torch.cat(parts, dim=1)
        return found

    def _counts(self, j: int, of: int, dilation: int, series: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Sums and counts, (b, g · 8) each, for series (b, channels, T)."""
        groups = len(self.channels[j, of])
        x = series[:, self.channels[j, of]].sum(dim=2)  # (b, g, c, T) -> (b, g, T)
        z = F.conv1d(x, self.weights[j, of], padding=TAPS // 2 * dilation, dilation=dilation, groups=groups)
        z = z.view(len(x), groups, GROUP, -1)  # (b, g · 8, T) -> (b, g, 8, T)
        is_inside = (torch.arange(z.shape[-1]) < lengths.unsqueeze(1)).float().unsqueeze(1)  # (b, 1, T)
        (highest, best), worst = z.max(dim=2), z.min(dim=2).indices  # (b, g, T)
        sums = z.new_zeros(z.shape[:3]).scatter_add_(2, best, highest * is_inside)
        counts = z.new_zeros(z.shape[:3]).scatter_add_(2, worst, is_inside.expand_as(highest))
        return sums.flatten(1), counts.flatten(1)


class _Scale(NamedTuple):
    """Mean and deviation of each feature; a feature that is often 0 is made smaller."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> "_Scale":
        roots = features.clamp(min=0).sqrt()
        deviation, mean = torch.std_mean(roots, dim=0, correction=0)
        return cls(mean, deviation + (roots == 0).float().mean(dim=0) ** 4 + 1e-8)

    def apply(self, features: Tensor) -> np.ndarray:
        roots = features.clamp(min=0).sqrt()
        scaled: np.ndarray = ((roots - self.mean) * (roots != 0) / self.deviation).numpy()
        return scaled


@dataclass(frozen=True)
class HydraBaseline:
    """Kernels, scale and ridge regression, fitted on the training split."""

    description: str
    hydra: Hydra
    scale: _Scale
    model: LinearModel

    def predict(self, values: Tensor, lengths: Tensor) -> np.ndarray:
        """Probabilities (B, C) for series end to end, (N, channels), and their lengths (B,)."""
        return self.model.predict(self.scale.apply(self.hydra.features(values, lengths)))


def dilations_of(longest: int) -> list[int]:
    """1, 2, 4 and so on: those of which a window is not longer than the longest series, and at least 1."""
    return [2**j for j in range(int(np.log2(max((longest - 1) / (TAPS - 1), 1))) + 1)]


def hydra_problem(lengths: Tensor, time_left: TimeLeft) -> str | None:
    """Why Hydra is not fitted to series of these lengths; None if it is."""
    if len(lengths) > MOST_ROWS:
        return f"{len(lengths):,} training rows, at most {MOST_ROWS:,}"
    steps = int(lengths.sum()) * len(dilations_of(int(lengths.max())))
    if steps > MOST_STEPS:
        return f"{steps:,} steps over all dilations, at most {MOST_STEPS:,}"
    needed_s = steps * SECONDS_EACH
    return f"it needs about {needed_s:.1f} s, more than are left" if needed_s > time_left() else None


def hydra_baseline(
    values: Tensor, lengths: Tensor, targets: np.ndarray, *, num_classes: int, seed: int
) -> HydraBaseline:
    """Fit a ridge regression of classes, its strength chosen by leave-one-out cross-validation.

    Args:
        values: (N, channels) of all training series, end to end, standardised.
        lengths: (B,)
        targets: (B,) class indices.
        seed: draws the kernels.
    """
    longest = int(lengths.max())
    per_group = 2 * GROUP * len(dilations_of(longest))
    groups = GROUPS if len(lengths) <= FEW_ROWS else max(2, min(GROUPS, FEW_FEATURES // per_group // 2 * 2))
    hydra = Hydra.draw(longest, values.shape[1], groups=groups, seed=seed)
    features = hydra.features(values, lengths)
    scale = _Scale.fit(features)
    model = ridge_classes(scale.apply(features), targets, num_classes, None).model
    return HydraBaseline(f"ridge regression on {features.shape[1]:,} features of Hydra", hydra, scale, model)


def _padded(values: Tensor, lengths: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices (b,) of series of similar length, and those series padded with zeros, (b, channels, T)."""
    each = torch.split(values, lengths.tolist())
    sampler = BucketSampler(lengths, batch_size=1, max_tokens=STEPS_AT_A_TIME, shuffle=False)
    for rows in sampler.batches(0):
        yield rows, pad_sequence([each[row] for row in rows.tolist()], batch_first=True).transpose(1, 2)


def _differences(series: Tensor, lengths: Tensor) -> Tensor:
    """The next step minus each step, zeros from the last one on. (b, channels, T) -> (b, channels, T)."""
    found = F.pad(series.diff(), (0, 1))
    is_inside = torch.arange(found.shape[2]) < (lengths - 1).unsqueeze(1)
    return found * is_inside.unsqueeze(1)
