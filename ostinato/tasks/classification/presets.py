"""Presets: named, complete configs, one function per preset. `ostinato train NAME` trains one."""

from collections.abc import Callable, Mapping
from typing import Any

from ostinato.config import SequenceModel
from ostinato.tasks.classification.config import ClassificationConfig, ClassificationData, ClassificationTraining


def majority() -> ClassificationConfig:
    """More ones than zeros? A vanilla RNN on strings of 20."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(
            name="majority", length=20, train_size=2000, validation_size=500, test_size=500
        ),
        model=SequenceModel.with_old_defaults(cell="rnn", hidden_size=16, embedding_size=8),
        training=ClassificationTraining.with_old_defaults(max_epochs=30, lr=5e-3, patience=10),
    )


def parity() -> ClassificationConfig:
    """Is the number of ones odd? The state must flip at every one; short strings make this learnable."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(
            name="parity", length=[2, 12], train_size=4000, validation_size=500, test_size=1000
        ),
        model=SequenceModel.with_old_defaults(cell="gru", hidden_size=32, embedding_size=8),
        training=ClassificationTraining.with_old_defaults(max_epochs=60, batch_size=64, lr=1e-2, patience=20),
    )


def delayed_recall() -> ClassificationConfig:
    """Which of two cues came first, long before the end?"""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(
            name="delayed-recall", train_size=8000, validation_size=500, test_size=1000
        ),
        model=SequenceModel.with_old_defaults(cell="gru", hidden_size=32, embedding_size=16),
        training=ClassificationTraining.with_old_defaults(max_epochs=15, batch_size=64, lr=1e-2, patience=10),
    )


def dna() -> ClassificationConfig:
    """Does the sequence contain the motif? A bidirectional GRU with attention."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(
            name="dna-motif", train_size=4000, validation_size=500, test_size=1000
        ),
        model=SequenceModel.with_old_defaults(
            cell="gru", embedding_size=16, hidden_size=32, bidirectional=True, pooling=["attention"]
        ),
        training=ClassificationTraining.with_old_defaults(max_epochs=8, batch_size=64, lr=5e-3),
    )


def dna_order() -> ClassificationConfig:
    """Which of two motifs comes first? Both are always present, so a bag of k-mers cannot answer this."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(
            name="dna-order", train_size=4000, validation_size=500, test_size=1000
        ),
        model=SequenceModel.with_old_defaults(
            cell="gru", embedding_size=16, hidden_size=32, bidirectional=True, pooling=["last", "max"]
        ),
        training=ClassificationTraining.with_old_defaults(max_epochs=12, batch_size=64, lr=5e-3, patience=10),
    )


def splice() -> ClassificationConfig:
    """Exon→intron, intron→exon or neither? Windows of primate DNA, aligned on the candidate site."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(name="splice", validation_size=0.1, test_size=0.2),
        model=SequenceModel.with_old_defaults(
            cell="lstm",
            embedding_size=32,
            position="learned",
            hidden_size=48,
            bidirectional=True,
            pooling=["last", "mean", "max"],
            dropout=0.3,
        ),
        training=ClassificationTraining.with_old_defaults(max_epochs=30, batch_size=64, lr=3e-3, ema_decay=0.99),
    )


def promoters() -> ClassificationConfig:
    """Promoter or not? A linear model of bases at their positions and of n-grams: 106 windows are too few for more.

    The sizes and the training count for cells that are compared with it.
    """
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(name="promoters", validation_size=0.15, test_size=0.2),
        model=SequenceModel.with_old_defaults(
            cell="none",
            wide="ngrams",
            embedding_size=16,
            hidden_size=24,
            bidirectional=True,
            pooling=["mean", "max"],
            dropout=0.3,
        ),
        training=ClassificationTraining.with_old_defaults(max_epochs=60, batch_size=16, lr=3e-3, patience=15),
    )


def peptides() -> ClassificationConfig:
    """Antimicrobial peptide or not? The ends are informative, so the model embeds positions."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(name="peptides"),
        model=SequenceModel.with_old_defaults(
            cell="gru",
            embedding_size=32,
            position="learned",
            hidden_size=48,
            bidirectional=True,
            pooling=["mean", "max"],
            dropout=0.3,
        ),
        training=ClassificationTraining.with_old_defaults(
            max_epochs=20, batch_size=64, lr=3e-3, ema_decay=0.99, patience=8
        ),
    )


