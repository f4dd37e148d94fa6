"""Word vectors in the binary format of word2vec."""

from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np

from ostinato.data.vectors.problems import CHUNK, Problems, Word, opened, quoted
from ostinato.data.vectors.text import header_of
from ostinato.errors import DataError

LONGEST_WORD = 2**16  # bytes; a longer word means another format
FASTTEXT_MAGIC = b"\xba\x16\x4f\x2f"  # 793712314, the first four bytes of fastText's own format


def binary_words(path: Path, needed: Container[bytes], problems: Problems) -> Iterator[Word]:
    """Read the binary format of word2vec.

    A line `V D`, then V times: a word, a blank, D little-endian float32 numbers, and optionally a line feed.

    Raises:
        DataError: see `reading`; the file is empty, truncated, or contradicts its header; a vector is not finite.

    Source: word2vec.c, https://code.google.com/archive/p/word2vec/. A word cannot contain a blank in this format.
    """
    with opened(path) as file:
        announced, size = _header(path, file.readline(LONGEST_WORD))
        buffer, start = b"", 0
        for number in range(1, announced + 1):
            blank = buffer.find(b" ", start)
            while blank < 0 or blank + 1 + 4 * size > len(buffer):
                if blank < 0 and len(buffer) - start > LONGEST_WORD:
                    raise DataError(
                        f"{path}, word {number}: longer than {LONGEST_WORD:,} bytes. "
                        "Expected the binary format of word2vec; check the file."
                    )
                chunk = file.read(CHUNK)
                if not chunk:
                    raise DataError(
                        f"{path}: ends within word {number:,}, but its header announces {announced:,}. "
                        "Download the file again."
                    )
                buffer, start = buffer[start:] + chunk, 0
                blank = buffer.find(b" ", start)
            word = buffer[start:blank].lstrip(b"\n")
            if word in needed:
                vector = np.frombuffer(buffer, "<f4", size, blank + 1).astype(np.float32)
                if problems.is_finite(vector, f"{path}, word {number} ({quoted(word)})"):
                    yield word, vector
            start = blank + 1 + 4 * size
        if (buffer[start:] + file.read(CHUNK)).strip():
            raise DataError(
                f"{path}: more data after the {announced:,} words of {size} numbers that its header announces. "
                "Download the file again."
            )


def _header(path: Path, line: bytes) -> tuple[int, int]:
    if not line:
        raise DataError(
            f"{path}: holds no vectors. Expected the binary format of word2vec; check that the file is complete."
        )
    if line.startswith(FASTTEXT_MAGIC):
        raise DataError(
            f"{path}: a model in the format of fastText. "
            "Expected word vectors: use the .vec file that is published next to it."
        )
    header = header_of(path, line)
    if header is None:
        raise DataError(
            f"{path}: the first line is {quoted(line[:40])}. "
            "Expected the binary format of word2vec, which starts with the number of words and the dimension."
        )
    return header
