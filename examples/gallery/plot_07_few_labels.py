"""Few labels: pre-training
========================

Raw sequences are often plentiful where labels are scarce. A network that has learnt to predict the next token of 2,000
unlabelled sequences starts from there.
"""

# %%
# Sequences of events
# -------------------
# Sessions of a shop, generated: each user has one of two habits that no single event shows. After an event, the next
# one follows from the habit in about two of three cases.

import tempfile

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceClassifier, pretrain

EVENTS = ["search", "view", "cart", "help", "review", "list", "share", "login"]


def session(rng):
    """A list of events, and the habit behind it."""
    habit = int(rng.integers(2))
    state = int(rng.integers(8))
    events = []
    for _ in range(rng.integers(10, 25)):
        events.append(EVENTS[state])
        follows = (state + 3) % 8 if habit else (state + 5) % 8
        state = follows if rng.random() < 0.6 else int(rng.integers(8))
    return events, "abc"[habit]


rng = np.random.default_rng(0)
unlabelled = [session(rng)[0] for _ in range(2000)]
X, y = map(list, zip(*(session(rng) for _ in range(1300)), strict=True))
test = X[300:], y[300:]
print(y[0], X[0])

# %%
# Pre-training
# ------------
# The test sequences are not among the unlabelled ones.

folder = tempfile.TemporaryDirectory()
facts = pretrain(
    unlabelled, f"{folder.name}/encoder", cell="gru", embedding_size=16, hidden_size=32, max_epochs=4, batch_size=32,
    max_tokens=None,
)  # fmt: skip
loss = facts["validation"]
print(f"held-out loss {loss['loss']:.3f} nats, with the frequencies of events alone {loss['baseline_loss']:.3f}")

# %%
# With 10, 30, 100 and 300 labels
# -------------------------------
# Three draws of the labelled rows each. Both networks have the same shape.

SIZES = (10, 30, 100, 300)
scores = {"from scratch": [], "pre-trained": []}
for size in SIZES:
    for name, init in (("from scratch", None), ("pre-trained", f"{folder.name}/encoder")):
        accuracies = []
        for seed in range(3):
            shape = {"init": init} if init else {"cell": "gru", "embedding_size": 16, "hidden_size": 32}
            chosen = np.random.default_rng(seed).permutation(300)[:size]
            model = SequenceClassifier(
                **shape, tokenizer="events", conv_size=None, validation_fraction=None, max_epochs=15, batch_size=16,
                seed=seed,
            )  # fmt: skip
            model.fit([X[row] for row in chosen], [y[row] for row in chosen])
            accuracies.append(model.score(*test))
        scores[name].append(np.mean(accuracies))
        print(f"{size:3} labels, {name}: {np.mean(accuracies):.3f}")

# %%
for name, values in scores.items():
    plt.plot(SIZES, values, "o-", label=name)
plt.xscale("log")
plt.xticks(SIZES, map(str, SIZES))
plt.xlabel("labels")
plt.ylabel("test accuracy, mean of three draws")
plt.legend()
plt.show()
folder.cleanup()
