"""A training that needs more memory than there is, is refused before anything is allocated."""

import pytest

from ostinato import SequenceClassifier, tasks
from ostinato.errors import ConfigError
from ostinato.tasks import TASKS
from ostinato.tasks.config import override, parse_config
from ostinato.tasks.memory import refuse_oversized, skeleton

TEXTS, LABELS = [f"a b w{number}" for number in range(40)], [number % 2 for number in range(40)]
TINY = ["model.embedding_size=3", "model.hidden_size=5", "data.train_size=40"]
SETS = {"classification": "majority", "multilabel": "dna-motifs", "regression": "count-ones"}


@pytest.mark.parametrize("name", SETS)
def test_a_skeleton_has_the_shapes_of_the_network_and_no_memory(name):
    task = TASKS[name]
    config = override(parse_config({"task": name, "data": {"name": SETS[name]}}), TINY)
    data = task.prepare(config.data)
    config = task.settle(config, data)
    bare, built = (
        make(config, data.encoder, data.codec) for make in (lambda *facts: skeleton(task, *facts), task.build)
    )
    assert {name: each.shape for name, each in bare.state_dict().items()} == {
        name: each.shape for name, each in built.state_dict().items()
    }
    assert all(each.is_meta for each in bare.parameters())


def test_an_estimator_refuses_sizes_beyond_the_memory():
    model = SequenceClassifier(hidden_size=65_536, num_layers=1000)
    with pytest.raises(ConfigError, match=r"[TP]iB of memory, and .* available"):
        model.fit(TEXTS, LABELS)


def test_the_optimizer_and_a_batch_count(monkeypatch):
    task = TASKS["classification"]
    given = {"training": {"batch_size": 32, "max_tokens": "none"}, "data": {"name": "majority"}}
    config = override(parse_config(given), TINY)
    data = task.prepare(config.data)
    config = task.settle(config, data)
    weights = 4 * sum(each.numel() for each in task.build(config, data.encoder, data.codec).parameters())
    steps = 32 * 20  # the batch size, and the length of every sequence
    needed = 4 * weights + steps * 4 * (3 + 2 * 5)  # embedding, and both directions

    def refuse(available):
        monkeypatch.setattr(tasks.memory, "available_bytes", lambda: available)
        refuse_oversized(task, config, data.encoder, data.codec, data.splits["train"])

    refuse(needed)
    with pytest.raises(ConfigError, match="memory"):
        refuse(needed - 1)


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({}, 1),
        ({"r_drop": 0.5}, 2),
        ({"adversarial": "supervised"}, 2),
        ({"adversarial": "virtual"}, 2),
        ({"r_drop": 0.5, "adversarial": "virtual"}, 3),
    ],
)
def test_every_pass_that_one_backward_goes_through_counts(monkeypatch, settings, passes):
    task = TASKS["classification"]
    given = {"training": {"batch_size": 32, "max_tokens": "none", **settings}, "data": {"name": "majority"}}
    config = override(parse_config(given), [*TINY, "model.dropout=0.1"])
    data = task.prepare(config.data)
    config = task.settle(config, data)
    weights = 4 * sum(each.numel() for each in task.build(config, data.encoder, data.codec).parameters())
    needed = 4 * weights + passes * 32 * 20 * 4 * (3 + 2 * 5)
    monkeypatch.setattr(tasks.memory, "available_bytes", lambda: needed)
    refuse_oversized(task, config, data.encoder, data.codec, data.splits["train"])
    monkeypatch.setattr(tasks.memory, "available_bytes", lambda: needed - 1)
    with pytest.raises(ConfigError, match="memory"):
        refuse_oversized(task, config, data.encoder, data.codec, data.splits["train"])


@pytest.mark.parametrize("length", [10**9, 2**62])
def test_generated_data_beyond_the_memory_are_refused(length):
    config = parse_config({"data": {"name": "majority", "length": length}})
    with pytest.raises(ConfigError, match=f"{length:,} tokens"):
        TASKS["classification"].prepare(config.data)
