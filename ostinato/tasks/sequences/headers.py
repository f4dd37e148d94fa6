"""Find the label or the number in the headers of a FASTA file."""

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ostinato.data.formats import read_rows
from ostinato.data.splits import SPLITS

LABEL_NAMES = ("label", "labels", "class", "target", "y", "category", "sentiment")
READ_HEADERS = 100_000  # a file is often sorted by label, so that its start shows a single class
TRIED_HEADERS = 2_000
MOST_CLASSES = 100
FEWEST_RECORDS = 3  # of a class: one for each split
CLASS_SHARE = 5  # records of a class on average, at least, where there are more than two classes
MOST_FIELDS = 8  # of a header are tried
SEPARATORS = {"|": r"\|", "space": r"\s", ";": ";", ",": ",", "/": "/", "_": "_", "-": "-", ":": ":", ".": r"\."}
KEY = re.compile(r"(?<![^\s|;,\[])(\w+)[=:]")


class Found(NamedTuple):
    """Where the headers contain what is searched.

    Args:
        pattern: a regular expression whose group 1 is the value.
        where: the place in words.
        rank: how plausible the place is: 0 after the name of a label, 1 after another name or in brackets, 2 elsewhere.
        values: of each header.
    """

    pattern: str
    where: str
    rank: int
    values: list[str]


def headers_of(path: Path) -> list[str]:
    """The headers of the first records of a FASTA file.

    Raises:
        DataError: the file cannot be read.
        MissingExtraError: dnaio is not installed.
    """
    return [row.values["header"] for row in islice(read_rows(path, "fasta"), READ_HEADERS)]


def class_in(headers: Sequence[str]) -> Found | None:
    """The most plausible place of a class: 2 to 100 different values, each in several headers.

    Values after the name of a label come first, then those after another name, then fields; words come before numbers.
    """
    found = [each for each in _found(_some(headers)) if _are_classes(each.values)]
    found.sort(key=lambda each: (each.rank, _numbers(each.values) is not None))
    return next((each for each in _found(headers, found) if _are_classes(each.values)), None)


def number_in(headers: Sequence[str]) -> Found | None:
    """The first place with a number in every header: after the name of a label, else one with decimals.

    Whole numbers elsewhere count records, or are lengths and positions.
    """
    found = [each for each in _found(_some(headers)) if each.rank == 0 or _have_decimals(each.values)]
    found.sort(key=lambda each: each.rank)
    return next((each for each in _found(headers, found) if _numbers(each.values) is not None), None)


def _some(headers: Sequence[str]) -> Sequence[str]:
    """Random headers, few enough to try every pattern on them; every n-th could be all of one class."""
    return random.Random(0).sample(list(headers), min(len(headers), TRIED_HEADERS))


def _found(headers: Sequence[str], places: Iterable[Found] | None = None) -> Iterator[Found]:
    """Every place, or those of `places`, with a value in each of the headers."""
    for pattern, where, rank in _patterns(headers[0]) if places is None else (each[:3] for each in places):
        values = [match[1] for match in map(re.compile(pattern).search, headers) if match]
        if len(values) == len(headers):
            yield Found(pattern, where, rank, values)


def _patterns(header: str) -> Iterator[tuple[str, str, int]]:
    """The regular expressions that could find a label, judged by one header; what they match, and their rank."""
    names = rf"(?i)\b(?:{'|'.join(LABEL_NAMES)})"
    others = ((rf"\b{key}", repr(key), 1) for key in dict.fromkeys(KEY.findall(header)))
    for key, name, rank in ((names, "its name", 0), *others):
        words, word = rf'{key}[=:]\s*"?([^|;,\]"]+?)"?(?=\s+\w+[=:]|[|;,\]"]|$)', rf'{key}[=:]\s*"?([^\s|;,\]"]+)'
        several, one = re.search(words, header), re.search(word, header)
        if several and one and several[1] != one[1]:
            yield words, f"the words after {name} in the header", rank
        yield word, f"the word after {name} in the header", rank
    yield r"\[([^\[\]]+)\]$", "the end of the header, in brackets", 1
    for name, separator in SEPARATORS.items():
        apart = rf"[^{separator}]"
        yield rf"{separator}({apart}+)$", f"the end of the header, after the last {name}", 2
        fields = min(len(re.split(separator, header)), MOST_FIELDS)
        for index in range(fields - 2, -1, -1):
            before = rf"(?:{apart}*{separator}){{{index}}}" if index else ""
            yield rf"^{before}({apart}+){separator}", f"field {index + 1} of the header, between {name}", 2
    yield r"^([A-Za-z]+)\d", "the letters at the start of the header", 2


def _are_classes(values: Sequence[str]) -> bool:
    counts = Counter(values)
    return (
        2 <= len(counts) <= min(MOST_CLASSES, max(2, len(values) // CLASS_SHARE))
        and min(counts.values()) >= FEWEST_RECORDS
        and not counts.keys() <= set(SPLITS)
        and all("=" not in value and any(map(str.isalnum, value)) for value in counts)
    )


def _have_decimals(values: Sequence[str]) -> bool:
    numbers = _numbers(values)
    return numbers is not None and not all(number.is_integer() for number in numbers)


def _numbers(values: Iterable[str]) -> list[float] | None:
    """The values as finite numbers; None if they are not."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
