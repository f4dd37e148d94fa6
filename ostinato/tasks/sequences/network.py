"""Build networks with one output vector per sequence."""

import warnings
from typing import TypeVar

import numpy as np
import torch

from ostinato.config import SequenceModel
from ostinato.data.encoder import SequenceEncoder
from ostinato.data.tokenizers import Characters, Kmers, make_tokenizer
from ostinato.errors import ConfigError
from ostinato.nn import (
    ConvStem,
    Linear,
    Pooling,
    PositionEmbedding,
    SequenceNetwork,
    TokenEmbedding,
    WideNgrams,
)
from ostinato.nn.wide_kernels import WideKernels
from ostinato.nn.wide_parts import TokenParts
from ostinato.tasks.network import build_stack
from ostinato.tasks.sequences.defaults import KERNEL_SIZE

Built = TypeVar("Built", bound=SequenceNetwork)


def build_network(kind: type[Built], config: SequenceModel, encoder: SequenceEncoder, num_outputs: int) -> Built:
    """Build a network of class `kind` with fresh weights, drawn from torch's global generator.

    Args:
        encoder: determines the vocabulary or the channels, and the number of positions.
        num_outputs: C.
    """
    wide = build_wide(config, encoder, num_outputs)
    is_linear = config.cell == "none"
    size = 0 if is_linear else config.embedding_size
    embed: Linear | TokenEmbedding
    if encoder.channels is not None:
        refuse_token_dropout(config)
        embed = Linear(encoder.channels, size)
    else:
        assert encoder.vocabulary is not None
        num_tokens, num_extra = len(encoder.vocabulary), len(encoder.vocabulary.extra)
        embed = TokenEmbedding(num_tokens, size, num_extra=num_extra, dropout=config.embedding_dropout)
    num_positions = max(encoder.longest, 1)
    position = PositionEmbedding(size, kind=config.position, num_positions=num_positions) if config.position else None
    conv_stem = None if config.conv_size is None else _build_stem(config, size, config.conv_size)
    stack = build_stack(config, size if conv_stem is None else conv_stem.output_size, kernel_size=config.kernel_size)
    poolings = ["mean"] if is_linear else config.pooling
    pooling = Pooling(poolings, stack.output_size, bidirectional=config.bidirectional and config.cell != "cnn")
    return kind(
        embed=embed,
        position=position,
        conv_stem=conv_stem,
        stack=stack,
        pooling=pooling,
        num_outputs=num_outputs,
        dropout=config.dropout,
        wide=wide,
        word_dropout=config.word_dropout,
    )


def refuse_token_dropout(config: SequenceModel) -> None:
    """Refuse dropout of tokens for numeric series.

    Raises:
        ConfigError: names the setting.
    """
    for key in ("word_dropout", "embedding_dropout"):
        if getattr(config, key):
            raise ConfigError(
                f"model.{key} {getattr(config, key):g}: numeric series have no tokens to drop. Set it to 0; "
                "model.dropout drops units of the series' projection."
            )


def build_wide(config: SequenceModel, encoder: SequenceEncoder, num_outputs: int) -> WideNgrams | WideKernels | None:
    """Build the wide part, without features: they are fitted to the training sequences.

    Raises:
        ConfigError: the features do not suit the sequences.
    """
    if config.wide is None:
        return None
    if config.wide == "kernels":
        if encoder.channels is None:
            raise ConfigError(f"model.wide kernels: {encoder.tokenizer} are not series of numbers. Set wide = ngrams.")
        return WideKernels(num_outputs, channels=encoder.channels)
    if encoder.is_numeric:
        raise ConfigError("model.wide ngrams: numeric series have no tokens. Set wide = kernels.")
    assert encoder.vocabulary is not None
    ids = encoder.vocabulary.ids
    return WideNgrams(
        num_outputs,
        order=config.wide_order or _default_order(encoder.tokenizer),
        parts=_build_parts(config.wide_letters, list(ids)) if config.wide_letters else None,
        boundary=ids.get(" ", len(ids)) if config.wide_ends else None,  # as if a space stood there
    )


def _build_parts(longest: int, vocabulary: list[str]) -> TokenParts:
    """The parts of all known tokens; a space stands for the ends of a token."""
    tokens = ["", *(f" {token} " for token in vocabulary[1:])]
    letters = np.frombuffer("".join(tokens).encode("utf-32-le", "surrogatepass"), np.int32).copy()
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    return TokenParts(torch.from_numpy(letters), torch.from_numpy(lengths), longest=longest)


def _default_order(tokenizer: str) -> int:
    """6 for single letters, 3 for k-mers, 2 for words and other tokens."""
    made = make_tokenizer(tokenizer)
    return 6 if isinstance(made, Characters) else 3 if isinstance(made, Kmers) else 2


def _build_stem(config: SequenceModel, input_size: int, channels: int) -> ConvStem:
    return ConvStem(
        input_size, channels, kernel_size=config.kernel_size, centred=config.bidirectional, pool=config.conv_pool
    )


def warn_of_wide_windows(config: SequenceModel, longest: int) -> None:
    """Warn of convolutions and poolings that are wider than the longest training sequence, if they were chosen."""
    has_convolution = config.cell == "cnn" or config.conv_size is not None
    widest = 2 * longest - 1 if config.bidirectional else longest
    if has_convolution and config.kernel_size > max(widest, KERNEL_SIZE):
        warnings.warn(
            f"model.kernel_size {config.kernel_size} is wider than any training sequence: of the longest, with "
            f"{longest} steps, a window sees at most {widest}. Reduce it: further weights are never trained.",
            stacklevel=2,
        )
    if config.conv_size is not None and config.conv_pool > longest:
        warnings.warn(
            f"model.conv_pool {config.conv_pool} makes one step of every training sequence, since the longest has "
            f"{longest}. Reduce it: the recurrent layers have nothing to read in order.",
            stacklevel=2,
        )
