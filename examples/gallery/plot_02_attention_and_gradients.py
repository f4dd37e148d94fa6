"""Attention and gradients next to each other
==========================================

Attention weights look like an explanation. But they weigh states, and the state of a recurrent layer mixes a token with
its context. Here both are measured: whose top-ranked letters change the answer when they are masked?
"""

# %%
# A GRU with attention
# --------------------
# DNA with or without the motif TATAATGC; sequences without it contain its bases in another order.

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceClassifier, explain
from ostinato.explanation import agreement, measure, plot_deletion
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData

data = ClassificationData(name="dna-motif", train_size=1000, validation_size=200, test_size=200)
rows = TASKS["classification"].prepare(data).rows
train, validation, test = rows["train"], rows["validation"], rows["test"]
model = SequenceClassifier(
    cell="gru", pooling="attention", tokenizer="nucleotides", embedding_size=16, hidden_size=32, conv_size=None,
    lr=5e-3, max_epochs=12, batch_size=32,
)  # fmt: skip
model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
print(f"test accuracy {model.score(test.sequences, test.targets):.3f}")

# %%
# One sequence, three methods
# ---------------------------
# The motif is shaded. One step is enough for attention, because the state there has read the others.

methods = ("attention", "integrated-gradients", "occlusion")
with_motif = [text for text, label in zip(test.sequences, test.targets, strict=True) if label == "motif"][:30]
explained = {name: explain(model, with_motif, method=name, label="motif") for name in methods}
start = with_motif[0].index("TATAATGC")
figure, axes = plt.subplots(3, sharex=True, figsize=(8, 4.5), layout="constrained")
for axis, name in zip(axes, methods, strict=True):
    axis.bar(np.arange(len(with_motif[0])), explained[name][0].scores, width=1.0)
    axis.axvspan(start - 0.5, start + 7.5, color="C1", alpha=0.2)
    axis.set_title(name, fontsize=9, loc="left")
axes[-1].set_xlabel("position")
plt.show()

# %%
# Do they agree?
# --------------
# Spearman's correlation within a sequence, and the overlap of the top tenth.

for pair in agreement(explained):
    print(f"{pair.one} and {pair.other}: correlation {pair.correlation:.2f}, overlap {pair.overlap:.2f}")

# %%
# Are they faithful?
# ------------------
# Mask the letters in the order of their scores, and see how the answer falls compared with random orders. On this
# strong motif all three are better than random. Attention agrees least with the others, and masking its top letters
# works as well. But these letters alone do not bring the answer back, as the right half of its plot shows.

faithfulness = {name: measure(model, explained[name]) for name in methods}
for name, each in faithfulness.items():
    print(f"{name}: {each.sentence}")

# %%
# The curves of attention:

plot_deletion(faithfulness["attention"])

# %%
# And those of integrated gradients, whose top fifth is enough for the answer:

plot_deletion(faithfulness["integrated-gradients"])
