"""An LSTM on IMDb reviews.

The textbook version takes the first 2,000 rows (all of one class: the file is sorted), fits the vocabulary on the test
split, reads the state after the padding, picks the best epoch on test, and never looks at TF-IDF, which beats it.
"""

import typer
from ostinato.data.dataset import load_dataset

from ostinato import SequenceClassifier
from ostinato.config import DataConfig


def main(train_size: int = 2000, test_size: int = 5000, max_epochs: int = 12) -> float:
    data = load_dataset(
        DataConfig(name="imdb", train_size=train_size, validation_size=train_size // 4, test_size=test_size)
    )
    model = SequenceClassifier(
        cell="lstm",
        bidirectional=True,
        pooling=["mean", "max"],
        dropout=0.5,
        min_count=2,
        max_length=400,
        truncate="both",
        lr=2e-3,
        max_epochs=max_epochs,
    )
    model.fit(
        data.train.sequences, data.train.labels, validation_data=(data.validation.sequences, data.validation.labels)
    )
    accuracy = model.score(data.test.sequences, data.test.labels)
    print(f"test accuracy {accuracy:.3f} on {len(data.test)} reviews from {data.source}")
    return accuracy


if __name__ == "__main__":
    typer.run(main)
