"""From a model file or a run folder to the estimator that it holds."""

from pathlib import Path

from ostinato.checkpoint import load_network, model_file
from ostinato.data.encoder import Encoder
from ostinato.data.tag_encoder import TagEncoder
from ostinato.errors import RunError
from ostinato.estimators.classifier import SequenceClassifier
from ostinato.estimators.tagger import SequenceTagger
from ostinato.models import Classifier, Tagger
from ostinato.training import choose_device


def load(path: str | Path) -> SequenceClassifier | SequenceTagger:
    """Read a classifier or a tagger from a model file or a finished run folder; runs no code from it.

    Raises:
        RunError: the file is missing, truncated, altered, or of a newer format.
    """
    model, config, encoder, parameters = load_network(model_file(Path(path)))
    model.to(choose_device("auto"))
    if isinstance(model, Tagger) and isinstance(encoder, TagEncoder):
        return SequenceTagger.of(model, config, encoder, parameters)
    assert isinstance(model, Classifier) and isinstance(encoder, Encoder)
    return SequenceClassifier.of(model, config, encoder, parameters)


def load_classifier(path: str | Path) -> SequenceClassifier:
    """As `load`, of a classifier.

    Raises:
        RunError: also where it is a tagger.
    """
    loaded = load(path)
    if not isinstance(loaded, SequenceClassifier):
        raise RunError(f"{path}: is a tagger, and this is for classifiers. Name a classifier's run.")
    return loaded


def load_tagger(path: str | Path) -> SequenceTagger:
    """As `load`, of a tagger.

    Raises:
        RunError: also where it is a classifier.
    """
    loaded = load(path)
    if not isinstance(loaded, SequenceTagger):
        raise RunError(f"{path}: is a classifier, and this is for taggers. Name a tagger's run.")
    return loaded
