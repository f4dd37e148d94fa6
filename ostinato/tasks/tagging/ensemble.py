"""Ensembles of taggers: the mean of their marginal probabilities, decoded legally.

The ensemble is the mixture p(y | x) = Σₘ wₘ pₘ(y | x) of the members' distributions over tag sequences. Its marginals
are the means of the members' marginals, whether these come from a CRF or from a softmax at each token. The sequence
with the largest expected number of right tags maximises the sum of the marginals of its tags; if a member's CRF is
constrained to a scheme, among the sequences that the scheme allows.

Source: Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474, for the mixture; Käll, Krogh & Sonnhammer (2005),
Bioinformatics 21, suppl. 1, i251, for the decoder.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.evaluation.calibration import brier_score
from ostinato.evaluation.ensembles import mixture_weights
from ostinato.nn import Layout
from ostinato.nn.crf import decode_allowed
from ostinato.nn.ensemble import Members
from ostinato.printable import shortened
from ostinato.tasks.ensembles import Joining
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.codec import UNSEEN
from ostinato.tasks.tagging.examples import Tagged
from ostinato.tasks.tagging.joined import JoinedSentenceEncoder, JoinedSentences
from ostinato.tasks.tagging.metrics import marginal_calibration, tagging_metrics
from ostinato.tasks.tagging.network import Tagger, predict_certain_tags, predict_marginals
from ostinato.tasks.tagging.sentences import Sentences

LONGEST = 300  # characters of the tags in a message


class TaggerEnsemble(Members, Tagger):
    """Averages the marginal probabilities of its members; what a tagger calls scores are these means.

    Args:
        members: M trained taggers with the same tags.
        encodings: (M,) the index of the encoding that each member reads.
    """

    crf = None
    wide = None

    def __init__(self, members: Sequence[Tagger], encodings: Sequence[int]) -> None:
        Members.__init__(self, members)
        self.encodings = tuple(encodings)
        constrained = [each.crf.allowed for each in members if each.crf is not None and each.crf.allowed is not None]
        self.allowed = constrained[0] if constrained else None  # the same for all, as they have the same tags

    def forward(self, sentences: Sentences) -> Tensor:
        parts = sentences.parts if isinstance(sentences, JoinedSentences) else (sentences,)
        taggers: list[Tagger] = list(self.members)  # type: ignore[arg-type]
        return self.combine(
            [
                member.marginals(member(parts[read]).float(), sentences.lengths)
                for member, read in zip(taggers, self.encodings, strict=True)
            ]
        )

    def combine(self, marginals: Sequence[Tensor]) -> Tensor:
        """The mean of the members' marginals. M times (N, C) -> (N, C)."""
        return self.weighted_mean(marginals).to(marginals[0].dtype)

    def loss(self, scores: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """−Σ log p(target), over the tokens whose tag occurs in training; an ensemble is not trained by it."""
        return F.nll_loss(scores.log(), targets, reduction="sum", ignore_index=UNSEEN)

    def best(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The allowed tags with the largest expected number of right ones. (N, C) -> (N,)."""
        if self.allowed is None:
            return scores.argmax(dim=1)
        return decode_allowed(scores, Layout(lengths, scores.device), self.allowed)

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        return scores


class TagOutputs(NamedTuple):
    """What a member or an ensemble answers for N tokens: `CertainTags`, and the probability of every tag, (N, C)."""

    tags: Tensor
    probabilities: Tensor
    marginals: Tensor


class TaggerJoining(Joining):
    """Joins taggers with the same tags; their vocabularies may differ."""

    def join(self, members: Sequence[Model], names: Sequence[str]) -> Model:
        first = members[0]
        for name, other in zip(names[1:], members[1:], strict=True):
            _refuse_other_tags(first, other, (name, names[0]))
        encoders = {repr(member.encoder.to_json()): member.encoder for member in members}
        order, parts = list(encoders), list(encoders.values())
        network = TaggerEnsemble(
            [member.network for member in members],
            [order.index(repr(member.encoder.to_json())) for member in members],
        )
        encoder = parts[0] if len(parts) == 1 else JoinedSentenceEncoder.of(parts)
        network = network.to(first.network.device).eval()
        return Model(first.task, first.config, encoder, first.codec, network, tuple(members))

    def outputs(self, model: Model, examples: Tagged) -> TagOutputs:
        certain = predict_certain_tags(model.network, examples.sentences)
        return TagOutputs(*certain, predict_marginals(model.network, examples.sentences))

    def combine(self, model: Model, outputs: Sequence[TagOutputs], examples: Tagged) -> TagOutputs:
        marginals = model.network.combine([each.marginals for each in outputs])
        tags = model.network.best(marginals, examples.lengths)
        return TagOutputs(tags, marginals.gather(1, tags.unsqueeze(1)).squeeze(1), marginals)

    def fit_weights(self, model: Model, outputs: Sequence[TagOutputs], examples: Tagged) -> np.ndarray:
        targets, seen = _of_seen_tags(examples)
        of_targets = [each.marginals[seen].gather(1, targets.unsqueeze(1)).squeeze(1).numpy() for each in outputs]
        return mixture_weights(np.stack(of_targets))

    def scores(self, model: Model, examples: Tagged, outputs: TagOutputs) -> dict[str, float]:
        """F1 if the tags mark entities; the others are of tokens, log-loss and Brier score of those with known tags."""
        codec = model.codec
        predicted = codec.decode(outputs.tags.numpy(), examples.lengths.tolist())
        found = tagging_metrics(examples.tags, predicted, known=None, scheme=codec.scheme, tags=codec.tags)
        targets, seen = _of_seen_tags(examples)
        marginals = outputs.marginals[seen].double()
        own = marginals.gather(1, targets.unsqueeze(1)).clamp(min=torch.finfo(torch.float32).tiny)
        right = (outputs.tags == examples.targets).numpy()
        return {
            **({} if found.f1 is None else {"f1": found.f1}),
            "accuracy": found.accuracy,
            "log_loss": float(-own.log().mean()),
            "brier": brier_score(targets.numpy(), marginals.numpy()),
            "ece": marginal_calibration(outputs.probabilities.numpy(), right),
        }

    def agreement(self, model: Model, one: TagOutputs, other: TagOutputs) -> float:
        """The share of tokens to which both give the same tag."""
        return float((one.tags == other.tags).double().mean())


def _of_seen_tags(examples: Tagged) -> tuple[Tensor, Tensor]:
    """The targets (n,) of the tokens whose tags occur in training, and which of N tokens these are, (N,)."""
    seen = examples.targets != UNSEEN
    return examples.targets[seen], seen


def _refuse_other_tags(first: Model, other: Model, names: tuple[str, str]) -> None:
    """Refuse a member with other tags, scheme or features than the first.

    Raises:
        ConfigError: names the difference.
    """
    counts = [len(each.encoder.features) for each in (other, first)]
    if counts[0] != counts[1]:
        raise ConfigError(
            f"{names[0]}: reads words with {counts[0]} features, and {names[1]} with {counts[1]}. Join taggers that "
            "read the same columns."
        )
    if other.codec == first.codec:
        return
    expected, found = first.codec.to_json(), other.codec.to_json()
    problem = "; ".join(
        f"{key} {found[key]}, and not {expected[key]}" for key in expected if found[key] != expected[key]
    )
    raise ConfigError(
        f"{names[0]}: its targets differ from those of {names[1]}: {shortened(problem, LONGEST)}. Join taggers that "
        "learned the same tags."
    )
