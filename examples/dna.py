"""A bidirectional GRU with attention that finds a motif in DNA.

The textbook version computes the label from the alphabet ("ACGT" in "ACGT", so every label is 1), lets the motif occur
by chance in negatives, pads with a real nucleotide, and lets attention look at the padding. Here nothing is padded.
"""

import typer
from ostinato.data.dataset import load_dataset

from ostinato import SequenceClassifier
from ostinato.config import DataConfig


def main(train_size: int = 4000, test_size: int = 1000, max_epochs: int = 30) -> float:
    data = load_dataset(DataConfig(name="dna-motif", train_size=train_size, validation_size=500, test_size=test_size))
    model = SequenceClassifier(
        cell="gru",
        embedding_size=16,
        hidden_size=32,
        bidirectional=True,
        pooling="attention",
        tokenizer="nucleotides",
        batch_size=64,
        lr=5e-3,
        max_epochs=max_epochs,
    )
    model.fit(
        data.train.sequences, data.train.labels, validation_data=(data.validation.sequences, data.validation.labels)
    )
    accuracy = model.score(data.test.sequences, data.test.labels)
    print(f"test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    typer.run(main)
