"""The linear-chain CRF against a sum over all paths of tags; kernel/test_crf_kernel.py compares the kernel with it."""

import itertools

import pytest
import torch
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.nn import CRFConstraints, Layout, LinearChainCRF, use_engine

LENGTHS = [3, 0, 1, 5, 2]
# tags O, B, I of one kind: I follows only B or I, and does not start a sequence
IOB = CRFConstraints(
    torch.tensor([1, 1, 0]).bool(), torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 1]]).bool(), torch.ones(3).bool()
)


@pytest.fixture(autouse=True, params=["reference", "auto"])
def engine(request):
    with use_engine(request.param):
        yield request.param


def make(num_tags, allowed=None, lengths=LENGTHS, dtype=torch.float64, scale=1.0):
    """A CRF with random scores, random emissions, allowed tags, and the layout."""
    crf = LinearChainCRF(num_tags, allowed=allowed).to(dtype)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    emissions, layout = (
        torch.randn(sum(lengths), num_tags, dtype=dtype) * scale,
        Layout(torch.tensor(lengths, dtype=torch.int64)),
    )
    return crf, emissions, crf.decode(torch.randn_like(emissions), layout), layout


def paths(crf, emissions) -> tuple[Tensor, Tensor]:
    """All allowed paths of one sequence, sorted by the last tag first, and their scores. -> (P, T), (P,)."""
    found = torch.tensor([path[::-1] for path in itertools.product(range(crf.num_tags), repeat=len(emissions))])
    if crf.allowed is not None:
        start, transitions, end = crf.allowed
        found = found[start[found[:, 0]] & transitions[found[:, :-1], found[:, 1:]].all(1) & end[found[:, -1]]]
    steps = emissions[torch.arange(len(emissions)), found].sum(1)
    return found, crf.start[found[:, 0]] + crf.transitions[found[:, :-1], found[:, 1:]].sum(1) + crf.end[
        found[:, -1]
    ] + steps


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("num_tags", "allowed"), [(1, None), (2, None), (4, None), (3, IOB)])
def test_likelihood_marginals_and_best_tags_equal_those_over_all_paths(num_tags, allowed, dtype):
    crf, emissions, tags, layout = make(num_tags, allowed, dtype=dtype)
    with torch.no_grad():
        likelihood, marginals, best = (
            crf.log_likelihood(emissions, tags, layout),
            crf.marginals(emissions, layout),
            crf.decode(emissions, layout),
        )
    for b, (e, y, found, p) in enumerate(
        zip(*(part.split(LENGTHS) for part in (emissions, tags, best, marginals)), strict=True)
    ):
        if len(e) == 0:
            assert likelihood[b] == 0
            continue
        each, scores = paths(crf, e)
        mine = scores[(each == y).all(1)]
        torch.testing.assert_close(likelihood[b], mine.squeeze(0) - scores.logsumexp(0))
        assert torch.equal(found, each[scores.argmax()])
        share = torch.nn.functional.one_hot(each, num_tags).to(dtype) * scores.softmax(0).view(-1, 1, 1)  # (P, T, C)
        torch.testing.assert_close(p, share.sum(0))


def test_a_likelihood_equals_the_one_worked_out_by_hand():
    # scores of the tags 00: 1 + 4 + 4 + 0, of 01: 1 + 3 + 5 + 2, of 10: 0 + 0 + 4 + 0, of 11: 0 − 7 + 5 + 2
    crf = LinearChainCRF(2)
    with torch.no_grad():
        crf.start.copy_(torch.tensor([1.0, 0.0]))
        crf.transitions.copy_(torch.tensor([[4.0, 3.0], [0.0, -7.0]]))
        crf.end.copy_(torch.tensor([0.0, 2.0]))
        emissions = torch.tensor([[0.0, 0.0], [4.0, 5.0]])
        likelihood = crf.log_likelihood(emissions, torch.tensor([0, 1]), Layout(torch.tensor([2])))
    expected = 11 - torch.tensor([9.0, 11.0, 4.0, 0.0]).logsumexp(0)
    assert likelihood.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("allowed", [None, IOB])
def test_gradients_pass_gradcheck(allowed, engine):
    if engine != "reference":
        pytest.skip("the kernel's gradients are compared with these")
    crf, emissions, tags, layout = make(3, allowed)
    emissions.requires_grad_()

    def likelihood(emissions, *_):
        return crf.log_likelihood(emissions, tags, layout)

    def marginals(emissions, *_):
        return crf.marginals(emissions, layout)

    assert torch.autograd.gradcheck(likelihood, [emissions, *crf.parameters()])
    assert torch.autograd.gradgradcheck(likelihood, [emissions, *crf.parameters()])
    assert torch.autograd.gradcheck(marginals, [emissions, *crf.parameters()])


def test_marginals_follow_from_the_gradient_of_the_likelihood():
    crf, emissions, tags, layout = make(3, IOB, dtype=torch.float32)
    emissions.requires_grad_()
    (gradient,) = torch.autograd.grad(crf.log_likelihood(emissions, tags, layout).sum(), emissions)
    with torch.no_grad():
        torch.testing.assert_close(crf.marginals(emissions, layout), torch.nn.functional.one_hot(tags, 3) - gradient)


def test_ties_go_to_the_lowest_tag():
    crf, layout = LinearChainCRF(4), Layout(torch.tensor([3, 1]))
    emissions = torch.tensor([[0.0, 1, 1, 0], [2, 2, 2, 2], [0, 0, 5, 5], [3, 3, 3, 3]])
    assert crf.decode(emissions, layout).tolist() == [1, 0, 2, 0]


