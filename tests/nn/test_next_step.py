"""Networks that predict the next and the previous step see only what they may."""

import pytest
import torch

from ostinato.nn import Linear, RecurrentStack, TokenEmbedding
from ostinato.nn.next_step import LanguageModel, NextStepNetwork

V, E, H = 7, 5, 4


def language_model(num_layers=1, bidirectional=True, word_dropout=0.0, **options):
    stack = RecurrentStack(E, H, cell="lstm", num_layers=num_layers, bidirectional=bidirectional, **options)
    return LanguageModel(
        embed=TokenEmbedding(V, E),
        stack=stack,
        bidirectional=bidirectional,
        bias=torch.zeros(V),
        word_dropout=word_dropout,
    )


def test_each_step_is_predicted_from_both_sides_and_no_sequence_from_another():
    model = language_model().eval()
    vectors, predicted = model.predict(torch.tensor([3, 1, 4, 1, 5]), torch.tensor([3, 2]))
    assert predicted.tolist() == [1, 2, 4, 0, 1, 3]  # next of 0, 1, 3; previous of 1, 2, 4
    assert vectors.shape == (6, E)


@pytest.mark.parametrize("options", [{}, {"residual": True}, {"dropout": 0.5}])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_a_prediction_does_not_depend_on_what_it_predicts(num_layers, options):
    model = language_model(num_layers, **options).eval()
    values, lengths = torch.tensor([3, 1, 4, 1, 5, 2]), torch.tensor([6])
    before, rows = model.predict(values, lengths)
    other = values.clone()
    other[3] = 6
    after, _ = model.predict(other, lengths)
    same = (before == after).all(1)
    assert same[rows == 3].all()
    assert not same[rows != 3].all()


def test_the_halves_stay_apart_in_training():
    model = language_model(num_layers=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    vectors, _ = model.predict(torch.tensor([3, 1, 4, 1]), torch.tensor([4]))
    vectors.square().sum().backward()
    optimizer.step()
    upper = model.stack.layers[1]
    assert not upper.weight_ih_l0[:, H:].any()
    assert not upper.weight_ih_l0_reverse[:, :H].any()
    assert upper.weight_ih_l0[:, :H].all()


def test_one_direction_predicts_the_next_step_only():
    _, predicted = language_model(bidirectional=False).predict(torch.tensor([3, 1, 4]), torch.tensor([3]))
    assert predicted.tolist() == [1, 2]


def test_word_dropout_replaces_tokens_in_training_only():
    model = language_model(word_dropout=0.999999)
    values, lengths = torch.tensor([3, 1, 4]), torch.tensor([3])
    unknown = model.eval().predict(torch.zeros_like(values), lengths)[0]
    assert torch.equal(model.train().predict(values, lengths)[0], unknown)
    assert not torch.equal(model.eval().predict(values, lengths)[0], unknown)


def test_series_are_predicted_channel_by_channel():
    stack = RecurrentStack(E, H, cell="gru", bidirectional=True)
    model = NextStepNetwork(embed=Linear(2, E), stack=stack, bidirectional=True, output_size=2)
    predictions, predicted = model.predict(torch.randn(5, 2), torch.tensor([1, 4]))
    assert predicted.tolist() == [2, 3, 4, 1, 2, 3]
    assert predictions.shape == (6, 2)
