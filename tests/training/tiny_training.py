"""A network of a few weights and its data, for the tests of the training loop."""

from functools import partial

import torch

from ostinato import training
from ostinato.data.ragged import Ragged
from ostinato.nn import Pooling, RecurrentStack, TokenEmbedding
from ostinato.tasks.classification.config import ClassificationTraining
from ostinato.tasks.classification.network import Classifier
from ostinato.tasks.classification.objective import CrossEntropy
from ostinato.training.objective import Labelled

train = partial(training.train, objective=CrossEntropy())
CONFIG = ClassificationTraining(max_epochs=3, batch_size=8, max_tokens=None, lr=1e-2, device="cpu", patience=None)


def data(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (n,), generator=generator)
    values = torch.randint(1, 5, (int(lengths.sum()),), generator=generator)
    targets = torch.stack([part.eq(1).any() for part in values.split(lengths.tolist())]).long()
    return Labelled(Ragged(values, lengths), targets)


def model(dropout=0.3, size=4, hidden_size=6, other_dropout=0.0):
    """A classifier; `other_dropout` is that of recurrent weights, of tokens' vectors, and of tokens."""
    torch.manual_seed(0)
    return Classifier(
        embed=TokenEmbedding(5, size, dropout=other_dropout),
        position=None,
        conv_stem=None,
        stack=RecurrentStack(size, hidden_size, cell="gru", dropout=dropout, weight_dropout=other_dropout),
        pooling=Pooling(["last"], hidden_size),
        num_outputs=2,
        dropout=dropout,
        word_dropout=other_dropout,
    )


class StopAfter:
    """Asks to stop once, after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self):
        self.left -= 1
        return self.left == 0
