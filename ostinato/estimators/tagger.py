"""The tagger as an estimator: fit, predict, predict_proba, score, save."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from sklearn.base import BaseEstimator

from ostinato.checkpoint import TrainingState, save_model
from ostinato.config import Config, DataConfig, ModelConfig, TrainingConfig, parse_config
from ostinato.data.encoder import plain
from ostinato.data.examples import Sentence, tags_of
from ostinato.data.files import check_unicode
from ostinato.data.sentences import Sentences
from ostinato.data.spans import tokenize_text
from ostinato.data.tag_encoder import TagEncoder
from ostinato.data.tagged import check_tags, scheme_of
from ostinato.errors import ConfigError, DataError, NotFittedError
from ostinato.evaluation.tagging import tagging_metrics
from ostinato.models import Tagger, build_tagger, predict_marginals, predict_tags
from ostinato.objectives import Tagged, Tagging
from ostinato.pretrained import Pretrained, check_size, fill, pretrained_for
from ostinato.progress import Progress
from ostinato.training import train

SHOWN_VALUES = 5


class SequenceTagger(BaseEstimator):  # type: ignore[misc]
    """A recurrent tagger: one tag for each token of a sentence.

    The arguments are those of the config's tables `[model]`, `[training]` and, for words and tags, `[data]`
    (`ostinato schema` describes each), and:

    Args:
        validation_fraction: share of the sentences held out to stop early, when `fit` gets no `validation_data`;
            `patience=None` trains on everything.
        verbose: show progress on a terminal.

    Attributes:
        classes_: (C,) the tags that the model learnt, in `target_scheme`; columns of `predict_proba`.
        model_: the trained `torch.nn.Module`.
        history_: one entry an epoch.

    Example:
        >>> from ostinato import SequenceTagger
        >>> tagger = SequenceTagger(hidden_size=8, max_epochs=2, patience=None)
        >>> tagger.fit([["in", "Oslo"], ["to", "Rome"]], [["O", "B-LOC"], ["O", "B-LOC"]]).predict([["by", "Oslo"]])[0].__len__()
        2
    """

    def __init__(
        self,
        *,
        cell: str = "lstm",
        nonlinearity: str = "tanh",
        embedding_size: int = 64,
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        residual: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        head: str = "crf",
        constrained: bool = False,
        character_cell: str | None = None,
        character_embedding_size: int = 25,
        character_size: int = 25,
        capitals_size: int | None = None,
        feature_size: int = 25,
        word_dropout: float = 0.0,
        engine: str = "auto",
        scheme: str | None = None,
        target_scheme: str | None = None,
        lowercase: bool = False,
        min_count: int = 1,
        max_size: int | None = None,
        vectors: str | None = None,
        vectors_beyond: int = 50_000,
        vectors_on_fault: str = "refuse",
        freeze_vectors: str | int = "never",
        max_epochs: int = 20,
        batch_size: int = 32,
        max_tokens: int | None = None,
        accumulate: int = 1,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        schedule: str = "cosine",
        warmup: float = 0.05,
        clip_norm: float | None = 1.0,
        monitor: str = "loss",
        patience: int | None = 5,
        ema_decay: float | None = None,
        precision: str = "auto",
        device: str = "auto",
        seed: int = 0,
        validation_fraction: float = 0.1,
        verbose: bool = False,
    ) -> None:
        self.cell = cell
        self.nonlinearity = nonlinearity
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.residual = residual
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.head = head
        self.constrained = constrained
        self.character_cell = character_cell
        self.character_embedding_size = character_embedding_size
        self.character_size = character_size
        self.capitals_size = capitals_size
        self.feature_size = feature_size
        self.word_dropout = word_dropout
        self.engine = engine
        self.scheme = scheme
        self.target_scheme = target_scheme
        self.lowercase = lowercase
        self.min_count = min_count
        self.max_size = max_size
        self.vectors = vectors
        self.vectors_beyond = vectors_beyond
        self.vectors_on_fault = vectors_on_fault
        self.freeze_vectors = freeze_vectors
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.accumulate = accumulate
        self.lr = lr
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.clip_norm = clip_norm
        self.monitor = monitor
        self.patience = patience
        self.ema_decay = ema_decay
        self.precision = precision
        self.device = device
        self.seed = seed
        self.validation_fraction = validation_fraction
        self.verbose = verbose

    def fit(
        self,
        X: Iterable[Any],
        y: Iterable[Sequence[str]],
        validation_data: tuple[Iterable[Any], Iterable[Sequence[str]]] | None = None,
    ) -> "SequenceTagger":
        """Train on sentences and the tags of their tokens.

        Args:
            X: lists of words, or of tuples (word, feature, …) with what stands beside each word, as its part of speech.
            y: lists of tags, as many as the sentence has words.
            validation_data: (X, y) to stop early on, instead of held-out sentences.

        Raises:
            ConfigError: arguments that cannot be used, all at once.
            DataError: a sentence or a tag that cannot be used, with its row.
        """
        config = self._config()
        sentences, held_out = labelled_sentences(X, y, "sentence"), []
        scheme = scheme_of(config.data.scheme, sentences)
        check_scheme(scheme, config)
        if validation_data is not None:
            held_out = labelled_sentences(*validation_data, "validation sentence", scheme)
        elif self.patience is not None:
            sentences, held_out = self._hold_out(sentences)
        encoder = TagEncoder.fit(
            sentences,
            scheme=scheme,
            **config.data.model_dump(include={"target_scheme", "lowercase", "min_count", "max_size"}),
        )
        vectors = pretrained_for(config.data, encoder.words)
        check_size(vectors, config)
        if vectors is not None:
            encoder = encoder.with_beyond(vectors.beyond_words)
        data = encode_tagged(encoder, sentences)
        validation = encode_tagged(encoder, held_out) if held_out else None
        model, state = fit_tagger(
            config, encoder, data, validation, vectors=vectors, progress=Progress(quiet=not self.verbose)
        )
        return self._take(config.model, encoder, model, state)

    def predict(self, X: Iterable[Any]) -> list[list[str]]:
        """The tags of each sentence's tokens, in the scheme of those that were given to `fit`.

        Args:
            X: as for `fit`; or strings, which are cut into words and punctuation marks.
        """
        sentences = self._encode(X)
        tags, _ = predict_tags(self.model_, sentences)
        return self.encoder_.decode(tags.numpy(), sentences.lengths.tolist())

    def predict_proba(self, X: Iterable[Any]) -> list[np.ndarray]:
        """The probability of each tag at each token: an array (T, C) a sentence, columns as in `classes_`."""
        sentences = self._encode(X)
        ends = sentences.lengths.cumsum(0).numpy()
        return np.split(predict_marginals(self.model_, sentences).numpy(), ends)[: len(ends)]

    def score(self, X: Iterable[Any], y: Iterable[Sequence[str]]) -> float:
        """Micro F1 of entities where the tags mark such, else the share of tokens that are right."""
        scheme = self._encoder().scheme
        sentences = labelled_sentences(X, y, "sentence", scheme)
        metrics = tagging_metrics(
            [tags_of(each) for each in sentences],
            self.predict(sentences),
            known=None,
            scheme=scheme,
            tags=self.encoder_.tags,
        )
        return metrics.accuracy if metrics.f1 is None else metrics.f1

    def save(self, path: str | Path) -> None:
        """Write one file that `ostinato.load` reads: weights, layers, words and tags, without pickle.

        Raises:
            NotFittedError: before `fit`.
            RunError: the file cannot be written.
        """
        encoder = self._encoder()
        save_model(
            Path(path),
            self.model_,
            self.model_config_,
            encoder,
            {name: plain(value) for name, value in self.get_params().items()},
        )

    @classmethod
    def of(
        cls, model: Tagger, config: ModelConfig, encoder: TagEncoder, parameters: dict[str, Any]
    ) -> "SequenceTagger":
        """A fitted estimator around a model that was loaded; `parameters` as `save` wrote them."""
        return cls(**{**parameters, "device": "auto"})._take(config, encoder, model, None)

    def _encoder(self) -> TagEncoder:
        if not hasattr(self, "model_"):
            raise NotFittedError("This SequenceTagger is not fitted yet. Call fit(X, y) first, or ostinato.load(path).")
        return self.encoder_

    def _encode(self, X: Iterable[Any]) -> Sentences:
        encoder = self._encoder()
        return encoder.encode(as_sentences(X, "sentence"))

    def _config(self) -> Config:
        given = {name: plain(value) for name, value in self.get_params().items()}
        tables: dict[str, type[BaseModel]] = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig}
        values = {
            name: {key: given[key] for key in table.model_fields if key in given} for name, table in tables.items()
        }
        values["data"] |= {"path": "X", "validation_size": given["validation_fraction"]}
        return parse_config({"task": "tagging", **values}, "SequenceTagger")

    def _hold_out(self, sentences: list[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
        """Sentences to train on and sentences to stop early on; copies of a sentence stay together."""
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(
                f"validation_fraction {self.validation_fraction} is not between 0 and 1. For no held-out sentences pass patience=None."
            )
        groups: dict[tuple[str, ...], int] = {}
        group_of = np.array([groups.setdefault(tuple(sentence.words), len(groups)) for sentence in sentences])
        wanted = max(1, round(self.validation_fraction * len(groups)))
        if wanted >= len(groups):
            raise DataError(
                f"{len(groups)} different sentences are too few to hold any out for early stopping. Add some, or pass patience=None."
            )
        held = np.isin(group_of, np.random.default_rng(self.seed).permutation(len(groups))[:wanted])
        kept, held_out = ([sentences[row] for row in np.flatnonzero(chosen)] for chosen in (~held, held))
        return kept, held_out

    def _take(
        self, model_config: ModelConfig, encoder: TagEncoder, model: Tagger, state: TrainingState | None
    ) -> "SequenceTagger":
        self.model_config_, self.encoder_, self.model_ = model_config, encoder, model
        self.classes_ = np.array(encoder.tags)
        if state is not None:
            self.history_, self.n_iter_ = state.history, state.epoch
        return self


def fit_tagger(
    config: Config,
    encoder: TagEncoder,
    data: Tagged,
    validation: Tagged | None,
    *,
    vectors: Pretrained | None = None,
    **options: Any,
) -> tuple[Tagger, TrainingState]:
    """Draw a model and train it (`options` as for `train`); torch's generators are left as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        model = build_tagger(config.model, encoder)
        if vectors is not None:
            fill(model.embed, vectors)
        state = train(model, data, validation, config.training, objective=Tagging(encoder), **options)
    return model.eval(), state


