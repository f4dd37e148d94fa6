"""Read the labelled rows of data files as columns: in memory, or on disk if they are larger."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ostinato.config import SequenceData
from ostinato.data.examples import Record, Records
from ostinato.data.files import files_of, reading
from ostinato.data.formats import format_of
from ostinato.data.ondisk.folder import cache_folder, name_of
from ostinato.data.ondisk.sequences import store
from ostinato.data.remote import RemoteFile, is_remote, remote_files
from ostinato.errors import DataError
from ostinato.plugins import FORMATS, code_of
from ostinato.storage import file_digest
from ostinato.tasks.sequences.reading import labelled_or_skipped
from ostinato.tasks.sequences.targets import TargetKind

File = Path | RemoteFile

STREAMED_BYTES = 2**30  # of the files together, above which they are read to disk by default
AFTER_READING = {  # the keys of [data] that do not change what is read
    *("name", "path", "validation_path", "test_path", "unlabelled", "stream", "seed", "length", "empty"),
    *("train_size", "validation_size", "test_size", "train_fraction", "folds", "fold"),
    *("tokenizer", "max_length", "truncate", "scale", "min_count", "max_size"),
    *("vectors", "extra_vectors", "vectors_on_error"),
}


def files_at(path: str) -> list[File]:
    """The files that a path or an address names; see `files_of` and `remote_files`."""
    return [*(remote_files(path) if is_remote(path) else files_of(path))]


def format_at(file: File, config: SequenceData) -> str:
    """The format of a file, by the config or by the file's ending."""
    return format_of(file if isinstance(file, Path) else Path(file.path), config.format)


def is_streamed(config: SequenceData, files: Iterable[File]) -> bool:
    """Whether rows and tokens are kept on disk: as the config says, else by the size of the files."""
    if config.stream is not None:
        return config.stream
    return sum(map(_size, files)) > STREAMED_BYTES


def _size(file: File) -> int:
    if isinstance(file, RemoteFile):
        return file.size
    return file.stat().st_size if file.is_file() else 0


def read_to_memory(files: Sequence[File], config: SequenceData, kind: TargetKind) -> tuple[Records, int]:
    """The labelled records of the files, and the number of unlabelled rows that were skipped (`skip_unlabelled`).

    Raises:
        DataError: a row cannot be read, or it has no target and `skip_unlabelled` is off.
    """
    found = list(_rows_of_all(files, config, kind))
    records = Records.of(row for row in found if row is not None)
    return records, len(found) - len(records)


def read_to_disk(files: Sequence[File], config: SequenceData, kind: TargetKind) -> tuple[Records, int]:
    """The same as `read_to_memory`; the sequences are read into a folder of the cache, unless they are there.

    Raises:
        DataError: see `read_to_memory`.
        RunError: the folder cannot be written.
    """
    contents = [[*_content(file), code_of(FORMATS, format_at(file, config))] for file in files]
    table = None if config.label_table is None else _content(Path(config.label_table))
    settings = config.model_dump(mode="json", exclude=AFTER_READING)
    name = name_of({"files": contents, "table": table, "target": type(kind).__name__, "settings": settings})
    return store(cache_folder() / "rows" / name, lambda: _rows_of_all(files, config, kind))


def _rows_of_all(files: Sequence[File], config: SequenceData, kind: TargetKind) -> Iterator[Record | None]:
    """The labelled records, and None for each skipped row."""
    return chain.from_iterable(_rows_of(file, config, kind) for file in files)


def _rows_of(file: File, config: SequenceData, kind: TargetKind) -> Iterator[Record | None]:
    """The rows of one file; those of a copy name the file's own address."""
    if isinstance(file, Path):
        yield from labelled_or_skipped(file, config, kind)
        return
    with file.copied() as copy:
        try:
            for row in labelled_or_skipped(copy, config, kind):
                yield None if row is None else replace(row, source=row.source.replace(str(copy), file.address))
        except DataError as error:
            raise DataError(str(error).replace(str(copy), file.address)) from None


def _content(file: File) -> list[str]:
    """What tells the contents of files apart: their SHA-256; for a remote one its size, and when it was written.

    Raises:
        DataError: it cannot be read, or it can be read only once, as a pipe.
    """
    if isinstance(file, RemoteFile):
        return [file.address, str(file.size), str(file.modified)]
    with reading(file), file.open("rb"):
        pass
    if not file.is_file():
        raise DataError(f"{file}: is not a file, so it cannot be read to disk. Set data.stream = false.")
    return [str(file), file_digest(file)]
