"""Numeric series: a check of their values, and the `.ts` files of the UCR and UEA archives."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.files import open_text
from ostinato.data.rows import Row, listed
from ostinato.errors import DataError

COMMENTS = ("#", "%")
SHOWN = 40  # characters of a line in messages


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
    # in one order of the numbers: sums over steps have the same bits for every file format, and on disk
    return array.astype(np.float64, order="C").reshape(len(array), -1)


@dataclass(frozen=True)
class Header:
    """What the header of a `.ts` file says about labels.

    Args:
        has_label: whether each row ends with a label.
        classes: the declared classes; empty: none are declared, or the labels are numbers.
    """

    has_label: bool = False
    classes: tuple[str, ...] = ()

    @cached_property
    def lower_cased(self) -> frozenset[str]:
        """The declared classes in lower case."""
        return frozenset(each.lower() for each in self.classes)


def ts_rows(path: Path) -> Iterator[Row]:
    """Read the columns `series` (T, channels) and `label` of a `.ts` file; row numbers are line numbers.

    Classes are compared with the header without regard to case. A label `?` is missing.

    Raises:
        DataError: see `reading`; the header is malformed or announces time stamps. A row whose values are missing or
            not finite, whose channels differ in length, or whose label is missing or not declared carries its error.

    Source:
        https://www.aeon-toolkit.org/en/stable/api_reference/file_specifications/ts.html
    """
    with open_text(path) as file:
        lines = enumerate(file, start=1)
        header = _read_header(path, lines)
        for number, line in lines:
            if line.isspace() or line.startswith(COMMENTS):
                continue
            source = f"{path}, row {number}"
            try:
                yield Row(source, _values_of(line.strip(), header, source))
            except DataError as error:
                yield Row(source, {}, error=error)


def _read_header(path: Path, lines: Iterator[tuple[int, str]]) -> Header:
    header = Header()
    for number, line in lines:
        key, *values = line.split() or [""]
        key = key.lower()
        if key == "@data":
            return header
        if key == "@timestamps" and [value.lower() for value in values] != ["false"]:
            raise DataError(
                f"{path}, row {number}: {line.strip()!r} is not supported. Expected series without time stamps."
            )
        if key in ("@classlabel", "@targetlabel"):
            header = _with_label(header, key, values, f"{path}, row {number}: {line.strip()[:SHOWN]!r}")
        elif key and not key.startswith(("@", *COMMENTS)):
            raise DataError(
                f"{path}, row {number}: {line.strip()[:SHOWN]!r} before @data. "
                "Start header lines with @ and comments with #."
            )
    raise DataError(f"{path}: the line @data is missing. Check that this is a .ts file of the UCR or UEA archive.")


def _with_label(header: Header, key: str, values: list[str], source: str) -> Header:
    has_label = values[0].lower() if values else ""
    if has_label not in ("true", "false"):
        raise DataError(f"{source} says neither true nor false. Write for example: @classLabel true up down")
    if has_label == "false":
        return header
    return Header(has_label=True, classes=tuple(values[1:]) if key == "@classlabel" else header.classes)


def _values_of(line: str, header: Header, source: str) -> dict[str, Any]:
    channels = [channel.strip() for channel in line.split(":")]
    if not header.has_label:
        return {"series": _series_of(channels, source), "label": None}
    label = channels.pop()
    if not channels:
        raise DataError(
            f"{source}: no label, although the header announces one. Expected ':' and the label after the series. "
            "Add the label, or remove the row."
        )
    if label not in ("", "?") and header.classes and label.lower() not in header.lower_cased:
        raise DataError(
            f"{source}: {label[:SHOWN]!r} is not a class of the header ({listed(header.classes)}). "
            "Correct the label, or add it to @classLabel."
        )
    return {"series": _series_of(channels, source), "label": None if label == "?" else label}


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
            f"{source}: {value[:SHOWN]!r} is {kind}. Expected finite numbers: fill it in, or remove the row."
        ) from None
    return to_series(numbers.T, source)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