def test_forbidden_transitions_are_never_decoded_whatever_the_emissions():
    layout = Layout(torch.tensor([40, 1, 2]))
    crf = LinearChainCRF(3, allowed=IOB)
    emissions = torch.randn(43, 3) * 10
    emissions[:, 2] += 1000
    tags = crf.decode(emissions, layout)
    assert (
        tags[[0, 41]].tolist() == [1, 1] and tags[40] != 2
    )  # B: a sequence does not start with I, and I does not follow O
    assert (tags == 2).sum() == 40
    with torch.no_grad():
        assert crf.marginals(emissions, layout)[[0, 40, 41], 2].tolist() == [0, 0, 0]


def test_forbidden_tags_have_likelihood_zero_and_finite_gradients():
    crf, emissions, _, layout = make(3, IOB, lengths=[2, 2])
    likelihood = crf.log_likelihood(emissions.requires_grad_(), torch.tensor([0, 2, 0, 1]), layout)
    assert likelihood[0] == -torch.inf and likelihood[1].isfinite()
    likelihood.sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in (emissions, *crf.parameters()))


def test_forbidden_scores_get_no_gradient():
    crf, emissions, tags, layout = make(3, IOB, dtype=torch.float32)
    crf.log_likelihood(emissions, tags, layout).sum().backward()
    assert crf.transitions.grad[0, 2] == 0 and crf.start.grad[2] == 0 and crf.transitions.grad[1, 2] != 0


def test_a_sequence_does_not_depend_on_its_batch():
    crf, emissions, tags, layout = make(5)
    with torch.no_grad():
        together = [part.split(LENGTHS) for part in (crf.marginals(emissions, layout), crf.decode(emissions, layout))]
        likelihood = crf.log_likelihood(emissions, tags, layout)
        for b, (e, y) in enumerate(zip(emissions.split(LENGTHS), tags.split(LENGTHS), strict=True)):
            alone = Layout(torch.tensor([len(e)]))
            torch.testing.assert_close(crf.log_likelihood(e, y, alone), likelihood[b : b + 1])
            torch.testing.assert_close(crf.marginals(e, alone), together[0][b])
            assert torch.equal(crf.decode(e, alone), together[1][b])


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_sequences_without_steps_have_likelihood_one(lengths):
    crf, emissions, tags, layout = make(3, IOB, lengths=lengths, dtype=torch.float32)
    emissions.requires_grad_()
    likelihood = crf.log_likelihood(emissions, tags, layout)
    likelihood.sum().backward()
    assert likelihood.tolist() == [0.0] * len(lengths)
    assert not crf.transitions.grad.any()
    assert crf.marginals(emissions, layout).shape == (0, 3) and crf.decode(emissions, layout).shape == (0,)


def test_likelihoods_of_long_sequences_stay_precise():
    steps = 800  # with emissions of 50 a score is 40,000, where float32 has a spacing of 1/256
    crf, emissions, _, layout = make(3, lengths=[steps], dtype=torch.float32)
    emissions, tags = emissions + 50, torch.randint(3, (steps,))
    with torch.no_grad():
        likelihood, marginals = crf.log_likelihood(emissions, tags, layout), crf.marginals(emissions, layout)
        exact = crf.double()
        torch.testing.assert_close(
            likelihood.double(), exact.log_likelihood(emissions.double(), tags, layout), rtol=2e-6, atol=0
        )
        torch.testing.assert_close(marginals.double(), exact.marginals(emissions.double(), layout), rtol=0, atol=2e-5)


def test_constraints_are_not_in_the_state_dict():
    assert set(LinearChainCRF(3, allowed=IOB).state_dict()) == {"start", "transitions", "end"}


@pytest.mark.parametrize(
    ("emissions", "tags", "message"),
    [
        (torch.zeros(3, 2), [0, 0, 0], r"\(3, 2\).*\(3, 4\)"),
        (torch.zeros(2, 4), [0, 0], r"\(2, 4\).*\(3, 4\)"),
        (torch.zeros(3, 4), [0, 0], r"tags.*\(2,\).*\(3,\)"),
        (torch.zeros(3, 4), [0.0, 0.0, 0.0], "tags.*float32.*int64"),
        (torch.zeros(3, 4), [0, 4, 0], "tags.* 4.* 3"),
        (torch.zeros(3, 4), [0, -100, 0], "tags.*-100"),
    ],
)
def test_mismatched_emissions_and_tags_are_refused(emissions, tags, message):
    with pytest.raises(ValueError, match=message):
        LinearChainCRF(4).log_likelihood(emissions, torch.tensor(tags), Layout(torch.tensor([2, 1])))


def test_a_length_for_which_the_constraints_allow_no_tags_is_refused():
    pairs = CRFConstraints(
        torch.tensor([True, False]), torch.tensor([[False, True], [True, False]]), torch.tensor([False, True])
    )
    crf = LinearChainCRF(2, allowed=pairs)  # 0 1 0 1 …: even lengths only
    assert crf.decode(torch.zeros(6, 2), Layout(torch.tensor([4, 2]))).tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="length 5"):
        crf.decode(torch.zeros(7, 2), Layout(torch.tensor([2, 5])))


def test_constraints_of_a_wrong_shape_or_dtype_are_refused():
    with pytest.raises(ConfigError, match=r"transitions.*\(3, 3\).*\(4, 4\)"):
        LinearChainCRF(
            4, allowed=CRFConstraints(torch.ones(4, dtype=torch.bool), IOB.transitions, torch.ones(4, dtype=torch.bool))
        )
    with pytest.raises(ConfigError, match=r"end.*float32.*bool"):
        LinearChainCRF(3, allowed=IOB._replace(end=torch.ones(3)))
    with pytest.raises(ConfigError, match="num_tags 0"):
        LinearChainCRF(0)
