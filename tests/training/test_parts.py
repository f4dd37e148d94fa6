"""Each rank validates a part of the split; together, the parts are the whole."""

import pytest
import torch
from tiny_training import data, model

from ostinato.training import predict_outputs
from ostinato.training.ranks import Ranks


@pytest.fixture
def sent(monkeypatch):
    """The tensors that the ranks add up, in the order of the ranks."""
    found = []
    monkeypatch.setattr(Ranks, "add", lambda self, tensor: found.append(tensor) or tensor)
    return found


@pytest.mark.parametrize("size", [2, 3, 30])  # 30: more ranks than sequences
def test_the_outputs_of_all_ranks_add_up_to_those_of_one_to_the_last_bit(sent, size):
    net, everything = model(), data(21)
    whole = predict_outputs(net, everything.sequences)
    sent.clear()
    for rank in range(size):
        predict_outputs(net, everything.sequences, Ranks(rank, size))
    is_own = torch.stack(sent).ne(0).any(dim=2)  # (ranks, sequences)
    assert is_own.sum(dim=0).tolist() == [1] * 21
    assert torch.equal(sum(sent), whole)
