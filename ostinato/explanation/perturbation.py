"""Attribution by changing the sequence: what the log-odds of a class lose when a step is masked or mutated."""

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.explanation.vectors import log_odds, masked_logits, opened, places_of
from ostinato.models import Classifier, predict_logits

MOST_WINDOWS = 512  # of a sequence: longer ones are masked by several steps at once
SEQUENCES_AT_A_TIME = 256  # mutants, encoded together


def occlusion(model: Classifier, sequences: Ragged, classes: Tensor) -> tuple[np.ndarray, None]:
    """What the log-odds of the class lose when a step is masked. Returns (N,).

    Sequences of more than 512 steps are masked by windows of equal width, each step with its share of the loss.

    Source: Zeiler & Fergus (2014), section 4.2; Li, Monroe & Jurafsky (2016), arXiv:1612.08220.
    """
    scores = np.zeros(len(sequences.values))
    with opened(model):
        for sequence, place in enumerate(places_of(sequences, torch.arange(len(sequences)))):
            steps = sequences.values[place]
            width = -(-len(steps) // MOST_WINDOWS) or 1
            window = np.arange(len(steps)) // width  # (T,) the window of each step
            masks = window == np.arange(window.max(initial=-1) + 1)[:, None]  # (windows, T)
            lost = _lost(
                masked_logits(model, steps, np.vstack([np.zeros((1, len(steps)), bool), masks])), classes[sequence]
            )
            scores[place] = (lost / masks.sum(axis=1))[window]
    return scores, None


def mutagenesis(model: Classifier, sequences: Ragged, classes: Tensor, letters: np.ndarray) -> tuple[np.ndarray, None]:
    """What the log-odds of the class lose, on average over the other letters, when a step's letter is replaced. Returns (N,).

    Args:
        letters: (A,) ids of the alphabet's letters.

    Source: Zhou & Troyanskaya (2015), in silico saturated mutagenesis.
    """
    scores = np.zeros(len(sequences.values))
    for sequence, place in enumerate(places_of(sequences, torch.arange(len(sequences)))):
        steps = sequences.values[place].numpy()
        time, letter = np.nonzero(steps[:, None] != letters)  # every (step, other letter)
        lost = np.empty(len(time))
        whole = predict_logits(
            model, Ragged(sequences.values[place], sequences.lengths[sequence : sequence + 1])
        ).numpy()
        for start in range(0, len(time), SEQUENCES_AT_A_TIME):
            part = slice(start, start + SEQUENCES_AT_A_TIME)
            mutants = np.tile(steps, (len(time[part]), 1))
            mutants[np.arange(len(mutants)), time[part]] = letters[letter[part]]
            lengths = torch.full((len(mutants),), len(steps))
            lost[part] = _lost(
                np.vstack([whole, predict_logits(model, Ragged(torch.from_numpy(mutants.ravel()), lengths)).numpy()]),
                classes[sequence],
            )
        scores[place] = np.bincount(time, weights=lost, minlength=len(steps)) / np.maximum(
            np.bincount(time, minlength=len(steps)), 1
        )
    return scores, None


def _lost(logits: np.ndarray, class_: Tensor) -> np.ndarray:
    """The log-odds of the first row less those of each other row. (1 + K, C) -> (K,)."""
    odds = log_odds(torch.from_numpy(logits).double(), class_.expand(len(logits))).numpy()
    lost: np.ndarray = odds[0] - odds[1:]
    return lost
