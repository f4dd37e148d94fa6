"""What other libraries reach on the splits of a finished run; `own_data.py` runs one peer in a process of its own.

    python benchmarks/own_data_peers.py RUN PEER        # prints one JSON line: the predictions for the test split

A peer is fitted on train and validation together, with the settings that its authors recommend; Ostinato's own linear
baseline is fitted on train, as in every run.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1  # that this process may use
Labels = Sequence[str]
Fitted = Callable[[Sequence[Any], Labels, Sequence[Any]], Sequence[str]]  # train, its labels, test -> predictions


def character_ngrams(train: Sequence[str], labels: Labels, test: Sequence[str]) -> Sequence[str]:
    """TF-IDF of character 1-5-grams within words, and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    features = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=2, dtype=np.float32)
    return _listed(make_pipeline(features, LogisticRegression(C=10, max_iter=300)).fit(train, labels).predict(test))


def nb_svm(train: Sequence[str], labels: Labels, test: Sequence[str]) -> Sequence[str]:
    """Naive Bayes log-count ratios of word 1-2-grams in a linear SVM, one against the rest (Wang and Manning 2012)."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    counter = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\w+|[^\w\s]", min_df=2)
    seen, unseen = counter.fit_transform(train).astype(np.float32), counter.transform(test).astype(np.float32)
    classes, of_row = np.unique(labels, return_inverse=True)
    margins = []
    for number in range(len(classes)):
        own = of_row == number
        inside, outside = (np.asarray(seen[rows].sum(axis=0)).ravel() + 1 for rows in (own, ~own))
        ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
        machine = LinearSVC(C=1.0).fit(seen.multiply(ratio).tocsr(), own)
        margins.append(machine.decision_function(unseen.multiply(ratio).tocsr()))
    return _listed(classes[np.argmax(margins, axis=0)])


def fast_text(train: Sequence[str], labels: Labels, test: Sequence[str]) -> Sequence[str]:
    """FastText with word 2-grams and character 2-5-grams, 25 epochs."""
    import tempfile

    import fasttext  # type: ignore[import-untyped]

    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for text, label in zip(train, labels, strict=True):
            file.write(f"__label__{numbers[label]} {_one_line(text)}\n")
        file.flush()
        model = fasttext.train_supervised(
            file.name, lr=0.5, epoch=25, wordNgrams=2, minn=2, maxn=5, thread=2, verbose=0
        )
    named = {f"__label__{number}": label for label, number in numbers.items()}
    found = model.f.multilinePredict([_one_line(text) + "\n" for text in test], 1, 0.0, "strict")[0]
    return [named[each[0]] for each in found]


def gradient_boosting(train: Sequence[Any], labels: Labels, test: Sequence[Any]) -> Sequence[str]:
    """Histogram gradient boosting on the positions of windows that all have one length."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    is_text = isinstance(train[0], str)
    seen, unseen = (
        np.array([_codes(each) if is_text else np.asarray(each).ravel() for each in rows]) for rows in (train, test)
    )
    model = HistGradientBoostingClassifier(categorical_features=list(range(seen.shape[1])) if is_text else None)
    return _listed(model.fit(seen, np.asarray(labels)).predict(unseen))


def mini_rocket(train: Sequence[Any], labels: Labels, test: Sequence[Any]) -> Sequence[str]:
    """MiniRocket (Dempster, Schmidt and Webb 2021) of aeon with its ridge classifier; varied lengths are padded."""
    from aeon.classification.convolution_based import MiniRocketClassifier

    seen, unseen = _padded(train, test)
    return _listed(MiniRocketClassifier(random_state=0, n_jobs=CORES).fit(seen, np.asarray(labels)).predict(unseen))


def hydra(train: Sequence[Any], labels: Labels, test: Sequence[Any]) -> Sequence[str]:
    """Hydra (Dempster, Schmidt and Webb 2023) of aeon with its ridge classifier; varied lengths are padded."""
    from aeon.classification.convolution_based import HydraClassifier

    seen, unseen = _padded(train, test)
    return _listed(HydraClassifier(random_state=0, n_jobs=CORES).fit(seen, np.asarray(labels)).predict(unseen))


def linear(run: Path) -> tuple[list[str], list[str]]:
    """Ostinato's own linear baseline: predictions and true labels of the test split."""
    from functools import partial

    from ostinato.evaluation.baselines import linear_baseline, majority_baseline
    from ostinato.tasks.sequences.baselines import fit_linear

    data = _prepare(run)
    targets = {name: split.targets.numpy() for name, split in data.splits.items()}
    labels = [str(label) for label in data.codec.labels]
    shares = partial(majority_baseline, targets["train"], num_classes=len(labels))
    test = data.rows["test"]
    found = fit_linear(linear_baseline, data, targets, constant=shares).predict(test.sequences)
    return [labels[number] for number in found.argmax(axis=1)], _listed(test.targets)


