"""The sequences of a data file on disk, and where each comes from; both are read as lists are."""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ostinato.data.examples import Record, Records
from ostinato.data.ondisk.arrays import ArrayWriter, MappedFile
from ostinato.data.ondisk.codes import Codes, decoded
from ostinato.data.ondisk.folder import kept

TEXT, EVENTS, SERIES = "text", "events", "series"
BYTES, COLUMNS = "sequences.bin", "rows.npz"
COLUMNS_OF_FILES = ("targets", "splits", "groups")
# where a sequence is: its first byte in the file, its bytes, its characters, events or steps, and a series' channels
ROW = np.dtype([("start", "<i8"), ("bytes", "<u4"), ("length", "<i4"), ("channels", "<i4")])


class Sources(Sequence[str]):
    """Where rows come from, such as `train.csv, row 17`: what the texts have in common, and a number each."""

    def __init__(self, stems: list[str], stem_of: np.ndarray, numbers: np.ndarray) -> None:
        self._stems, self._stem_of, self._numbers = stems, stem_of, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Sources": ...
    def __getitem__(self, row: int | slice) -> "str | Sources":
        if isinstance(row, slice):
            return self.select(np.arange(len(self))[row])
        number, stem = int(self._numbers[row]), self._stems[int(self._stem_of[row])]
        return stem if number < 0 else f"{stem}{number}"

    def select(self, rows: np.ndarray) -> "Sources":
        """The items at `rows`, in that order."""
        return Sources(self._stems, self._stem_of[rows], self._numbers[rows])


class StoredSequences(Sequence[Any]):
    """Sequences in a file, each read when it is asked for.

    Args:
        place: the folder that `store` has filled.
        kind: texts, events or series.
        rows: where each sequence is, (B,) of `ROW`.
        file: all sequences of the folder.
    """

    def __init__(self, place: Path, kind: str, rows: np.ndarray, file: MappedFile) -> None:
        self.place, self._kind, self._rows, self._file = place, kind, rows, file

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int | slice) -> Any:
        if isinstance(row, slice):
            return self.select(np.arange(len(self))[row])
        return self._sequence(*self._rows[row].item())

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            yield self._sequence(*row.item())

    def select(self, rows: np.ndarray) -> "StoredSequences":
        """The sequences at `rows`, in that order; none is read."""
        return StoredSequences(self.place, self._kind, self._rows[rows], self._file)

    @property
    def raw_lengths(self) -> np.ndarray:
        """The characters, events or steps of each sequence, (B,) int64."""
        return self._rows["length"].astype(np.int64)

    @property
    def name(self) -> str:
        """Equal for the same sequences in the same order, of any folder."""
        return hashlib.sha256(
            self.place.name.encode() + np.ascontiguousarray(self._rows["start"]).tobytes()
        ).hexdigest()

    def _sequence(self, start: int, size: int, length: int, channels: int) -> Any:
        found = self._file.array[start : start + size].tobytes()
        self._file.count(size)
        if self._kind == TEXT:
            return found.decode("utf-8", "surrogatepass")
        if self._kind == EVENTS:
            return json.loads(found) if found else []
        return np.frombuffer(found).reshape(length, channels)


def store(place: Path, read: Callable[[], Iterable[Record | None]]) -> tuple[Records, int]:
    """Records whose sequences are on disk, and how many rows were skipped. They are read only if they are not there.

    Args:
        place: the folder, whose name stands for the content.
        read: gives the records, and None for a skipped row.

    Raises:
        RunError: the folder cannot be written.
    """
    facts = kept(place, lambda folder: _write(folder, read()))
    with np.load(place / COLUMNS) as columns:
        numbers, stems, rows = columns["numbers"], columns["stems"], columns["rows"]
        found = {name: decoded(facts[name], columns[name]) for name in COLUMNS_OF_FILES if facts[name] != [None]}
    sequences = StoredSequences(place, facts["kind"], rows, MappedFile(place / BYTES, np.uint8))
    sources = Sources(facts["stems"], stems, numbers)
    targets = found.get("targets", [None] * len(rows))
    records = Records(sequences, targets, sources, splits=found.get("splits"), groups=found.get("groups"))
    return records, facts["skipped"]


def _write(place: Path, records: Iterable[Record | None]) -> dict[str, Any]:
    kind, skipped, start = TEXT, 0, 0
    rows, numbers = [array(code) for code in "qIii"], array("q")
    codes = {name: Codes() for name in ("stems", *COLUMNS_OF_FILES)}
    with ArrayWriter(place / BYTES) as file:
        for record in records:
            if record is None:
                skipped += 1
                continue
            sequence = record.sequence
            kind = kind_of(sequence) if len(sequence) else kind
            content = _bytes(sequence)
            file.add(np.frombuffer(content, np.uint8))
            channels = sequence.shape[1] if isinstance(sequence, np.ndarray) else 0
            for column, value in zip(rows, (start, len(content), len(sequence), channels), strict=True):
                column.append(value)
            start += len(content)
            stem, number = _split_number(record.source)
            numbers.append(number)
            for name, value in (
                ("stems", stem),
                ("targets", record.target),
                ("splits", record.split),
                ("groups", record.group),
            ):
                codes[name].add(value)
    table = np.empty(len(numbers), ROW)
    for name, column in zip(ROW.names or (), rows, strict=True):
        table[name] = column
    arrays: dict[str, Any] = {name: each.array() for name, each in codes.items()}
    np.savez(place / COLUMNS, rows=table, numbers=np.array(numbers, np.int64), **arrays)
    return {"kind": kind, "skipped": skipped, **{name: each.distinct for name, each in codes.items()}}


def kind_of(sequence: Any) -> str:
    """Which of the three kinds a sequence is."""
    return SERIES if isinstance(sequence, np.ndarray) else TEXT if isinstance(sequence, str) else EVENTS


def _bytes(sequence: Any) -> bytes:
    if isinstance(sequence, np.ndarray):
        return sequence.astype(np.float64).tobytes()
    if isinstance(sequence, str):
        return sequence.encode("utf-8", "surrogatepass")
    return json.dumps(sequence).encode() if sequence else b""


def _split_number(source: str) -> tuple[str, int]:
    """A text and the number at its end; -1: it has none, or one that would be written in another way."""
    stem = source.rstrip("0123456789")
    digits = source[len(stem) :]
    if not digits.isascii() or len(digits) not in range(1, 18) or (digits[0] == "0" and digits != "0"):
        return source, -1
    return stem, int(digits)
