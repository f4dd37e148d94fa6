"""AdamW and its learning rate."""

import copy
import math

import pytest
import torch
from tiny_training import CONFIG, model

from ostinato.nn import kernel
from ostinato.training.optimizer import AdamW, make_optimizer, set_learning_rate


def test_learning_rate_warms_up_then_follows_half_a_cosine():
    config = CONFIG.model_copy(update={"lr": 1.0, "warmup_ratio": 0.1})
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


def new_optimizers():
    """The same weights and gradients for ours and torch's optimizer."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(5, 3) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [
        each([{"params": layer.parameters()}]) for each, layer in zip((AdamW, torch.optim.AdamW), layers, strict=True)
    ]
    return layers, optimizers


def give_gradients(layers):
    for ours, theirs in zip(*(layer.parameters() for layer in layers), strict=True):
        ours.grad = torch.randn_like(ours)
        theirs.grad = ours.grad.clone()


@pytest.mark.parametrize("limit", [None, 0.5, 1e6])
@pytest.mark.parametrize("runs_in_the_kernel", [True, False])
def test_an_update_equals_torch_s_and_returns_the_norm_before(runs_in_the_kernel, limit, monkeypatch):
    if not runs_in_the_kernel:
        monkeypatch.setattr(kernel, "can_update", lambda tensors: False)
    layers, (ours, theirs) = new_optimizers()
    for _ in range(3):
        give_gradients(layers)
        expected = torch.nn.utils.clip_grad_norm_(layers[1].parameters(), limit or math.inf)
        theirs.step()
        assert ours.update(limit) == pytest.approx(float(expected), rel=1e-6)
    for found, right in zip(*(layer.parameters() for layer in layers), strict=True):
        torch.testing.assert_close(found, right)


def test_the_state_is_torch_s():
    layers, (ours, theirs) = new_optimizers()
    give_gradients(layers)
    ours.update(None)
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    layers[1].load_state_dict(layers[0].state_dict())
    give_gradients(layers)
    ours.update(None)
    theirs.step()
    for found, right in zip(*(layer.parameters() for layer in layers), strict=True):
        torch.testing.assert_close(found, right)
        torch.testing.assert_close(ours.state[found], theirs.state[right])


def test_weights_without_a_gradient_do_not_change():
    layers, (ours, _) = new_optimizers()
    give_gradients(layers)
    layers[0].bias.grad = None
    before = layers[0].bias.clone()
    ours.update(1.0)
    assert torch.equal(layers[0].bias, before) and not ours.state[layers[0].bias]


@pytest.mark.parametrize("runs_in_the_kernel", [True, False])
def test_a_gradient_that_is_not_finite_changes_nothing(runs_in_the_kernel, monkeypatch):
    if not runs_in_the_kernel:
        monkeypatch.setattr(kernel, "can_update", lambda tensors: False)
    layers, (ours, _) = new_optimizers()
    give_gradients(layers)
    layers[0].bias.grad[1] = math.nan
    assert math.isnan(ours.update(1.0))
    for found, right in zip(*(layer.parameters() for layer in layers), strict=True):
        assert torch.equal(found, right)
