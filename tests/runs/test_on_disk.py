"""Runs whose data are on disk: the same bits as in memory, also after an interruption."""

import shutil

import pytest
import torch
from tiny_runs import reviews_config, write_reviews

from ostinato import runs
from ostinato.progress import Progress
from ostinato.storage import load_tensors, read_json


class Stops(Progress):
    """Interrupts a training at a step."""

    def __init__(self, at):
        super().__init__(quiet=True)
        self.left = at

    def step(self, share, tokens, loss):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def weights(run):
    return load_tensors(run / "model.safetensors").tensors


def test_an_interrupted_run_on_disk_ends_like_one_in_memory(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("OSTINATO_CACHE", str(cache))
    write_reviews(tmp_path / "reviews.csv", rows=200)
    more = ("training.max_epochs=3", "training.batch_size=16", "training.checkpoint_every_s=0.001", "model.dropout=0.1")
    configs = [reviews_config(tmp_path / "reviews.csv", f"data.stream={way}", *more) for way in ("false", "true")]
    expected = runs.start_run(configs[0], tmp_path / "memory")
    assert not cache.exists()
    with pytest.raises(KeyboardInterrupt):
        runs.start_run(configs[1], tmp_path / "disk", progress=Stops(at=7))
    shutil.rmtree(cache)  # it is made again
    found = runs.resume_run(tmp_path / "disk")
    assert cache.exists()
    ours, theirs = weights(tmp_path / "disk"), weights(tmp_path / "memory")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    for key in ("validation", "test", "baselines", "data"):
        assert found[key] == expected[key]
    names = ("audit.json", "vocabulary.json", "predictions.parquet", "rows.safetensors", "examples.json")
    assert all((tmp_path / "disk" / each).read_bytes() == (tmp_path / "memory" / each).read_bytes() for each in names)
    assert read_json(tmp_path / "disk" / "metrics.json")["test"] == expected["test"]
