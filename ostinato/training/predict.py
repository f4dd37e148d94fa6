"""Run a trained network over many sequences, in batches of similar length."""

import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.nn.threads import few_threads

TOKENS_IN_A_BATCH = 16_384


@torch.inference_mode()
def predict_outputs(model: SequenceNetwork, sequences: Ragged) -> Tensor:
    """The network's outputs for every sequence, in order, in eval mode. Returns (B, C) float32 on the CPU."""
    device = model.device
    outputs = torch.empty(len(sequences), model.head.out_features)
    was_training = model.training
    model.eval()
    sampler = BucketSampler(sequences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_BATCH, shuffle=False)
    with few_threads(model, tokens=min(TOKENS_IN_A_BATCH, int(sequences.lengths.sum()))):
        for indices in sampler.batches(0):
            batch = sequences.select(indices)
            outputs[indices] = model(batch.values.to(device), batch.lengths).float().cpu()
    model.train(was_training)
    return outputs
