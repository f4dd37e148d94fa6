"""Choose how numeric series are scaled: together, channel by channel, or each by itself."""

from typing import Any

import numpy as np

from ostinato.data.encoding import as_series

WIDE = 10.0  # ratio of the sizes of series beyond which one scale for all hides the small ones
LOW, HIGH = 5, 95  # percentiles


def choose_scale(sequences: list[Any]) -> tuple[str, str]:
    """`channel` or `series`, and the reason with its evidence.

    Raises:
        DataError: a sequence is not a series of finite numbers; names its row.
    """
    series = [as_series(each, f"row {row}") for row, each in enumerate(sequences)]
    found = [(each.mean(axis=0), each.std(axis=0)) for each in series if len(each)]
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


def _spread(means: np.ndarray, stds: np.ndarray) -> tuple[float, float, float, float]:
    """How much the deviations and the means of series differ in one channel; and the lowest and highest deviation."""
    varying = stds[stds > 0]
    if not len(varying):
        return 1.0, 0.0, 0.0, 0.0
    low, high = np.percentile(varying, [LOW, HIGH])
    first, last = np.percentile(means, [LOW, HIGH])
    return float(high / low), float((last - first) / np.median(varying)), float(low), float(high)
