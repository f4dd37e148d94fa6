"""Turning sequences into ids or standardized series with a fitted encoding; needs NumPy alone, not PyTorch."""

from collections import abc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ostinato.data.chunks import as_sequence, chunks
from ostinato.data.files import check_unicode
from ostinato.data.spans import spans
from ostinato.data.tokenizers import make_tokenizer
from ostinato.data.vocabulary import Vocabulary
from ostinato.data.words import Indexer
from ostinato.errors import DataError
from ostinato.printable import plain_repr, shortened, visible

if TYPE_CHECKING:
    from ostinato.data.examples import Sequence

NUMERIC = "numeric"
LARGEST = np.float64(
    np.finfo(np.float32).max
)  # number in a series or a target, so that means and deviations are finite
HUGE = 1e30  # beyond this a product in float32 is no number any more

SCALES = ("channel", "series")

# How many of the kept tokens are the sequence's first ones; the others are its last ones.
HEADS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "head": lambda kept: kept,
    "tail": np.zeros_like,
    "both": lambda kept: (kept + 1) // 2,
}


class Encoded(NamedTuple):
    """Sequences end to end.

    Args:
        values: (N,) int32 token ids, or (N, channels) float64.
        lengths: (B,) int64.
        truncated: the number of sequences that were cut.
    """

    values: np.ndarray
    lengths: np.ndarray
    truncated: int


