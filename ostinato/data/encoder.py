"""Everything fitted on the training data that turns sequences into model input; it knows nothing of targets."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from ostinato.data.files import check_unicode
from ostinato.data.ragged import Ragged, spans
from ostinato.data.stored import StoredFields
from ostinato.data.tokenizers import Indexer, make_tokenizer
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import DataError, look_up
from ostinato.printable import plain_repr, shortened

if TYPE_CHECKING:
    from ostinato.data.examples import Sequence

NUMERIC = "numeric"
CHUNK_SIZE = 2**21  # characters or steps tokenized at once: bounds the memory for intermediate results
HUGE = 1e30  # beyond this a product in float32 is no number any more

# How many of the kept tokens are the sequence's first ones; the others are its last ones.
HEADS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "head": lambda kept: kept,
    "tail": np.zeros_like,
    "both": lambda kept: (kept + 1) // 2,
}


class StoredEncoder(StoredFields):
    """What `SequenceEncoder.to_json` writes."""

    tokenizer: str
    tokens: list[str] | None = Field(min_length=1)
    extra: list[str]
    mean: list[float] | None
    std: list[float] | None
    max_length: int | None = Field(ge=1)
    truncate: Literal["head", "tail", "both"]
    longest: int = Field(ge=0)

    @model_validator(mode="after")
    def _has_tokens_or_a_scale(self) -> "StoredEncoder":
        if self.tokenizer == NUMERIC:
            fits = self.tokens is None and self.mean and self.std and len(self.mean) == len(self.std)
        else:
            fits = self.tokens is not None and self.mean is None and self.std is None
        if not fits:
            raise ValueError(f"tokenizer {self.tokenizer} does not fit its tokens, mean and std")
        return self


@dataclass(frozen=True)
class SequenceEncoder:
    """The tokenizer's name, the vocabulary or the channels' scale, and the cut, all as found in training.

    Args:
        tokenizer: a name that `make_tokenizer` knows, or `numeric`.
        vocabulary: None for numeric series.
        mean, std: of each channel over all training steps; None for tokens. A constant channel has std 1.
        max_length: longer sequences are cut to this many tokens or steps.
        truncate: which tokens remain: `head` the first, `tail` the last, `both` half of each (head: the larger).
        longest: tokens or steps of the longest encoded training sequence.
    """

    tokenizer: str
    vocabulary: Vocabulary | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    max_length: int | None
    truncate: str
    longest: int

    @classmethod
    def fit(
        cls,
        sequences: Iterable["Sequence"],
        *,
        tokenizer: str,
        min_count: int = 1,
        max_size: int | None = None,
        max_length: int | None = None,
        truncate: str = "head",
        sources: list[str] | None = None,
    ) -> "SequenceEncoder":
        """Learn the vocabulary or the scale from the training split.

        Args:
            sequences: strings; for `events` also lists of strings; for `numeric` arrays of shape (T, channels) or (T,).
            tokenizer: a name that `make_tokenizer` knows, or `numeric`.
            min_count: tokens seen less often are unknown; fixed alphabets stay whole.
            max_size: at most so many tokens besides `<unk>`, the commonest first; fixed alphabets stay whole.
            max_length: see the class; the vocabulary and the scale are fitted on whole sequences.
            truncate: see the class.
            sources: names for error messages, as `train.csv, row 17`; `sequence 3` (counted from 0) without them.

        Raises:
            ConfigError: the tokenizer or `truncate` is unknown.
            DataError: there is no sequence; a sequence is of a wrong type, holds a value that is not finite, or
                differs in channels.
        """
        look_up(HEADS, truncate, "truncate")
        sequences = list(sequences)
        if not sequences:
            raise DataError("There is no sequence. Give at least one.")
        vocabulary = mean = std = None
        if tokenizer == NUMERIC:
            series = [_series(sequence, _source(row, sources)) for row, sequence in enumerate(sequences)]
            mean, std = _scale(series, sources)
            longest = max(map(len, series))
        else:
            vocabulary, longest = _fit_vocabulary(
                _tokenizable(sequences, tokenizer, sources), tokenizer, min_count, max_size
            )
        longest = min(longest, max_length or longest)
        return cls(tokenizer, vocabulary, mean, std, max_length, truncate, longest)

    @property
    def channels(self) -> int | None:
        """Channels of a numeric series, None for tokens."""
        return None if self.mean is None else len(self.mean)

    @property
    def is_numeric(self) -> bool:
        return self.mean is not None

    @property
    def is_fitted(self) -> bool:
        """Whether the vocabulary was found in training, rather than being an alphabet."""
        return self.vocabulary is not None and make_tokenizer(self.tokenizer).vocabulary is None

    def encode(self, sequences: Iterable["Sequence"], sources: list[str] | None = None) -> Ragged:
        """Turn sequences into ids or standardized series, cut to `max_length`; length 0 is let through.

        Raises:
            DataError: a sequence is of a wrong type, holds a value that is not finite, or has other
                channels than the training data.
        """
        if self.is_numeric:
            usable = [_series(sequence, _source(row, sources), self.channels) for row, sequence in enumerate(sequences)]
            self._refuse_huge(usable, sources)
        else:
            usable = _tokenizable(list(sequences), self.tokenizer, sources)
        numbers = self._standardize if self.is_numeric else self._index
        parts = [self._cut(*numbers(chunk)) for chunk in _chunks(usable)]
        values, lengths, truncated = zip(*parts, strict=True)
        return Ragged(
            torch.from_numpy(np.concatenate(values)), torch.from_numpy(np.concatenate(lengths)), sum(truncated)
        )

    def unknown_share(self, sequences: Ragged) -> float:
        """The share of tokens that are not in the vocabulary; 0 for numeric series."""
        if self.is_numeric or not len(sequences.values):
            return 0.0
        return int((sequences.values == UNKNOWN).sum()) / len(sequences.values)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, from which `from_json` makes an equal encoder."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        vocabulary = fields.pop("vocabulary")
        fields["tokens"] = None if vocabulary is None else vocabulary.tokens
        fields["extra"] = [] if vocabulary is None else vocabulary.extra
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "SequenceEncoder":
        """The encoder that `to_json` described.

        Raises:
            RunError: a field is missing, unknown, or of a wrong type.
        """
        stored = StoredEncoder.read(fields, "encoder")
        tokens = stored.tokens
        return cls(
            stored.tokenizer,
            None if tokens is None else Vocabulary(tuple(tokens), tuple(stored.extra)),
            None if stored.mean is None else tuple(stored.mean),
            None if stored.std is None else tuple(stored.std),
            stored.max_length,
            stored.truncate,
            stored.longest,
        )

    def with_extra(self, words: Iterable[str]) -> "SequenceEncoder":
        """The same encoder, which also knows those of `words` that it lacks; see `Vocabulary`."""
        assert self.vocabulary is not None
        return dataclasses.replace(self, vocabulary=self.vocabulary.with_extra(words))

    @cached_property
    def _index(self) -> Indexer:
        assert self.vocabulary is not None
        return make_tokenizer(self.tokenizer).indexer(self.vocabulary)

    def _refuse_huge(self, series: list[np.ndarray], sources: list[str] | None) -> None:
        mean, std = np.array(self.mean), np.array(self.std)
        for row, each in enumerate(series):
            if len(each) and np.abs((each.astype(np.float64) - mean) / std).max() > HUGE:
                raise DataError(
                    f"{_source(row, sources)}: holds {np.abs(each).max():g}, more than {HUGE:g} deviations from "
                    "training's mean. Correct the number."
                )

    def _standardize(self, series: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        mean, std = np.array(self.mean), np.array(self.std)
        values = np.concatenate([np.empty((0, len(mean))), *series])
        return ((values - mean) / std).astype(np.float32), np.fromiter(map(len, series), np.int64, len(series))

    def kept(self, length: int) -> np.ndarray:
        """Which tokens or steps of a sequence of that length the model reads."""
        return self._cut(np.arange(length), np.array([length]))[0]

    def _cut(self, values: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Cut sequences to `max_length`; also says how many were cut."""
        if self.max_length is None or lengths.max(initial=0) <= self.max_length:
            return values, lengths, 0
        kept = np.minimum(lengths, self.max_length)
        cut = lengths - kept
        heads = HEADS[self.truncate](kept)
        in_sequence = spans(np.zeros_like(kept), kept)
        skipped = np.where(in_sequence < np.repeat(heads, kept), 0, np.repeat(cut, kept))
        starts = lengths.cumsum() - lengths
        return values[np.repeat(starts, kept) + in_sequence + skipped], kept, int(np.count_nonzero(cut))


