"""AdamW and its learning rate."""

import pytest
from tiny_training import CONFIG, model

from ostinato.training.optimizer import make_optimizer, set_learning_rate


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
