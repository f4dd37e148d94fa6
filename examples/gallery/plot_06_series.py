"""Numeric series
==============

Series of several channels and of different lengths, without padding. The class is the order of two events, so
summary statistics of the channels cannot know it.
"""

# %%
# Generated series
# ----------------
# Two noisy channels. A bump in the first comes before (`early`) or after (`late`) a dip in the second.

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceClassifier, trace
from ostinato.evaluation import linear_baseline


def series(rng):
    """An array (T, 2) and its class."""
    length = rng.integers(60, 160)
    first, second = sorted(rng.choice(np.arange(8, length - 8, 12), 2, replace=False))
    is_early = rng.random() < 0.5
    bump, dip = (first, second) if is_early else (second, first)
    values = rng.normal(0, 0.3, (length, 2))
    steps = np.arange(length)
    values[:, 0] += 1.5 * np.exp(-(((steps - bump) / 3) ** 2))
    values[:, 1] -= 1.5 * np.exp(-(((steps - dip) / 3) ** 2))
    return values.astype(np.float32), "early" if is_early else "late"


rng = np.random.default_rng(0)
X, y = map(list, zip(*(series(rng) for _ in range(900)), strict=True))
figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), sharey=True, layout="constrained")
for axis, label in zip(axes, ("early", "late"), strict=True):
    axis.plot(X[y.index(label)], linewidth=0.9)
    axis.set(title=label, xlabel="step")
plt.show()

# %%
# A GRU, and a linear model of summary statistics
# -----------------------------------------------

model = SequenceClassifier(
    cell="gru", hidden_size=32, bidirectional=False, conv_size=None, pooling="last", lr=5e-3, max_epochs=15
)
model.fit(X[:500], y[:500], validation_data=(X[500:600], y[500:600]))
codes = np.array([label == "late" for label in y]).astype(int)
linear = linear_baseline(X[:500], codes[:500], X[500:600], codes[500:600], kind="numeric", seed=0)
guess = linear.predict(X[600:]).argmax(axis=1)
print(f"test accuracy: GRU {model.score(X[600:], y[600:]):.3f}, linear {np.mean(guess == codes[600:]):.3f}")

# %%
# When does it know?
# ------------------
# A trace has the running answer: what the model would say if the series ended at each step.
# Before both events it cannot know, and yet it is sure of one class: it was trained on whole series only. The program
# on streaming shows what helps.

traced = trace(model, X[600], prefixes=60)
late = list(model.classes_).index("late")
figure, (above, below) = plt.subplots(2, sharex=True, figsize=(8, 4), layout="constrained")
above.plot(X[600], linewidth=0.9)
above.set_title(f"a series of the class {y[600]}", fontsize=10)
below.plot(traced.steps, traced.running[:, late])
below.set(ylabel="probability of late", xlabel="step", ylim=(-0.05, 1.05))
plt.show()
