"""What exported models with one target per sequence share. No PyTorch here."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ostinato.data.encoding import SequenceEncoding, source_of
from ostinato.data.inputs import as_sequences
from ostinato.data.spans import padded
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import ConfigError, DataError
from ostinato.tasks import portable
from ostinato.tasks.portable import Arrays, Outputs
from ostinato.tasks.sequences.label_array import label_array


class EncodedSequences(portable.Encoded):
    """Token ids (N,) or series (N, channels), end to end."""

    def __init__(self, values: np.ndarray, lengths: np.ndarray) -> None:
        self.values, self.lengths = values, lengths
        self.starts = lengths.cumsum() - lengths
        known = values != UNKNOWN if values.ndim == 1 else np.ones(len(values), bool)
        self.all_unknown = np.bincount(np.repeat(np.arange(len(lengths)), lengths), known, len(lengths)) == 0

    def inputs(self, rows: np.ndarray) -> Arrays:
        name, dtype = ("tokens", np.int64) if self.values.ndim == 1 else ("values", np.float64)
        lengths = self.lengths[rows]
        return {name: padded(self.values, self.starts[rows], lengths, dtype), "lengths": lengths}


class SequencePortable(portable.Portable):
    """A model with one target per sequence. See `ostinato.tasks.portable.Portable`."""

    def __init__(self, encoder: dict[str, Any], answer: dict[str, Any]) -> None:
        tokens = encoder["tokens"]
        self.encoding = SequenceEncoding(
            encoder["tokenizer"],
            None if tokens is None else Vocabulary(tuple(tokens), tuple(encoder["extra"])),
            None if encoder["mean"] is None else tuple(encoder["mean"]),
            None if encoder["std"] is None else tuple(encoder["std"]),
            encoder["max_length"],
            encoder["truncate"],
            encoder["longest"],
            encoder.get("scale", "channel"),
        )

    def encode(self, X: Iterable[Any], sources: Sequence[str] | None = None) -> EncodedSequences:
        named = None if sources is None else list(sources)
        values, lengths, _ = self.encoding.arrays(as_sequences(X), named)
        for row in np.flatnonzero(lengths == 0)[:1].tolist():
            raise DataError(f"{source_of(row, named)}: the sequence is empty. Fill it in, or remove the row.")
        return EncodedSequences(values, lengths)


class LabelPortable(SequencePortable):
    """A model with a probability for each label."""

    def __init__(self, encoder: dict[str, Any], answer: dict[str, Any]) -> None:
        super().__init__(encoder, answer)
        self.labels: list[Any] = list(answer["labels"])

    @property
    def classes(self) -> np.ndarray:
        return label_array(self.labels)

    def predict_proba(self, outputs: Outputs) -> np.ndarray:
        """Calibrated probabilities, (n, C), columns as in `classes`."""
        return np.stack(list(outputs["probabilities"]))


def by_label(labels: Sequence[Any], probabilities: np.ndarray) -> dict[str, float]:
    """The probability of each label, rounded, as JSON values."""
    return {str(label): round(float(each), 6) for label, each in zip(labels, probabilities, strict=True)}


def no_probabilities() -> ConfigError:
    """The error for a model that predicts numbers."""
    return ConfigError("This model predicts numbers, which have no probabilities. Use predict.")