def _fit_vocabulary(
    sequences: list[Any], tokenizer_name: str, min_count: int, max_size: int | None
) -> tuple[Vocabulary, int]:
    """The vocabulary, and the length of the longest sequence in tokens."""
    tokenizer = make_tokenizer(tokenizer_name)
    counts: Counter[str] = Counter()
    longest = 0
    for chunk in _chunks(sequences):
        found, lengths = tokenizer.count(chunk)
        counts.update(found)
        longest = max(longest, int(lengths.max(initial=0)))
    return tokenizer.vocabulary or Vocabulary.fit(counts, min_count, max_size), longest


def _scale(series: list[np.ndarray], sources: list[str] | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel."""
    filled = [row for row, steps in enumerate(series) if len(steps)]
    if not filled:
        raise DataError(
            f"all {len(series)} series have length 0: there is nothing to learn a scale from. Give series with steps."
        )
    first = filled[0]
    for row in filled:
        if series[row].shape[1] != series[first].shape[1]:
            raise DataError(
                _wrong_channels(
                    _source(row, sources), series[row], f"{series[first].shape[1]} as in {_source(first, sources)}"
                )
            )
    values = np.concatenate([series[row] for row in filled])
    std = values.std(axis=0, dtype=np.float64)
    std[(values.min(axis=0) == values.max(axis=0)) | (std == 0)] = (
        1.0  # rounding may leave a constant channel a tiny std
    )
    return tuple(values.mean(axis=0, dtype=np.float64).tolist()), tuple(std.tolist())


def _series(sequence: Any, source: str, channels: int | None = None) -> np.ndarray:
    """Check a numeric series and shape it (T, channels)."""
    try:
        series = np.asarray(
            [] if isinstance(sequence, str) and not sequence.strip() else sequence
        )  # a missing series is an empty text
    except ValueError:  # rows of different lengths
        series = np.asarray(None)
    if series.dtype.kind not in "biuf" or series.ndim not in (1, 2) or 0 in series.shape[1:]:
        shown = f"{shortened(plain_repr(sequence))} ({type(sequence).__name__})"
        raise DataError(
            f"{source}: {shown} is not a numeric series. "
            "Expected an array of numbers of shape (T, channels) or (T,). Convert it."
        )
    if not len(series):
        return np.empty((0, channels or 0))
    series = series.reshape(len(series), -1)
    if channels is not None and series.shape[1] != channels:
        raise DataError(_wrong_channels(source, series, f"{channels} as in training"))
    if not np.isfinite(series).all():
        step, channel = np.argwhere(~np.isfinite(series))[0]
        raise DataError(
            f"{source}: step {step}, channel {channel} is {series[step, channel]}. Expected finite numbers. "
            "Fill the gap, or remove the row."
        )
    return series


def _wrong_channels(source: str, series: np.ndarray, expected: str) -> str:
    return (
        f"{source}: the series has {series.shape[1]} channels. Expected {expected}. "
        "An array has shape (T, channels): transpose it if it is (channels, T)."
    )


def _tokenizable(sequences: list[Any], tokenizer: str, sources: list[str] | None) -> list[Any]:
    """The sequences, all of a type that the tokenizer reads."""
    for row, sequence in enumerate(sequences):
        if isinstance(sequence, str):
            check_unicode(sequence, _source(row, sources))
        elif not (
            tokenizer == "events"
            and isinstance(sequence, list)
            and all(issubclass(kind, str) for kind in set(map(type, sequence)))
        ):
            expected = "a string or a list of strings" if tokenizer == "events" else "a string"
            shown = f"{shortened(plain_repr(sequence))} ({type(sequence).__name__})"
            raise DataError(
                f"{_source(row, sources)}: {shown} is not what tokenizer {tokenizer!r} reads. "
                f"Expected {expected}. Convert it, or remove the row."
            )
    return sequences


def _source(row: int, sources: list[str] | None) -> str:
    return sources[row] if sources else f"sequence {row}"


def _chunks(sequences: list[Any]) -> Iterator[list[Any]]:
    """Runs of sequences of about `CHUNK_SIZE` characters or steps, at least one run."""
    sizes = np.fromiter(map(len, sequences), np.int64, len(sequences))
    ends = np.flatnonzero(np.diff(sizes.cumsum() // CHUNK_SIZE)) + 1
    for begin, end in pairwise([0, *ends.tolist(), len(sequences)]):
        yield sequences[begin:end]
