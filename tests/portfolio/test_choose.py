"""Which attempt wins: expected values by hand."""

import pytest

from ostinato.errors import RunError
from ostinato.evaluation.results import Metric
from ostinato.portfolio.plan import Attempt, choose, is_beaten, ranked, read_attempts, write_attempts

ACCURACY, ERROR = Metric("accuracy"), Metric("mae", higher_is_better=False)
NAMES = ["linear", "gru", "lstm"]


def attempt(name, score, *, width=0.08, epochs=1):
    interval = None if score is None else (score - width / 2, score + width / 2)
    return Attempt(
        session=1,
        stage=0,
        name=name,
        score=score,
        interval=interval,
        epochs=epochs,
        seconds=1.0,
        seconds_per_epoch=1.0,
        parameters=1,
        complete=False,
        problem=None,
    )


def test_the_best_score_wins():
    assert choose([attempt("linear", 0.80), attempt("gru", 0.90), attempt("lstm", 0.85)], NAMES, ACCURACY).name == "gru"


def test_a_simpler_candidate_wins_within_half_a_standard_error():
    # 0.08 / 8 = 0.01
    assert choose([attempt("lstm", 0.90), attempt("linear", 0.891)], NAMES, ACCURACY).name == "linear"
    assert choose([attempt("lstm", 0.90), attempt("linear", 0.889)], NAMES, ACCURACY).name == "lstm"


def test_where_lower_is_better_the_lowest_wins():
    assert choose([attempt("linear", 3.0), attempt("gru", 2.0)], NAMES, ERROR).name == "gru"


def test_a_candidate_counts_with_its_best_attempt_and_of_equal_ones_with_the_longest():
    attempts = [attempt("gru", 0.9), attempt("gru", 0.9, epochs=5), attempt("gru", 0.7, epochs=9), attempt("lstm", 0.8)]
    assert [(each.name, each.score, each.epochs) for each in ranked(attempts, ACCURACY)] == [
        ("gru", 0.9, 5),
        ("lstm", 0.8, 1),
    ]


def test_attempts_without_a_score_never_win():
    assert choose([attempt("linear", None)], NAMES, ACCURACY) is None
    assert choose([attempt("linear", None), attempt("gru", 0.1)], NAMES, ACCURACY).name == "gru"


def test_attempts_are_read_as_they_were_written(tmp_path):
    attempts = [attempt("gru", 0.9), attempt("lstm", None)]
    write_attempts(tmp_path, attempts)
    assert read_attempts(tmp_path) == attempts
    (tmp_path / "trials.jsonl").write_text('{"name": "gru"}\n', encoding="utf-8")
    with pytest.raises(RunError, match="line 1: session"):
        read_attempts(tmp_path)


def test_a_candidate_is_beaten_if_the_intervals_do_not_overlap():
    assert is_beaten(attempt("gru", 0.80), attempt("linear", 0.90), ACCURACY)
    assert not is_beaten(attempt("gru", 0.83), attempt("linear", 0.90), ACCURACY)
    assert is_beaten(attempt("gru", 0.90), attempt("linear", 0.80), ERROR)
    assert not is_beaten(attempt("gru", 0.80), attempt("linear", 0.90), ERROR)
