"""A classifier set by hand, of which every attribution is known."""

import pytest
import torch
from plain import PLAIN

from ostinato import SequenceClassifier

WEIGHTS = {"A": 2.0, "C": -1.0, "G": 0.5, "T": 0.0}


@pytest.fixture
def make_linear():
    """A function that makes a model whose log-odds of "yes" are the mean of its tokens' weights."""

    def make(weights=WEIGHTS, *, tokenizer="nucleotides", pooling="mean", **arguments):
        sizes = {"cell": "rnn", "nonlinearity": "relu", "embedding_size": 1, "hidden_size": 1, "max_epochs": 1}
        others = {"pooling": pooling, "tokenizer": tokenizer, "validation_fraction": None}
        model = SequenceClassifier(**{**PLAIN, **sizes, **others, **arguments})
        model.fit(["ACGT", "TGCA"] if tokenizer == "nucleotides" else [" ".join(weights)] * 2, ["no", "yes"])
        classifier, vocabulary = model.model_, model.encoder_.vocabulary
        layer = classifier.stack.layers[0]
        with torch.no_grad():
            for parameter in classifier.parameters():
                parameter.zero_()
            for token, weight in weights.items():
                classifier.embed.weight[vocabulary.id(token)] = weight
            layer.weight_ih_l0.fill_(1.0)
            layer.bias_ih_l0.fill_(100.0)  # far above 0, where relu is the identity
            classifier.head.weight.copy_(torch.tensor([[-0.5], [0.5]]))
            classifier.head.bias.copy_(torch.tensor([50.0, -50.0]))
        return model

    return make
