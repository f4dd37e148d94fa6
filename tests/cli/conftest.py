"""Two small finished runs, trained by the command line."""

import os
import shutil
from pathlib import Path

import pytest
from commands import LABELS, REVIEWS, SERIES, jsonl, run, tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two finished runs, of reviews and of series, and the files that they were trained on."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    (folder / "series.jsonl").write_text(jsonl(series=SERIES, label=LABELS), encoding="utf-8")
    (folder / "reviews.toml").write_text('[data]\npath = "reviews.csv"\n', encoding="utf-8")
    (folder / "series.toml").write_text('[data]\npath = "series.jsonl"\ntext_column = "series"\n', encoding="utf-8")
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
