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
X, y = map(list, zip(*(log(rng) for _ in range(460)), strict=True))
print(y[0], X[0][:12])

# %%
# Two models
# ----------
# A model that reads forwards only can stream. One is trained on whole logs, the other on logs that are cut anywhere, as
# a stream sees them.


def fitted(sequences, labels):
    """A GRU that reads forwards only."""
    return SequenceClassifier(
        cell="gru", bidirectional=False, tokenizer="events", conv_size=None, embedding_size=8, hidden_size=16, lr=1e-2,
        pooling=["last", "mean"], max_epochs=12,
    ).fit(sequences, labels)  # fmt: skip


cut = [events[: rng.integers(1, len(events) + 1)] for events in X[:400]]
models = {"trained on whole logs": fitted(X[:400], y[:400]), "trained on cut logs": fitted(cut, y[:400])}
for name, model in models.items():
    print(f"{name}: accuracy with the whole log {model.score(X[400:], y[400:]):.3f}")

# %%
# The answer after each event
# ---------------------------
# The model of whole logs is sure from the first event on, although it has seen nothing yet.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), sharey=True, layout="constrained")
answers = {}
for axis, (name, model) in zip(axes, models.items(), strict=True):
    fails = list(model.classes_).index("fails")
    answers[name] = []
    for number in range(400, 460):
        stream = model.stream()
        answers[name].append([stream.push([event]).probabilities[fails] for event in X[number]])
        if number < 412:
            axis.plot(answers[name][-1], color="C3" if y[number] == "fails" else "C0", alpha=0.7)
    axis.set(title=name, xlabel="events read")
axes[0].set_ylabel("probability of a failure")
figure.suptitle("red: machines that fail; blue: machines that work", fontsize=10)
plt.show()

# %%
# Stop when it is decided
# -----------------------
# In a program, `stream.decided(p)` is true when the answer has this probability. A higher p reads more and errs less,
# but only if the model knows how little it has seen.

truth = np.array(y[400:460]) == "fails"
for name, curves in answers.items():
    for limit in (0.8, 0.9, 0.95, 0.99):
        stops = [next((k for k, p in enumerate(each) if max(p, 1 - p) >= limit), len(each) - 1) for each in curves]
        read = np.mean([(stop + 1) / len(each) for stop, each in zip(stops, curves, strict=True)])
        right = np.mean([each[stop] > 0.5 for stop, each in zip(stops, curves, strict=True)] == truth)
        print(f"{name}, decided at {limit:.2f}: {read:4.0%} of a log is read, accuracy {right:.3f}")

# %%
# Choose the limit on validation rows. `ostinato report` shows the accuracy after each tenth of the test sequences.
