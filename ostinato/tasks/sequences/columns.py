"""Read the labelled rows of data files as columns: in memory, or on disk if they are larger."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ostinato.config import SequenceData
from ostinato.data.examples import Record, Records
from ostinato.data.files import reading
from ostinato.data.formats import format_of
from ostinato.data.ondisk.folder import cache_folder, name_of
from ostinato.data.ondisk.sequences import store
from ostinato.errors import DataError
from ostinato.plugins import FORMATS, code_of
from ostinato.storage import file_digest
from ostinato.tasks.sequences.reading import labelled_or_skipped
from ostinato.tasks.sequences.targets import TargetKind

STREAMED_BYTES = 2**30  # of the files together, above which they are read to disk by default
AFTER_READING = {  # the keys of [data] that do not change what is read
    *("name", "path", "validation_path", "test_path", "unlabelled", "stream", "seed", "length", "empty"),
    *("train_size", "validation_size", "test_size", "train_fraction", "folds", "fold"),
    *("tokenizer", "max_length", "truncate", "scale", "min_count", "max_size"),
    *("vectors", "extra_vectors", "vectors_on_error"),
}


def is_streamed(config: SequenceData, files: Iterable[Path]) -> bool:
    """Whether rows and tokens are kept on disk: as the config says, else by the size of the files."""
    if config.stream is not None:
        return config.stream
    return sum(path.stat().st_size for path in files if path.is_file()) > STREAMED_BYTES


def read_to_memory(paths: Sequence[Path], config: SequenceData, kind: TargetKind) -> tuple[Records, int]:
    """The labelled records of the files, and the number of unlabelled rows that were skipped (`skip_unlabelled`).

    Raises:
        DataError: a row cannot be read, or it has no target and `skip_unlabelled` is off.
    """
    found = list(_rows(paths, config, kind))
    records = Records.of(row for row in found if row is not None)
    return records, len(found) - len(records)


def read_to_disk(paths: Sequence[Path], config: SequenceData, kind: TargetKind) -> tuple[Records, int]:
    """The same as `read_to_memory`; the sequences are read into a folder of the cache, unless they are there.

    Raises:
        DataError: see `read_to_memory`.
        RunError: the folder cannot be written.
    """
    files = [[str(path), _digest(path), code_of(FORMATS, format_of(path, config.format))] for path in paths]
    table = None if config.label_table is None else _digest(Path(config.label_table))
    settings = config.model_dump(mode="json", exclude=AFTER_READING)
    name = name_of({"files": files, "table": table, "target": type(kind).__name__, "settings": settings})
    return store(cache_folder() / "rows" / name, lambda: _rows(paths, config, kind))


def _rows(paths: Sequence[Path], config: SequenceData, kind: TargetKind) -> Iterator[Record | None]:
    """The labelled records, and None for each skipped row."""
    for path in paths:
        for row in labelled_or_skipped(path, config, kind):
            if isinstance(row, DataError):
                raise row
            yield row


def _digest(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        DataError: it cannot be read, or it can be read only once, as a pipe.
    """
    with reading(path), path.open("rb"):
        pass
    if not path.is_file():
        raise DataError(f"{path}: is not a file, so it cannot be read to disk. Set data.stream = false.")
    return file_digest(path)
