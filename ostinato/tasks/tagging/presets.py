"""Presets: named, complete configs, one function per preset. `ostinato train NAME` trains one."""

from collections.abc import Callable, Mapping

from ostinato.tasks.tagging.config import TaggingConfig, TaggingData, TaggingModel, TaggingTraining


def conll2003_ner() -> TaggingConfig:
    """Persons, places, organisations and others in English newswire: words, characters and GloVe, a BiLSTM, a CRF.

    Words that occur fewer than five times in training, or never, keep their GloVe vectors: fine-tuning the vector of a
    name on one sentence does not help on the next.
    """
    return TaggingConfig(
        data=TaggingData.with_old_defaults(
            name="conll2003-ner",
            lowercase=True,
            min_count=5,
            target_scheme="bioes",
            vectors="glove-50d",
            extra_vectors=400_000,
        ),
        model=TaggingModel.with_old_defaults(
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
            word_shape_size=10,
            word_dropout=0.03,
        ),
        training=TaggingTraining.with_old_defaults(
            max_epochs=22, batch_size=16, lr=2e-3, ema_decay=0.999, monitor="f1", patience=10
        ),
    )


def conll2003_chunk() -> TaggingConfig:
    """Noun, verb and other phrases in English newswire.

    The phrases were derived from words and parts of speech, so the model reads both and fine-tunes all word vectors.
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


def brown_pos() -> TaggingConfig:
    """The part of speech of each word of American English, 472 tags: a BiLSTM with characters and a softmax head."""
    return TaggingConfig(
        data=TaggingData.with_old_defaults(
            name="brown-pos",
            validation_size=0.05,
            test_size=0.1,
            lowercase=True,
            min_count=2,
            vectors="glove-50d",
            extra_vectors=200_000,
        ),
        model=TaggingModel.with_old_defaults(
            cell="lstm",
            embedding_size=50,
            hidden_size=200,
            bidirectional=True,
            dropout=0.3,
            head="softmax",
            character_cell="cnn",
            character_embedding_size=30,
            character_size=50,
            word_shape_size=10,
        ),
        training=TaggingTraining.with_old_defaults(
            max_epochs=6, batch_size=32, lr=2e-3, ema_decay=0.999, monitor="accuracy", patience=4
        ),
    )


PRESETS: Mapping[str, Callable[[], TaggingConfig]] = {
    "conll2003-ner": conll2003_ner,
    "conll2003-chunk": conll2003_chunk,
    "brown-pos": brown_pos,
}
