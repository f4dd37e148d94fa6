"""A bidirectional GRU with attention that finds a motif in DNA.

The textbook version computes the label from the alphabet ("ACGT" in "ACGT", so every label is 1), lets the motif occur
by chance in negatives, pads with a real nucleotide, and lets attention look at the padding. Here nothing is padded.
"""

import typer

from ostinato import SequenceClassifier
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData


def main(train_size: int = 4000, test_size: int = 1000, max_epochs: int = 30) -> float:
    settings = {"cell": "gru", "embedding_size": 16, "hidden_size": 32, "bidirectional": True, "pooling": "attention"}
    model = SequenceClassifier(**settings, tokenizer="nucleotides", batch_size=64, lr=5e-3, max_epochs=max_epochs)
    sizes = {"train_size": train_size, "validation_size": 500, "test_size": test_size}
    rows = TASKS["classification"].prepare(ClassificationData(name="dna-motif", **sizes)).rows
    train, validation, test = rows["train"], rows["validation"], rows["test"]
    model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
    accuracy = model.score(test.sequences, test.targets)
    print(f"test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    typer.run(main)
