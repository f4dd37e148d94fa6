"""Named, complete configurations: one plain function a task. `ostinato train NAME` runs one."""

from collections.abc import Callable

from ostinato.config import Config, DataConfig, ModelConfig, TrainingConfig


def majority() -> Config:
    """More ones than zeros? A vanilla RNN on strings of 20."""
    return Config(
        data=DataConfig(name="majority", length=20, train_size=2000, validation_size=500, test_size=500),
        model=ModelConfig(cell="rnn", hidden_size=16, embedding_size=8),
        training=TrainingConfig(max_epochs=30, lr=5e-3, patience=10),
    )


def parity() -> Config:
    """Is the number of ones odd? Needs a state that flips; short strings come along so that it can be learnt."""
    return Config(
        data=DataConfig(name="parity", length=[2, 12], train_size=4000, validation_size=500, test_size=1000),
        model=ModelConfig(cell="gru", hidden_size=32, embedding_size=8),
        training=TrainingConfig(max_epochs=60, batch_size=64, lr=1e-2, patience=20),
    )


def delayed_recall() -> Config:
    """Which of two cues came first, long before the end?"""
    return Config(
        data=DataConfig(name="delayed-recall", train_size=8000, validation_size=500, test_size=1000),
        model=ModelConfig(cell="gru", hidden_size=32, embedding_size=16),
        training=TrainingConfig(max_epochs=15, batch_size=64, lr=1e-2, patience=10),
    )


def dna() -> Config:
    """Is the motif in the sequence? A bidirectional GRU with attention."""
    return Config(
        data=DataConfig(name="dna-motif", train_size=4000, validation_size=500, test_size=1000),
        model=ModelConfig(cell="gru", embedding_size=16, hidden_size=32, bidirectional=True, pooling=["attention"]),
        training=TrainingConfig(max_epochs=8, batch_size=64, lr=5e-3),
    )


def dna_order() -> Config:
    """Which of two motifs comes first? Both are always there, so no bag of k-mers can tell."""
    return Config(
        data=DataConfig(name="dna-order", train_size=4000, validation_size=500, test_size=1000),
        model=ModelConfig(cell="gru", embedding_size=16, hidden_size=32, bidirectional=True, pooling=["last", "max"]),
        training=TrainingConfig(max_epochs=12, batch_size=64, lr=5e-3, patience=10),
    )


def splice() -> Config:
    """Exon→intron, intron→exon or neither, in primate windows aligned on the candidate site."""
    return Config(
        data=DataConfig(name="splice", validation_size=0.1, test_size=0.2),
        model=ModelConfig(
            cell="lstm",
            embedding_size=32,
            position="learned",
            hidden_size=48,
            bidirectional=True,
            pooling=["last", "mean", "max"],
            dropout=0.3,
        ),
        training=TrainingConfig(max_epochs=30, batch_size=64, lr=3e-3, ema_decay=0.99),
    )


def promoters() -> Config:
    """Promoter or not, in 106 E. coli windows: a set so small that its interval is wide."""
    return Config(
        data=DataConfig(name="promoters", validation_size=0.15, test_size=0.2),
        model=ModelConfig(
            cell="gru",
            embedding_size=16,
            position="learned",
            hidden_size=24,
            bidirectional=True,
            pooling=["mean", "max"],
            dropout=0.3,
        ),
        training=TrainingConfig(max_epochs=60, batch_size=16, lr=3e-3, patience=15),
    )


def peptides() -> Config:
    """Antimicrobial or not, from the residues; the ends tell much, so positions count."""
    return Config(
        data=DataConfig(name="peptides"),
        model=ModelConfig(
            cell="gru",
            embedding_size=32,
            position="learned",
            hidden_size=48,
            bidirectional=True,
            pooling=["mean", "max"],
            dropout=0.3,
        ),
        training=TrainingConfig(max_epochs=20, batch_size=64, lr=3e-3, ema_decay=0.99, patience=8),
    )


