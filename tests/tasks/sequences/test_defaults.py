import numpy as np
import pytest

from ostinato.tasks.sequences.defaults import FEWEST_EPOCHS, STEPS, TOKENS, Facts, choose_defaults

RAGGED = np.array([10, 20, 30])


def chosen(rows, tokenizer="words", lengths=RAGGED):
    """The defaults for the training split of so many rows."""
    return choose_defaults(Facts(rows * 7 // 10, tokenizer, np.asarray(lengths)), [])


@pytest.mark.parametrize("rows", [600, 1_000, 5_000, 20_000, 50_000])
def test_batches_and_epochs_give_about_the_same_number_of_steps(rows):
    training = chosen(rows).training
    steps = training["max_epochs"] * 0.7 * rows / training["batch_size"]
    assert STEPS * 0.75 <= steps <= STEPS * 1.5


def test_batches_hold_as_many_tokens_as_that_many_rows():
    training = chosen(300).training
    assert training["max_tokens"] == training["batch_size"] * 20


@pytest.mark.parametrize("rows", [10**5, 10**6, 10**8])
def test_no_training_reads_more_tokens_than_the_budget(rows):
    defaults = chosen(rows, lengths=[1_000] * 9 + [5_000])
    length = defaults.data["max_length"] or 5_000
    tokens = 0.7 * rows * min(length, 1_400) * defaults.training["max_epochs"]
    assert tokens <= 1.01 * TOKENS or (length == 100 and defaults.training["max_epochs"] == FEWEST_EPOCHS)


def test_a_few_very_long_rows_are_cut():
    assert chosen(1_000, lengths=[100] * 99 + [50_000]).data["max_length"] == 2_000
    assert chosen(1_000, lengths=[100] * 99 + [1_900]).data["max_length"] is None


def test_short_rows_are_not_cut():
    assert chosen(10**6, lengths=[5, 10]).data["max_length"] is None


@pytest.mark.parametrize(
    ("tokenizer", "lengths", "expected"),
    [
        ("nucleotides", [60] * 9, {"position": "learned", "conv_size": 64, "conv_pool": 4}),
        ("nucleotides", [40, 60], {"position": None, "conv_size": 64}),
        ("characters", [4, 6], {"position": None, "conv_size": None}),
        ("characters", [150, 250], {"position": None, "conv_size": 64, "conv_pool": 4}),
        ("numeric", [900, 1000], {"position": None, "conv_size": 64, "conv_pool": 8}),
        ("amino-acids", [20] * 9, {"position": "learned", "kernel_size": 5, "conv_pool": 1}),
        ("words", [60] * 9, {"position": None, "conv_size": None}),
    ],
)
def test_layers_follow_the_lengths(tokenizer, lengths, expected):
    model = chosen(500, tokenizer, lengths).model
    assert {key: model.get(key) for key in expected} == expected


def test_rare_tokens_are_left_out_where_there_are_enough_rows():
    assert chosen(2_000).data["min_count"] == 2
    assert chosen(1_000).data["min_count"] == 1
    assert chosen(2_000, "characters").data["min_count"] == 1


def test_every_decision_has_a_reason():
    reasons = []
    defaults = choose_defaults(Facts(10**6, "characters", np.array([300, 3_000])), reasons)
    text = " ".join(reasons)
    decided = {**defaults.data, **defaults.model, **defaults.training}
    for key in decided.keys() & {"max_length", "truncate", "conv_size", "conv_pool", "kernel_size", "max_epochs"}:
        assert f"{key} = " in text