def crf_suite(run: Path) -> tuple[list[list[str]], list[list[str]]]:
    """A CRF with the standard features of words, affixes and shapes: predicted and true tags of the test split."""
    import sklearn_crfsuite  # type: ignore[import-untyped]

    data = _prepare(run)
    train, validation, test = (data.rows[name] for name in ("train", "validation", "test"))
    sentences = [_word_features(each.words) for rows in (train, validation) for each in rows]
    tags = [list(each) for rows in (train, validation) for each in rows.tags]
    model = sklearn_crfsuite.CRF(algorithm="lbfgs", c1=0.1, c2=0.1, max_iterations=100)
    model.fit(sentences, tags)
    predicted = model.predict([_word_features(each.words) for each in test])
    return [list(tags) for tags in predicted], [list(tags) for tags in test.tags]


def _word_features(words: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for at, word in enumerate(words):
        shown: dict[str, Any] = {"bias": 1.0, "start": at == 0, "end": at == len(words) - 1}
        for offset in (-2, -1, 0, 1, 2):
            if 0 <= at + offset < len(words):
                near = words[at + offset]
                shown |= {f"{offset}:lower": near.lower(), f"{offset}:title": near.istitle()}
        shown |= {f"suffix{size}": word[-size:] for size in (1, 2, 3)}
        shown |= {f"prefix{size}": word[:size] for size in (1, 2, 3)}
        shown |= {"upper": word.isupper(), "digit": word.isdigit(), "hyphen": "-" in word}
        found.append(shown)
    return found


TEXT = {"character n-grams": character_ngrams, "NB-SVM": nb_svm, "fastText": fast_text}
SYMBOLS = {"character n-grams": character_ngrams, "fastText": fast_text}
SERIES = {"MiniRocket": mini_rocket, "Hydra": hydra}
WINDOWS = {"gradient boosting": gradient_boosting}
PEERS: dict[str, Fitted] = {**TEXT, **SERIES, **WINDOWS}


def peers_of(run: Path) -> list[str]:
    """The peers that suit a run's data; the first is the baseline that the run must not lose to."""
    config = _config(run)
    if config.task == "tagging":
        return ["CRFsuite"]
    data = _prepare(run)
    sequences = data.rows["train"].sequences
    first = sequences[0]
    if not isinstance(first, str | np.ndarray):
        return ["linear", "NB-SVM", "fastText"]  # lists of events are read as texts
    lengths = {len(sequence) for rows in data.rows.values() for sequence in rows.sequences}
    windows = list(WINDOWS) if len(lengths) == 1 and lengths < {400} else []
    if isinstance(first, np.ndarray):
        return ["linear", *SERIES, *windows]
    has_words = any(" " in text for text in sequences[:50])
    return ["linear", *(TEXT if has_words else SYMBOLS), *windows]


def run_peer(run: Path, peer: str) -> dict[str, Any]:
    """The predictions and true targets of the test split, and the seconds of fitting and predicting."""
    start = time.perf_counter()
    if peer in ("linear", "CRFsuite"):
        predicted, targets = linear(run) if peer == "linear" else crf_suite(run)
        return {"predicted": predicted, "targets": targets, "seconds": time.perf_counter() - start}
    data = _prepare(run)
    rows = [data.rows[name] for name in ("train", "validation", "test")]
    sequences = [[_as_text(each) if peer in TEXT else each for each in split.sequences] for split in rows]
    labels = [list(map(str, split.targets)) for split in rows]
    start = time.perf_counter()
    predicted = PEERS[peer](sequences[0] + sequences[1], labels[0] + labels[1], sequences[2])
    return {"predicted": list(predicted), "targets": labels[2], "seconds": time.perf_counter() - start}


def _as_text(sequence: Any) -> str:
    return sequence if isinstance(sequence, str) else " ".join(str(event).replace(" ", "_") for event in sequence)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _codes(window: str) -> list[int]:
    return [min(ord(letter.upper()) - 65, 25) for letter in window]


def _padded(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Series (T, channels) as (B, channels, longest), padded with each channel's last value."""
    longest = max(9, *(len(series) for rows in (train, test) for series in rows))

    def pad(series: np.ndarray) -> np.ndarray:
        return np.pad(series, ((0, longest - len(series)), (0, 0)), mode="edge").T

    return np.array([pad(each) for each in train], np.float32), np.array([pad(each) for each in test], np.float32)


def _config(run: Path) -> Any:
    from ostinato.tasks.config import read_config

    return read_config(run / "config.toml")


def _prepare(run: Path) -> Any:
    from ostinato.tasks import TASKS

    config = _config(run)
    return TASKS[config.task].prepare(config.data)


def _listed(found: Any) -> list[str]:
    return [str(each) for each in found]


if __name__ == "__main__":
    print(json.dumps(run_peer(Path(sys.argv[1]), sys.argv[2])))
