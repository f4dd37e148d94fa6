"""Small fitted models of every task, with data to predict; shared by the tests in this folder."""

import numpy as np
from plain import PLAIN, PLAIN_TAGGER

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger

TINY = {"max_epochs": 1, "hidden_size": 6, "embedding_size": 5, "validation_fraction": None}
rng = np.random.default_rng(0)
DNA = ["".join(rng.choice(list("ACGT"), rng.integers(3, 30))) for _ in range(40)]
TEXTS = [f"{word} film number {number}" for number in range(20) for word in ("great", "dull")]
SERIES = [rng.normal(100, 3, (length, 2)) for length in rng.integers(2, 12, 40)]
WORDS = ["Paris", "sat", "U2", "42", "on"]
SENTENCES = [
    [(str(word), "cap" if word[0].isupper() else "low") for word in rng.choice(WORDS, size)]
    for size in rng.integers(1, 8, 40)
]
TAGS = [["B-LOC" if word == "Paris" else "B-ORG" if word == "U2" else "O" for word, _ in each] for each in SENTENCES]


def classifier(X=DNA, **options):
    y = [("even", "odd", "third")[number % 3] for number in range(len(X))]
    tokenizer = "nucleotides" if X is DNA else "words" if isinstance(X[0], str) else None
    return SequenceClassifier(**{**PLAIN, **TINY, "tokenizer": tokenizer, **options}).fit(X, y)


def multilabel(X=TEXTS, **options):
    y = [[("new", "long", "loud")[number % 3]] * (number % 2) for number in range(len(X))]
    return SequenceMultilabelClassifier(**{**PLAIN, **TINY, "tokenizer": "words", **options}).fit(X, y)


def regressor(X=SERIES, targets=1, **options):
    y = [[float(np.mean(each)) * (1 + target) for target in range(targets)] for each in X]
    return SequenceRegressor(**{**PLAIN, **TINY, **options}).fit(X, np.array(y))


def tagger(X=SENTENCES, **options):
    return SequenceTagger(**{**PLAIN_TAGGER, **TINY, **options}).fit(X, TAGS)


def words_only(sentences=SENTENCES):
    return [[word for word, _ in sentence] for sentence in sentences]
