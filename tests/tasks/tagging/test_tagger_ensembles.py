"""Ensembles of taggers: the mean of the members' marginals, decoded legally, from a file and in any batch."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from toy import sentences

import ostinato
from ostinato import SequenceTagger
from ostinato.errors import ConfigError
from ostinato.explanation import measure
from ostinato.nn import CRFConstraints, Layout
from ostinato.nn.crf import decode_allowed
from ostinato.tasks.tagging.ensemble import TagOutputs

SMALL = {
    "embedding_size": 4,
    "hidden_size": 4,
    "character_size": 4,
    "max_epochs": 2,
    "lr": 0.02,
    "validation_fraction": None,
    "device": "cpu",
}
WORDS, TAGS = sentences(40)


def trained(**arguments):
    return SequenceTagger(**{**SMALL, **arguments}).fit(WORDS, TAGS)


@pytest.fixture(scope="module")
def members():
    """A constrained CRF, a softmax head, and a linear CRF whose vocabulary is in lower case."""
    return [
        trained(head="crf", constrained=True),
        trained(head="softmax", cell="gru", seed=1),
        trained(head="crf", cell="none", wide="features", lowercase=True),
    ]


@pytest.mark.parametrize("chosen", [[0, 1], [1, 2], [2, 0, 1]], ids=str)
def test_probabilities_are_the_mean_of_the_members_marginals(members, chosen):
    models = [members[index] for index in chosen]
    of_each = [np.concatenate(model.predict_proba(WORDS)).astype(np.float64) for model in models]
    found = np.concatenate(ostinato.ensemble(models).predict_proba(WORDS))
    assert found == pytest.approx(np.mean(of_each, axis=0), abs=1e-6)
    weights = np.arange(1, len(models) + 1)
    weighted = np.concatenate(ostinato.ensemble(models, weights=weights.tolist()).predict_proba(WORDS))
    assert weighted == pytest.approx(np.average(of_each, axis=0, weights=weights), abs=1e-6)


def test_tags_are_those_of_the_legal_sequence_with_the_largest_sum_of_mean_marginals(members):
    crf, softmax = members[:2]
    model, codec = ostinato.ensemble([crf, softmax]), crf.fitted_.codec
    allowed = crf.model_.crf.allowed
    short = [words[:3] for words in WORDS[:8]]
    means = [
        (one.astype(float) + other) / 2
        for one, other in zip(*(m.predict_proba(short) for m in (crf, softmax)), strict=True)
    ]
    for mean, predicted in zip(means, model.predict(short), strict=True):
        legal = [tags for tags in product(range(len(codec.tags)), repeat=3) if is_allowed(tags, allowed)]
        best = max(legal, key=lambda tags: sum(mean[t, tag] for t, tag in enumerate(tags)))
        assert predicted == codec.decode(np.array(best), [3])[0]


def is_allowed(tags, allowed):
    pairs = pairwise(tags)
    return bool(allowed.start[tags[0]] and allowed.end[tags[-1]] and all(allowed.transitions[a, b] for a, b in pairs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # by the kernel, by torch
def test_allowed_tags_have_the_largest_sum_of_scores_by_brute_force(dtype):
    generator = torch.Generator().manual_seed(0)
    allowed = CRFConstraints(
        torch.tensor([True, False, True]),
        torch.tensor([[True, True, False], [False, True, True], [True, False, True]]),
        torch.tensor([False, True, True]),
    )
    lengths = torch.tensor([4, 1, 0, 3])
    scores = torch.rand(8, 3, generator=generator, dtype=dtype)
    expected: list[int] = []
    for part in scores.split(lengths.tolist()):
        legal = [tags for tags in product(range(3), repeat=len(part)) if not tags or is_allowed(tags, allowed)]
        expected += max(legal, key=lambda tags: sum(float(part[t, tag]) for t, tag in enumerate(tags)))
    assert decode_allowed(scores, Layout(lengths, scores.device), allowed).tolist() == expected


def test_members_without_constraints_give_the_most_probable_tag_of_each_token(members):
    model = ostinato.ensemble([members[1], trained(head="softmax", seed=2)])
    tags = np.array(model.classes_)
    expected = [tags[each.argmax(axis=1)].tolist() for each in model.predict_proba(WORDS)]
    assert model.predict(WORDS) == expected


def test_a_loaded_ensemble_answers_with_the_same_bits_alone_and_in_a_batch(members, tmp_path):
    model = ostinato.ensemble(members, "validation", (WORDS, TAGS))
    model.save(tmp_path / "ensemble.safetensors")
    loaded = ostinato.load(tmp_path / "ensemble.safetensors")
    assert type(loaded) is SequenceTagger and loaded.predict(WORDS) == model.predict(WORDS)
    expected = np.concatenate(model.predict_proba(WORDS))
    assert np.array_equal(np.concatenate(loaded.predict_proba(WORDS)), expected)
    assert np.array_equal(np.concatenate([loaded.predict_proba([words])[0] for words in WORDS]), expected)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "ensemble.safetensors").read_bytes()


def outputs_of(model):
    """The joining, the model, its examples and its outputs for the training sentences."""
    fitted = model.fitted_
    examples = fitted.task.encode(fitted, fitted.task.labelled_rows(fitted, WORDS, TAGS))
    return fitted.task.joining, fitted, examples, fitted.task.joining.outputs(fitted, examples)


def test_outputs_joined_from_those_of_the_members_are_those_of_the_network(members):
    joining, fitted, examples, direct = outputs_of(ostinato.ensemble(members))
    joined = joining.combine(fitted, [outputs_of(member)[3] for member in members], examples)
    assert all(torch.equal(one, other) for one, other in zip(direct, joined, strict=True))


def test_scores_of_an_ensemble_are_those_by_hand(members):
    joining, fitted, examples, outputs = outputs_of(ostinato.ensemble(members[:2]))
    found = joining.scores(fitted, examples, outputs)
    predicted = ostinato.ensemble(members[:2]).predict(WORDS)
    assert found["accuracy"] == pytest.approx(np.mean(np.concatenate(predicted) == np.concatenate(TAGS)))
    targets, p = examples.targets.numpy(), outputs.marginals.double().numpy()
    assert found["log_loss"] == pytest.approx(-np.log(p[np.arange(len(p)), targets]).mean())
    assert found["brier"] == pytest.approx(((p - np.eye(p.shape[1])[targets]) ** 2).sum(axis=1).mean())


def test_fitted_weights_are_not_worse_than_equal_ones(members):
    def loss(model):
        joining, fitted, examples, outputs = outputs_of(model)
        return joining.scores(fitted, examples, outputs)["log_loss"]

    fitted = ostinato.ensemble(members, "validation", (WORDS, TAGS)).model_.weights
    assert loss(ostinato.ensemble(members, fitted.tolist())) <= loss(ostinato.ensemble(members)) + 1e-6


def test_agreement_is_the_share_of_equal_tags(members):
    joining, fitted, *_ = outputs_of(members[0])
    one, other = (
        TagOutputs(torch.tensor(tags), torch.ones(4), torch.ones(4, 3)) for tags in ([0, 1, 2, 0], [0, 1, 1, 1])
    )
    assert joining.agreement(fitted, one, other) == 0.5 and joining.agreement(fitted, one, one) == 1


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion"])
def test_an_explanation_is_the_mean_of_the_members(members, method):
    model = ostinato.ensemble(members, weights=[1, 2, 1])
    (found,) = ostinato.explain(model, WORDS[:1], method=method, label="B-PER", tokens=[1])
    own = [ostinato.explain(each, WORDS[:1], method=method, label="B-PER", tokens=[1])[0].scores for each in members]
    assert found.scores == pytest.approx(0.25 * own[0] + 0.5 * own[1] + 0.25 * own[2])


def test_masking_gives_the_mean_of_the_masked_members(members):
    model, masked = ostinato.ensemble(members), []
    for each in (*members, model):
        (own,) = ostinato.explain(each, WORDS[:1], label="B-PER", tokens=[1])
        task = each.fitted_.task
        masking = task.masking(each.fitted_)
        with masking.opened():
            masked.append(masking.input(own, 0).answer(np.ones((1, len(own.scores)), bool))[0])
    assert masked[3] == pytest.approx(np.mean(masked[:3]), abs=1e-6)
    assert measure(model, [own]).n == 1


def test_taggers_that_do_not_fit_each_other_are_refused(members):
    first = members[0]
    other_tags = SequenceTagger(**SMALL).fit([["Ada", "left"]] * 3, [["B-PER", "O"]] * 3)
    columns_ = [[(word, "x") for word in words] for words in WORDS]
    features = SequenceTagger(**SMALL).fit(columns_, TAGS)
    for message, models in {"LOC": [first, other_tags], "1 features": [first, features]}.items():
        with pytest.raises(ConfigError, match=message):
            ostinato.ensemble(models)


def test_what_ensembles_of_taggers_cannot_do_is_refused(members):
    model = ostinato.ensemble(members[:2])
    with pytest.raises(ConfigError, match="ensemble"):
        model.stream()
    with pytest.raises(ConfigError, match="ensemble"):
        model.fitted_.task.onnx(model.fitted_)
