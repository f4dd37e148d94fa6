"""Choose how numeric series are scaled: together, channel by channel, or each by itself."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ostinato.data.encoding import as_series
from ostinato.errors import DataError

WIDE = 10.0  # ratio of the sizes of series beyond which one scale for all hides the small ones
LOW, HIGH = 5, 95  # percentiles


def choose_scale(sequences: Sequence[Any]) -> tuple[str, str]:
    """`channel` or `series`, and the reason with its evidence; training refuses what is not a series."""
    found = [
        (each.mean(axis=0, dtype=np.float64), each.std(axis=0, dtype=np.float64))
        for each in _series(sequences)
        if len(each)
    ]
    usual = max((len(mean) for mean, _ in found), default=0)  # rows of other widths are refused before training
    found = [pair for pair in found if len(pair[0]) == usual]
    if not found:
        return "channel", "the series are empty"
    means, stds = np.array(found).transpose(1, 2, 0)  # 2 × (channels, B)
    evidence = [_spread(mean, std) for mean, std in zip(means, stds, strict=True)]
    deviations, levels, low, high = max(evidence, key=lambda each: max(each[:2]))
    text = f"deviations of single series are from {low:.3g} to {high:.3g} ({LOW} % and {HIGH} % of them)"
    if deviations > WIDE:
        return "series", f"{text}, so one scale for all would hide the small ones"
    if levels > WIDE:
        return "series", f"their means vary {levels:.3g} times as much as one series does"
    return "channel", f"{text}, so one scale suits all"


def _series(sequences: Sequence[Any]) -> Iterator[np.ndarray]:
    for sequence in sequences:
        with suppress(DataError):
            yield as_series(sequence, "")


def _spread(means: np.ndarray, stds: np.ndarray) -> tuple[float, float, float, float]:
    """How much the deviations and the means of series differ in one channel; and the lowest and highest deviation."""
    varying = stds[stds > 0]
    if not len(varying):
        return 1.0, 0.0, 0.0, 0.0
    low, high = np.percentile(varying, [LOW, HIGH])
    first, last = np.percentile(means, [LOW, HIGH])
    return float(high / low), float((last - first) / np.median(varying)), float(low), float(high)
