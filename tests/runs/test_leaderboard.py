"""The candidates of a search in a run's report."""

import pytest

from ostinato.errors import RunError
from ostinato.evaluation.results import Metric
from ostinato.runs.leaderboard import LINEAR_WON, Entry, Leaderboard, leaderboard_sections

METRICS = {"accuracy": Metric("accuracy")}


def entry(name, score, *, is_linear=False, problem=None):
    interval = None if score is None else (score - 0.1, score + 0.1)
    return Entry(
        name=name,
        reason="because <it> may win",
        is_linear=is_linear,
        score=score,
        interval=interval,
        epochs=3,
        seconds=1.26,
        parameters=None if score is None else 12345,
        problem=problem,
    )


def board(winner):
    entries = [entry("linear", 0.81, is_linear=True), entry("gru", 0.8), entry("lstm", None, problem="loss is nan")]
    return Leaderboard(format=2, metric="accuracy", winner=winner, finished=True, entries=entries)


def test_the_report_shows_every_candidate_with_its_score_and_the_chosen_one(tmp_path):
    board("gru").write(tmp_path / "leaderboard.json")
    (section,) = leaderboard_sections(tmp_path, METRICS)
    assert section.title == "Candidates"
    for cell in (
        "gru (chosen)",
        "0.800",
        "0.700 – 0.900",
        "12,345",
        "1.3",
        "loss is nan",
        "because &lt;it&gt; may win",
    ):
        assert cell in section.body
    assert LINEAR_WON not in section.body


def test_a_linear_winner_is_said_in_a_sentence(tmp_path):
    board("linear").write(tmp_path / "leaderboard.json")
    (section,) = leaderboard_sections(tmp_path, METRICS)
    assert LINEAR_WON in section.body


def test_a_run_of_one_config_has_no_candidates(tmp_path):
    assert leaderboard_sections(tmp_path, METRICS) == []


def test_a_damaged_leaderboard_is_refused(tmp_path):
    (tmp_path / "leaderboard.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="entries"):
        leaderboard_sections(tmp_path, METRICS)
    board("gru").model_copy(update={"metric": "nonsense"}).write(tmp_path / "leaderboard.json")
    with pytest.raises(RunError, match=r"leaderboard\.json"):
        leaderboard_sections(tmp_path, METRICS)
