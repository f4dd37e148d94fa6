"""Run a trained network over many sequences, in batches of similar length."""

import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.errors import TrainingError
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.nn.threads import few_threads
from ostinato.training.ranks import ALONE, Ranks

TOKENS_IN_A_BATCH = 16_384
HUGE = 1e30  # of an output: divided by a temperature, it stays finite


@torch.inference_mode()
def predict_outputs(model: SequenceNetwork, sequences: Ragged, ranks: Ranks = ALONE) -> Tensor:
    """The network's outputs for every sequence, in order, in eval mode. Returns (B, C) float32 on the CPU.

    Args:
        ranks: the processes that divide each batch; all have the same network and sequences, and all get the outputs.

    Raises:
        TrainingError: an output is NaN, or too large for an answer.
    """
    device = model.device
    outputs = torch.zeros(len(sequences), model.head.out_features)  # those of other ranks are added
    was_training = model.training
    model.eval()
    sampler = BucketSampler(sequences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_BATCH, shuffle=False)
    with few_threads(model, tokens=min(TOKENS_IN_A_BATCH, int(sequences.lengths.sum()))):
        for indices in filter(len, map(ranks.part_of, sampler.batches(0))):
            batch = sequences.select(indices)
            outputs[indices] = model(batch.values.to(device), batch.lengths).float().cpu()
    model.train(was_training)
    outputs = ranks.add(outputs)
    refuse_huge_outputs(outputs)
    return outputs


def refuse_huge_outputs(outputs: Tensor) -> None:
    """Refuse outputs that no answer can be made of.

    Raises:
        TrainingError: an output is NaN, or too large for an answer.
    """
    is_usable = outputs.abs() <= HUGE
    if not is_usable.all():
        raise TrainingError(
            f"The network's outputs contain {float(outputs[~is_usable][0]):g}: its weights are too large. Train again "
            "with a lower training.lr, or with training.max_grad_norm."
        )
