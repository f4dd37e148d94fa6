"""A vanilla RNN that decides whether a string has more ones than zeros.

The textbook version labels ties at random, draws test strings that were also trained on, and calls the task a test of
memory, although counting needs no order. Here a tie is 0 and all strings are distinct.
"""

import typer

from ostinato import SequenceClassifier
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData


def main(train_size: int = 2000, test_size: int = 500, max_epochs: int = 30) -> float:
    settings = {"cell": "rnn", "embedding_size": 8, "hidden_size": 16, "pooling": "mean", "conv_size": None}
    model = SequenceClassifier(**settings, tokenizer="characters", lr=5e-3, max_epochs=max_epochs, patience=10)
    sizes = {"train_size": train_size, "validation_size": test_size, "test_size": test_size}
    rows = TASKS["classification"].prepare(ClassificationData(name="majority", **sizes)).rows
    train, validation, test = rows["train"], rows["validation"], rows["test"]
    model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
    accuracy = model.score(test.sequences, test.targets)
    more, tie = model.predict(["1110", "1100"])
    print(f"test accuracy {accuracy:.3f}; 1110 is {more}, the tie 1100 is {tie}")
    return accuracy


if __name__ == "__main__":
    typer.run(main)
