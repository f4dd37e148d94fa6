"""Held-out sequences in batches, and a network in eval mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ostinato.data.sampler import BucketSampler
from ostinato.nn.network import Network
from ostinato.nn.threads import few_threads
from ostinato.pretraining.corpus import Steps
from ostinato.training.ranks import ALONE, Ranks

TOKENS_IN_A_BATCH = 8192


@contextmanager
def in_evaluation(model: Network) -> Iterator[None]:
    """Inside the block, the model is in eval mode, and computes no gradients."""
    was_training = model.training
    model.eval()
    with few_threads(model, tokens=TOKENS_IN_A_BATCH), torch.inference_mode():
        yield
    model.train(was_training)


def batches(data: Steps, device: torch.device | str, ranks: Ranks = ALONE) -> Iterator[tuple[Tensor, Tensor]]:
    """Values and lengths of this rank's part of the sequences, in batches on a device."""
    sampler = BucketSampler(data.lengths, batch_size=1, max_tokens=TOKENS_IN_A_BATCH, shuffle=False)
    for indices in filter(len, map(ranks.part_of, sampler.batches(0))):
        batch = data.at(indices, device)
        yield batch.sequences.values, batch.lengths
