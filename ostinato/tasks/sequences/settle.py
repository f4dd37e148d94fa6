"""Choose the keys that a config leaves open from the training split; values that were given stay."""

from collections.abc import Sequence
from typing import Any

from ostinato.config import AUTO, Config, SequenceData, SequenceModel
from ostinato.data.tokenizer_choice import READ_ROWS, choose_tokenizer, lengths_of, tokenizer_of_type
from ostinato.data.tokenizers import NUMERIC
from ostinato.tasks.records import TaskData
from ostinato.tasks.sequences.defaults import Facts, choose_data, choose_model, choose_training
from ostinato.tasks.sequences.infer_series import choose_scale
from ostinato.tasks.settled import settled

NO_CONVOLUTION: dict[str, Any] = {"conv_size": None, "conv_pool": 1}


def tokenizer_of(config: SequenceData, sequences: Sequence[Any], *, is_fasta: bool = False) -> str:
    """The config's tokenizer, or one that suits the sequences and the pretrained vectors, which are those of words."""
    if config.tokenizer is None:
        return tokenizer_of_type(sequences, is_fasta=is_fasta)
    if config.tokenizer != AUTO:
        return config.tokenizer
    chosen = choose_tokenizer(sequences, is_fasta=is_fasta)[0]
    return "words" if config.vectors is not None and chosen not in ("events", NUMERIC) else chosen


def settle_data(config: SequenceData, train: Sequence[Any], tokenizer: str, *, size_matters: bool) -> SequenceData:
    """The data table with every key chosen.

    Args:
        train: the sequences of the training split.
        tokenizer: the config's, the named set's or the chosen one.
        size_matters: the target may depend on the size of a series, so each is not standardised by itself.
    """
    keys = config.open_keys()
    if not keys:
        return config
    chosen = {"tokenizer": tokenizer} | choose_data(Facts(len(train), tokenizer, lengths_of(train, tokenizer)), [])
    if "max_length" not in keys:
        chosen["truncate"] = "head"
    is_scaled_alike = tokenizer != NUMERIC or size_matters or "scale" not in keys
    chosen["scale"] = "channel" if is_scaled_alike else choose_scale(list(train[:: 1 + len(train) // READ_ROWS]))[0]
    return config.model_copy(update={key: chosen[key] for key in keys})


def settle(config: Config, data: TaskData) -> Config:
    """The config with every key chosen; see `Task.settle`."""
    assert isinstance(config.model, SequenceModel)
    train = data.splits["train"]
    is_cut = train.sequences.truncated > 0
    facts = Facts(len(train.lengths), data.encoder.tokenizer, train.lengths.numpy(), is_cut)
    training = choose_training(facts, None, [])
    if "batch_size" not in config.training.open_keys():
        training["max_tokens"] = None  # it would replace the given number of rows
    return settled(config, data, _choose_model(config.model, facts), training)


def _choose_model(model: SequenceModel, facts: Facts) -> dict[str, Any]:
    """The chosen layers that go together with the given ones."""
    chosen = choose_model(facts, [])
    if model.cell in ("cnn", "none"):
        chosen |= NO_CONVOLUTION
    if model.cell == "none":
        chosen["position"] = None
    if model.conv_size is None:
        chosen |= NO_CONVOLUTION
    return chosen
