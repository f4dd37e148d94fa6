"""Token vectors of a trained network: the neutral vector that masks a token, and the outputs for masked sequences.

The neutral vector stands for a token of which nothing is known. If training saw unknown tokens, it is the vector of
`<unk>`; otherwise it is the mean vector of the vocabulary, an average token; for series, the vector of the training
mean. A masked sequence keeps its length and positions, so models of aligned windows can be explained too. The neutral
vector is the baseline of integrated gradients, and replaces a token in occlusion and in the tests of faithfulness.
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
from ostinato.nn import Layout, Network, SequenceNetwork, few_threads
from ostinato.training.predict import TOKENS_IN_A_BATCH

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


@torch.no_grad()
def neutral_vector(network: SequenceNetwork) -> Tensor:
    """The vector of a token of which nothing is known. (D,)."""
    if network.channels is not None:
        vector: Tensor = network.embed(network.embed.weight.new_zeros(1, network.channels)).squeeze(0)
        return vector
    table = network.embed.weight
    return table[UNKNOWN] if network.has_trained_unknown or len(table) == 1 else table[UNKNOWN + 1 :].mean(dim=0)


@contextmanager
def opened(network: AnyNetwork) -> Iterator[AnyNetwork]:
    """The network in eval mode, its weights without gradients, so that a backward pass ends at the token vectors."""
    was_training, wanted = network.training, [parameter.requires_grad for parameter in network.parameters()]
    try:
        with few_threads(network, tokens=TOKENS_IN_A_BATCH):
            yield network.eval().requires_grad_(False)
    finally:
        network.train(was_training)
        for parameter, needs in zip(network.parameters(), wanted, strict=True):
            parameter.requires_grad_(needs)


def batches(sequences: Ragged) -> Iterator[tuple[Tensor, Ragged]]:
    """Batches of sequences of similar length, each with their indices (b,)."""
    sampler = BucketSampler(sequences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_BATCH, shuffle=False)
    for indices in sampler.batches(0):
        yield indices, sequences.select(indices)


def slices_of(sequences: Ragged, indices: Tensor) -> list[slice]:
    """The slice of `values` that holds each of these sequences."""
    offsets = sequences.offsets.tolist()
    return [slice(offsets[index], offsets[index + 1]) for index in indices.tolist()]


@torch.inference_mode()
def masked_outputs(network: SequenceNetwork, sequence: Tensor, masks: np.ndarray) -> Tensor:
    """The network's outputs for copies of one sequence whose masked steps are neutral, on the CPU.

    Shapes:
        sequence (T,) or (T, channels), masks (K, T), True where a step is masked -> (K, C).
    """
    vectors, neutral = network.embed(sequence.to(network.device)), neutral_vector(network)  # (T, D), (D,)
    outputs = [torch.empty(0, network.head.out_features)]
    for part in _parts(masks, max(1, TOKENS_IN_A_BATCH // max(1, masks.shape[1]))):
        mask = torch.from_numpy(part).to(network.device).unsqueeze(2)  # (k, T) -> (k, T, 1)
        copies = torch.where(mask, neutral, vectors).flatten(0, 1)  # (k·T, D)
        layout = Layout(torch.full((len(part),), part.shape[1]), neutral.device)
        found = network.from_vectors(copies, layout.lengths_on_cpu)
        outputs.append(network.with_wide(found, _masked(sequence.to(neutral.device), mask), layout).float().cpu())
    return torch.cat(outputs)


def _masked(sequence: Tensor, mask: Tensor) -> Tensor:
    """Copies of a sequence with 0 at masked steps: for tokens the unknown one, for series the training mean.

    Shapes: (T,) or (T, channels), (k, T, 1) -> (k·T,) or (k·T, channels).
    """
    steps = sequence if sequence.dim() > 1 else sequence.unsqueeze(1)
    copies = torch.where(mask, steps.new_zeros(()), steps).flatten(0, 1)
    return copies if sequence.dim() > 1 else copies.squeeze(1)


def _parts(masks: np.ndarray, size: int) -> Iterable[np.ndarray]:
    return (masks[start : start + size] for start in range(0, len(masks), size))
