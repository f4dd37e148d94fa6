"""Word vectors in word2vec's binary format."""

from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np

from ostinato.data.vectors.faults import CHUNK, Faults, Word, opened, shown
from ostinato.data.vectors.text import header_of
from ostinato.errors import DataError

LONGEST_WORD = 2**16  # bytes; beyond them a file is not what it seems
FASTTEXT_MAGIC = b"\xba\x16\x4f\x2f"  # 793712314, the first four bytes of fastText's own format


def binary_words(path: Path, needed: Container[bytes], faults: Faults) -> Iterator[Word]:
    """Read word2vec's binary format: a line `V D`, then V times a word, a blank, D little-endian float32, and perhaps a line feed.

    Raises:
        DataError: see `reading`; the file is empty, truncated, or contradicts its header; a vector is not finite.

    Source:
        https://code.google.com/archive/p/word2vec/, word2vec.c; a word cannot hold a blank there.
    """
    with opened(path) as file:
        announced, size = _header(path, file.readline(LONGEST_WORD))
        buffer, start = b"", 0
        for number in range(1, announced + 1):
            blank = buffer.find(b" ", start)
            while blank < 0 or blank + 1 + 4 * size > len(buffer):
                if blank < 0 and len(buffer) - start > LONGEST_WORD:
                    raise DataError(
                        f"{path}, word {number}: longer than {LONGEST_WORD:,} bytes. Expected word2vec's binary format; check the file."
                    )
                chunk = file.read(CHUNK)
                if not chunk:
                    raise DataError(
                        f"{path}: ends within word {number:,}, but its header announces {announced:,}. Get the file again."
                    )
                buffer, start = buffer[start:] + chunk, 0
                blank = buffer.find(b" ", start)
            word = buffer[start:blank].lstrip(b"\n")
            if word in needed:
                vector = np.frombuffer(buffer, "<f4", size, blank + 1).astype(np.float32)
                if faults.passes(vector, f"{path}, word {number} ({shown(word)})"):
                    yield word, vector
            start = blank + 1 + 4 * size
        if (buffer[start:] + file.read(CHUNK)).strip():
            raise DataError(
                f"{path}: goes on after the {announced:,} words of {size} numbers that its header announces. Get the file again."
            )


def _header(path: Path, line: bytes) -> tuple[int, int]:
    if not line:
        raise DataError(
            f"{path}: holds no vectors. Expected word2vec's binary format; check that the file was written to its end."
        )
    if line.startswith(FASTTEXT_MAGIC):
        raise DataError(
            f"{path}: a model in fastText's own format. Expected vectors: name the .vec file that is published beside it."
        )
    header = header_of(path, line)
    if header is None:
        raise DataError(
            f"{path}: the first line is {shown(line[:40])}. Expected word2vec's binary format, which starts with the words and the dimension."
        )
    return header
