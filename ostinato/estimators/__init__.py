"""Estimators with scikit-learn's conventions: fit, predict, predict_proba, score, save, load."""

from ostinato.estimators.classifier import (
    SequenceClassifier,
    class_weights,
    encode,
    fit_classifier,
    refuse_empty,
    refuse_unknown,
)
from ostinato.estimators.loading import load, load_classifier, load_tagger
from ostinato.estimators.tagger import SequenceTagger, check_scheme, encode_tagged, fit_tagger, refuse_strange_features

__all__ = [
    "SequenceClassifier",
    "SequenceTagger",
    "check_scheme",
    "class_weights",
    "encode",
    "encode_tagged",
    "fit_classifier",
    "fit_tagger",
    "load",
    "load_classifier",
    "load_tagger",
    "refuse_empty",
    "refuse_strange_features",
    "refuse_unknown",
]
