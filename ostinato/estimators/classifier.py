"""The classifier as scikit-learn has estimators: fit, predict, predict_proba, score, save."""

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor

from ostinato.checkpoint import TrainingState, save_model
from ostinato.config import Config, DataConfig, ModelConfig, TrainingConfig, parse_config
from ostinato.data.encoder import Encoder, plain
from ostinato.data.ragged import Ragged
from ostinato.data.splits import refuse_one_class, stratified_split
from ostinato.errors import ConfigError, DataError, NotFittedError
from ostinato.evaluation.calibration import fit_temperature
from ostinato.inputs import Rows, as_sequences, guess_tokenizer, identity
from ostinato.models import Classifier, build_classifier, predict_logits
from ostinato.objectives import Classification, Labelled
from ostinato.pretrained import Pretrained, check_size, fill, pretrained_for
from ostinato.progress import Progress
from ostinato.training import train


class SequenceClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A recurrent or convolutional classifier of sequences: strings, lists of tokens, or arrays (T,) or (T, channels).

    The arguments are those of the config's tables `[model]` and `[training]` (`ostinato schema` describes each),
    the vocabulary's from `[data]`, and:

    Args:
        tokenizer: how strings become tokens; by default `words` for strings, `events` for lists of strings, `numeric` for
            arrays and lists of numbers (events that are numbers: give them as strings).
        class_weight: None, "balanced", or a mapping from label to weight.
        validation_fraction: share of the training rows held out, stratified, to stop early and to calibrate,
            when `fit` gets no `validation_data`; `patience=None` trains on everything.
        seed: draws the held-out rows, weights, order and dropout.
        verbose: show progress on a terminal.

    Attributes:
        classes_: (C,) the labels, sorted; columns of `predict_proba`.
        model_: the trained `torch.nn.Module`.
        history_: one entry an epoch.

    Example:
        >>> from ostinato import SequenceClassifier
        >>> model = SequenceClassifier(cell="gru", hidden_size=8, tokenizer="characters", max_epochs=2, patience=None)
        >>> model.fit(["0001", "1110", "0100", "1101"], ["few", "many", "few", "many"]).predict(["1111"]).shape
        (1,)
    """

    def __init__(
        self,
        *,
        cell: str = "lstm",
        nonlinearity: str = "tanh",
        embedding_size: int = 64,
        position: str | None = None,
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = False,
        conv_size: int | None = None,
        kernel_size: int = 5,
        conv_pool: int = 1,
        residual: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        pooling: str | Sequence[str] = "last",
        engine: str = "auto",
        tokenizer: str | None = None,
        min_count: int = 1,
        max_size: int | None = None,
        max_length: int | None = None,
        truncate: str = "head",
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
        label_smoothing: float = 0.0,
        class_weight: str | Mapping[Any, float] | None = None,
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
        self.position = position
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.conv_size = conv_size
        self.kernel_size = kernel_size
        self.conv_pool = conv_pool
        self.residual = residual
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.pooling = pooling
        self.engine = engine
        self.tokenizer = tokenizer
        self.min_count = min_count
        self.max_size = max_size
        self.max_length = max_length
        self.truncate = truncate
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
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
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
        y: Iterable[Hashable],
        validation_data: tuple[Iterable[Any], Iterable[Hashable]] | None = None,
    ) -> "SequenceClassifier":
        """Train on sequences and their labels.

        Args:
            X: strings, lists of tokens, or arrays (T,) or (T, channels); a list, pandas Series or array of them.
            y: one hashable label a sequence.
            validation_data: (X, y) to stop early and to calibrate on, instead of held-out rows.

        Raises:
            ConfigError: arguments that cannot be used, all at once.
            DataError: a sequence that cannot be used, with its row; fewer than two classes.
        """
        config = self._config()
        rows = Rows.of(X, y, "sequence")
        if validation_data is not None:
            held_out = Rows.of(*validation_data, "validation sequence")
        elif self.patience is not None:
            rows, held_out = self._hold_out(rows)
        else:
            held_out = rows.select([])
        encoder = Encoder.fit(
            rows.sequences,
            rows.labels,
            tokenizer=config.data.tokenizer or guess_tokenizer(rows.sequences),
            places=rows.places,
            **config.data.model_dump(include={"min_count", "max_size", "max_length", "truncate"}),
        )
        refuse_one_class("y", rows.labels)
        vectors = pretrained_for(config.data, encoder.vocabulary, encoder.tokenizer)
        check_size(vectors, config)
        if vectors is not None:
            encoder = encoder.with_beyond(vectors.beyond_words)
        data, validation = (encode(encoder, part.sequences, part.labels, part.places) for part in (rows, held_out))
        refuse_empty(data.sequences, rows.places)
        refuse_empty(validation.sequences, held_out.places)
        weights = class_weights(self.class_weight, encoder, data.targets)
        progress = Progress(quiet=not self.verbose)
        model, state = fit_classifier(
            config,
            encoder,
            data,
            validation if held_out.labels else None,
            class_weight=weights,
            vectors=vectors,
            progress=progress,
        )
        return self._take(config.model, encoder, model, state)

    def predict(self, X: Iterable[Any]) -> np.ndarray:
        """The most probable label of each sequence. Returns (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def score(self, X: Iterable[Any], y: Iterable[Hashable], sample_weight: Any = None) -> float:
        """Accuracy; a label that training never saw counts as a miss, whatever is predicted."""
        known = {label: index for index, label in enumerate(self.classes_.tolist())}
        targets = np.array([known.get(plain(label), -1) for label in y])
        return float(np.average(self.predict_proba(X).argmax(axis=1) == targets, weights=sample_weight))

    def predict_proba(self, X: Iterable[Any]) -> np.ndarray:
        """Calibrated probabilities. Returns (n, C), columns as in `classes_`.

        Raises:
            NotFittedError: before `fit`.
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        if not hasattr(self, "model_"):
            raise NotFittedError(
                "This SequenceClassifier is not fitted yet. Call fit(X, y) first, or ostinato.load(path)."
            )
        sequences = self.encoder_.encode(as_sequences(X))
        refuse_empty(sequences)
        unknown = rows_without_known_tokens(self.encoder_, sequences)
        if len(unknown):
            warnings.warn(
                f"{len(unknown)} sequences hold no token that training saw, the first is sequence {unknown[0]}",
                stacklevel=2,
            )
        return self.predict_encoded(sequences)

    def predict_encoded(self, sequences: Ragged) -> np.ndarray:
        """Calibrated probabilities of sequences that `encoder_` has encoded, none of them empty. Returns (n, C)."""
        return self.model_.probabilities(predict_logits(self.model_, sequences)).numpy()

    def save(self, path: str | Path) -> None:
        """Write one file that `ostinato.load` reads: weights, layers, tokens and labels, without pickle.

        Raises:
            NotFittedError: before `fit`.
            DataError: labels that are not strings, whole numbers, floats or truth values.
            RunError: the file cannot be written.
        """
        if not hasattr(self, "model_"):
            raise NotFittedError(
                "This SequenceClassifier is not fitted yet: there is nothing to save. Call fit(X, y) first."
            )
        save_model(Path(path), self.model_, self.model_config_, self.encoder_, self._parameters())

    def _config(self) -> Config:
        """The arguments as a checked config; a mapping of class weights may have keys that no config can hold."""
        given = {name: plain(value) for name, value in self.get_params().items()}
        given["pooling"] = given["pooling"] if isinstance(given["pooling"], str) else list(given["pooling"])
        if isinstance(given["class_weight"], Mapping):
            given["class_weight"] = None
        tables: dict[str, type[BaseModel]] = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig}
        values = {
            name: {key: given[key] for key in table.model_fields if key in given} for name, table in tables.items()
        }
        values["data"] |= {"path": "X", "validation_size": given["validation_fraction"]}
        return parse_config(values, "SequenceClassifier")

    def _parameters(self) -> dict[str, Any]:
        """The arguments as JSON has them."""
        given = {name: plain(value) for name, value in self.get_params().items()}
        if isinstance(given["class_weight"], Mapping):
            given["class_weight"] = [[plain(label), float(weight)] for label, weight in given["class_weight"].items()]
        return given

    def _hold_out(self, rows: Rows) -> tuple[Rows, Rows]:
        """Rows to train on and rows to stop early on; copies of a sequence stay together."""
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(
                f"validation_fraction {self.validation_fraction} is not between 0 and 1. For no held-out rows pass patience=None."
            )
        names: dict[Hashable, str] = {}
        labels = [names.setdefault(label, repr(label)) for label in rows.labels]
        copies: dict[Hashable, str] = {}
        groups = [copies.setdefault(identity(sequence), str(row)) for row, sequence in enumerate(rows.sequences)]
        try:
            kept, held, _ = stratified_split(
                labels,
                groups if len(copies) < len(groups) else None,
                (None, float(self.validation_fraction), 0),
                self.seed,
            )
        except (ConfigError, DataError) as error:
            raise DataError(
                f"No rows can be held out for early stopping: {error} Or pass patience=None, or validation_data."
            ) from None
        return rows.select(kept), rows.select(held)

    @classmethod
    def of(
        cls, model: Classifier, config: ModelConfig, encoder: Encoder, parameters: dict[str, Any]
    ) -> "SequenceClassifier":
        """A fitted estimator around a model that was loaded; `parameters` as `save` wrote them."""
        if isinstance(parameters.get("class_weight"), list):
            parameters["class_weight"] = dict(parameters["class_weight"])
        return cls(**{**parameters, "device": "auto"})._take(config, encoder, model, None)

    def _take(
        self, model_config: ModelConfig, encoder: Encoder, model: Classifier, state: TrainingState | None
    ) -> "SequenceClassifier":
        self.model_config_, self.encoder_, self.model_ = model_config, encoder, model
        model.met_unknown = encoder.is_fitted and (self.min_count > 1 or self.max_size is not None)
        self.classes_ = np.empty(encoder.num_labels, dtype=object)
        self.classes_[:] = encoder.labels
        if len({type(label) for label in encoder.labels}) == 1 and isinstance(encoder.labels[0], str | int | float):
            self.classes_ = np.array(encoder.labels)
        if state is not None:
            self.history_, self.n_iter_ = state.history, state.epoch
        return self


def fit_classifier(
    config: Config,
    encoder: Encoder,
    data: Labelled,
    validation: Labelled | None,
    *,
    class_weight: Tensor | None = None,
    vectors: Pretrained | None = None,
    **options: Any,
) -> tuple[Classifier, TrainingState]:
    """Draw a model, train it (`options` as for `train`) and calibrate it; torch's generators are left as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(config.training.seed)
        model = build_classifier(config.model, encoder)
        if vectors is not None:
            fill(model.embed, vectors)
        state = train(model, data, validation, config.training, objective=Classification(class_weight), **options)
    if validation is not None:
        logits = predict_logits(model, validation.sequences)
        model.temperature.fill_(fit_temperature(logits.numpy(), validation.targets.numpy()))
    return model.eval(), state


def encode(encoder: Encoder, sequences: list[Any], labels: list[Any], places: list[str] | None = None) -> Labelled:
    """Sequences and labels as a model reads them."""
    return Labelled(encoder.encode(sequences, places), encoder.encode_labels(labels, places))


def class_weights(setting: str | Mapping[Any, float] | None, encoder: Encoder, targets: Tensor) -> Tensor | None:
    """The weight of each class (C,): `balanced` gives n / (C · count), as in scikit-learn.

    Raises:
        ConfigError: a mapping names a label that training does not have.
    """
    if setting is None:
        return None
    if isinstance(setting, str):
        return len(targets) / (encoder.num_labels * torch.bincount(targets, minlength=encoder.num_labels).float())
    if not isinstance(setting, Mapping):
        raise ConfigError(
            f"class_weight {setting!r} is not usable. Expected None, 'balanced', or a mapping from label to weight."
        )
    weights = {plain(label): weight for label, weight in setting.items()}
    for label, weight in weights.items():
        if label not in encoder.labels:
            raise ConfigError(
                f"class_weight names the label {label!r}, which training does not have. Labels: {', '.join(map(str, encoder.labels))}."
            )
        if not isinstance(weight, int | float | np.number) or not 0 < float(weight) < np.inf:
            raise ConfigError(f"class_weight of {label!r} is {weight!r}. Expected a number above 0.")
    return torch.tensor([float(weights.get(label, 1.0)) for label in encoder.labels])


def refuse_empty(sequences: Ragged, places: list[str] | None = None) -> None:
    """Refuse sequences of length 0, naming the first."""
    for row in np.flatnonzero(sequences.lengths.numpy() == 0)[:1]:
        raise DataError(
            f"{places[row] if places else f'sequence {row}'}: the sequence is empty: there is nothing to classify. Leave it out."
        )


def refuse_unknown(encoder: Encoder, sequences: Ragged, places: list[str]) -> None:
    """Refuse sequences that consist of unknown tokens only, naming the first."""
    for row in rows_without_known_tokens(encoder, sequences)[:1]:
        raise DataError(f"{places[row]}: no token of it occurs in the training data: nothing to go by. Leave it out.")


def rows_without_known_tokens(encoder: Encoder, sequences: Ragged) -> np.ndarray:
    """Rows of non-empty sequences that consist of unknown tokens only."""
    if encoder.is_numeric:
        return np.array([], dtype=int)
    known = torch.zeros(len(sequences)).index_add_(
        0, torch.repeat_interleave(torch.arange(len(sequences)), sequences.lengths), (sequences.values != 0).float()
    )
    return np.flatnonzero(((known == 0) & (sequences.lengths > 0)).numpy())