@dataclass(frozen=True)
class SequenceEncoding:
    """The tokenizer's name, the vocabulary or the channels' scale, and the cut, all as found in training.

    Args:
        tokenizer: a name that `make_tokenizer` knows, or `numeric`.
        vocabulary: None for numeric series.
        mean, std: of each channel over all training steps; None for tokens. A constant channel has std 1.
        max_length: longer sequences are cut to this many tokens or steps.
        truncate: which tokens remain: `head` the first, `tail` the last, `both` half of each (head: the larger).
        longest: tokens or steps of the longest encoded training sequence.
        scale: how series are standardised: `channel` by mean and std, `series` each by itself before the cut, with
            mean 0 and std 1 here.
    """

    tokenizer: str
    vocabulary: Vocabulary | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    max_length: int | None
    truncate: str
    longest: int
    scale: str = "channel"

    @property
    def channels(self) -> int | None:
        """Channels of a numeric series, None for tokens."""
        return None if self.mean is None else len(self.mean)

    @property
    def is_numeric(self) -> bool:
        return self.mean is not None

    def arrays(self, sequences: Iterable["Sequence"], sources: abc.Sequence[str] | None = None) -> Encoded:
        """Turn sequences into ids, or check series without standardizing them by channel; cut to `max_length`.

        Raises:
            DataError: a sequence is of a wrong type, holds a value that is not finite, or has other
                channels than the training data.
        """
        values, lengths, truncated = zip(*self.chunked_arrays(sequences, sources), strict=True)
        return Encoded(np.concatenate(values), np.concatenate(lengths), sum(truncated))

    def chunked_arrays(
        self, sequences: Iterable["Sequence"], sources: abc.Sequence[str] | None = None
    ) -> Iterator[Encoded]:
        """The same as `arrays`, in parts of about `CHUNK_SIZE` characters or steps, so that one is in memory at a time.

        Raises:
            DataError: as `arrays`, with the part that holds the sequence.
        """
        for first, chunk in chunks(as_sequence(sequences)):
            if self.is_numeric:
                yield Encoded(*self._cut(*self._joined(self._series(chunk, first, sources))))
            else:
                yield Encoded(*self._cut(*self._index(tokenizable(chunk, self.tokenizer, sources, first))))

    def _series(self, chunk: list[Any], first: int, sources: abc.Sequence[str] | None) -> list[np.ndarray]:
        """The series, checked; with `scale` `series`, each standardised."""
        usable = [
            as_series(each, source_of(row, sources), self.channels) for row, each in enumerate(chunk, start=first)
        ]
        self._refuse_huge(usable, first, sources)
        return [standardised(each) for each in usable] if self.scale == "series" else usable

    def standardized(self, values: np.ndarray) -> np.ndarray:
        """Checked series in units of training's deviations from its mean. (N, channels) -> (N, channels) float32."""
        scaled: np.ndarray = ((values - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        return scaled

    @cached_property
    def _index(self) -> Indexer:
        assert self.vocabulary is not None
        return make_tokenizer(self.tokenizer).indexer(self.vocabulary)

    def _refuse_huge(self, series: list[np.ndarray], first: int, sources: abc.Sequence[str] | None) -> None:
        mean, std = np.array(self.mean), np.array(self.std)
        for row, each in enumerate(series, start=first):
            with np.errstate(over="ignore"):  # an infinite distance is refused too
                distance = np.abs((each.astype(np.float64) - mean) / std).max(initial=0)
            if distance > HUGE:
                raise DataError(
                    f"{source_of(row, sources)}: holds {np.abs(each).max():g}, more than {HUGE:g} deviations from "
                    "training's mean. Correct the number."
                )

    def _joined(self, series: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The series end to end, float64, and their lengths."""
        values = np.concatenate([np.empty((0, self.channels or 0)), *series])
        return values, np.fromiter(map(len, series), np.int64, len(series))

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


def as_series(sequence: Any, source: str, channels: int | None = None) -> np.ndarray:
    """Check a numeric series and shape it (T, channels)."""
    try:
        series = np.asarray(
            [] if isinstance(sequence, str) and not sequence.strip() else sequence
        )  # a missing series is an empty text
    except ValueError:  # rows of different lengths
        series = np.asarray(None)
    if series.dtype.kind not in "biuf" or series.ndim not in (1, 2) or 0 in series.shape[1:]:
        shown = f"{shortened(visible(plain_repr(sequence)))} ({type(sequence).__name__})"
        raise DataError(
            f"{source}: {shown} is not a numeric series. "
            "Expected an array of numbers of shape (T, channels) or (T,). Convert it."
        )
    if not len(series):
        return np.empty((0, channels or 0))
    series = series.reshape(len(series), -1)
    if channels is not None and series.shape[1] != channels:
        raise DataError(wrong_channels(source, series, f"{channels} as in training"))
    usable = (series >= -LARGEST) & (series <= LARGEST)
    if not usable.all():
        step, channel = np.argwhere(~usable)[0]
        number = series[step, channel]
        place = f"{source}: step {step}, channel {channel} is {number}."
        if np.isfinite(number):
            raise DataError(f"{place} Expected a magnitude of at most {LARGEST:.2g}. Correct it, or remove the row.")
        raise DataError(f"{place} Expected finite numbers. Fill the gap, or remove the row.")
    return series


def standardised(series: np.ndarray) -> np.ndarray:
    """Scale each channel of one series to mean 0 and deviation 1 over its own steps; a constant channel becomes 0.

    Shapes: (T, channels) -> (T, channels) float64
    """
    if not len(series):
        return series
    centred = series - series.mean(axis=0, dtype=np.float64)
    std = centred.std(axis=0)
    is_constant = (series.min(axis=0) == series.max(axis=0)) | (std == 0)  # rounding may leave a tiny std
    return np.asarray(np.where(is_constant, 0.0, centred / np.where(is_constant, 1.0, std)))


def wrong_channels(source: str, series: np.ndarray, expected: str) -> str:
    return (
        f"{source}: the series has {series.shape[1]} channels. Expected {expected}. "
        "An array has shape (T, channels): transpose it if it is (channels, T)."
    )


def tokenizable(sequences: list[Any], tokenizer: str, sources: abc.Sequence[str] | None, first: int = 0) -> list[Any]:
    """The sequences, all of a type that the tokenizer reads; `first` is the number of the first of them."""
    for row, sequence in enumerate(sequences, start=first):
        if isinstance(sequence, str):
            check_unicode(sequence, source_of(row, sources))
        elif (
            tokenizer == "events"
            and isinstance(sequence, list)
            and all(issubclass(kind, str) for kind in set(map(type, sequence)))
        ):
            check_unicode(" ".join(sequence), source_of(row, sources))
        else:
            expected = "a string or a list of strings" if tokenizer == "events" else "a string"
            shown = f"{shortened(visible(plain_repr(sequence)))} ({type(sequence).__name__})"
            raise DataError(
                f"{source_of(row, sources)}: {shown} is not what tokenizer {tokenizer!r} reads. "
                f"Expected {expected}. Convert it, or remove the row."
            )
    return sequences


def source_of(row: int, sources: abc.Sequence[str] | None) -> str:
    return sources[row] if sources else f"sequence {row}"
