"""Data that are sent to nodes arrive complete: a run on them is the run on the data themselves."""

import pickle
from types import SimpleNamespace

import pytest
import torch

from ostinato.cluster.prepared import PreparedData
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override, parse_config

SMALL = ["data.train_size=60", "data.validation_size=30", "data.test_size=30"]
TINY = ["model.hidden_size=4", "training.max_epochs=1", "training.device=cpu"]


def generated(preset):
    return override(PRESETS[preset](), [*SMALL, *TINY])


def tagging(folder):
    sentences = [
        "".join(f"{word} {'B-LOC' if word == 'Oslo' else 'O'}\n" for word in ("in", "Oslo", f"w{n}")) for n in range(60)
    ]
    (folder / "tags.conll").write_text("\n".join(sentences), encoding="utf-8")
    return override(parse_config({"task": "tagging", "data": {"path": str(folder / "tags.conll")}}), TINY)


@pytest.mark.parametrize("preset", ["majority", "dna-motifs", "count-ones", "japanese-vowels", None])
def test_a_training_on_data_that_were_sent_is_the_same(preset, tmp_path):
    config = tagging(tmp_path) if preset is None else generated(preset)
    cluster = SimpleNamespace(put=lambda data: pickle.dumps(data))
    sent = pickle.loads(PreparedData(cluster).of(config))
    task = TASKS[config.task]
    data = task.prepare_for(config)
    assert {name: split.digest() for name, split in sent.splits.items()} == {
        name: split.digest() for name, split in data.splits.items()
    }
    weights = [task.fit(task.settle(config, each), each).network.state_dict() for each in (sent, data)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_configs_with_the_same_data_share_them():
    config = generated("majority")
    other = override(config, ["model.cell=gru", "training.seed=3"])
    prepared = PreparedData(SimpleNamespace(put=lambda data: data))
    assert prepared.of(config) is prepared.of(other)
    assert prepared.of(config) is not prepared.of(override(config, ["data.seed=7"]))
