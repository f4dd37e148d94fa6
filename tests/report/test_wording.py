"""Numbers, labels and comparisons in sentences."""

import pytest

from ostinato.config import ModelConfig
from ostinato.evaluation.results import Metric, Versus
from ostinato.report.wording import (
    compare_to_baseline,
    counted,
    decimals,
    describe_layers,
    enumerate_labels,
    interval,
    metric_interval,
    metric_name,
    metric_value,
    percent,
    range_of,
    short_source,
)

ERROR = Metric("rmse", higher_is_better=False, scale=1, unit="kg", bounds=(0.0, float("inf")))


def test_numbers_in_sentences():
    assert (percent(0.0449), interval([0.5, 1.0])) == ("4.5\u00a0%", "50.0 to 100.0\u00a0%")
    assert (counted(1, "row"), counted(2000, "row")) == ("1 row", "2,000 rows")
    assert [decimals(value) for value in (0.12345, None, float("nan"))] == ["0.123", "–", "–"]
    assert (range_of((0.1, 0.25)), range_of(None)) == ("0.100 to 0.250", "")


def test_shares_are_percentages_and_other_metrics_have_their_unit():
    assert (metric_value(0.5, Metric("accuracy")), metric_interval((0, 0.5), Metric("f1"))) == (
        "50.0\u00a0%",
        "0.0 to 50.0\u00a0%",
    )
    assert (metric_value(1.23456, ERROR), metric_interval((1, 2.5), ERROR)) == ("1.235 kg", "1 to 2.5 kg")


def test_names_of_metrics_keep_their_abbreviations():
    assert [metric_name(name) for name in ("macro_f1", "log_loss", "auroc")] == ["macro F1", "log loss", "AUROC"]


def test_only_the_first_of_many_labels_are_named():
    assert enumerate_labels(["a", "b"]) == "a, b"
    assert enumerate_labels([str(label) for label in range(13)]).endswith("10, 11 and 1 more")


def test_source_has_no_folders():
    assert short_source("/data/my reviews.csv, row 17") == "my reviews.csv, row 17"
    assert short_source("--text 1") == "--text 1"


def test_layers_in_a_sentence():
    described = describe_layers(ModelConfig(cell="gru", num_layers=2, bidirectional=True))
    assert described == "GRU, 2 layers of 64 units, bidirectional"


@pytest.mark.parametrize(
    ("value", "ends", "baseline", "winner", "is_settled"),
    [
        (0.9, (0.88, 0.92), 0.80, "The model", True),
        (0.9, (0.88, 0.92), 0.89, "The model", False),
        (0.9, (0.88, 0.92), 0.91, "The rival", False),
        (0.8, (0.77, 0.82), 0.90, "The rival", True),
    ],
)
def test_comparison_is_settled_where_intervals_do_not_overlap(value, ends, baseline, winner, is_settled):
    baseline_ends = (baseline - 0.02, baseline + 0.02)
    sentence = compare_to_baseline(value, ends, baseline, baseline_ends, model="the model", rival="the rival")
    assert sentence.startswith(winner)
    assert ("do not overlap" in sentence) is is_settled


def test_equal_values_are_level():
    sentence = compare_to_baseline(0.9, (0.8, 1), 0.9, (0.8, 1), model="the model", rival="the rival")
    assert "level" in sentence


@pytest.mark.parametrize(("p", "said"), [(0.049, "The model beats the rival"), (0.05, "not significantly")])
def test_a_paired_test_decides_whether_the_leader_is_better(p, said):
    paired = Versus(difference=0.02, interval=(0.0, 0.04), p=p, test="McNemar, exact")
    ends = (0.85, 0.95)  # overlapping intervals do not say that
    sentence = compare_to_baseline(0.92, ends, 0.9, ends, model="the model", rival="the rival", paired=paired)
    assert said in sentence and f"p = {p:.3f} (McNemar, exact)" in sentence
