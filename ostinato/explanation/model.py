"""What explanations need of a trained model."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.inputs import as_sequences
from ostinato.data.ragged import Ragged
from ostinato.data.tokenizers import make_tokenizer
from ostinato.errors import DataError, NotFittedError
from ostinato.nn import SequenceNetwork


class OutputNames(Protocol):
    """The target codec, as far as explanations use it."""

    @property
    def names(self) -> Sequence[Any]:
        """The name of each output: a class, a label, a number."""


class ExplainableModel(Protocol):
    """A trained model with one vector of outputs for each sequence; `ostinato.tasks.records.Model` is one."""

    @property
    def network(self) -> SequenceNetwork: ...
    @property
    def encoder(self) -> SequenceEncoder: ...
    @property
    def codec(self) -> OutputNames: ...
    @property
    def members(self) -> "Sequence[ExplainableModel]": ...


def fitted(model: Any) -> Any:
    """The trained model of an estimator, or the model itself.

    Raises:
        NotFittedError: the estimator is not fitted yet.
    """
    if hasattr(model, "fit") and not hasattr(model, "fitted_"):
        raise NotFittedError(
            f"This {type(model).__name__} is not fitted yet. Call fit(X, y) first, or ostinato.load(path)."
        )
    return getattr(model, "fitted_", model)


def encode_given(
    model: ExplainableModel, sequences: Iterable[Any], sources: Sequence[str] | None = None
) -> tuple[list[Any], Ragged]:
    """The sequences as a list, and as the network reads them.

    Raises:
        DataError: a sequence is empty or cannot be encoded; names its source.
    """
    given = as_sequences(sequences)
    encoded = model.encoder.encode(given, None if sources is None else list(sources))
    for row in np.flatnonzero(encoded.lengths.numpy() == 0)[:1]:
        source = f"sequence {row}" if sources is None else sources[row]
        raise DataError(f"{source}: the sequence is empty. Fill it in, or remove the row.")
    return given, encoded


def tokens_and_offsets(encoder: SequenceEncoder, sequence: Any) -> tuple[list[str], list[tuple[int, int]]]:
    """The tokens of a sequence that the model reads, without truncated ones, and where they start and end."""
    if encoder.is_numeric:
        tokens = [" ".join(f"{number:g}" for number in np.atleast_1d(step)) for step in sequence]
        offsets = [(step, step + 1) for step in range(len(tokens))]
    else:
        tokenizer = make_tokenizer(encoder.tokenizer, encoder.vocabulary)
        tokens, offsets = tokenizer.tokens(sequence), tokenizer.offsets(sequence)
    read = encoder.kept(len(tokens))
    return [tokens[index] for index in read], [offsets[index] for index in read]
