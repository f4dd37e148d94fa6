"""Numeric series: a check of their values, and the `.ts` files of the UCR and UEA archives."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.files import open_text
from ostinato.data.rows import Row
from ostinato.errors import DataError


def to_series(values: Any, source: str) -> np.ndarray:
    """Convert numbers to a float64 series; float32 would lose digits of a time stamp.

    Shapes:
        values (T,) or (T, channels) -> (T, channels)

    Raises:
        DataError: values are missing, not finite, not numbers, or the steps differ in channels.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(
            f"{source}: the steps of the series differ in length. Give each step the same number of channels."
        ) from None
    if array.dtype.kind == "O":
        raise DataError(f"{source}: the series holds missing or non-numeric values. Fill them in, or remove the row.")
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise DataError(
            f"{source}: not a series: {array.ndim} dimensions of {array.dtype}. "
            "Expected numbers, or a list of numbers for each step."
        )
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(np.float32))
    if not finite.all():
        raise DataError(
            f"{source}: the series holds {array[~finite][0]}, expected finite numbers. Fill it in, or remove the row."
        )
    return array.astype(np.float64).reshape(len(array), -1)


def ts_rows(path: Path) -> Iterator[Row]:
    """Read the columns `series` (T, channels) and `label` of a `.ts` file; row numbers are line numbers.

    Raises:
        DataError: see `reading`; values are missing or not finite, channels differ in length, or the file has time
            stamps.

    Source:
        https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html
    """
    with open_text(path) as file:
        lines = enumerate(file, start=1)
        has_label = _header_has_label(path, lines)
        for number, line in lines:
            if line.isspace():
                continue
            source = f"{path}, row {number}"
            channels = line.strip().split(":")
            label = channels.pop() if has_label else None
            yield Row(source, {"series": _series_of(channels, source), "label": label})


def _header_has_label(path: Path, lines: Iterator[tuple[int, str]]) -> bool:
    has_label = False
    for number, line in lines:
        key, _, value = line.strip().lower().partition(" ")
        if key == "@data":
            return has_label
        if key == "@timestamps" and value != "false":
            raise DataError(
                f"{path}, row {number}: {line.strip()!r} is not supported. Expected series without time stamps."
            )
        if key in ("@classlabel", "@targetlabel"):
            has_label = has_label or value.startswith("true")
        elif line.strip() and not line.startswith(("@", "#", "%")):
            raise DataError(
                f"{path}, row {number}: {line.strip()[:40]!r} before @data. "
                "Start header lines with @ and comments with #."
            )
    raise DataError(f"{path}: the line @data is missing. Check that this is a .ts file of the UCR or UEA archive.")


def _series_of(channels: list[str], source: str) -> np.ndarray:
    values = [channel.split(",") for channel in channels]
    if len({len(steps) for steps in values}) > 1:
        raise DataError(
            f"{source}: channels of {', '.join(str(len(steps)) for steps in values)} steps. "
            "Expected equal lengths within a row."
        )
    if values == [[""]] * len(values):
        return np.empty((0, len(values)))
    try:
        numbers = np.array([[float(value) for value in steps] for steps in values])
    except ValueError:
        value = next(value for value in chain.from_iterable(values) if not _is_number(value))
        kind = "a missing value" if value.strip() == "?" else "not a number"
        raise DataError(
            f"{source}: {value!r} is {kind}. Expected finite numbers: fill it in, or remove the row."
        ) from None
    return to_series(numbers.T, source)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
