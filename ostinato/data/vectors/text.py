"""Word vectors as text: GloVe, and word2vec and fastText with their header."""

import math
import re
from collections import Counter
from collections.abc import Container, Iterator
from itertools import chain, islice, takewhile
from pathlib import Path

import numpy as np

from ostinato.data.vectors.faults import Faults, Word, as_float32, opened, shown
from ostinato.errors import DataError

HEADER = re.compile(rb"(\d{1,15})\s+(\d{1,15})\s*")  # the line `V D`
LARGEST_SIZE = 2**16  # numbers of a vector; beyond them a file is not what it seems
FIRST_LINES = 100  # that tell the dimension where there is no header


def text_words(path: Path, needed: Container[bytes], faults: Faults) -> Iterator[Word]:
    """Read a word and D numbers a line, separated by blanks; a first line of two whole numbers is the header `V D`.

    Without a header, D is what most of the first hundred lines have. A word may hold blanks: the last D fields are the
    numbers; a word whose own last field is a number is taken for a line of too many. Of other lines than the needed ones
    the numbers are counted, not read. Lines end at a line feed alone: words of other alphabets hold what Unicode calls a
    line end or a blank. Blank lines are counted and left out.

    Raises:
        DataError: see `reading`; a line cannot be used; the file is empty or contradicts its header.
    """
    with opened(path) as file:
        lines = ((number, line.rstrip(b" \r\n")) for number, line in enumerate(file, start=1))
        first = list(islice(lines, FIRST_LINES))
        announced, size = _taken_header(path, first) or (None, _usual_size(path, first))
        count = 0
        for number, line in chain(first, lines):
            if not line:
                continue
            count += 1
            word = _word(line, size)
            if word is None:
                faults.meet(f"{path}, line {number}: {line.count(b' ')} numbers after the word, expected {size}")
            elif word in needed:
                place = f"{path}, line {number} ({shown(word)})"
                vector = _parsed(line[len(word) + 1 :].split(b" "), place, faults)
                if vector is not None and faults.passes(vector, place):
                    yield word, vector
        if announced not in (None, count):
            raise DataError(
                f"{path}: {count:,} words, but the header on line 1 announces {announced:,}. Get the file again, or correct the header."
            )


def header_of(path: Path, line: bytes) -> tuple[int, int] | None:
    """V and D where the line is word2vec's header, the same in text and binary.

    Raises:
        DataError: the header announces no words, no numbers or too many.
    """
    header = HEADER.fullmatch(line)
    if header is None:
        return None
    announced, size = int(header[1]), int(header[2])
    if announced < 1 or not 1 <= size <= LARGEST_SIZE:
        raise DataError(
            f"{path}: the header announces {announced:,} words of {size:,} numbers. Expected at least one word, of 1 to {LARGEST_SIZE:,} numbers."
        )
    return announced, size


def _taken_header(path: Path, first: list[tuple[int, bytes]]) -> tuple[int, int] | None:
    """V and D where the first line is a header, which is taken off."""
    header = header_of(path, first[0][1]) if first else None
    if header is not None:
        del first[0]
    return header


def _usual_size(path: Path, first: list[tuple[int, bytes]]) -> int:
    """The commonest count of numbers at the end of a line: if the first line is wrong, that one is to be named, not all others."""
    sizes = Counter(sum(1 for _ in takewhile(_is_number, reversed(line.split(b" ")[1:]))) for _, line in first if line)
    if not sizes:
        raise DataError(
            f"{path}: holds no vectors. Expected a word and its numbers a line; check that the file was written to its end."
        )
    size = sizes.most_common(1)[0][0]
    if size == 0:
        raise DataError(
            f"{path}: no numbers at the end of its lines. Expected a word and its numbers a line, separated by blanks."
        )
    return size


def _word(line: bytes, size: int) -> bytes | None:
    """What stands before the last `size` fields; None where there are too few or too many."""
    blanks = line.count(b" ")
    if blanks == size:
        return line[: line.index(b" ")]
    if blanks < size:
        return None
    word = line.rsplit(b" ", size)[0]
    return None if _is_number(word.rpartition(b" ")[2]) else word


def _parsed(fields: list[bytes], place: str, faults: Faults) -> np.ndarray | None:
    try:
        return as_float32([float(field) for field in fields])
    except ValueError:
        wrong = next(field for field in fields if not _is_number(field, finite=False))
        faults.meet(f"{place}: {shown(wrong)} is not a number")
        return None


def _is_number(field: bytes, *, finite: bool = True) -> bool:
    """Whether a field reads as a number; `nan` and `infinity` are words too, unless `finite` is False."""
    try:
        return math.isfinite(float(field)) or not finite
    except ValueError:
        return False
