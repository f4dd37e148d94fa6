"""A trained classifier opened at its vectors: what stands for "nothing is known of this step", and what the model says then.

The neutral vector stands in for a step. Of a model that met unknown tokens in training it is theirs: the step reads as
one more of them. Of all others it is the mean vector of the vocabulary, an average token; of series, the vector of the
training mean. A masked sequence keeps its length and positions, so that models of aligned windows can be asked too.
It is the baseline of integrated gradients, and what occlusion and the tests of faithfulness put in a step's place.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.data.vocabulary import UNKNOWN
from ostinato.models import Classifier, Network, few_threads
from ostinato.models.classifier import TOKENS_IN_A_PREDICTION_BATCH

Model = TypeVar("Model", bound=Network)


def log_odds(logits: Tensor, classes: Tensor) -> Tensor:
    """How far each row's class is ahead of all others: log p − log(1 − p). (B, C), (B,) -> (B,)."""
    own = logits.gather(1, classes.unsqueeze(1))  # (B, C) -> (B, 1)
    others = logits.scatter(1, classes.unsqueeze(1), -torch.inf)
    return own.squeeze(1) - others.logsumexp(dim=1)


@torch.no_grad()
def neutral_vector(model: Classifier) -> Tensor:
    """The vector of a step of which nothing is known. (D,)."""
    if model.channels is not None:
        vector: Tensor = model.embed(model.embed.weight.new_zeros(1, model.channels)).squeeze(0)
        return vector
    table = model.embed.weight
    return table[UNKNOWN] if model.met_unknown or len(table) == 1 else table[UNKNOWN + 1 :].mean(dim=0)


@contextmanager
def opened(model: Model) -> Iterator[Model]:
    """The model in eval mode, its weights without gradients, so that a backward ends at the vectors."""
    was_training, wanted = model.training, [parameter.requires_grad for parameter in model.parameters()]
    try:
        with few_threads(model):
            yield model.eval().requires_grad_(False)
    finally:
        model.train(was_training)
        for parameter, needs in zip(model.parameters(), wanted, strict=True):
            parameter.requires_grad_(needs)


def batches(sequences: Ragged) -> Iterator[tuple[Tensor, Ragged]]:
    """Sequences of similar length together, with their places (b,)."""
    sampler = BucketSampler(sequences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_PREDICTION_BATCH, shuffle=False)
    for indices in sampler.batches(0):
        yield indices, sequences.select(indices)


def places_of(sequences: Ragged, indices: Tensor) -> list[slice]:
    """Where the steps of each of these sequences lie among all."""
    offsets = sequences.offsets.tolist()
    return [slice(offsets[index], offsets[index + 1]) for index in indices.tolist()]


@torch.inference_mode()
def masked_logits(model: Classifier, sequence: Tensor, masks: np.ndarray) -> np.ndarray:
    """What the model says of copies of one sequence with the masked steps neutral.

    Shapes:
        sequence (T,) or (T, channels), masks (K, T), True where a step is masked -> (K, C).
    """
    device = model.head.weight.device
    vectors, neutral = model.embed(sequence.to(device)), neutral_vector(model)  # (T, D), (D,)
    answers = [np.empty((0, model.head.out_features), np.float32)]
    for part in _parts(masks, max(1, TOKENS_IN_A_PREDICTION_BATCH // max(1, masks.shape[1]))):
        mask = torch.from_numpy(part).to(device).unsqueeze(2)  # (k, T) -> (k, T, 1)
        copies = torch.where(mask, neutral, vectors).flatten(0, 1)  # (k·T, D)
        lengths = torch.full((len(part),), part.shape[1])
        answers.append(model.from_vectors(copies, lengths).float().cpu().numpy())
    return np.concatenate(answers)


def _parts(masks: np.ndarray, size: int) -> Iterable[np.ndarray]:
    return (masks[start : start + size] for start in range(0, len(masks), size))
