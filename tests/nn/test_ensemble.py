"""An ensemble answers with the weighted mean of its members' answers, whatever else is in the batch."""

import pytest
import torch

from ostinato.nn import Pooling, RecurrentStack, TokenEmbedding
from ostinato.tasks.classification.network import Classifier, ClassifierEnsemble
from ostinato.tasks.multilabel.network import MultilabelClassifier, MultilabelEnsemble
from ostinato.tasks.regression.network import Regressor, RegressorEnsemble

KINDS = {Classifier: ClassifierEnsemble, MultilabelClassifier: MultilabelEnsemble, Regressor: RegressorEnsemble}
IDS = torch.tensor([1, 2, 3, 1, 4, 4, 2], dtype=torch.int32)
LENGTHS = torch.tensor([3, 4])


def network(kind=Classifier, vocabulary=5, seed=0):
    torch.manual_seed(seed)
    stack = RecurrentStack(3, 4, cell="gru")
    parts = {
        "embed": TokenEmbedding(vocabulary, 3),
        "stack": stack,
        "pooling": Pooling(["last"], 4, bidirectional=False),
    }
    return kind(**parts, position=None, conv_stem=None, num_outputs=3, dropout=0.0).eval()


def joined(kind, members, weights, encodings=None):
    made = KINDS[kind](num_outputs=3, members=members, encodings=encodings or [0] * len(members)).eval()
    made.weights.copy_(torch.tensor(weights, dtype=torch.float64))
    return made


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_answers_are_the_weighted_mean_of_the_members(kind):
    members = [network(kind, seed=seed) for seed in range(3)]
    for name in ("temperature", "temperatures"):
        if hasattr(members[0], name):
            getattr(members[0], name).fill_(0.5)
    ensemble = joined(kind, members, [0.5, 0.2, 0.3])
    one, two, three = (member.answers(member(IDS, LENGTHS)).double() for member in members)
    expected = 0.5 * one + 0.2 * two + 0.3 * three
    assert torch.allclose(ensemble.answers(ensemble(IDS, LENGTHS)).double(), expected, atol=1e-6)


@torch.no_grad()
def test_the_mean_of_quantiles_is_in_their_order():
    members = [network(Regressor, seed=seed) for seed in range(2)]
    ensemble = joined(Regressor, members, [0.5, 0.5])
    for each in (*members, ensemble):
        each.levels = (0.1, 0.5, 0.9)
    low, middle, high = ensemble.quantiles(ensemble.answers(ensemble(IDS, LENGTHS)))[:, 0].T
    assert (low <= middle).all() and (middle <= high).all()


@torch.no_grad()
def test_members_read_their_own_tokens():
    words, letters = network(seed=1), network(vocabulary=9, seed=2)
    of_words = [[1, 2], [3]]
    of_letters = [[5, 6, 7], [8, 1]]
    values = torch.tensor([[0, 1], [0, 2], [1, 5], [1, 6], [1, 7], [0, 3], [1, 8], [1, 1]], dtype=torch.int32)
    ensemble = joined(Classifier, [words, letters], [0.5, 0.5], encodings=[0, 1])
    found = ensemble.answers(ensemble(values, torch.tensor([5, 3])))
    for row, pair in enumerate(zip(of_words, of_letters, strict=True)):
        answers = [
            member.answers(member(torch.tensor(ids, dtype=torch.int32), torch.tensor([len(ids)])))[0]
            for member, ids in zip((words, letters), pair, strict=True)
        ]
        assert torch.allclose(found[row], (answers[0] + answers[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_an_answer_does_not_depend_on_batch_mates(kind):
    ensemble = joined(kind, [network(kind, seed=seed) for seed in range(2)], [0.3, 0.7])
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 12, (37,), generator=generator)
    ids = torch.randint(0, 5, (int(lengths.sum()),), dtype=torch.int32, generator=generator)
    together = ensemble(ids, lengths)
    alone = [ensemble(part, torch.tensor([len(part)])) for part in ids.split(lengths.tolist())]
    assert torch.equal(together, torch.cat(alone))


@torch.no_grad()
def test_certain_members_give_finite_outputs():
    member = network()
    member.head.bias.copy_(torch.tensor([1000.0, 0.0, -1000.0]))
    outputs = joined(Classifier, [member, member], [0.5, 0.5])(IDS, LENGTHS)
    assert outputs.isfinite().all()
