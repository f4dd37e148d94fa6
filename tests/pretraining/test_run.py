"""Pre-training: it learns a known source, resumes bit for bit, and says what is wrong."""

import json
import math
import re
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from tiny_pretraining import ENTROPY, SMALL, letters, words

import ostinato
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.pretraining.config import parse_config
from ostinato.pretraining.run import resume_pretraining, start_pretraining
from ostinato.storage import load_tensors


def in_files(folder, sequences, **settings):
    """A config for sequences in a text file."""
    (folder / "sequences.txt").write_text("\n".join(sequences), encoding="utf-8")
    tables = {"data": {"path": str(folder / "*.txt")}, "model": {}, "training": {}}
    homes = {"tokenizer": "data", "embedding_size": "model", "hidden_size": "model"}
    for key, value in {**SMALL, **settings}.items():
        tables[homes.get(key, "training")][key] = value
    return parse_config(tables)


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"bidirectional": False}, {"num_layers": 2}])
def test_held_out_loss_falls_to_the_entropy_of_the_source(tmp_path, options):
    found = ostinato.pretrain(letters(250), tmp_path, **{**SMALL, "max_epochs": 6}, **options)["validation"]
    assert ENTROPY - 0.03 < found["loss"] < ENTROPY + 0.06  # held-out sequences are few, so it may be lower
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["baseline_loss"] == pytest.approx(math.log(3), abs=0.01)


def test_sampled_softmax_learns_the_source_too(tmp_path):
    sampled = ostinato.pretrain(letters(250), tmp_path, **{**SMALL, "max_epochs": 6}, negatives=2)["validation"]
    assert ENTROPY - 0.03 < sampled["loss"] < ENTROPY + 0.1


def test_series_are_predicted_better_than_by_repeating_the_last_step(tmp_path):
    rng = np.random.default_rng(0)
    waves = [np.sin(np.arange(40) * 0.9 + rng.random() * 6) * [[1.0], [3.0]] for _ in range(80)]
    series = [wave.T + 0.01 * rng.standard_normal((40, 2)) for wave in waves]
    settings = {**SMALL, "tokenizer": None, "max_epochs": 6}
    found = ostinato.pretrain(series, tmp_path, **settings)["validation"]
    assert found["loss"] < 0.2 * found["baseline_loss"]
    assert "perplexity" not in found


@pytest.mark.parametrize("steps", [1, 7])
def test_a_resumed_pretraining_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch, steps):
    config = in_files(tmp_path, words(200), tokenizer="words", negatives=8, max_tokens=64, checkpoint_every_s=1e-9)
    start_pretraining(config, tmp_path / "whole")

    left = [steps]

    def stop_after_some_steps():
        left[0] -= 1
        return left[0] <= 0

    with monkeypatch.context() as patched:
        patched.setattr("ostinato.pretraining.run.stop_signals", lambda: nullcontext(stop_after_some_steps))
        with pytest.raises(KeyboardInterrupt):
            start_pretraining(config, tmp_path / "resumed")
    assert not (tmp_path / "resumed" / "metrics.json").exists()
    metrics = resume_pretraining(tmp_path / "resumed")
    whole, resumed = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(tensor, resumed.tensors[name]) for name, tensor in whole.tensors.items())
    assert metrics["validation"] == json.loads((tmp_path / "whole" / "metrics.json").read_text())["validation"]
    assert resume_pretraining(tmp_path / "resumed") == metrics  # it is finished


def test_sequences_given_in_python_resume_with_the_same_sequences(tmp_path):
    ostinato.pretrain(letters(30), tmp_path, **SMALL)
    (tmp_path / "metrics.json").unlink()
    with pytest.raises(ConfigError, match="resume=True"):
        resume_pretraining(tmp_path)
    with pytest.raises(RunError, match="already holds"):
        ostinato.pretrain(letters(30), tmp_path, **SMALL)
    with pytest.raises(RunError, match="training data has changed"):
        ostinato.pretrain(letters(30, seed=1), tmp_path, resume=True)
    assert ostinato.pretrain(letters(30), tmp_path, resume=True)["training"]["epochs"] == 2


@pytest.mark.parametrize(
    ("sequences", "settings", "error", "match"),
    [
        (letters(1), {}, DataError, "1 different"),
        (["", ""], {}, DataError, "no sequence"),
        (["a", "b", "c", "d"], {}, DataError, "no sequence in"),
        (letters(10), {"validation_size": 10}, DataError, "validation_size 10"),
        (letters(10), {"hidden_sise": 3}, ConfigError, "hidden_sise"),
        (letters(10), {"hidden_size": -3}, ConfigError, "-3"),
        (letters(10), {"layer_norm": True}, ConfigError, "layer_norm"),
        (letters(10), {"tokenizer": "numeric"}, DataError, "sequence 0"),
    ],
)
def test_what_cannot_be_used_is_named_and_creates_nothing(tmp_path, sequences, settings, error, match):
    with pytest.raises(error, match=re.escape(match)):
        ostinato.pretrain(sequences, tmp_path / "encoder", **{**SMALL, **settings})
    assert not (tmp_path / "encoder").exists()
