"""Checkpoints: an interrupted training resumes to the same bits, and only with its own data and settings."""

import pytest
import torch
from tiny_training import CONFIG, StopAfter, data, model, train

from ostinato.errors import RunError, TrainingError


@pytest.mark.parametrize("steps", [1, 5, 8, 13, 23])
@pytest.mark.parametrize(
    "changes", [{}, {"ema_decay": 0.9, "gradient_accumulation_steps": 2, "patience": 2}, {"max_tokens": 40}]
)
def test_resumed_training_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, steps, changes):
    assert_resumes_to_the_same_bits(tmp_path, steps, changes, model)


@pytest.mark.parametrize("steps", [3, 8, 21])  # of 8 in an epoch
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"swa_start": 2},
        {"r_drop": 1.0, "gradient_accumulation_steps": 2},
        {"adversarial": "supervised"},
        {"adversarial": "virtual", "r_drop": 0.5, "swa_start": 1},
    ],
)
def test_regularised_training_resumes_to_the_same_bits(tmp_path, steps, changes):
    assert_resumes_to_the_same_bits(tmp_path, steps, changes, lambda: model(other_dropout=0.2))


def assert_resumes_to_the_same_bits(tmp_path, steps, changes, model):
    config = CONFIG.model_copy(update=changes)
    whole = model()
    history = train(whole, data(), data(30, seed=1), config).history
    try:
        train(model(), data(), data(30, seed=1), config, folder=tmp_path, stop_requested=StopAfter(steps))
    except KeyboardInterrupt:
        torch.rand(7)  # what happens between the two must not matter
    resumed = model()
    with torch.no_grad():
        resumed.head.weight.zero_()
    state = train(resumed, data(), data(30, seed=1), config, folder=tmp_path)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    drop_seconds = [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]
    assert [{key: value for key, value in entry.items() if key != "seconds"} for entry in state.history] == drop_seconds


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    net = model()
    train(net, data(), data(30, seed=1), CONFIG, folder=tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    again = model()
    state = train(again, data(), data(30, seed=1), CONFIG, folder=tmp_path)
    assert state.finished
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in net.state_dict().items())


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    train(model(), data(), None, CONFIG, folder=tmp_path)
    with pytest.raises(RunError, match="the training data has changed"):
        train(model(), data(seed=5), None, CONFIG, folder=tmp_path)


def test_diverging_training_keeps_the_previous_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(model(), data(), None, CONFIG, folder=tmp_path, stop_requested=StopAfter(10))
    before = (tmp_path / "last.safetensors").read_bytes()
    net = model()
    net.register_forward_hook(lambda module, inputs, logits: logits * torch.inf)
    with pytest.raises(TrainingError, match="Epoch 2, batch 2"):
        train(net, data(), None, CONFIG, folder=tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == before
