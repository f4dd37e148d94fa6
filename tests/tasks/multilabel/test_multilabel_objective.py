import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional as F

from ostinato.config import SequenceModel
from ostinato.data.ragged import Ragged
from ostinato.tasks.multilabel.config import MultilabelTraining
from ostinato.tasks.multilabel.network import MultilabelClassifier
from ostinato.tasks.multilabel.objective import (
    BinaryCrossEntropy,
    calibrate,
    epoch_metrics,
    label_weights,
)
from ostinato.training.objective import Labelled

TARGETS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])


def test_balanced_weight_is_rows_without_over_rows_with_a_label():
    assert label_weights("balanced", TARGETS).tolist() == pytest.approx([1 / 3, 1.0, 1.0])
    assert label_weights(None, TARGETS) is None


def test_loss_is_the_weighted_binary_cross_entropy_summed():
    logits = torch.tensor([[0.5, -1.0], [2.0, 0.1]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weight, smoothing = torch.tensor([3.0, 0.5]), 0.2
    batch = Labelled(Ragged(torch.zeros(2), torch.ones(2, dtype=torch.long)), targets)
    config = MultilabelTraining(label_smoothing=smoothing)
    objective = BinaryCrossEntropy(weight)
    smooth = targets * 0.8 + 0.1
    expected = -(weight * smooth * F.logsigmoid(logits) + (1 - smooth) * F.logsigmoid(-logits)).sum()
    torch.testing.assert_close(objective.loss(lambda values, lengths: logits, batch, config), expected)
    assert objective.weight(batch) == 2


def test_epoch_metrics_equal_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator)
    targets = (torch.rand(50, 4, generator=generator) < 0.3).float()
    found = epoch_metrics(targets, logits)
    predicted = (logits >= 0).numpy().astype(int)
    assert found["micro_f1"] == pytest.approx(f1_score(targets.numpy(), predicted, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(targets.numpy(), predicted, average="macro"))
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1).mean()
    assert found["loss"] == pytest.approx(float(loss))


def test_label_that_never_occurs_does_not_count_in_macro_f1():
    targets, logits = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, -1.0], [-1.0, -1.0]])
    assert epoch_metrics(targets, logits)["macro_f1"] == 1
    assert epoch_metrics(torch.zeros(2, 2), torch.full((2, 2), -1.0))["macro_f1"] == 0


@pytest.fixture
def network():
    from ostinato.data.encoder import SequenceEncoder
    from ostinato.tasks.sequences.network import build_network

    encoder = SequenceEncoder.fit(["ab"], tokenizer="characters", sources=["row"])
    return build_network(
        MultilabelClassifier, SequenceModel.with_old_defaults(hidden_size=4, embedding_size=4), encoder, 2
    )


def overconfident(n=400):
    """Logits twice as large as they should be for the first label; the second has 4 rows."""
    generator = torch.Generator().manual_seed(0)
    true_logits = torch.randn(n, generator=generator)
    first = (torch.rand(n, generator=generator) < true_logits.sigmoid()).float()
    second = torch.zeros(n)
    second[:4] = 1
    return torch.stack([2 * true_logits, second * 2 - 1.5], dim=1), torch.stack([first, second], dim=1)


def test_temperature_undoes_overconfidence(network):
    logits, targets = overconfident()
    calibrate(network, logits, targets, MultilabelTraining())
    assert float(network.temperatures[0]) == pytest.approx(2, rel=0.3)
    assert torch.allclose(network.answers(logits)[:, 0], torch.sigmoid(logits[:, 0] / network.temperatures[0]))


def test_threshold_has_the_highest_f1_and_rare_labels_keep_a_half(network):
    logits, targets = overconfident()
    calibrate(network, logits, targets, MultilabelTraining())
    answers = network.answers(logits)[:, 0].numpy()

    def f1_at(threshold):
        return f1_score(targets[:, 0].numpy(), answers >= threshold)

    best = max(f1_at(threshold) for threshold in np.linspace(0, 1, 201))
    assert f1_at(float(network.thresholds[0])) >= best - 1e-9
    assert float(network.thresholds[1]) == 0.5


def test_calibration_can_be_switched_off(network):
    calibrate(network, *overconfident(), MultilabelTraining(calibrate=False, thresholds="half"))
    assert network.temperatures.tolist() == [1, 1]
    assert network.thresholds.tolist() == [0.5, 0.5]


def test_explained_number_is_the_logit_and_the_default_is_the_most_probable_label(network):
    outputs = torch.tensor([[0.5, 1.0], [3.0, -2.0]])
    network.temperatures.copy_(torch.tensor([0.1, 1.0]))  # 0.5 / 0.1 is more than 1 / 1
    assert network.chosen(outputs).tolist() == [0, 0]
    assert network.explained(outputs, torch.tensor([1, 0])).tolist() == [1.0, 3.0]
    assert network.decisions(torch.tensor([[0.5, 0.49]])).tolist() == [[True, False]]
