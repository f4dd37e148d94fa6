"""Write and read test predictions as a Parquet file: the source of each row, and task-specific columns."""

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.storage import unusable, write_atomically


def write_columns(path: Path, sources: Sequence[str], columns: Mapping[str, Any]) -> None:
    """Write one row per source.

    Raises:
        RunError: the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(pa.table({"source": sources, **columns}), written)
    write_atomically(path, written.getvalue())


def read_columns(
    path: Path, names: Sequence[str], known: Collection[str] | None = None
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Read the sources and the named columns, (B,) each; a column of lists becomes an array of lists.

    Args:
        known: the allowed values of the first column; None: any.

    Raises:
        RunError: the file is missing or altered.
    """
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
        sources = table["source" if "source" in table.column_names else "place"].to_pylist()  # 0.1 called it place
        columns = {name: _array(table[name].to_pylist()) for name in names}
    except (OSError, ArrowException, KeyError):
        raise unusable(path) from None
    if known is not None and not set(columns[names[0]].tolist()) <= set(known):
        raise unusable(path)
    return sources, columns


def pool_folds(folds: Sequence[Any], names: Sequence[str]) -> tuple[list[str], list[np.ndarray]]:
    """Join the predictions of all folds, sorted by source. Returns the sources and the named arrays, (B, ...) each."""
    sources = [source for fold in folds for source in fold.sources]
    order = sorted(range(len(sources)), key=sources.__getitem__)
    arrays = [np.concatenate([getattr(fold, name) for fold in folds])[order] for name in names]
    return [sources[row] for row in order], arrays


def _array(values: list[Any]) -> np.ndarray:
    if not values or not isinstance(values[0], list | str):
        return np.array(values)
    objects = np.empty(len(values), dtype=object)  # NumPy's own strings would lose NULs at their end
    objects[:] = values
    return objects