def imdb() -> ClassificationConfig:
    """Positive or negative film review? Trained on 2,000 labelled reviews."""
    return ClassificationConfig(
        data=_reviews(train_size=2000),
        model=_lstm(64, pooling=["mean", "max"], dropout=0.5),
        training=ClassificationTraining.with_old_defaults(
            max_epochs=12, batch_size=32, lr=2e-3, ema_decay=0.99, monitor="accuracy", patience=4
        ),
    )


def imdb_self_trained() -> ClassificationConfig:
    """The same 2,000 labels, and the other reviews of the data set, which linear models label."""
    return ClassificationConfig(
        data=_reviews(train_size=2000, max_size=20_000, unlabelled="imdb"),
        model=_lstm(64, pooling=["last", "mean", "max"], dropout=0.5),
        training=ClassificationTraining.with_old_defaults(
            max_epochs=3, batch_size=32, lr=2e-3, ema_decay=0.99, semi="self-training"
        ),
    )


def imdb_pretrained() -> ClassificationConfig:
    """The same reviews, learned from by a larger network, which starts from a language model of them."""
    return ClassificationConfig(
        data=_reviews(train_size=2000, max_size=20_000, unlabelled="imdb"),
        model=_from_language_model("imdb-encoder"),
        training=ClassificationTraining.with_old_defaults(max_epochs=2, batch_size=32, lr=2e-3, semi="self-training"),
    )


def imdb_full() -> ClassificationConfig:
    """Nearly all of the labelled reviews: 19,400 for training. A language model and n-grams together."""
    return ClassificationConfig(
        data=_reviews(train_size=19_400, max_size=20_000),
        model=_from_language_model("imdb-full-encoder", wide="ngrams"),
        training=ClassificationTraining.with_old_defaults(max_epochs=3, batch_size=32, lr=2e-3),
    )


def _reviews(**settings: Any) -> ClassificationData:
    """Film reviews, of which the first and the last 200 words are read."""
    data: ClassificationData = ClassificationData.with_old_defaults(
        name="imdb", validation_size=500, test_size=5000, min_count=2, max_length=400, truncate="both", **settings
    )
    return data


def _from_language_model(init: str, **settings: Any) -> SequenceModel:
    """The layers of `ostinato pretrain`'s presets for reviews."""
    return _lstm(256, pooling=["last", "mean", "max"], dropout=0.3, init=init, **settings)


def _lstm(size: int, **settings: Any) -> SequenceModel:
    """One bidirectional layer of `size` units, on vectors of the same size."""
    model: SequenceModel = SequenceModel.with_old_defaults(
        cell="lstm", embedding_size=size, hidden_size=size, bidirectional=True, **settings
    )
    return model


def imdb_classic() -> ClassificationConfig:
    """The textbook model on the same reviews: two layers of 128 units, one direction, last state."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(name="imdb", train_size=2000, validation_size=500, test_size=5000),
        model=SequenceModel.with_old_defaults(cell="lstm", embedding_size=64, hidden_size=128, num_layers=2),
        training=ClassificationTraining.with_old_defaults(max_epochs=5, batch_size=32),
    )


def japanese_vowels() -> ClassificationConfig:
    """Which of nine speakers? Series of 12 channels and 7 to 29 steps."""
    return ClassificationConfig(
        data=ClassificationData.with_old_defaults(name="japanese-vowels", validation_size=0.15),
        model=SequenceModel.with_old_defaults(
            cell="gru", embedding_size=32, hidden_size=48, bidirectional=True, pooling=["mean", "max"], dropout=0.3
        ),
        training=ClassificationTraining.with_old_defaults(max_epochs=60, batch_size=16, lr=3e-3, patience=15),
    )


PRESETS: Mapping[str, Callable[[], ClassificationConfig]] = {
    "majority": majority,
    "imdb": imdb,
    "imdb-classic": imdb_classic,
    "imdb-self-trained": imdb_self_trained,
    "imdb-pretrained": imdb_pretrained,
    "imdb-full": imdb_full,
    "dna": dna,
    "dna-order": dna_order,
    "splice": splice,
    "promoters": promoters,
    "peptides": peptides,
    "parity": parity,
    "delayed-recall": delayed_recall,
    "japanese-vowels": japanese_vowels,
}
