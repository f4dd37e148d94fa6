"""Values from data files in sentences: on one line, short, and without control characters."""

from collections.abc import Sequence
from typing import Any

from ostinato.printable import shortened, visible

LONGEST = 80  # characters of a value
SHOWN = 5  # values of a list


def shown(value: Any, longest: int = LONGEST) -> str:
    """A value from a data file as a sentence shows it: on one line, not too long, and without control characters."""
    return shortened(visible(value), longest)


def listed(values: Sequence[Any]) -> str:
    """Up to five values, quoted and separated by commas."""
    quoted = ", ".join(f"'{shown(value)}'" for value in values[:SHOWN])
    return f"{quoted}, …" if len(values) > SHOWN else quoted


def count_of(rows: int, what: str) -> str:
    """A number with its noun: `1 row`, `2,000 rows`."""
    return f"{rows:,} {what}{'' if rows == 1 else 's'}"
