"""A step of AdamW in each instruction set, against torch's own."""

import math

import pytest
import torch
from cases import assert_same_bits

from ostinato.nn import kernel

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

SHAPES = ((), (1,), (7,), (0, 3), (33,), (5, 16), (40_001,))


def new_weights(shapes=SHAPES, seed=0):
    """Weights, gradients, both moments and the numbers of steps."""
    generator = torch.Generator().manual_seed(seed)
    weights, gradients = ([torch.randn(shape, generator=generator) for shape in shapes] for _ in range(2))
    means, squares = ([torch.zeros(shape) for shape in shapes] for _ in range(2))
    return weights, gradients, means, squares, [torch.zeros(()) for _ in shapes]


def step(tensors, limit=math.inf):
    count = len(tensors[0])
    settings = {"rates": [0.01 * (k + 1) for k in range(count)], "decays": [0.1 * (k % 2) for k in range(count)]}
    return kernel.adamw(*tensors, **settings, betas=(0.9, 0.999), eps=1e-8, limit=limit)


@pytest.mark.parametrize("limit", [math.inf, 0.5, 1e6])
def test_steps_equal_torch_s(limit):
    ours = new_weights()
    theirs = [torch.nn.Parameter(weight.clone()) for weight in ours[0]]
    groups = [{"params": [each], "lr": 0.01 * (k + 1), "weight_decay": 0.1 * (k % 2)} for k, each in enumerate(theirs)]
    optimizer = torch.optim.AdamW(groups)
    for seed in range(5):
        for gradient, each in zip(ours[1], theirs, strict=True):
            gradient.copy_(torch.randn(each.shape, generator=torch.Generator().manual_seed(seed)) * 10.0 ** -(seed % 3))
            each.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(theirs, limit)
        optimizer.step()
        assert step(ours, limit) == pytest.approx(float(norm), rel=1e-6)
    states = [optimizer.state[each] for each in theirs]
    expected = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]
    for found, right in zip((ours[0], *ours[2:]), (theirs, *expected), strict=True):
        torch.testing.assert_close(found, [each.detach() for each in right], rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(value):
    tensors = new_weights()
    before = [[each.clone() for each in group] for group in tensors]
    tensors[1][6][40_000] = value
    assert not math.isfinite(step(tensors))
    for found, right in zip((tensors[0], *tensors[2:]), (before[0], *before[2:]), strict=True):
        assert_same_bits(found, right)


def test_bits_do_not_depend_on_threads():
    found = []
    for number in (1, 2, 3):
        tensors = new_weights([(300_000,), (5,)])
        with kernel.threads.use_threads(number):
            norm = step(tensors, limit=1.0)
        found.append([torch.tensor(norm), *(each for group in tensors for each in group)])
    for other in found[1:]:
        assert_same_bits(other, found[0])
