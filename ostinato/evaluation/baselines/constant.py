"""Baselines that predict the same for every sequence."""

import numpy as np


def majority_baseline(train_targets: np.ndarray, num_examples: int, num_classes: int) -> np.ndarray:
    """Predict each class with its share of the training targets.

    Shapes: (B_train,) class indices -> (num_examples, num_classes) probabilities
    """
    shares = np.bincount(train_targets, minlength=num_classes) / len(train_targets)
    return np.tile(shares, (num_examples, 1))


def label_frequencies(train_targets: np.ndarray, num_examples: int) -> np.ndarray:
    """Predict each label with its share of the training examples.

    Shapes: (B_train, L) 0/1 -> (num_examples, L) probabilities
    """
    return np.tile(np.mean(train_targets, axis=0, dtype=np.float64), (num_examples, 1))


def mean_baseline(train_targets: np.ndarray, num_examples: int) -> np.ndarray:
    """Predict the mean of each training target, which has the lowest squared error of all constants.

    Shapes: (B_train, K) -> (num_examples, K)
    """
    return np.tile(np.mean(train_targets, axis=0, dtype=np.float64), (num_examples, 1))


def median_baseline(train_targets: np.ndarray, num_examples: int) -> np.ndarray:
    """Predict the median of each training target, which has the lowest absolute error of all constants.

    Shapes: (B_train, K) -> (num_examples, K)
    """
    return np.tile(np.median(np.asarray(train_targets, dtype=np.float64), axis=0), (num_examples, 1))
