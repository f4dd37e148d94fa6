"""The networks: a classifier and a tagger, and how a config becomes their layers (here and nowhere else)."""

from ostinato.models.classifier import Classifier, build_classifier, predict_logits
from ostinato.models.network import Network, few_threads
from ostinato.models.tagger import Tagger, build_tagger, predict_certain_tags, predict_marginals, predict_tags

__all__ = [
    "Classifier",
    "Network",
    "Tagger",
    "build_classifier",
    "build_tagger",
    "few_threads",
    "predict_certain_tags",
    "predict_logits",
    "predict_marginals",
    "predict_tags",
]
