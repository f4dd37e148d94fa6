"""Attribution by changing the sequence: how much the explained number drops when a step is masked or mutated."""

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.explanation.masking import masked_outputs, opened, slices_of
from ostinato.nn import SequenceNetwork
from ostinato.training.predict import predict_outputs

MAX_WINDOWS = 512  # of a sequence: longer ones are masked by several steps at once
SEQUENCES_AT_A_TIME = 256  # mutants, encoded together


def occlusion(network: SequenceNetwork, sequences: Ragged, targets: Tensor) -> tuple[np.ndarray, None]:
    """How much the explained number drops when a step is masked. Returns (N,).

    Sequences of more than 512 steps are masked by windows of equal width; each step gets its share of the drop.

    Source: Zeiler & Fergus (2014), section 4.2; Li, Monroe & Jurafsky (2016), arXiv:1612.08220.
    """
    scores = np.zeros(len(sequences.values))
    with opened(network):
        for sequence, part in enumerate(slices_of(sequences, torch.arange(len(sequences)))):
            steps = sequences.values[part]
            width = -(-len(steps) // MAX_WINDOWS) or 1
            window = np.arange(len(steps)) // width  # (T,) the window of each step
            masks = window == np.arange(window.max(initial=-1) + 1)[:, None]  # (windows, T)
            outputs = masked_outputs(network, steps, np.vstack([np.zeros((1, len(steps)), bool), masks]))
            scores[part] = (_drops(network, outputs, targets[sequence]) / masks.sum(axis=1))[window]
    return scores, None


def mutagenesis(
    network: SequenceNetwork, sequences: Ragged, targets: Tensor, letters: np.ndarray
) -> tuple[np.ndarray, None]:
    """How much the explained number drops when a letter is replaced, averaged over the other letters. Returns (N,).

    Args:
        letters: (A,) ids of the alphabet's letters.

    Source: Zhou & Troyanskaya (2015), in silico saturated mutagenesis.
    """
    scores = np.zeros(len(sequences.values))
    for sequence, part in enumerate(slices_of(sequences, torch.arange(len(sequences)))):
        steps = sequences.values[part].numpy()
        time, letter = np.nonzero(steps[:, None] != letters)  # every (step, other letter)
        drops = np.empty(len(time))
        original = Ragged(sequences.values[part], sequences.lengths[sequence : sequence + 1])
        whole = predict_outputs(network, original)  # (1, C)
        for start in range(0, len(time), SEQUENCES_AT_A_TIME):
            some = slice(start, start + SEQUENCES_AT_A_TIME)
            mutants = np.tile(steps, (len(time[some]), 1))
            mutants[np.arange(len(mutants)), time[some]] = letters[letter[some]]
            lengths = torch.full((len(mutants),), len(steps))
            outputs = predict_outputs(network, Ragged(torch.from_numpy(mutants.ravel()), lengths))
            drops[some] = _drops(network, torch.cat([whole, outputs]), targets[sequence])
        others = np.bincount(time, minlength=len(steps))  # (T,)
        scores[part] = np.bincount(time, weights=drops, minlength=len(steps)) / np.maximum(others, 1)
    return scores, None


def _drops(network: SequenceNetwork, outputs: Tensor, target: Tensor) -> np.ndarray:
    """The explained number of the first row less that of each other row. (1 + K, C) -> (K,)."""
    values = network.explained(outputs.double(), target.expand(len(outputs))).numpy()
    drops: np.ndarray = values[0] - values[1:]
    return drops
