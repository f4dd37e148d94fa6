"""Ridge regression on the features of MiniRocket, for numeric series."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ostinato.evaluation.baselines.heads import LinearModel
from ostinato.evaluation.baselines.ridge import ridge_classes
from ostinato.nn import Layout
from ostinato.nn.wide_kernels import WideKernels

FEATURES, FEW_FEATURES = 9_996, 1_932  # 119 and 23 for each of 84 kernels
FEW_ROWS, MOST_ROWS = 2_000, 10_000  # up to FEW_ROWS, all features: the decomposition takes rows³ or features³
MOST_VALUES = 4_000_000


@dataclass(frozen=True)
class KernelBaseline:
    """Kernels and a ridge regression, both fitted on the training split."""

    description: str
    kernels: WideKernels
    model: LinearModel

    def predict(self, values: Tensor, lengths: Tensor) -> np.ndarray:
        """Probabilities (B, C) for series end to end, (N, channels), and their lengths (B,)."""
        return self.model.predict(self.kernels.features(values, Layout(lengths)).numpy())


def kernel_problem(values: Tensor, lengths: Tensor) -> str | None:
    """Why no ridge regression is fitted to series; None if it is."""
    if len(lengths) > MOST_ROWS:
        return f"{len(lengths):,} training rows, at most {MOST_ROWS:,}"
    return f"{values.numel():,} values, at most {MOST_VALUES:,}" if values.numel() > MOST_VALUES else None


def kernel_baseline(
    values: Tensor, lengths: Tensor, targets: np.ndarray, *, num_classes: int, seed: int
) -> KernelBaseline:
    """Fit a ridge regression of classes, its strength chosen by leave-one-out cross-validation.

    Args:
        values: (N, channels) of all training series, end to end, standardised.
        lengths: (B,)
        targets: (B,) class indices.
        seed: draws the kernels' biases.
    """
    kernels = WideKernels(num_classes, channels=values.shape[1])
    most = FEATURES if len(lengths) <= FEW_ROWS else FEW_FEATURES
    features = kernels.fit(values, lengths, most=most, seed=seed).numpy()
    model = ridge_classes(features, targets, num_classes, None).model
    return KernelBaseline(f"ridge regression on {features.shape[1]:,} features of MiniRocket", kernels, model)
