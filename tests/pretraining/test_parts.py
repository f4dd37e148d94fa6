"""Each rank validates a part of the held-out sequences; their totals add up to those of one."""

import numpy as np
import pytest

from ostinato.pretraining.config import parse_config
from ostinato.pretraining.corpus import build_corpus
from ostinato.pretraining.objective import build_network, objective_of
from ostinato.pretraining.reading import read_unlabelled
from ostinato.training.ranks import Ranks

LINES = [f"the {noun} {verb} here" for noun in ("cat", "dog", "bird", "fish") for verb in ("sat", "ran", "is", "was")]


@pytest.fixture
def totals(monkeypatch):
    """What the ranks add up, in the order of the ranks."""
    found = []
    monkeypatch.setattr(Ranks, "total", lambda self, *numbers: found.append(numbers) or list(numbers))
    return found


@pytest.mark.parametrize("objective", ["next-step", "two-view", "skip-gram"])
def test_the_totals_of_ranks_add_up(tmp_path, totals, objective):
    (tmp_path / "lines.txt").write_text("\n".join(LINES * 3), encoding="utf-8")
    data = {"path": str(tmp_path / "lines.txt"), "min_count": 1, "validation_size": 6}
    config = parse_config({"data": data, "training": {"objective": objective, "device": "cpu"}})
    corpus = build_corpus(config, read_unlabelled(config.data))
    found, network = objective_of(config, corpus), build_network(config, corpus)
    figures = found.metrics(network, corpus.validation)
    for rank in range(2):
        found.metrics(network, corpus.validation, Ranks(rank, 2))
    whole, *parts = np.array(totals)
    assert np.sum(parts, axis=0) == pytest.approx(whole, rel=1e-5)
    assert min(part[1] for part in parts) > 0
    assert figures["loss"] == pytest.approx(whole[0] / whole[1])
