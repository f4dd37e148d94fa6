"""Recognise labels that are probably not what the user meant: one label in several spellings, missing values."""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ostinato.data.audit import Remark
from ostinato.data.shown import count_of, listed

MISSING = {"None", "nan", "NaN", "NAN", "null", "NULL", "Null", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaT"}


def suspicious_labels(counts: Mapping[str, int]) -> Iterator[Remark]:
    """The findings about the spelling of labels.

    Args:
        counts: the number of rows with each label.
    """
    for spellings in spelling_variants(counts):
        yield Remark(
            "spellings",
            spellings,
            sum(counts[label] for label in spellings),
            f"{listed(spellings)} are different labels, but differ only in capitals, spaces or how a number is "
            "written. If they mean the same, write them alike in the file.",
        )
    missing = [label for label in counts if label in MISSING]
    if missing:
        rows = sum(counts[label] for label in missing)
        yield Remark(
            "missing",
            missing,
            rows,
            f"{count_of(rows, 'row')} have the label {listed(missing)}, which looks like a missing value. If it is "
            "one, leave the cell empty and set data.skip_unlabelled = true.",
        )


def spelling_variants(labels: Iterable[str]) -> list[list[str]]:
    """Groups of labels that differ only in capitals, spaces, Unicode form or how a number is written."""
    groups: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        groups[_key(label)].append(label)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def to_float(label: str) -> float | None:
    """A label as a finite number; None if it is not one."""
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def count_labels(labels: Iterable[Any]) -> Counter[str]:
    """The number of rows with each label, as text."""
    return Counter(map(str, labels))


def _key(label: str) -> str:
    number = to_float(label)
    if number is not None and not label.isdecimal():  # 01 and 1, or 2^53 and 2^53 + 1, are different codes
        return str(int(number)) if number.is_integer() else str(number)
    return "".join(unicodedata.normalize("NFKC", label).casefold().split())
