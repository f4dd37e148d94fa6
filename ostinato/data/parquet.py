"""Parquet files as streams of rows, with every error of pyarrow as a `DataError`."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.data.files import reading
from ostinato.data.rows import Row
from ostinato.data.tables import refuse_repeated
from ostinato.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

BATCH_SIZE = 1024  # rows
# Beside its own exceptions, pyarrow raises these for damaged files, and when it converts values to Python.
PYTHON_ERRORS = (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError)


def parquet_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """Read rows of Python values, about a thousand at a time; the first is row 1. Bytes in UTF-8 become text.

    Args:
        columns: the names of the columns to read; None: all that can be read.

    Raises:
        DataError: see `reading`; the file is not Parquet or damaged, two columns have one name, or a column of
            `columns` cannot be read.
    """
    number = 0
    with open_parquet(path) as file:
        names = file.schema_arrow.names
        chosen = names if columns is None else [name for name in names if name in columns]
        for batch in batches_of(file, path, chosen):
            values = {name: values_of(batch, name, path, needed=columns is not None) for name in chosen}
            read = {name: column for name, column in values.items() if column is not None}
            for row in range(batch.num_rows):
                number += 1
                yield Row(f"{path}, row {number}", {name: column[row] for name, column in read.items()}, columns=names)


@contextmanager
def open_parquet(path: Path) -> "Iterator[ParquetFile]":
    """Open a Parquet file.

    Raises:
        DataError: see `reading`; the file is not Parquet or damaged, or two columns have one name.
    """
    from pyarrow.parquet import ParquetFile

    if path.suffix.lower() == ".gz":
        raise DataError(f"{path}: a compressed Parquet file cannot be read. Decompress it: gunzip {path.name}")
    with reading(path), ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))  # Python opens names that are not UTF-8, too
        with _arrow_errors(f"{path}: not a complete Parquet file", "Write it again, or set data.format."):
            # pre-buffering would hold the whole file
            file = stack.enter_context(ParquetFile(raw, pre_buffer=False))
            names = file.schema_arrow.names
        refuse_repeated(path, names)
        yield file


def batches_of(file: "ParquetFile", path: Path, columns: list[str]) -> "Iterator[pyarrow.RecordBatch]":
    """Read some columns of a file, batch by batch.

    Raises:
        DataError: the file is damaged.
    """
    batches = None
    while True:
        with _arrow_errors(f"{path}: damaged, or of a type that cannot be read", "Write the file again."):
            batches = batches or file.iter_batches(BATCH_SIZE, columns=columns)
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def values_of(batch: "pyarrow.RecordBatch", name: str, path: Path, *, needed: bool = True) -> list[Any] | None:
    """The values of a column; None if they cannot be converted to Python and the column is not needed.

    Raises:
        DataError: the column is needed, and its values cannot be converted.
    """
    column = batch.column(name)
    try:
        with _arrow_errors(f"{path}: column {name!r} ({column.type}) cannot be read", "Convert or remove the column."):
            column.validate(full=True)  # also of indices and of UTF-8, which would be read unchecked
            values = column.to_pylist()
    except DataError:
        if needed:
            raise
        return None
    return [_decoded(value) for value in values] if "binary" in str(column.type) else values


def _decoded(value: Any) -> Any:
    """Text for bytes in UTF-8, also in lists; other values as they are."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


@contextmanager
def _arrow_errors(problem: str, remedy: str) -> Iterator[None]:
    """Turn every error that pyarrow raises for a file's content into a `DataError`."""
    from pyarrow import ArrowException

    try:
        yield
    except OSError as error:
        if error.errno is not None:  # of the system, not of pyarrow
            raise
        raise DataError(f"{problem} ({_first_line(error)}). {remedy}") from None
    except (ArrowException, *PYTHON_ERRORS) as error:
        raise DataError(f"{problem} ({_first_line(error)}). {remedy}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
