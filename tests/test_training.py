"""The loop: gradients weighted by example, schedules, averages, early stopping, and resuming to the bit."""

import copy
import math
import resource
from functools import partial

import pytest
import torch
from ostinato.models import Classifier, predict_logits
from ostinato.objectives import Classification, Labelled
from torch.nn import functional as F

from ostinato import training
from ostinato.config import ModelConfig, TrainingConfig
from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, RunError, TrainingError
from ostinato.training import backward, choose_device, clip, make_optimizer, set_learning_rate, update_average

train = partial(training.train, objective=Classification())
CONFIG = TrainingConfig(max_epochs=3, batch_size=8, lr=1e-2, device="cpu", patience=None)


def data(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (n,), generator=generator)
    values = torch.randint(1, 5, (int(lengths.sum()),), generator=generator)
    targets = torch.stack([part.eq(1).any() for part in values.split(lengths.tolist())]).long()
    return Labelled(Ragged(values, lengths), targets)


def model(dropout=0.3):
    torch.manual_seed(0)
    return Classifier(
        ModelConfig(cell="gru", hidden_size=6, embedding_size=4, dropout=dropout),
        num_classes=2,
        num_tokens=5,
        channels=None,
        num_positions=1,
    )


def gradients(of):
    return {name: parameter.grad.clone() for name, parameter in of.named_parameters()}


@pytest.mark.parametrize("class_weight", [None, torch.tensor([0.3, 2.0])])
def test_accumulated_batches_of_unequal_size_give_the_gradient_of_one_batch(class_weight):
    everything, net = data(21), model(dropout=0.0)
    parts = [
        Labelled(everything.sequences.select(rows), everything.targets[rows])
        for rows in torch.arange(21).split([8, 8, 5])
    ]
    loss, weight = backward(net, parts, Classification(class_weight), CONFIG)
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
    expected = F.cross_entropy(predict_logits(net, everything.sequences), everything.targets).item()
    state = train(net, everything, None, frozen)
    assert state.history[0]["train_loss"] == pytest.approx(expected, rel=1e-4)


class StopAfter:
    """Asks to stop once, after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self):
        self.left -= 1
        return self.left == 0


@pytest.mark.parametrize("steps", [1, 5, 8, 13, 23])
@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9, "accumulate": 2, "patience": 2}, {"max_tokens": 40}])
def test_resumed_training_ends_with_the_bits_of_an_uninterrupted_one(tmp_path, steps, changes):
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


def test_diverging_training_keeps_the_previous_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(model(), data(), None, CONFIG, folder=tmp_path, stop_requested=StopAfter(10))
    before = (tmp_path / "last.safetensors").read_bytes()
    net = model()
    net.register_forward_hook(lambda module, inputs, logits: logits * torch.inf)
    with pytest.raises(TrainingError, match="Epoch 2, batch 2"):
        train(net, data(), None, CONFIG, folder=tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_patience_stops_and_the_best_epoch_s_weights_are_kept():
    validation = data(30, seed=1)
    flipped = Labelled(validation.sequences, 1 - validation.targets)  # training makes this worse and worse
    net = model(dropout=0.0)
    state = train(net, data(), flipped, CONFIG.model_copy(update={"max_epochs": 40, "patience": 3}))
    losses = [entry["validation_loss"] for entry in state.history]
    assert state.best_epoch == losses.index(min(losses))
    assert state.epoch == state.best_epoch + 1 + 3
    assert F.cross_entropy(predict_logits(net, flipped.sequences), flipped.targets).item() == pytest.approx(
        min(losses), rel=1e-5
    )


def test_average_is_what_is_validated_and_kept():
    net = model(dropout=0.0)
    state = train(net, data(), data(30, seed=1), CONFIG.model_copy(update={"ema_decay": 0.99}))
    validation = data(30, seed=1)
    best = state.history[state.best_epoch]["validation_loss"]
    assert F.cross_entropy(predict_logits(net, validation.sequences), validation.targets).item() == pytest.approx(
        best, rel=1e-5
    )


def test_average_follows_its_equation():
    net = model()
    average = {name: torch.zeros_like(tensor) for name, tensor in net.state_dict().items()}
    update_average(average, net, 0.9, step=1000)
    torch.testing.assert_close(average["head.weight"], 0.1 * net.head.weight.detach())


def test_learning_rate_warms_up_then_follows_half_a_cosine():
    config = CONFIG.model_copy(update={"lr": 1.0, "warmup": 0.1})
    optimizer = make_optimizer(model(), config)

    def rate(progress):
        set_learning_rate(optimizer, config, progress)
        return optimizer.param_groups[0]["lr"]

    assert [rate(share) for share in (0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.5, 1.0, 0.505, 0.01])
    constant = config.model_copy(update={"schedule": "constant"})
    set_learning_rate(optimizer, constant, 1.0)
    assert optimizer.param_groups[1]["lr"] == 1.0


def test_only_weight_matrices_decay():
    net = model()
    decaying, others = make_optimizer(net, CONFIG).param_groups
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    assert {names[id(parameter)] for parameter in decaying["params"]} == {
        "stack.layers.0.weight_ih_l0",
        "stack.layers.0.weight_hh_l0",
        "head.weight",
    }
    assert decaying["weight_decay"] == CONFIG.weight_decay
    assert others["weight_decay"] == 0.0
    assert len(decaying["params"]) + len(others["params"]) == len(names)


def test_autocast_in_bfloat16_trains_on_the_cpu():
    net = model()
    start = copy.deepcopy(net.state_dict())
    train(net, data(), None, CONFIG.model_copy(update={"precision": "bfloat16"}))
    assert all(tensor.dtype == torch.float32 for tensor in net.state_dict().values())
    assert not torch.equal(start["head.weight"], net.head.weight)


@pytest.mark.parametrize("name", ["cuda:7", "gpu"])
def test_a_device_that_is_not_there_is_refused(name):
    if name == "cuda:7" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match=name):
        choose_device(name)


@pytest.mark.slow
def test_memory_does_not_grow_with_ever_new_shapes():
    net = Classifier(
        ModelConfig(hidden_size=32, embedding_size=16), num_classes=2, num_tokens=5, channels=None, num_positions=1
    )
    generator = torch.Generator().manual_seed(0)

    def steps(count):
        for _ in range(count):
            lengths = torch.randint(
                1, 400, (int(torch.randint(2, 30, (1,), generator=generator)),), generator=generator
            )
            sequences = Ragged(torch.randint(5, (int(lengths.sum()),), generator=generator), lengths)
            backward(net, [Labelled(sequences, torch.zeros(len(lengths), dtype=torch.long))], Classification(), CONFIG)
        return resident_mib()

    warm = steps(300)
    assert steps(600) - warm < 64


def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.parametrize("limit", [None, 0.5, 1e6])
def test_clipping_equals_torch_s_and_returns_the_norm_before(limit):
    torch.manual_seed(0)
    models = [torch.nn.Linear(5, 3) for _ in range(2)]
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        ours.grad = torch.randn_like(ours)
        theirs.grad = ours.grad.clone()
    expected = torch.nn.utils.clip_grad_norm_(models[1].parameters(), limit or math.inf)
    assert clip(list(models[0].parameters()), limit) == float(expected) > 0.5
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
