"""R-Drop, adversarial and virtual adversarial losses against their equations, and averages of epochs."""

import copy

import pytest
import torch
from tiny_training import CONFIG, data, model, train
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from ostinato.tasks.classification.objective import CrossEntropy
from ostinato.training.divergence import bernoulli_divergence, categorical_divergence
from ostinato.training.regularisation import training_loss

BATCH = data(7)


def loss_of(net, **changes):
    return training_loss(net, BATCH, CrossEntropy(), CONFIG.model_copy(update=changes))


def logits_at(net, r):
    """The logits with `r` added to the vectors of the steps, by the network's own entry for vectors."""
    return net.from_vectors(net.embed(BATCH.sequences.values) + r, BATCH.sequences.lengths)


def perturbation(net, gradient, norm):
    """ε · σ · g / ‖g‖ with g = σ · gradient, each sequence by itself."""
    deviation = net.embed(BATCH.sequences.values).detach().std(dim=0, unbiased=False)
    parts = (gradient * deviation).split(BATCH.sequences.lengths.tolist())
    return torch.cat([norm * part / part.norm() * deviation for part in parts])


def kl(logits, others):
    return kl_divergence(Categorical(logits=logits), Categorical(logits=others)).sum()


def test_adversarial_perturbation_is_the_normalised_gradient():
    net = model(dropout=0.0).train()
    r = torch.zeros(len(BATCH.sequences.values), 4, requires_grad=True)
    clean = F.cross_entropy(logits_at(net, r), BATCH.targets, reduction="sum")
    r = perturbation(net, torch.autograd.grad(clean, r, retain_graph=True)[0], 0.7)
    expected = clean + 0.5 * F.cross_entropy(logits_at(net, r), BATCH.targets, reduction="sum")
    found = loss_of(net, adversarial="supervised", adversarial_norm=0.7, adversarial_weight=0.5)
    torch.testing.assert_close(found, expected)
    parameters = list(net.parameters())
    for mine, right in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(mine, right)


def test_adversarial_perturbation_raises_the_loss_more_than_a_random_one():
    net = model(dropout=0.0).train()
    clean = loss_of(net)
    worst = loss_of(net, adversarial="supervised", adversarial_norm=1.0) - clean
    for _ in range(5):
        r = perturbation(net, torch.randn(len(BATCH.sequences.values), 4), 1.0)
        assert F.cross_entropy(logits_at(net, r), BATCH.targets, reduction="sum") < worst


def test_virtual_perturbation_is_one_power_iteration_on_the_divergence():
    net = model(dropout=0.0).train()
    torch.manual_seed(3)
    found = loss_of(net, adversarial="virtual", adversarial_norm=0.7)
    torch.manual_seed(3)
    clean = logits_at(net, 0.0)
    d = perturbation(net, torch.randn(len(BATCH.sequences.values), 4) / _deviation(net), 0.1).requires_grad_()
    (gradient,) = torch.autograd.grad(kl(clean.detach(), logits_at(net, d)), d)
    r = perturbation(net, gradient, 0.7)
    expected = F.cross_entropy(clean, BATCH.targets, reduction="sum") + kl(clean.detach(), logits_at(net, r))
    torch.testing.assert_close(found, expected)


def _deviation(net):
    return net.embed(BATCH.sequences.values).detach().std(dim=0, unbiased=False)


def test_virtual_perturbation_needs_no_targets():
    net = model(dropout=0.0).train()
    added = []
    for targets in (BATCH.targets, 1 - BATCH.targets):
        batch = BATCH._replace(targets=targets)
        torch.manual_seed(3)
        config = CONFIG.model_copy(update={"adversarial": "virtual"})
        with_it = training_loss(net, batch, CrossEntropy(), config)
        added.append(with_it - training_loss(net, batch, CrossEntropy(), CONFIG))
    torch.testing.assert_close(added[0], added[1])
    assert added[0] > 0


@pytest.mark.parametrize("kind", ["supervised", "virtual"])
def test_vectors_that_grow_do_not_evade_the_perturbation(kind):
    net = model(dropout=0.0).train()
    torch.manual_seed(3)
    expected = loss_of(net, adversarial=kind)
    with torch.no_grad():
        net.embed.weight *= 8
        net.stack.layers[0].weight_ih_l0 /= 8
    torch.manual_seed(3)
    torch.testing.assert_close(loss_of(net, adversarial=kind), expected)


@pytest.mark.parametrize("frozen", [False, True])
def test_perturbed_passes_drop_what_the_clean_pass_dropped(frozen):
    net = model(dropout=0.3, other_dropout=0.3).train()
    net.embed.requires_grad_(not frozen)
    torch.manual_seed(3)
    plain = loss_of(net)
    for kind, factor in (("supervised", 2.0), ("virtual", 1.0)):
        torch.manual_seed(3)
        found = loss_of(net, adversarial=kind, adversarial_norm=1e-6)
        torch.testing.assert_close(found, factor * plain, rtol=1e-4, atol=1e-4)


def test_r_drop_adds_the_symmetric_divergence_of_two_passes():
    net = model(dropout=0.5).train()
    torch.manual_seed(3)
    found = loss_of(net, r_drop=2.0)
    torch.manual_seed(3)
    first, second = (net(BATCH.sequences.values, BATCH.sequences.lengths) for _ in range(2))
    losses = sum(F.cross_entropy(each, BATCH.targets, reduction="sum") for each in (first, second))
    torch.testing.assert_close(found, 0.5 * (losses + 2.0 * 0.5 * (kl(first, second) + kl(second, first))))
    assert kl(first, second) > 0


def test_r_drop_without_dropout_is_the_plain_loss():
    net = model(dropout=0.0).train()
    torch.testing.assert_close(loss_of(net, r_drop=2.0), loss_of(net))


def test_divergences_equal_those_of_torch():
    logits, others = torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(categorical_divergence(logits, others).sum(), kl(logits, others))
    of_labels = kl_divergence(*(torch.distributions.Bernoulli(logits=each) for each in (logits, others))).sum(dim=1)
    torch.testing.assert_close(bernoulli_divergence(logits, others), of_labels)
    assert not bernoulli_divergence(logits, logits).any()


def test_swa_is_the_mean_of_the_weights_at_the_ends_of_epochs():
    net, ends = model(), []
    config = CONFIG.model_copy(update={"max_epochs": 4, "swa_start": 2})
    train(net, data(), None, config, on_epoch=lambda state: ends.append(copy.deepcopy(net.state_dict())))
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, torch.stack([each[name] for each in ends[1:]]).mean(dim=0), msg=name)


def test_swa_leaves_the_training_and_the_epochs_before_it_alone():
    validation, histories = data(30, seed=1), []
    for start in (None, 3):
        state = train(model(), data(), validation, CONFIG.model_copy(update={"swa_start": start}))
        histories.append([(entry["train_loss"], entry["validation_loss"]) for entry in state.history])
    assert histories[0][:2] == histories[1][:2]
    assert histories[0][2] == histories[1][2]  # the mean of one epoch
