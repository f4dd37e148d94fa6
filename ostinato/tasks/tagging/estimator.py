"""The tagger as a scikit-learn estimator: fit, predict, predict_proba, score, save."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ostinato.data.examples import Sentence
from ostinato.errors import DataError
from ostinato.tasks.estimator import Estimator, NoAudit, accept_old_names, too_few_to_validate
from ostinato.tasks.records import Model, TaskData, Trained
from ostinato.tasks.sequences.label_array import label_array
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.data import fit_encoder
from ostinato.tasks.tagging.defaults import settle_data
from ostinato.tasks.tagging.examples import TaggedRows, encode
from ostinato.tasks.tagging.inputs import as_sentences, labelled_sentences
from ostinato.tasks.tagging.metrics import tagging_metrics
from ostinato.tasks.tagging.network import predict_marginals, predict_tags
from ostinato.tasks.tagging.repair import bring_into_scheme
from ostinato.tasks.tagging.sentences import Sentences
from ostinato.tasks.tagging.task import Tagging
from ostinato.training.vectors import read_for


@accept_old_names
@dataclass(kw_only=True, eq=False, repr=False)
class SequenceTagger(Estimator):
    """A recurrent tagger: one tag per token of a sentence.

    The arguments are the keys of the config tables `[model]`, `[training]` and `[data]`, which `ostinato schema`
    describes, and those below. Those that are "auto" are chosen from the training rows; `config_` shows the choice.

    Args:
        repair_tags: repair tags that the scheme does not allow, such as I- after O, instead of refusing them.
        patience: epochs without improvement on the validation sentences before training stops; None: train to the end.
        validation_fraction: share of the sentences to hold out for validation, if `fit` gets no `validation_data`;
            None: train on all sentences, without early stopping.
        seed: seeds the held-out sentences, initial weights, batch order and dropout.
        random_state: overrides `seed`, for compatibility with scikit-learn.
        verbose: show progress on a terminal.

    Attributes:
        classes_: (C,) the learned tags, in `target_scheme`, in the order of the columns of `predict_proba`.
        model_: the trained `torch.nn.Module`.
        history_: one entry per epoch.

    Example:
        >>> from ostinato import SequenceTagger
        >>> tagger = SequenceTagger(hidden_size=8, max_epochs=2, validation_fraction=None)
        >>> tagger = tagger.fit([["in", "Oslo"], ["to", "Rome"]], [["O", "B-LOC"], ["O", "B-LOC"]])
        >>> len(tagger.predict([["by", "Oslo"]])[0])
        2
    """

    task: ClassVar[Tagging] = Tagging()

    hidden_size: int = 100
    dropout: float = 0.5
    head: str = "auto"
    constrained: bool | str = "auto"
    character_cell: str | None = "cnn"
    character_embedding_size: int = 25
    character_size: int = 25
    word_shape_size: int | None = 8
    feature_size: int = 25
    wide: str | None = None
    scheme: str | None = None
    target_scheme: str | None = "auto"
    repair_tags: bool = False
    lowercase: bool | str = "auto"
    monitor: str = "auto"

    def fit(
        self,
        X: Iterable[Any],
        y: Iterable[Sequence[str]],
        validation_data: tuple[Iterable[Any], Iterable[Sequence[str]]] | None = None,
    ) -> "SequenceTagger":
        """Train on sentences and the tags of their tokens.

        Args:
            X: lists of words, or of tuples (word, feature, …) with extra features per word, such as parts of speech.
            y: one list of tags per sentence, with one tag per word.
            validation_data: (X, y) to validate on, instead of held-out sentences.

        Raises:
            ConfigError: invalid arguments, all at once.
            DataError: an invalid sentence or tag; names its row.
        """
        config = self._config()
        sentences = labelled_sentences(X, y, "sentence")
        if not sentences:
            raise DataError("X has no sentences. Expected at least one, with a tag for each word.")
        tagged = bring_into_scheme(
            config.data.scheme,  # type: ignore[attr-defined]
            sentences,
            repair=self.repair_tags,
        )
        train, scheme = tagged.sentences, tagged.scheme
        validation: list[Sentence] = []
        if validation_data is not None:
            given = labelled_sentences(*validation_data, "validation sentence")
            validation = bring_into_scheme(scheme or "plain", given, repair=self.repair_tags).sentences
        elif self.validation_fraction is not None:
            train, validation = self._hold_out(train, config.training.seed)
        data_config = settle_data(config.data, train, scheme)  # type: ignore[arg-type]
        encoder = fit_encoder(train, data_config)
        codec = TagCodec.fit(train, scheme, data_config.target_scheme)
        vectors = read_for(config.data, encoder.words)
        if vectors is not None:
            encoder = encoder.with_extra(vectors.extra_words)
        rows = {"train": TaggedRows(train)} | ({"validation": TaggedRows(validation)} if validation else {})
        splits = {name: encode(encoder, codec, each) for name, each in rows.items()}
        data = TaskData(data_config, "X", "y", rows, splits, encoder, codec, NoAudit(), vectors)
        data = self._adopt(config, data)
        config = self.task.settle(config, data)
        trained = self._train(config, data)
        self._take(Model(self.task, config, data.encoder, codec, trained.network), trained)
        return self

    def predict(self, X: Iterable[Any]) -> list[list[str]]:
        """The tags of each sentence, in the scheme of the tags passed to `fit`.

        Args:
            X: as for `fit`, or strings, which are split into words and punctuation marks.

        Raises:
            NotFittedError: before `fit`.
            DataError: an invalid sentence; names its row.
        """
        sentences = self._encode(X)
        tags, _ = predict_tags(self.fitted_.network, sentences)
        return self.fitted_.codec.decode(tags.numpy(), sentences.lengths.tolist())  # type: ignore[no-any-return]

    def predict_proba(self, X: Iterable[Any]) -> list[np.ndarray]:
        """The probability of each tag at each token: an array (T, C) per sentence, columns in the order of `classes_`.

        Raises:
            NotFittedError: before `fit`.
            DataError: an invalid sentence; names its row.
        """
        sentences = self._encode(X)
        ends = sentences.lengths.cumsum(0).numpy()
        return np.split(predict_marginals(self.fitted_.network, sentences).numpy(), ends)[: len(ends)]

    def score(self, X: Iterable[Any], y: Iterable[Sequence[str]]) -> float:
        """The micro F1 of entities if the tags mark entities, else the accuracy over tokens."""
        codec = self._fitted("").codec
        rows = TaggedRows(labelled_sentences(X, y, "sentence"), repair=self.repair_tags).in_scheme(codec.scheme)
        predicted = self.predict(rows.sentences)
        metrics = tagging_metrics(rows.tags, predicted, known=None, scheme=codec.scheme, tags=codec.tags)
        return float(metrics.accuracy if metrics.f1 is None else metrics.f1)

    def _encode(self, X: Iterable[Any]) -> Sentences:
        encoded: Sentences = self._fitted("").encoder.encode(as_sentences(X, "sentence"))
        return encoded

    def _hold_out(self, sentences: list[Sentence], seed: int) -> tuple[list[Sentence], list[Sentence]]:
        """Draw the sentences to train on and to validate on; copies of a sentence stay together."""
        groups: dict[tuple[str, ...], int] = {}
        group_of = np.array([groups.setdefault(tuple(sentence.words), len(groups)) for sentence in sentences])
        count = max(1, round((self.validation_fraction or 0) * len(groups)))
        if count >= len(groups):
            warnings.warn(too_few_to_validate(len(groups), "different sentence"), stacklevel=3)
            return sentences, []
        is_held_out = np.isin(group_of, np.random.default_rng(seed).permutation(len(groups))[:count])
        train, validation = (
            [sentences[row] for row in np.flatnonzero(chosen)] for chosen in (~is_held_out, is_held_out)
        )
        return train, validation

    def _take(self, model: Model, trained: Trained | None = None) -> None:
        super()._take(model, trained)
        self.classes_ = label_array(model.codec.tags)
