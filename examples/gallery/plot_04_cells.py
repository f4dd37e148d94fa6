"""RNN, LSTM and GRU with statistics
=================================

A single seed names a winner that another seed takes back. Here each cell is trained with five seeds on the same rows,
and paired statistics say which differences are real.
"""

# %%
# A task that needs memory
# ------------------------
# Which of two cues came first, before a stretch of distractors? A bag of letters cannot know.

import matplotlib.pyplot as plt
import numpy as np

from ostinato import SequenceClassifier
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS
from ostinato.evaluation.statistics import compare, holm, score_right, seed_interval, sentence
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData

ACCURACY = CLASSIFICATION_METRICS["accuracy"]
SIZES = {"rnn": 36, "lstm": 16, "gru": 20}  # about as many weights for each cell
data = ClassificationData(name="delayed-recall", length=[36, 44], train_size=500, validation_size=100, test_size=400)
rows = TASKS["classification"].prepare(data).rows
train, validation, test = rows["train"], rows["validation"], rows["test"]
print(train.targets[:3], train.sequences[:3])

# %%
# Three cells, five seeds
# -----------------------
# Rows, splits and batch settings are the same; only the cell and the seed change.

right = {}
for cell, hidden_size in SIZES.items():
    answers = []
    for seed in range(5):
        model = SequenceClassifier(
            cell=cell, hidden_size=hidden_size, embedding_size=8, bidirectional=False, pooling="last", dropout=0.0,
            conv_size=None, tokenizer="characters", lr=1e-2, max_epochs=10, batch_size=32, seed=seed,
        )  # fmt: skip
        model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
        answers.append(model.predict(test.sequences) == np.array(test.targets))
    right[cell] = np.array(answers)
    weights = sum(each.numel() for each in model.model_.parameters())
    print(f"{cell}: {weights} weights, accuracy of each seed {right[cell].mean(axis=1).round(3)}")

# %%
# Which differences are real?
# ---------------------------
# The variance treats both the test rows and the seeds as random draws; p values are corrected by Holm for three pairs.

scored = {cell: score_right(ACCURACY, each) for cell, each in right.items()}
pairs = [("rnn", "lstm"), ("rnn", "gru"), ("lstm", "gru")]
differences = [compare(scored[first], scored[second]) for first, second in pairs]
for (first, second), difference, p in zip(pairs, differences, holm([each.p for each in differences]), strict=True):
    print(sentence(first, second, difference, p))

# %%
# Dots are seeds, bars the 95 % interval of their mean:

for place, each in enumerate(right.values()):
    accuracy = each.mean(axis=1)
    low, high = seed_interval(accuracy, ACCURACY)
    plt.plot([place, place], [low, high], linewidth=8, alpha=0.3, color=f"C{place}")
    plt.plot(np.full(5, place) + np.linspace(-0.1, 0.1, 5), accuracy, "o", color=f"C{place}")
plt.xticks(range(3), list(right))
plt.axhline(0.5, color="0.6", linestyle=":")
plt.ylabel("test accuracy")
plt.show()