def imdb() -> Config:
    """Positive or negative film review, from 2,000 labels."""
    return Config(
        data=DataConfig(
            name="imdb",
            train_size=2000,
            validation_size=500,
            test_size=5000,
            min_count=2,
            max_length=400,
            truncate="both",
        ),
        model=ModelConfig(
            cell="lstm", embedding_size=64, hidden_size=64, bidirectional=True, pooling=["mean", "max"], dropout=0.5
        ),
        training=TrainingConfig(max_epochs=12, batch_size=32, lr=2e-3, ema_decay=0.99, monitor="accuracy", patience=4),
    )


def imdb_classic() -> Config:
    """The textbook's model on the same reviews: two layers of 128, one direction, last state."""
    return Config(
        data=DataConfig(name="imdb", train_size=2000, validation_size=500, test_size=5000),
        model=ModelConfig(cell="lstm", embedding_size=64, hidden_size=128, num_layers=2),
        training=TrainingConfig(max_epochs=5, batch_size=32),
    )


def japanese_vowels() -> Config:
    """Which of nine speakers? Twelve channels, 7 to 29 steps."""
    return Config(
        data=DataConfig(name="japanese-vowels", validation_size=0.15),
        model=ModelConfig(
            cell="gru", embedding_size=32, hidden_size=48, bidirectional=True, pooling=["mean", "max"], dropout=0.3
        ),
        training=TrainingConfig(max_epochs=60, batch_size=16, lr=3e-3, patience=15),
    )


def conll2003_ner() -> Config:
    """Persons, places, organisations and others in English newswire: words, characters and GloVe, a BiLSTM, a CRF.

    Words that training met less than five times keep their vectors as GloVe has them, as do those that it never met:
    a name that is tuned on one sentence says little of the next one.
    """
    return Config(
        task="tagging",
        data=DataConfig(
            name="conll2003-ner",
            lowercase=True,
            min_count=5,
            target_scheme="bioes",
            vectors="glove-50d",
            vectors_beyond=400_000,
        ),
        model=ModelConfig(
            cell="lstm",
            embedding_size=50,
            hidden_size=200,
            bidirectional=True,
            dropout=0.5,
            head="crf",
            constrained=True,
            character_cell="cnn",
            character_embedding_size=30,
            character_size=100,
            capitals_size=10,
            word_dropout=0.03,
        ),
        training=TrainingConfig(max_epochs=22, batch_size=16, lr=2e-3, ema_decay=0.999, monitor="f1", patience=10),
    )


def conll2003_chunk() -> Config:
    """Noun, verb and other phrases in English newswire, as a program marked them, which read parts of speech; so they are read here.

    Each word tells that program much, so all are tuned.
    """
    config = conll2003_ner()
    return config.model_copy(
        update={
            "data": config.data.model_copy(
                update={"name": "conll2003-chunk", "feature_columns": ["pos"], "min_count": 1}
            ),
            "model": config.model.model_copy(update={"dropout": 0.3, "word_dropout": 0.01}),
            "training": config.training.model_copy(update={"max_epochs": 12}),
        }
    )


def brown_pos() -> Config:
    """The part of speech of each word of American English, 472 tags: a BiLSTM with characters, each tag by itself."""
    return Config(
        task="tagging",
        data=DataConfig(
            name="brown-pos",
            validation_size=0.05,
            test_size=0.1,
            lowercase=True,
            min_count=2,
            vectors="glove-50d",
            vectors_beyond=200_000,
        ),
        model=ModelConfig(
            cell="lstm",
            embedding_size=50,
            hidden_size=200,
            bidirectional=True,
            dropout=0.3,
            head="softmax",
            character_cell="cnn",
            character_embedding_size=30,
            character_size=50,
            capitals_size=10,
        ),
        training=TrainingConfig(max_epochs=6, batch_size=32, lr=2e-3, ema_decay=0.999, monitor="accuracy", patience=4),
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "majority": majority,
    "imdb": imdb,
    "imdb-classic": imdb_classic,
    "dna": dna,
    "dna-order": dna_order,
    "splice": splice,
    "promoters": promoters,
    "peptides": peptides,
    "parity": parity,
    "delayed-recall": delayed_recall,
    "japanese-vowels": japanese_vowels,
    "conll2003-ner": conll2003_ner,
    "conll2003-chunk": conll2003_chunk,
    "brown-pos": brown_pos,
}
