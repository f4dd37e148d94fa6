"""Fitted linear-chain CRFs against the likelihood of all sequences of tags, written out."""

import itertools

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.optimize import minimize
from toy import sentences

from ostinato.errors import OutOfTimeError
from ostinato.nn import CRFConstraints, LinearChainCRF
from ostinato.nn.wide_tokens import WideTokens
from ostinato.tasks.tagging import linear
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.examples import TaggedRows, encode
from ostinato.tasks.tagging.inputs import labelled_sentences
from ostinato.tasks.tagging.linear import FOLDS, LinearTagger, Problem, fit_linear

C, F, LENGTHS = 3, 4, [3, 1, 4, 2]
rng = np.random.default_rng(0)
FEATURES = rng.integers(0, 2, (sum(LENGTHS), F)).astype(np.float32)
TARGETS = rng.integers(0, C, sum(LENGTHS))
ALLOWED = CRFConstraints(torch.ones(C).bool(), torch.ones(C, C).bool(), torch.ones(C).bool())
ALLOWED.transitions[2, 1] = False


def problem(targets=TARGETS, allowed=None):
    features = scipy.sparse.csr_matrix(FEATURES)
    return Problem(features, torch.from_numpy(targets), torch.tensor(LENGTHS), LinearChainCRF(C, allowed=allowed))


def written_out(parts, targets, allowed):
    """The negative log-likelihood by enumerating the tags of each sentence."""
    weights, start, transitions, end = parts
    total, begin = 0.0, 0
    for length in LENGTHS:
        emissions = FEATURES[begin : begin + length].astype(float) @ weights
        scores = {}
        for tags in itertools.product(range(C), repeat=length):
            pairs = list(itertools.pairwise(tags))
            if allowed is None or all(allowed.transitions[pair] for pair in pairs):
                scores[tags] = (
                    start[tags[0]]
                    + end[tags[-1]]
                    + sum(emissions[t, tag] for t, tag in enumerate(tags))
                    + sum(transitions[pair] for pair in pairs)
                )
        own = scores[tuple(targets[begin : begin + length].tolist())]
        total += np.logaddexp.reduce(list(scores.values())) - own
        begin += length
    return total


@pytest.mark.parametrize("allowed", [None, ALLOWED])
def test_fit_finds_the_minimum_of_the_penalised_likelihood(allowed):
    targets = np.zeros_like(TARGETS) if allowed is not None else TARGETS
    given, strength = problem(targets, allowed), 0.7
    start = given.zeros()

    def penalised(flat):
        parts = [
            part.reshape(own.shape)
            for part, own in zip(np.split(flat, np.cumsum([own.size for own in start])[:-1]), start, strict=True)
        ]
        return written_out(parts, targets, allowed) + strength / 2 * flat @ flat

    expected = minimize(penalised, start.flat(), method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-8})
    found = given.fit(strength, start)
    np.testing.assert_allclose(found.flat(), expected.x, atol=0.01)
    assert penalised(found.flat()) == pytest.approx(expected.fun, abs=1e-3)


def test_loss_is_the_negative_log_likelihood_of_sentences_with_known_tags():
    tagger = LinearTagger(*(rng.normal(size=part.shape).astype(np.float32) for part in problem().zeros()))
    assert problem().loss(tagger) == pytest.approx(written_out(tagger, TARGETS, None), rel=1e-5)
    unseen = TARGETS.copy()
    unseen[3] = -1  # the only token of the second sentence
    first = written_out(tagger, TARGETS, None) - problem().loss(tagger)
    assert first == pytest.approx(0, abs=1e-4)
    assert problem(unseen).loss(tagger) < problem().loss(tagger)


def encoded(words, tags, encoder=None, codec=None):
    rows = labelled_sentences(words, tags, "sentence")
    encoder, codec = encoder or SentenceEncoder.fit(rows), codec or TagCodec.fit(rows, "iob2")
    return encode(encoder, codec, TaggedRows(rows)), encoder, codec


def fitted(splits, codec, **options):
    wide, crf = WideTokens(len(codec.tags), num_columns=0), LinearChainCRF(len(codec.tags))
    return fit_linear(wide, crf, splits, **{"seed": 0, "crossfit": False, **options})


def test_emissions_of_a_sentence_come_from_a_tagger_that_did_not_see_its_tags():
    words, tags = sentences(40)
    train, encoder, codec = encoded(words, tags)
    fold = np.random.default_rng(0).permutation(np.arange(40) % FOLDS)
    before = fitted({"train": train}, codec, crossfit=True).unseen
    changed, _, _ = encoded(words, [["O"] * len(tags[0]), *tags[1:]], encoder, codec)
    after = fitted({"train": changed}, codec, crossfit=True).unseen
    own, other = (
        torch.from_numpy(np.repeat(fold == fold[0], [len(each) for each in words]) == value) for value in (True, False)
    )
    assert torch.equal(before[own], after[own])
    assert not torch.allclose(before[other], after[other])


def test_the_penalty_is_that_with_the_lowest_loss_on_validation():
    train, encoder, codec = encoded(*sentences(40))
    validation, _, _ = encoded(*sentences(20, seed=1), encoder, codec)
    found = fitted({"train": train, "validation": validation}, codec)
    wide, crf = WideTokens(len(codec.tags), num_columns=0), LinearChainCRF(len(codec.tags))
    wide.set_keys(found.keys)
    given, held_out = (
        Problem(linear.features_of(wide, each.sentences), each.targets, each.lengths, crf)
        for each in (train, validation)
    )
    losses = {each: held_out.loss(given.fit(each, given.zeros())) for each in linear.STRENGTHS}
    assert losses[found.strength] == pytest.approx(min(losses.values()), rel=0.02)


def test_the_same_sentences_are_fitted_once(monkeypatch):
    train, _, codec = encoded(*sentences(20))
    known = {}
    first = fitted({"train": train}, codec, known=known)
    monkeypatch.setattr(Problem, "fit", None)
    assert fitted({"train": train}, codec, known=known).tagger is first.tagger


def test_without_time_the_tagger_is_the_best_so_far_and_folds_are_refused():
    train, encoder, codec = encoded(*sentences(40))
    validation, _, _ = encoded(*sentences(20, seed=1), encoder, codec)
    splits = {"train": train, "validation": validation}
    found = fitted(splits, codec, time_left=lambda: -1.0)
    assert found.strength == linear.STRENGTHS[0]
    assert np.abs(found.tagger.weights).max() > 0
    with pytest.raises(OutOfTimeError):
        fitted(splits, codec, crossfit=True, time_left=lambda: -1.0)


def test_more_sentences_than_are_affordable_are_drawn_at_random(monkeypatch):
    monkeypatch.setattr(linear, "MOST_WORK", 20_000)
    train, _, codec = encoded(*sentences(60))
    found = fitted({"train": train}, codec, crossfit=True)
    assert 1 < found.sentences < 60
    assert found.unseen.shape == (len(train.targets), len(codec.tags))