def encode_tagged(encoder: TagEncoder, sentences: list[Sentence]) -> Tagged:
    """Labelled sentences as a model reads them."""
    return Tagged(encoder.encode(sentences), encoder.encode_tags(sentences), [tags_of(each) for each in sentences])


def refuse_strange_features(encoder: TagEncoder, sentences: list[Sentence]) -> None:
    """Refuse sentences that a user gives if a feature has several values in them, and training met none: another column was meant.

    Raises:
        DataError: it met none; names the first sentence's place.
    """
    for number, known in enumerate(encoder.features):
        values = list(
            dict.fromkeys(
                chain.from_iterable(each.features[number] for each in sentences if number < len(each.features))
            )
        )
        if len(values) > 1 and not any(known.id(value) for value in values):
            shown = ", ".join(values[:SHOWN_VALUES]) + (", …" if len(values) > SHOWN_VALUES else "")
            raise DataError(
                f"{sentences[0].place}: feature {number + 1} is {shown} there, and training met no such value. "
                "Name in data.feature_columns the columns that training read, in that order."
            )


def check_scheme(scheme: str | None, config: Config) -> None:
    """Refuse what a config wants of entities where the tags mark none.

    Raises:
        ConfigError: it wants such; names the keys.
    """
    wants = {
        "data.target_scheme": config.data.target_scheme is not None,
        "model.constrained": config.model.constrained,
        "training.monitor f1": config.training.monitor == "f1",
    }
    idle = [key for key, wanted in wants.items() if wanted]
    if scheme is None and idle:
        raise ConfigError(
            f"{', '.join(idle)}: the tags mark no entities. Leave it away, or set data.scheme to iob1, iob2 or bioes if they should."
        )


