"""Who wins, in words: every case of model against baselines."""

from types import SimpleNamespace

import pytest

from ostinato.config import ModelConfig
from ostinato.report.wording import counted, describe_model, enumerate_labels, interval, percent, verdict


def facts(accuracy, ends, linear, majority=0.5, n=1000):
    test = {"n": n, "accuracy": accuracy, "intervals": {"accuracy": ends}}
    baselines = {"linear": {"accuracy": linear, "n": n}, "majority": {"accuracy": majority}}
    return SimpleNamespace(
        config=SimpleNamespace(model=SimpleNamespace(cell="gru")), metrics={"test": test, "baselines": baselines}
    )


@pytest.mark.parametrize(
    ("accuracy", "ends", "linear", "said"),
    [
        (0.9, [0.88, 0.92], 0.8, "The model beats the linear baseline: their intervals do not overlap."),
        (
            0.9,
            [0.88, 0.92],
            0.89,
            "The model is ahead of the linear baseline, but their intervals overlap: this test split does not settle which is better.",
        ),
        (
            0.9,
            [0.88, 0.92],
            0.91,
            "The linear baseline is ahead of the model, but their intervals overlap: this test split does not settle which is better.",
        ),
        (0.8, [0.77, 0.82], 0.9, "The linear baseline beats the model: their intervals do not overlap."),
        (
            0.9,
            [0.88, 0.92],
            0.9,
            "The model and the linear baseline are level: nothing here speaks for the neural model.",
        ),
    ],
)
def test_verdict_against_the_linear_baseline(accuracy, ends, linear, said):
    assert verdict(facts(accuracy, ends, linear))[1:] == [said]


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (ModelConfig(cell="gru", num_layers=2), "GRU, 2 layers of 64 units in one direction, "),
        (ModelConfig(cell="cnn", pooling=["max"]), "CNN, 1 layer of 64 channels over 5 steps, "),
        (
            ModelConfig(conv_size=8, conv_pool=3),
            "Convolution of 8 channels over 5 tokens, the largest of each 3 steps, then LSTM, 1 layer of 64 units in one direction, ",
        ),
    ],
)
def test_layers_in_a_sentence(model, layers):
    told = describe_model(SimpleNamespace(config=SimpleNamespace(model=model), metrics={"model": {"parameters": 1234}}))
    assert told == f"{layers}token vectors of size 64, pooling by {model.pooling[0]}: 1,234 weights."


def test_verdict_tells_all_three_accuracies():
    first = verdict(facts(0.97, [0.957, 0.979], 0.5, majority=0.25))[0]
    assert first.replace("\u00a0", " ") == (
        "The GRU answers 97.0 % of 1,000 test sequences right (95 % interval 95.7 to 97.9 %), "
        "the linear baseline 50.0 % (46.9 to 53.1 %), the commonest class alone 25.0 %."
    )


def test_verdict_says_when_the_model_is_no_better_than_the_commonest_class():
    assert (
        verdict(facts(0.51, [0.48, 0.54], 0.3))[-1]
        == "The model is not told apart from always answering the commonest class."
    )


def test_verdict_without_a_test_split_says_so():
    alone = SimpleNamespace(metrics={"validation": {"accuracy": 0.75}})
    assert "no test split" in verdict(alone)[0]
    assert "75.0\u00a0%" in verdict(alone)[1]
    assert len(verdict(SimpleNamespace(metrics={}))) == 1


def test_numbers_in_sentences():
    assert (percent(0.0449), interval([0.5, 1.0])) == ("4.5\u00a0%", "50.0 to 100.0\u00a0%")
    assert (counted(1, "row"), counted(2000, "row")) == ("1 row", "2,000 rows")
    assert enumerate_labels(["a", "b"]) == "a, b"
    assert enumerate_labels([str(label) for label in range(13)]).endswith("10, 11 and 1 more")
