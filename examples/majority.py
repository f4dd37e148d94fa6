"""A vanilla RNN that tells whether a string has more ones than zeros.

The textbook version labels ties at random, draws test strings that it has trained on, and calls the task a test of
memory, though counting needs no order. Here a tie is 0, all strings are distinct, and a linear model stands beside it.
"""

import typer
from ostinato.data.dataset import load_dataset

from ostinato import SequenceClassifier
from ostinato.config import DataConfig


def main(train_size: int = 2000, test_size: int = 500, max_epochs: int = 30) -> float:
    data = load_dataset(
        DataConfig(name="majority", train_size=train_size, validation_size=test_size, test_size=test_size)
    )
    model = SequenceClassifier(
        cell="rnn",
        embedding_size=8,
        hidden_size=16,
        pooling="mean",
        tokenizer="characters",
        lr=5e-3,
        max_epochs=max_epochs,
        patience=10,
    )
    model.fit(
        data.train.sequences, data.train.labels, validation_data=(data.validation.sequences, data.validation.labels)
    )
    accuracy = model.score(data.test.sequences, data.test.labels)
    print(
        f"test accuracy {accuracy:.3f}; 1110 is {model.predict(['1110'])[0]}, the tie 1100 is {model.predict(['1100'])[0]}"
    )
    return accuracy


if __name__ == "__main__":
    typer.run(main)