def as_sentences(X: Iterable[Any], name: str) -> list[Sentence]:
    """Sentences of lists of words, or of tuples of words and features; strings are cut into words and punctuation marks.

    Raises:
        DataError: a sentence is something else, or empty; its words have different numbers of features.
    """
    if isinstance(X, str):
        raise DataError(f"X is the one string {X[:40]!r}: give a list of sentences, as [{X[:10]!r}].")
    return [each if isinstance(each, Sentence) else _as_sentence(each, f"{name} {row}") for row, each in enumerate(X)]


def _as_sentence(given: Any, place: str) -> Sentence:
    words = [word for word, _, _ in tokenize_text(given)] if isinstance(given, str) else list(given)
    if not words:
        raise DataError(f"{place}: the sentence is empty: there is nothing to tag. Leave it out.")
    tokens = [word if isinstance(word, tuple) else (word,) for word in words]
    for token, written in zip(tokens, words, strict=True):
        if not token or not all(isinstance(part, str) and part for part in token):
            raise DataError(
                f"{place}: {written!r} is not a word. Expected a list of non-empty strings, or of tuples of them: (word, feature, …)."
            )
        if len(token) != len(tokens[0]):
            raise DataError(f"{place}: {written!r} beside {words[0]!r}. Give each word as many features.")
        for part in token:
            check_unicode(part, place)
    only_words, *features = ([str(part) for part in parts] for parts in zip(*tokens, strict=True))
    return Sentence(only_words, None, place, features=tuple(features))


def labelled_sentences(
    X: Iterable[Any], y: Iterable[Sequence[str]], name: str, scheme: str | None = None
) -> list[Sentence]:
    """Sentences and their tags, as many as words, in the scheme where one is given.

    Raises:
        DataError: they differ in number, or a tag cannot be used; names the row.
    """
    sentences, tags = as_sentences(X, name), [list(each) for each in y]
    if len(sentences) != len(tags):
        raise DataError(
            f"X has {len(sentences)} sentences and y has {len(tags)} lists of tags: give one list a sentence."
        )
    for sentence, given in zip(sentences, tags, strict=True):
        if len(sentence.words) != len(given):
            raise DataError(
                f"{sentence.place}: {len(sentence.words)} words with {len(given)} tags. Give each word one tag."
            )
        for tag in given:
            if not isinstance(tag, str) or not tag:
                raise DataError(
                    f"{sentence.place}: {tag!r} is not a tag. Expected a non-empty string: give names for numbers, as [names[i] for i in tags]."
                )
    labelled = [sentence._replace(tags=given) for sentence, given in zip(sentences, tags, strict=True)]
    if scheme is not None:
        check_tags(scheme, labelled)
    return labelled
