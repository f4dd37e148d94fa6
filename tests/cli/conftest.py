"""Two small finished runs, trained by the command line."""

import os
import shutil
from pathlib import Path

import pytest
from commands import FORWARDS, LABELS, REVIEWS, SERIES, WORDS, jsonl, run, tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two finished runs, of reviews and of series, and the files that they were trained on."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    (folder / "series.jsonl").write_text(jsonl(series=SERIES, label=LABELS), encoding="utf-8")
    reviews = f'[data]\npath = "reviews.csv"\n{WORDS}{FORWARDS}'
    series = f'[data]\npath = "series.jsonl"\ntext_column = "series"\n{FORWARDS}'
    (folder / "reviews.toml").write_text(reviews, encoding="utf-8")
    (folder / "series.toml").write_text(series, encoding="utf-8")
    here = Path.cwd()
    os.chdir(folder)
    assert run("train", "reviews.toml", *tiny(), "--out", "run") == 0
    assert run("train", "series.toml", *tiny(), "--out", "numeric") == 0
    os.chdir(here)
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of `trained` as the working folder, to spoil."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
