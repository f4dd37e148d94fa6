"""Decisions while a sequence arrives
==================================

A stream answers after each piece, in constant memory and time per step. How early is the answer good enough?
"""

# %%
# Logs of machines
# ----------------
# A failing machine reports `retry` more and more often. The log is read event by event.

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceClassifier

CALM = ["start", "read", "write", "sync", "idle"]


def log(rng):
    """A list of events, and whether the machine fails."""
    fails = rng.random() < 0.5
    length = rng.integers(60, 120)
    chance = np.linspace(0.1, 0.5, length) if fails else np.full(length, 0.1)
    events = [str(rng.choice(CALM)) if rng.random() > each else "retry" for each in chance]
    return events, "fails" if fails else "works"


rng = np.random.default_rng(0)
X, y = map(list, zip(*(log(rng) for _ in range(900)), strict=True))
print(y[0], X[0][:12])

# %%
# A model that reads forwards only can stream:

model = SequenceClassifier(
    cell="gru", bidirectional=False, tokenizer="events", conv_size=None, embedding_size=8, hidden_size=16, lr=1e-2,
    pooling=["last", "mean"], max_epochs=12,
)  # fmt: skip
model.fit(X[:600], y[:600])
print(f"accuracy with the whole log {model.score(X[600:], y[600:]):.3f}")

# %%
# The answer after each event
# ---------------------------

fails = list(model.classes_).index("fails")
for events, label in zip(X[600:612], y[600:612], strict=True):
    stream = model.stream()
    curve = [stream.push([event]).probabilities[fails] for event in events]
    plt.plot(curve, color="C3" if label == "fails" else "C0", alpha=0.7)
plt.xlabel("events read")
plt.ylabel("probability of a failure")
plt.title("red: machines that fail; blue: machines that work", fontsize=10)
plt.show()

# %%
# Stop when it is decided
# -----------------------
# `decided(p)` is true when the answer has this probability. A higher p reads more and errs less.

for limit in (0.7, 0.8, 0.9, 0.95):
    read, right = [], []
    for events, label in zip(X[600:], y[600:], strict=True):
        stream = model.stream()
        for event in events:
            answer = stream.push([event])
            if stream.decided(limit):
                break
        read.append(answer.steps / len(events))
        right.append(answer.label == label)
    print(f"decided at {limit:.2f}: {np.mean(read):4.0%} of a log is read, accuracy {np.mean(right):.3f}")

# %%
# The calibration was fitted on whole logs. Early on, the model has seen little and may be too sure, so choose the limit
# on validation rows.
