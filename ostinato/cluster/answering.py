"""What a node does with one file: load the model once, answer the rows, and return them as Parquet."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ostinato.cluster.files import STAMP, Stamp
from ostinato.config import DataConfig
from ostinato.data.formats import read_rows
from ostinato.errors import DataError, OstinatoError
from ostinato.printable import to_json
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import Answered, Model
from ostinato.training import choose_device

if TYPE_CHECKING:
    import pyarrow

OURS = "answer_"  # how the names of columns that are added begin


class ModelCopy(NamedTuple):
    """A model on its way to the nodes.

    Args:
        content: a list with a reference to the bytes of the model file; a process fetches it when it lacks the model.
        device: as `choose_device` takes it.
    """

    digest: str
    content: Sequence[Any]
    device: str


class AnsweredFile(NamedTuple):
    """The answers to a file, as Parquet.

    Args:
        errors: a table of the rows that could not be read; None if there are none.
        rows: how many were answered.
        failed: how many could not be read.
    """

    answers: bytes
    errors: bytes | None
    rows: int
    failed: int


_loaded: dict[str, Model] = {}  # the model of this process, by its digest and device


def answer_file(copy: ModelCopy, name: str, content: bytes, config: DataConfig, stamp: Stamp) -> AnsweredFile | str:
    """Answer the rows of a file.

    Args:
        name: as messages show it; its ending selects the format.

    Returns:
        The answers, or why the file as a whole cannot be read.
    """
    with TemporaryDirectory(prefix="ostinato-") as folder:
        path = Path(folder) / Path(name).name
        path.write_bytes(content)
        try:
            return _answer(_model(copy), path, name, config, stamp)
        except (OstinatoError, MemoryError, OSError, RuntimeError) as error:  # RuntimeError: PyTorch is out of memory
            return (str(error) or type(error).__name__).replace(str(path), name)


def _model(copy: ModelCopy) -> Model:
    """The model, loaded once by each process."""
    key = f"{copy.digest} {copy.device}"
    if key not in _loaded:
        import ray

        with TemporaryDirectory(prefix="ostinato-") as folder:
            path = Path(folder) / "model.safetensors"
            path.write_bytes(ray.get(copy.content[0]))
            model = load_model(path)
        model.network.to(choose_device(copy.device))
        _loaded.clear()
        _loaded[key] = model
    return _loaded[key]


def _answer(model: Model, path: Path, name: str, config: DataConfig, stamp: Stamp) -> AnsweredFile:
    rows = model.task.rows_of_file(path, config, model)
    answers = list(model.task.answer(model, rows, strict=False))
    good = [number for number, each in enumerate(answers) if each.error is None]
    bad = [each for each in answers if each.error is not None]
    table = _rows_of(_columns(model, path, config, len(answers)), good, path)
    for column, values in _answer_columns(model, [answers[number] for number in good], path, name).items():
        table = table.append_column(column, _array(values))
    return AnsweredFile(
        _to_parquet(table.replace_schema_metadata({STAMP: json.dumps(stamp._asdict())})),
        _to_parquet(_errors(bad, path, name)) if bad else None,
        len(good),
        len(bad),
    )


def _rows_of(table: "pyarrow.Table", rows: Sequence[int], path: Path) -> "pyarrow.Table":
    """Some rows of a table.

    Raises:
        DataError: a column is too large, or of a type that has no such operation.
    """
    import pyarrow as pa

    try:
        return table.take(rows)
    except pa.ArrowException as error:
        raise DataError(f"{path}: its rows cannot be copied ({error}). Split the file, or remove columns.") from None


def _columns(model: Model, path: Path, config: DataConfig, count: int) -> "pyarrow.Table":
    """The columns of the file; those of Parquet keep their types.

    Raises:
        DataError: a column has a name that is ours, or cannot be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    form = model.task.file_format(path, config)
    if form == "parquet":
        try:
            table = parquet.read_table(path)
        except pa.ArrowException as error:  # of a column that the model does not read
            raise DataError(f"{path}: a column cannot be read ({error}). Write the file again.") from None
    else:
        rows = [row.values for row in read_rows(path, form, keep_errors=True)]
        names = dict.fromkeys(name for row in rows for name in row)
        table = pa.table({name: _array([row.get(name) for row in rows]) for name in names} or {"": pa.nulls(len(rows))})
    taken = [name for name in table.column_names if name.startswith(OURS)]
    if taken:
        raise DataError(f"{path}: column {taken[0]!r}: names that begin with {OURS} are those of answers. Rename it.")
    assert table.num_rows == count, (path, table.num_rows, count)
    return table


def _answer_columns(model: Model, answers: Iterable[Answered], path: Path, name: str) -> dict[str, list[Any]]:
    """The added columns: the row of each answer, its fields, and its warning."""
    found = [
        {
            f"{OURS}row": each.source.replace(str(path), name),
            **_flat(OURS, model.task.answer_json(model, each.answer)),
            f"{OURS}warning": each.warning,
        }
        for each in answers
    ]
    names = dict.fromkeys(column for row in found for column in row)
    return {column: [row.get(column) for row in found] for column in names}


def _flat(start: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as columns: one for each value of an object, and lists as JSON, so that all files have the same types."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(f"{start}{name}.", value)
        else:
            flat[f"{start}{name}"] = to_json(value) if isinstance(value, list) else value
    return flat


def _errors(bad: Sequence[Answered], path: Path, name: str) -> "pyarrow.Table":
    import pyarrow as pa

    pairs = [(each.source.replace(str(path), name), str(each.error).replace(str(path), name)) for each in bad]
    rows, errors = zip(*pairs, strict=True)
    return pa.table({f"{OURS}row": rows, "error": errors})


def _array(values: Sequence[Any]) -> "pyarrow.Array":
    """An Arrow array; lists, objects and values of several types are JSON, and text stays as it is."""
    import pyarrow as pa

    values = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]  # as of a `.ts` file
    if all(value is None for value in values):
        return pa.nulls(len(values), pa.string())
    if not any(isinstance(value, list | dict) for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):
            pass  # the values have no common type
    return pa.array([value if value is None or isinstance(value, str) else _json(value) for value in values])


def _json(value: Any) -> str:
    """A value of a file as JSON, also one that JSON does not have: NaN as Python writes it, a date as text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _to_parquet(table: "pyarrow.Table") -> bytes:
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(table, written)
    return written.getvalue()
