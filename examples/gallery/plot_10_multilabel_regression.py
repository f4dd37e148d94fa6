"""Several labels, and numbers with intervals
==========================================

The same network answers other questions: which of four motifs does a sequence contain (any number of them), and where
is the motif (a number, with an interval)?
"""

# %%
# Any number of labels
# --------------------

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceMultilabelClassifier, SequenceRegressor
from ostinato.tasks.multilabel.generated import dna_motifs
from ostinato.tasks.regression.generated import motif_position

sequences, labels = dna_motifs(1800, (40, 60), np.random.default_rng(0))
model = SequenceMultilabelClassifier(
    cell="gru", tokenizer="nucleotides", embedding_size=16, hidden_size=32, conv_size=None, pooling="max", lr=1e-2,
    batch_size=32, max_epochs=20,
)  # fmt: skip
model.fit(sequences[:1400], labels[:1400])
print(f"all labels right: {model.score(sequences[1400:], labels[1400:]):.3f}")
print(labels[1400], model.predict(sequences[1400:1401])[0])

# %%
# The share of sequences in which each motif is found, with and without it:

found = np.array([[name in row for name in model.classes_] for row in model.predict(sequences[1400:])])
true = np.array([[name in row for name in model.classes_] for row in labels[1400:]])
positions = np.arange(len(model.classes_))
plt.bar(positions - 0.2, [found[true[:, k], k].mean() for k in positions], width=0.4, label="motif present")
plt.bar(positions + 0.2, [found[~true[:, k], k].mean() for k in positions], width=0.4, label="motif absent")
plt.xticks(positions, list(model.classes_))
plt.ylabel("share of sequences with this label predicted")
plt.ylim(0, 1.25)
plt.legend()
plt.show()

# %%
# A number with an interval
# -------------------------
# How many bases lie before the motif? The loss `quantile` learns the quantiles 0.1, 0.5 and 0.9.

sequences, rows = motif_position(1800, (20, 40), np.random.default_rng(1))
numbers = np.array([row["target"] for row in rows])
regressor = SequenceRegressor(
    cell="gru", tokenizer="nucleotides", embedding_size=16, hidden_size=48, conv_size=None, loss="quantile", lr=1e-2,
    batch_size=32, max_epochs=20,
)  # fmt: skip
regressor.fit(sequences[:1400], numbers[:1400])
low, middle, high = regressor.predict_quantiles(sequences[1400:])[:, 0].T
covered = np.mean((numbers[1400:] >= low) & (numbers[1400:] <= high))
print(f"R² {regressor.score(sequences[1400:], numbers[1400:]):.3f}; {covered:.0%} of the intervals cover the number")

# %%
# 80 % of the intervals should cover the number. If more do, as here, they are wider than they need to be.

plt.errorbar(numbers[1400:], middle, [middle - low, high - middle], fmt=".", alpha=0.4)
plt.plot([0, 32], [0, 32], color="0.5", linestyle=":")
plt.xlabel("bases before the motif")
plt.ylabel("prediction and 80 % interval")
plt.show()
