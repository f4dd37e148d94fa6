"""The report of a run: whole, the same each time, and in agreement with the run's figures."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ostinato import runs
from ostinato.config import override, parse_config
from ostinato.errors import RunError
from ostinato.report.facts import collect_run
from ostinato.report.files import write_page
from ostinato.report.gallery import Gallery
from ostinato.report.model_card import model_card
from ostinato.report.page import Section, paragraph
from ostinato.report.results import record_sections, result_sections

TINY = {
    "data": {"name": "majority", "length": [4, 9], "train_size": 120, "validation_size": 40, "test_size": 60},
    "model": {"cell": "gru", "hidden_size": 4, "embedding_size": 2},
    "training": {"max_epochs": 2, "device": "cpu"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    runs.start_run(parse_config(TINY), folder)
    return folder


@pytest.fixture
def facts(finished):
    return collect_run(finished)


@pytest.fixture
def lengths(facts):
    return np.arange(len(facts.predictions.targets)) % 6 + 4


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied", ignore=shutil.ignore_patterns("report.html", "model_card.md"))


def write_report(facts, lengths, extra=()):
    card = model_card(facts)
    return write_page(facts, [*result_sections(facts, lengths, Gallery()), *extra, *record_sections(facts, card)], card)


def body_of(sections, name):
    return next(section.body for section in sections if section.id == name)


def cells(html):
    return [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in html.split("<tr>")]


def test_predictions_agree_with_the_figures(facts):
    assert facts.predictions.correct.mean() == pytest.approx(facts.metrics["test"]["accuracy"])
    assert facts.predictions.probabilities.sum(axis=1) == pytest.approx(1)
    confusion = np.zeros((2, 2), dtype=int)
    np.add.at(confusion, (facts.predictions.targets, facts.predictions.probabilities.argmax(axis=1)), 1)
    assert confusion.tolist() == facts.metrics["test"]["confusion_matrix"]


def test_every_section_is_there_once_and_explanations_stand_in_between(facts, lengths):
    page = write_report(facts, lengths, [Section("Why", "why", paragraph("because"))]).read_text()
    found = re.findall(r'<section id="([^"]+)"', page)
    assert found == [
        *(
            "result",
            "data",
            "training",
            "metrics",
            "confusions",
            "calibration",
            "lengths",
            "why",
            "model-card",
            "configuration",
            "environment",
            "reproduce",
        ),
    ]
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_same_run_gives_the_same_bytes(facts, lengths):
    first = write_report(facts, lengths).read_bytes()
    assert write_report(facts, lengths).read_bytes() == first
    assert len(first) < 3 * 2**20


def test_metrics_stand_beside_those_of_the_baselines(facts, lengths):
    rows = cells(body_of(result_sections(facts, lengths, Gallery()), "metrics"))
    test, linear, majority = (
        facts.metrics["test"],
        facts.metrics["baselines"]["linear"],
        facts.metrics["baselines"]["majority"],
    )
    low, high = test["intervals"]["macro_f1"]
    assert [
        "macro F1",
        f"{test['macro_f1']:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{linear['macro_f1']:.3f}",
        f"{majority['macro_f1']:.3f}",
    ] in rows


def test_data_are_counted_by_class_and_split(facts, lengths):
    rows = cells(body_of(result_sections(facts, lengths, Gallery()), "data"))
    assert ["all", "120", "40", "60"] in rows
    assert ["0", "60", "20", "30"] in rows
    assert ["longest", "9", "9", "9"] in rows


def test_findings_leave_out_the_rows_and_lengths_that_tables_show(facts):
    assert facts.findings == []
    noted = replace(facts, audit=replace(facts.audit, unused=5, unknown_share=0.25))
    assert noted.findings == [
        "5 rows not used: the sizes ask for fewer.",
        "25.0% of validation's tokens are not in the vocabulary.",
    ]


def test_accuracy_of_each_length_is_that_of_its_rows(facts, lengths):
    rows = cells(body_of(result_sections(facts, lengths, Gallery()), "lengths"))
    of_four = facts.predictions.correct[lengths == 4]
    assert ["4", "10", f"{100 * of_four.mean():.1f}\u00a0%"] == next(row for row in rows if row)[:3]


def test_sequences_of_one_length_are_not_compared(facts):
    assert "<svg" not in body_of(result_sections(facts, np.full(60, 7), Gallery()), "lengths")


def test_many_classes_are_listed_by_their_commonest_confusions(facts, lengths):
    labels = [f"c{number}" for number in range(21)]
    counts = np.eye(21, dtype=int) * 5
    counts[3, 4], counts[7, 1] = 2, 4
    test = facts.metrics["test"] | {"confusion_matrix": counts.tolist()}
    body = body_of(
        result_sections(replace(facts, labels=labels, metrics=facts.metrics | {"test": test}), lengths, Gallery()),
        "confusions",
    )
    assert [row for row in cells(body) if row] == [["c7", "c1", "4", "9"], ["c3", "c4", "2", "7"]]
    assert "6 of 111 are wrong" in body


def test_run_without_test_and_validation_splits_is_reported(tmp_path):
    folder = tmp_path / "alone"
    runs.start_run(
        override(
            parse_config(TINY),
            ["data.test_size=0", "data.validation_size=0", "training.max_epochs=1", "training.patience=none"],
        ),
        folder,
    )
    page = write_report(collect_run(folder), None).read_text()
    assert "no test split" in page and "There is no validation split" in page
    assert "ostinato evaluate" not in page


def test_card_that_its_author_completed_is_kept(copied, lengths):
    write_report(collect_run(copied), lengths)
    card = copied / "model_card.md"
    assert card.read_text().startswith("# Model card of copied")
    card.write_text("mine")
    write_report(collect_run(copied), lengths)
    assert card.read_text() == "mine"


def test_configuration_and_environment_are_shown_as_they_are(facts):
    sections = record_sections(facts, model_card(facts))
    assert 'name = "majority"' in body_of(sections, "configuration").unescape()
    assert ["torch", facts.environment["packages"]["torch"]] in cells(body_of(sections, "environment"))


def test_unfinished_run_is_refused(copied):
    (copied / "metrics.json").unlink()
    with pytest.raises(RunError, match=f"not finished. Finish it with: ostinato train --resume {copied}"):
        collect_run(copied)


@pytest.mark.parametrize(
    "name", ["audit.json", "environment.json", "metrics.jsonl", "vocabulary.json", "predictions.parquet"]
)
@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_missing_or_altered_files_are_named(copied, name, damage):
    if damage == "missing":
        (copied / name).unlink()
    else:
        (copied / name).write_bytes(b"{")
    with pytest.raises(RunError, match=name):
        collect_run(copied)


def test_data_that_changed_since_are_refused(facts):
    with pytest.raises(RunError, match="holds 59 sequences, and 60 were scored"):
        result_sections(facts, np.full(59, 7), Gallery())


def test_history_is_read_line_by_line(facts, finished):
    assert facts.history == [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
