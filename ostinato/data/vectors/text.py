"""Word vectors as text: GloVe without a header, word2vec and fastText with one."""

import math
import re
from collections import Counter
from collections.abc import Container, Iterator
from itertools import chain, islice, takewhile
from pathlib import Path

import numpy as np

from ostinato.data.vectors.problems import Problems, Word, as_float32, opened, quoted
from ostinato.errors import DataError

HEADER = re.compile(rb"(\d{1,15})\s+(\d{1,15})\s*")  # the line `V D`
LARGEST_SIZE = 2**16  # numbers per vector; more means another format
PROBED_LINES = 100  # to infer the dimension of a file without a header


def text_words(path: Path, needed: Container[bytes], problems: Problems) -> Iterator[Word]:
    """Read one word and D numbers per line, separated by blanks; a first line of two whole numbers is the header `V D`.

    Without a header, D is the most frequent number of numbers in the first hundred lines. A word may contain blanks:
    the last D fields are the numbers. A word whose own last field is a number is reported as too many
    numbers. Lines of other words are checked for their number of fields only. A line ends only at a line feed, because
    words of some alphabets contain what Unicode classifies as line ends or blanks. Blank lines count but are skipped.

    Raises:
        DataError: see `reading`; a line is malformed; the file is empty or contradicts its header.
    """
    with opened(path) as file:
        lines = ((number, line.rstrip(b" \r\n")) for number, line in enumerate(file, start=1))
        first = list(islice(lines, PROBED_LINES))
        announced, size = _taken_header(path, first) or (None, _usual_size(path, first))
        count = 0
        for number, line in chain(first, lines):
            if not line:
                continue
            count += 1
            word = _word(line, size)
            if word is None:
                problems.report(f"{path}, line {number}: {line.count(b' ')} numbers after the word, expected {size}")
            elif word in needed:
                source = f"{path}, line {number} ({quoted(word)})"
                vector = _parsed(line[len(word) + 1 :].split(b" "), source, problems)
                if vector is not None and problems.is_finite(vector, source):
                    yield word, vector
        if announced not in (None, count):
            raise DataError(
                f"{path}: {count:,} words, but the header on line 1 announces {announced:,}. "
                "Download the file again, or correct the header."
            )


def header_of(path: Path, line: bytes) -> tuple[int, int] | None:
    """V and D if the line is a word2vec header, which is the same in text and binary files; else None.

    Raises:
        DataError: the header announces zero words, zero numbers or too many.
    """
    header = HEADER.fullmatch(line)
    if header is None:
        return None
    announced, size = int(header[1]), int(header[2])
    if announced < 1 or not 1 <= size <= LARGEST_SIZE:
        raise DataError(
            f"{path}: the header announces {announced:,} words of {size:,} numbers. "
            f"Expected at least one word, of 1 to {LARGEST_SIZE:,} numbers. Check the file."
        )
    return announced, size


def _taken_header(path: Path, first: list[tuple[int, bytes]]) -> tuple[int, int] | None:
    """V and D if the first line is a header, which is removed from `first`; else None."""
    header = header_of(path, first[0][1]) if first else None
    if header is not None:
        del first[0]
    return header


def _usual_size(path: Path, first: list[tuple[int, bytes]]) -> int:
    """The most frequent count of numbers at the end of a line: the first line alone may be the malformed one."""
    sizes = Counter(sum(1 for _ in takewhile(_is_number, reversed(line.split(b" ")[1:]))) for _, line in first if line)
    if not sizes:
        raise DataError(
            f"{path}: holds no vectors. Expected a word and its numbers on each line; check that the file is complete."
        )
    size = sizes.most_common(1)[0][0]
    if size == 0:
        raise DataError(
            f"{path}: its lines do not end in numbers. "
            "Expected a word and its numbers on each line, separated by blanks."
        )
    return size


def _word(line: bytes, size: int) -> bytes | None:
    """The text before the last `size` fields; None if there are too few or too many numbers."""
    blanks = line.count(b" ")
    if blanks == size:
        return line[: line.index(b" ")]
    if blanks < size:
        return None
    word = line.rsplit(b" ", size)[0]
    return None if _is_number(word.rpartition(b" ")[2]) else word


def _parsed(fields: list[bytes], source: str, problems: Problems) -> np.ndarray | None:
    try:
        return as_float32([float(field) for field in fields])
    except ValueError:
        wrong = next(field for field in fields if not _is_number(field, finite=False))
        problems.report(f"{source}: {quoted(wrong)} is not a number")
        return None


def _is_number(field: bytes, *, finite: bool = True) -> bool:
    """Whether a field is a number; `nan` and `infinity` only if `finite` is False, since they are also words."""
    try:
        return math.isfinite(float(field)) or not finite
    except ValueError:
        return False
