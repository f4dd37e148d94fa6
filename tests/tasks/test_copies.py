"""Copies of estimators: pickles, joblib files, deep copies and clones answer as the original does."""

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger
from ostinato.errors import NotFittedError

TINY = {"embedding_size": 3, "hidden_size": 4, "max_epochs": 1, "validation_fraction": None, "device": "cpu"}
TEXTS, LABELS = ["red green", "blue", "red", "blue blue"] * 6, ["a", "b"] * 12
SENTENCES, TAGS = [["Ann", "sees", "Bo"], ["Bo", "runs"]] * 6, [["B-PER", "O", "B-PER"], ["B-PER", "O"]] * 6
SUBJECTS = {
    "words": (SequenceClassifier(**TINY, position="sinusoidal", cell="gru"), TEXTS, LABELS),
    "k-mers": (SequenceClassifier(**TINY, tokenizer="kmers(2)", cell="mingru", pooling="attention"), TEXTS, LABELS),
    "convolution": (SequenceClassifier(**TINY, cell="cnn", pooling="max"), TEXTS, LABELS),
    "series": (SequenceClassifier(**TINY, cell="lnlstm", layer_norm=True), [[0.5, 1.0], [2.0]] * 12, LABELS),
    "labels": (SequenceMultilabelClassifier(**TINY), TEXTS, [["a"], ["a", "b"], [], ["b"]] * 6),
    "numbers": (SequenceRegressor(**TINY, loss="quantile"), TEXTS, [0.5, 1.5, 2.0, 3.0] * 6),
    "tags": (SequenceTagger(**TINY, character_cell="lstm", word_shape_size=2, constrained=True), SENTENCES, TAGS),
}


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    return joblib.load(io.BytesIO(file.getvalue()))


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def answers(model, X):
    found = model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)
    return [np.asarray(each).tolist() for each in found]


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_copy_of_a_fitted_estimator_answers_as_the_original(kind, how):
    model, X, y = SUBJECTS[kind]
    fitted = clone(model).fit(X, y)
    before, used = COPIES[how](fitted), answers(fitted, X)  # once before the first answer, once after
    after = COPIES[how](fitted)
    assert answers(before, X) == answers(after, X) == used
    assert after.get_params() == fitted.get_params()
    assert answers(after.fit(X, y), X) == used


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("kind", ["words", "labels", "numbers", "tags"])
def test_a_copy_of_an_estimator_without_arguments_answers_as_the_original(kind, engine, how):
    model, X, y = SUBJECTS[kind]
    fitted = type(model)(max_epochs=1, validation_fraction=None, engine=engine).fit(X, y)
    twin = COPIES[how](fitted)
    assert answers(twin, X) == answers(fitted, X)
    assert twin.config_ == fitted.config_
    assert twin.get_params() == fitted.get_params() == clone(fitted).get_params()


@pytest.mark.parametrize("how", [*COPIES, "clone"])
@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_copy_of_an_unfitted_estimator_can_be_fitted(kind, how):
    model, X, y = SUBJECTS[kind]
    twin = (COPIES | {"clone": clone})[how](model)
    assert twin.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(X)
    assert answers(twin.fit(X, y), X) == answers(clone(model).fit(X, y), X)


def test_a_deep_copy_shares_nothing_with_the_original():
    model, X, y = SUBJECTS["words"]
    fitted = clone(model).fit(X, y)
    used = answers(fitted, X)
    twin = copy.deepcopy(fitted)
    for weight in twin.model_.parameters():
        weight.data.zero_()
    assert answers(fitted, X) == used != answers(twin, X)


def test_a_fitted_grid_search_and_pipeline_can_be_pickled():
    model, X, y = SUBJECTS["words"]
    search = GridSearchCV(clone(model), {"hidden_size": [2, 4]}, cv=2).fit(X, y)
    pipeline = make_pipeline(FunctionTransformer(), clone(model)).fit(X, y)
    for each in (search, pipeline):
        assert answers(by_joblib(each), X) == answers(pickle.loads(pickle.dumps(each)), X) == answers(each, X)


@pytest.mark.slow  # two processes import torch
@pytest.mark.parametrize("kind", ["words", "numbers"])
def test_cross_validation_in_two_processes_gives_the_scores_of_one(kind):
    model, X, y = SUBJECTS[kind]
    one, two = (cross_val_score(clone(model), X, y, cv=2, n_jobs=jobs, error_score="raise") for jobs in (1, 2))
    assert one.tolist() == two.tolist()


@pytest.mark.parametrize("kind", SUBJECTS)
def test_threads_of_one_process_can_predict_with_one_estimator(kind):
    model, X, y = SUBJECTS[kind]
    fitted = clone(model).fit(X, y)
    alone = [answers(copy.deepcopy(fitted), X[start:]) for start in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda start: answers(fitted, X[start:]), list(range(8)) * 4))
    assert together == alone * 4
