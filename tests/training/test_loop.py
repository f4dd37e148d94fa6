"""The loop: gradients weighted by example, averages, early stopping and memory."""

import copy
import resource

import pytest
import torch
from tiny_training import CONFIG, StopAfter, data, model, train
from torch.nn import functional as F

from ostinato.data.ragged import Ragged
from ostinato.errors import TrainingError
from ostinato.nn import why_not_bfloat16
from ostinato.tasks.classification.objective import CrossEntropy
from ostinato.training import predict_outputs
from ostinato.training.averaging import move_average
from ostinato.training.loop import backward
from ostinato.training.objective import Labelled


def gradients(of):
    return {name: parameter.grad.clone() for name, parameter in of.named_parameters()}


@pytest.mark.parametrize("class_weight", [None, torch.tensor([0.3, 2.0])])
def test_accumulated_batches_of_unequal_size_give_the_gradient_of_one_batch(class_weight):
    everything, net = data(21), model(dropout=0.0)
    parts = [
        Labelled(everything.sequences.select(rows), everything.targets[rows])
        for rows in torch.arange(21).split([8, 8, 5])
    ]
    loss, weight = backward(net, parts, CrossEntropy(class_weight), CONFIG)
    accumulated = gradients(net)
    net.zero_grad()
    whole = F.cross_entropy(
        net(everything.sequences.values, everything.sequences.lengths), everything.targets, weight=class_weight
    )
    whole.backward()
    assert loss == pytest.approx(whole.item(), rel=1e-5)
    assert weight == pytest.approx(21.0 if class_weight is None else class_weight[everything.targets].sum().item())
    for name, gradient in gradients(net).items():
        torch.testing.assert_close(accumulated[name], gradient, msg=name)


def test_training_loss_is_the_mean_over_examples_with_a_smaller_last_batch():
    everything, net = data(13), model(dropout=0.0)
    frozen = CONFIG.model_copy(update={"max_epochs": 1, "lr": 1e-12, "weight_decay": 0.0})
    expected = F.cross_entropy(predict_outputs(net, everything.sequences), everything.targets).item()
    state = train(net, everything, None, frozen)
    assert state.history[0]["train_loss"] == pytest.approx(expected, rel=1e-4)


def test_same_seed_same_bits_other_seed_other_bits():
    nets = [model() for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        train(net, data(), None, CONFIG.model_copy(update={"seed": seed}))
    assert torch.equal(nets[0].head.weight, nets[1].head.weight)
    assert not torch.equal(nets[0].head.weight, nets[2].head.weight)


def test_loss_that_is_not_finite_stops_and_names_epoch_and_batch():
    net = model()
    with torch.no_grad():
        net.head.bias[0] = torch.nan
    with pytest.raises(TrainingError, match="Epoch 1, batch 1: the loss is nan.*Lower training.lr"):
        train(net, data(), None, CONFIG)


def test_patience_stops_and_the_best_epoch_s_weights_are_kept():
    validation = data(30, seed=1)
    flipped = Labelled(validation.sequences, 1 - validation.targets)  # training makes this worse and worse
    net = model(dropout=0.0)
    state = train(net, data(), flipped, CONFIG.model_copy(update={"max_epochs": 40, "patience": 3}))
    losses = [entry["validation_loss"] for entry in state.history]
    assert state.best_epoch == losses.index(min(losses))
    assert state.epoch == state.best_epoch + 1 + 3
    assert F.cross_entropy(predict_outputs(net, flipped.sequences), flipped.targets).item() == pytest.approx(
        min(losses), rel=1e-5
    )


def test_average_is_what_is_validated_and_kept():
    net = model(dropout=0.0)
    state = train(net, data(), data(30, seed=1), CONFIG.model_copy(update={"ema_decay": 0.99}))
    validation = data(30, seed=1)
    best = state.history[state.best_epoch]["validation_loss"]
    assert F.cross_entropy(predict_outputs(net, validation.sequences), validation.targets).item() == pytest.approx(
        best, rel=1e-5
    )


def test_average_follows_its_equation():
    net = model()
    average = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    move_average(average, net, 0.9, step=1000)
    torch.testing.assert_close(average["head.weight"], 0.1 * net.head.weight.detach())


def test_bfloat16_trains_on_the_cpu_in_the_kernels_products():
    net, other = model(), model()
    start = copy.deepcopy(net.state_dict())
    train(net, data(), None, CONFIG.model_copy(update={"precision": "bfloat16"}))
    train(other, data(), None, CONFIG.model_copy(update={"precision": "float32"}))
    assert all(tensor.dtype == torch.float32 for tensor in net.state_dict().values())
    assert not torch.equal(start["head.weight"], net.head.weight)
    assert torch.equal(net.head.weight, other.head.weight) == (why_not_bfloat16() is not None)


@pytest.mark.slow
def test_memory_does_not_grow_with_ever_new_shapes():
    net = model(size=16, hidden_size=32)
    generator = torch.Generator().manual_seed(0)

    def steps(count):
        for _ in range(count):
            lengths = torch.randint(
                1, 400, (int(torch.randint(2, 30, (1,), generator=generator)),), generator=generator
            )
            sequences = Ragged(torch.randint(5, (int(lengths.sum()),), generator=generator), lengths)
            backward(net, [Labelled(sequences, torch.zeros(len(lengths), dtype=torch.long))], CrossEntropy(), CONFIG)
        return resident_mib()

    warm = steps(300)
    assert steps(600) - warm < 64


def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def test_out_of_time_ends_training_with_the_weights_of_the_best_epoch_and_for_good(tmp_path):
    validation, asked = data(30, seed=1), StopAfter(3)  # 8 steps an epoch: in the third step of the second
    net = model(dropout=0.0)
    state = train(net, data(), validation, CONFIG, folder=tmp_path, out_of_time=asked)
    assert state.finished and (state.epoch, state.batch) == (1, 3)
    loss = F.cross_entropy(predict_outputs(net, validation.sequences), validation.targets).item()
    assert loss == pytest.approx(state.history[0]["validation_loss"], rel=1e-5)
    resumed = train(model(dropout=0.0), data(), validation, CONFIG, folder=tmp_path)
    assert (resumed.epoch, resumed.step) == (1, state.step)


def test_out_of_time_waits_for_the_first_epoch():
    state = train(model(), data(), None, CONFIG, out_of_time=lambda: True)
    assert state.epoch == 1 and len(state.history) == 1
