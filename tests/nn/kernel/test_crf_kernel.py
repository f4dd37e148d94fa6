"""The kernel's CRF in each instruction set, against the reference in float64, and its invariances."""

import copy

import pytest
import torch
from cases import assert_same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.nn import CRFConstraints, Layout, LinearChainCRF, kernel, use_engine
from ostinato.nn.kernel import crf as native

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

LENGTHS = (7, 1, 30, 0, 16, 17, 2)


def entities(kinds):
    """The constraints of IOB2: O, then B and I of each kind; I follows B or I of its kind."""
    inside = torch.arange(2 * kinds + 1).ge(1) & torch.arange(2 * kinds + 1).remainder(2).eq(0)
    follows = torch.ones(2 * kinds + 1, 2 * kinds + 1, dtype=torch.bool)
    follows[:, inside] = False
    for kind in range(kinds):
        follows[[2 * kind + 1, 2 * kind + 2], 2 * kind + 2] = True
    return CRFConstraints(~inside, follows, torch.ones_like(inside))


def make(num_tags, lengths=LENGTHS, allowed=None, scale=1.0, scores=1.0):
    crf = LinearChainCRF(num_tags, allowed=allowed)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_(std=scores)
    emissions, layout = scale * torch.randn(sum(lengths), num_tags), Layout(torch.tensor(lengths, dtype=torch.int64))
    with use_engine("reference"):
        return crf, emissions, crf.decode(torch.randn_like(emissions), layout), layout


def run(crf, emissions, tags, layout, engine):
    """Log-likelihoods, the gradients of emissions and parameters for one fixed gradient of them, and marginals."""
    crf.zero_grad()
    emissions = emissions.clone().requires_grad_()
    with use_engine(engine):
        likelihood = crf.log_likelihood(emissions, tags, layout)
        (likelihood * torch.linspace(1, 2, len(likelihood), dtype=likelihood.dtype)).sum().backward()
        with torch.no_grad():
            marginals = crf.marginals(emissions, layout)
    return [likelihood.detach(), emissions.grad, *(parameter.grad.clone() for parameter in crf.parameters()), marginals]


def assert_agrees(crf, emissions, tags, layout, within=5e-6):
    exact = run(copy.deepcopy(crf).double(), emissions.double(), tags, layout, "reference")
    for ours, right in zip(run(crf, emissions, tags, layout, "native"), exact, strict=True):
        assert ours.shape == right.shape
        # rounding errors of counts, each weighted by at most 2, whose difference may be close to 0
        cancelled = 1e-6 * 2 * len(tags)
        assert (ours - right).norm() <= within * right.norm() + cancelled
    with use_engine("native"):
        best = crf.decode(emissions, layout)
    with use_engine("reference"):
        assert torch.equal(best, crf.decode(emissions, layout))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 61),
    st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any),
    st.sampled_from([0.1, 1.0, 5.0]),
)
def test_likelihoods_gradients_marginals_and_tags_agree_with_float64(num_tags, lengths, scale):
    assert_agrees(*make(num_tags, lengths, scale=scale), within=5e-5)


@pytest.mark.parametrize("kinds", [1, 4, 22])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_constraints_agree(kinds, scale):
    assert_agrees(*make(2 * kinds + 1, allowed=entities(kinds), scale=scale), within=2e-5)


def test_hundreds_of_tags_agree():
    assert_agrees(*make(472, (5, 9)), within=2e-5)


def test_a_long_sequence_agrees():
    assert_agrees(*make(5, [800]), within=2e-5)


@pytest.mark.parametrize("scores", [1.0, 100.0])
@pytest.mark.parametrize("allowed", [None, entities(4)])
def test_scores_of_very_different_size_agree(allowed, scores):
    # e^1000 overflows float32: the best path goes through tags whose probability underflows to 0
    assert_agrees(*make(9, allowed=allowed, scale=1000.0, scores=scores), within=5e-5)


def test_a_tag_with_negligible_probability_can_win_later():
    # B is at first e^-1000 times as likely as O, but only I, which follows only B, gets the 5000 of the second step
    crf, layout = LinearChainCRF(3, allowed=entities(1)), Layout(torch.tensor([2]))
    emissions = torch.tensor([[0.0, -1000.0, 0.0], [0.0, 0.0, 5000.0]])
    with torch.no_grad(), use_engine("native"):
        assert crf.log_likelihood(emissions, torch.tensor([1, 2]), layout).item() == 0
        assert crf.log_likelihood(emissions, torch.tensor([0, 0]), layout).item() == -4000
        assert crf.marginals(emissions, layout).tolist() == [[0, 1, 0], [0, 0, 1]]
        assert crf.decode(emissions, layout).tolist() == [1, 2]


