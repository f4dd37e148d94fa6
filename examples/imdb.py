"""An LSTM on IMDb reviews.

The textbook version takes the first 2,000 rows (all of one class: the file is sorted), fits the vocabulary on the test
split, reads the state after the padding, picks the best epoch on test, and never looks at TF-IDF, which beats it.
"""

import typer

from ostinato import SequenceClassifier
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData


def main(train_size: int = 2000, test_size: int = 5000, max_epochs: int = 12) -> float:
    settings = {"cell": "lstm", "bidirectional": True, "pooling": ["mean", "max"], "dropout": 0.5, "min_count": 2}
    model = SequenceClassifier(**settings, max_length=400, truncate="both", lr=2e-3, max_epochs=max_epochs)
    sizes = {"train_size": train_size, "validation_size": train_size // 4, "test_size": test_size}
    data = TASKS["classification"].prepare(ClassificationData(name="imdb", **sizes))
    train, validation, test = data.rows["train"], data.rows["validation"], data.rows["test"]
    model.fit(train.sequences, train.targets, validation_data=(validation.sequences, validation.targets))
    accuracy = model.score(test.sequences, test.targets)
    print(f"test accuracy {accuracy:.3f} on {len(test)} reviews from {data.source}")
    return accuracy


if __name__ == "__main__":
    typer.run(main)
