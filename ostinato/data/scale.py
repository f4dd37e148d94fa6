"""The scale of numeric series, found in runs of series, so that one run is in memory at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ostinato.data.chunks import chunks
from ostinato.data.encoding import as_series, source_of, wrong_channels
from ostinato.errors import DataError


def fit_scale(sequences: Sequence[Any], sources: Sequence[str] | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation of each channel, over all steps; 1 for a constant channel.

    They are found in two passes, as NumPy does: the mean, then the squares of the distances from it.

    Args:
        sequences: arrays of shape (T, channels) or (T,), or lists of numbers.
        sources: names for error messages.

    Raises:
        DataError: a sequence is not a series, holds a value that is not finite, or differs in channels.
    """
    _refuse_mixed_channels(sequences, sources)

    def parts() -> Iterator[np.ndarray]:
        for first, chunk in chunks(sequences):
            series = [as_series(each, source_of(row, sources)) for row, each in enumerate(chunk, start=first)]
            filled = [each for each in series if len(each)]
            if filled:
                yield np.concatenate(filled).astype(np.float64)

    found = [(len(each), each.sum(axis=0), each.min(axis=0), each.max(axis=0)) for each in parts()]
    steps, sums, lows, highs = (np.array(column) for column in zip(*found, strict=True))
    mean = sums.sum(axis=0) / steps.sum()
    std = np.sqrt(np.sum([((each - mean) ** 2).sum(axis=0) for each in parts()], axis=0) / steps.sum())
    is_constant = (lows.min(axis=0) == highs.max(axis=0)) | (std == 0)  # rounding may leave a tiny std
    return tuple(mean.tolist()), tuple(np.where(is_constant, 1.0, std).tolist())


def _refuse_mixed_channels(sequences: Sequence[Any], sources: Sequence[str] | None) -> None:
    """Refuse series of different numbers of channels, and of no steps at all.

    Raises:
        DataError: names the first series that differs from most.
    """
    channels = [
        series.shape[1] if len(series) else 0
        for first, chunk in chunks(sequences)
        for series in (as_series(each, source_of(row, sources)) for row, each in enumerate(chunk, start=first))
    ]
    filled = [row for row, count in enumerate(channels) if count]
    if not filled:
        raise DataError(
            f"all {len(sequences)} series have length 0: there is nothing to learn a scale from. Give series with "
            "steps."
        )
    usual = Counter(channels[row] for row in filled).most_common(1)[0][0]
    first_usual = channels.index(usual)
    for row in filled:
        if channels[row] != usual:
            expected = f"{usual} as in {source_of(first_usual, sources)}"
            raise DataError(
                wrong_channels(source_of(row, sources), as_series(sequences[row], source_of(row, sources)), expected)
            )
