"""Word vectors as a NumPy array, with a list of its words."""

import warnings
from collections.abc import Container, Iterator
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ostinato.data.files import reading
from ostinato.data.parquet import batches_of, open_parquet, values_of
from ostinato.data.vectors.problems import Problems, Word, as_float32, opened, quoted
from ostinato.errors import DataError

WORD_LISTS = (".words.txt", ".txt", ".parquet")  # next to a .npy file, tried in this order


def array_words(path: Path, needed: Container[bytes], problems: Problems, words: Path | None = None) -> Iterator[Word]:
    """Memory-map an array (V, D), and read its word list: one word per line, or the column `index` of a Parquet file.

    Args:
        words: the word list; None: `x.words.txt`, `x.txt` or `x.parquet` next to `x.npy`.

    Raises:
        DataError: see `reading`; the array is not (V, D) of floating-point numbers; the word list is missing or has
            another length; a needed vector is not finite.
    """
    array = _mapped(path)
    words = words or _list_beside(path)
    count = 0
    for count, word in enumerate(_listed(words), start=1):
        if count <= len(array) and word in needed:
            vector = as_float32(array[count - 1])
            if problems.is_finite(vector, f"{path}, row {count} ({quoted(word)})"):
                yield word, vector
    if count != len(array):
        raise DataError(
            f"{path}: {len(array):,} vectors, but {words} has {count:,} words. "
            "Give one word per vector, in the same order."
        )


def _mapped(path: Path) -> np.ndarray:
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # numpy's, of a header that Python 2 wrote, or a damaged one
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except (ValueError, OverflowError, SyntaxError, TokenError) as error:  # numpy evaluates the header
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise DataError(f"{path}: not a complete .npy file ({reason}). Write it again with numpy.save.") from None
    if array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
        raise DataError(
            f"{path}: an array {array.shape} of {array.dtype}. Expected (words, dimension) of floating-point numbers."
        )
    return array


def _list_beside(path: Path) -> Path:
    lists = [path.with_suffix(ending) for ending in WORD_LISTS]
    found = next((each for each in lists if each.exists()), None)
    if found is None:
        raise DataError(
            f"{path}: the word list is missing. Expected one of: {', '.join(each.name for each in lists)}, "
            "with one word per row of the array."
        )
    return found


def _listed(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        yield from _parquet_column(path)
    else:
        with opened(path) as file:
            yield from (line.rstrip(b"\r\n") for line in file)


def _parquet_column(path: Path) -> Iterator[bytes]:
    import pyarrow

    with open_parquet(path) as file:
        columns = {field.name: field.type for field in file.schema_arrow}
        if columns.get("index") not in (pyarrow.string(), pyarrow.large_string()):
            shown = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
            raise DataError(f"{path}: no text column 'index'. Columns: {shown}. Rename the column of words to index.")
        for batch in batches_of(file, path, ["index"]):
            yield from ((word or "").encode() for word in values_of(batch, "index", path) or ())
