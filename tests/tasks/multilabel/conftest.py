"""Fixtures of multilabel tests: rows whose labels are letters, and a model that has learnt them."""

import pytest
from letter_rows import draw_rows, indicator

from ostinato import SequenceMultilabelClassifier


@pytest.fixture(scope="session")
def letters():
    return draw_rows(400, seed=0)


@pytest.fixture(scope="session")
def make_model():
    def make(**changed):
        arguments = {
            "cell": "gru",
            "embedding_size": 8,
            "hidden_size": 16,
            "pooling": "max",
            "tokenizer": "characters",
            "lr": 0.03,
            "batch_size": 8,
            "max_epochs": 15,
        }
        return SequenceMultilabelClassifier(**(arguments | changed))

    return make


@pytest.fixture(scope="session")
def fitted(letters, make_model):
    """A model that was fitted to an indicator matrix; it is right nearly always."""
    X, labels = letters
    return make_model().fit(X, indicator(labels))


@pytest.fixture(scope="session")
def csv_file(letters, tmp_path_factory):
    path = tmp_path_factory.mktemp("letters") / "letters.csv"
    rows = [f"{text},{'|'.join(labels)}" for text, labels in zip(*letters, strict=True)]
    path.write_text("\n".join(["text,labels", *rows]) + "\n")
    return path