def test_transitions_of_very_different_size_agree():
    crf, emissions, tags, layout = make(6)
    with torch.no_grad():
        crf.transitions[:, 2] -= 200  # columns are scaled separately,
        crf.transitions[3] -= 80  # rows are not
        emissions[:, 2] += 190
    assert_agrees(crf, emissions, tags, layout, within=2e-5)


def test_ties_go_to_the_lowest_tag():
    crf, emissions, _, layout = make(37)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()
    for values in (emissions.round(), torch.zeros_like(emissions)):
        with use_engine("native"):
            assert torch.equal(crf.decode(values, layout), values.argmax(1))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_nan_or_infinity_stays_in_its_sequence(value):
    crf, emissions, tags, layout = make(20)
    whole = run(crf, emissions, tags, layout, "native")
    emissions[20] = value  # of the third sequence, which has the steps 8 to 37
    broken = run(crf, emissions, tags, layout, "native")
    others = torch.arange(len(LENGTHS)) != 2
    assert_same_bits([broken[0][others]], [whole[0][others]])
    assert not broken[0][2].isfinite()
    for part in (slice(0, 8), slice(38, None)):
        assert_same_bits([broken[1][part], broken[-1][part]], [whole[1][part], whole[-1][part]])
    with use_engine("native"):
        assert set(crf.decode(emissions, layout).tolist()) <= set(range(20))


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_bits_do_not_depend_on_threads(threads, scale):
    batch = make(45, LENGTHS * 8, allowed=entities(22), scale=scale)
    found = []
    for number in (1, 2, 3):
        threads(number)
        found.append(run(*batch, "native"))
    for other in found[1:]:
        assert_same_bits(found[0], other)


def test_bits_of_a_sequence_do_not_depend_on_its_batch():
    crf, emissions, tags, layout = make(11, scale=20.0)
    with torch.inference_mode(), use_engine("native"):
        together = crf.log_likelihood(emissions, tags, layout), crf.marginals(emissions, layout).split(LENGTHS)
        for b, (e, y) in enumerate(zip(emissions.split(LENGTHS), tags.split(LENGTHS), strict=True)):
            alone = Layout(torch.tensor([len(e)]))
            assert_same_bits(
                [crf.log_likelihood(e, y, alone), crf.marginals(e, alone)], [together[0][b : b + 1], together[1][b]]
            )


def test_training_and_inference_give_the_same_bits():
    crf, emissions, tags, layout = make(11)
    with use_engine("native"):
        likelihood = crf.log_likelihood(emissions, tags, layout)
        with torch.inference_mode():
            assert_same_bits([likelihood.detach()], [crf.log_likelihood(emissions, tags, layout)])


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_second_backward_of_a_retained_graph_gives_the_same_gradients(scale):
    crf, emissions, tags, layout = make(9, scale=scale)
    emissions.requires_grad_()
    with use_engine("native"):
        loss = crf.log_likelihood(emissions, tags, layout).square().sum()
    first, second = (torch.autograd.grad(loss, [emissions, *crf.parameters()], retain_graph=True) for _ in range(2))
    assert_same_bits(first, second)


def test_a_second_derivative_is_refused():
    crf, emissions, tags, layout = make(3)
    with use_engine("native"):
        likelihood = crf.log_likelihood(emissions, tags, layout).sum()
    (gradient,) = torch.autograd.grad(likelihood, crf.transitions, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        gradient.sum().backward()


def test_strided_inputs_equal_contiguous_ones():
    crf, _, tags, layout = make(9, (4, 5))
    emissions, tags = torch.randn(9, 9).T, tags.repeat_interleave(2)[::2]
    with torch.no_grad(), use_engine("native"):
        for of in (crf.marginals, crf.decode):
            assert torch.equal(of(emissions, layout), of(emissions.contiguous(), layout))
        likelihood = crf.log_likelihood(emissions.contiguous(), tags.contiguous(), layout)
        assert_same_bits([crf.log_likelihood(emissions, tags, layout)], [likelihood])


def test_lengths_and_tags_out_of_bounds_are_refused():
    scores = torch.zeros(2), torch.zeros(2, 2), torch.zeros(2)
    for lengths in ([3, 3], [6, -1]):
        with pytest.raises(ValueError, match="lengths"):
            native.decode(torch.zeros(5, 2), torch.tensor(lengths), *scores)
    with pytest.raises(IndexError, match="0 to 2.*0 to 1"):
        native.log_likelihood(torch.zeros(2, 2), torch.tensor([0, 2]), torch.tensor([2]), *scores)
