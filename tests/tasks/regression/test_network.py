"""Outputs become numbers in the targets' units, and losses agree with torch and with hand-computed values."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error, r2_score

from ostinato.data.ragged import Ragged
from ostinato.nn import Linear, Pooling, RecurrentStack
from ostinato.tasks.regression.config import RegressionTraining
from ostinato.tasks.regression.network import Regressor, middle
from ostinato.tasks.regression.objective import PredictionError
from ostinato.training import predict_outputs
from ostinato.training.objective import Labelled

MEAN, SCALE = (100.0, -5.0), (10.0, 0.5)


def regressor(levels=(), targets=2):
    groups = max(len(levels), 1)
    network = Regressor(
        embed=Linear(1, 3),
        position=None,
        conv_stem=None,
        stack=RecurrentStack(3, 4, cell="gru"),
        pooling=Pooling(["last"], 4, bidirectional=False),
        num_outputs=targets * groups,
        dropout=0.0,
    )
    network.levels = levels
    network.mean.copy_(torch.tensor(MEAN[:targets] * groups))
    network.scale.copy_(torch.tensor(SCALE[:targets] * groups))
    return network.eval()


def labelled(count=12):
    values = torch.randn(count * 3, 1)
    return Labelled(Ragged(values, torch.full((count,), 3)), torch.randn(count, 2))


def test_answers_are_in_the_units_of_the_targets():
    answers = regressor().answers(torch.tensor([[1.0, -2.0]]))
    assert answers.tolist() == [[110.0, -6.0]]
    assert answers.dtype == torch.float64


def test_explained_number_is_the_answer_of_its_target():
    network = regressor((0.1, 0.5, 0.9))
    outputs = torch.randn(5, 6)
    for target in (0, 1):
        explained = network.explained(outputs, torch.full((5,), target))
        assert torch.equal(explained, network.predictions(network.answers(outputs))[:, target])
    assert network.chosen(outputs).tolist() == [0] * 5


def test_crossing_quantiles_are_sorted():
    network = regressor((0.1, 0.5, 0.9), targets=1)
    answers = network.answers(torch.tensor([[0.0, 2.0, -1.0]]))  # of 0.5, 0.1 and 0.9
    assert network.quantiles(answers).tolist() == [[[90.0, 100.0, 120.0]]]
    assert network.predictions(answers).tolist() == [[100.0]]


def test_quantiles_of_several_targets_have_their_own_units():
    network = regressor((0.25, 0.5))
    outputs = torch.tensor([[1.0, 2.0, 0.0, 1.0]])  # of 0.5: a, b; of 0.25: a, b
    assert network.quantiles(network.answers(outputs)).tolist() == [[[100.0, 110.0], [-4.5, -4.0]]]


def test_no_rows_have_no_answers():
    network = regressor((0.1, 0.5, 0.9))
    answers = network.answers(torch.empty(0, 6))
    assert network.predictions(answers).shape == (0, 2)
    assert network.quantiles(answers).shape == (0, 2, 3)


def test_network_without_quantiles_has_none():
    assert regressor().quantiles(torch.zeros(3, 2)).shape == (3, 2, 0)


@pytest.mark.parametrize(("levels", "index"), [((0.1, 0.5), 1), ((0.2, 0.4, 0.7), 1), ((0.5,), 0), ((0.5, 0.9), 0)])
def test_prediction_is_the_median_or_the_middle(levels, index):
    assert middle(levels) == index


@pytest.mark.parametrize(
    ("loss", "oracle"),
    [
        ("squared", lambda e: e**2),
        ("absolute", np.abs),
        ("huber", lambda e: np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5)),
    ],
)
def test_loss_is_the_mean_over_the_targets_summed_over_the_rows(loss, oracle):
    network, batch = regressor(), labelled()
    errors = (predict_outputs(network, batch.sequences) - batch.targets).numpy()
    objective = PredictionError(loss)
    found = objective.loss(network, batch, RegressionTraining(loss=loss, precision="float32"))
    assert found.item() == pytest.approx(oracle(errors).mean(axis=1).sum(), rel=1e-5)
    assert objective.weight(batch) == 12


def test_quantile_loss_agrees_with_scikit_learn():
    levels = (0.2, 0.5, 0.7)
    network, batch = regressor(levels), labelled()
    outputs = predict_outputs(network, batch.sequences).numpy()
    groups = {0.5: outputs[:, :2], 0.2: outputs[:, 2:4], 0.7: outputs[:, 4:]}
    oracle = np.mean([mean_pinball_loss(batch.targets, groups[level], alpha=level) for level in levels])
    training = RegressionTraining(loss="quantile", quantiles=list(levels), precision="float32")
    assert PredictionError("quantile").loss(network, batch, training).item() / 12 == pytest.approx(oracle, rel=1e-5)


def test_epoch_metrics_agree_with_scikit_learn():
    network, batch = regressor(), labelled(40)
    targets = batch.targets.numpy() * np.array(SCALE) + np.array(MEAN)
    predicted = network.answers(predict_outputs(network, batch.sequences)).numpy()
    found = PredictionError("squared").metrics(network, batch)
    rmse = np.sqrt(mean_squared_error(targets, predicted, multioutput="raw_values")).mean()
    assert found["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert found["mae"] == pytest.approx(mean_absolute_error(targets, predicted), rel=1e-5)
    assert found["r2"] == pytest.approx(r2_score(targets, predicted), rel=1e-5)


def test_large_targets_keep_their_digits():
    network = regressor(targets=1)
    network.mean.fill_(1e9)
    assert network.answers(torch.tensor([[0.05]])).item() == pytest.approx(1e9 + 0.5, abs=1e-6)
