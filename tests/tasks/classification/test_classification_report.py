"""The report of a classifier's run: complete, reproducible, and in agreement with its metrics."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ostinato
from ostinato import runs
from ostinato.data.audit import SequenceAudit
from ostinato.errors import RunError
from ostinato.evaluation.metrics import ClassificationMetrics, ClassScores
from ostinato.progress import Progress
from ostinato.report.gallery import Gallery
from ostinato.report.wording import percent
from ostinato.runs.report import read_run, report_run
from ostinato.tasks.classification import report as reporting
from ostinato.tasks.classification.report import limits, typical_and_unsure, verdict, worst_mistakes
from ostinato.tasks.classification.scoring import Predictions
from ostinato.tasks.config import override, parse_config
from ostinato.tasks.model_file import load_model
from ostinato.tasks.sequences.report import read_audit
from ostinato.tasks.sequences.report_early import decided_at

TINY = {
    "task": "classification",
    "data": {"name": "majority", "length": [4, 9], "train_size": 120, "validation_size": 40, "test_size": 60},
    "model": {"cell": "gru", "hidden_size": 4, "embedding_size": 2},
    "training": {"max_epochs": 2, "device": "cpu"},
}
SECTIONS = [
    *("result", "data", "training", "metrics", "confusions", "calibration", "lengths", "early"),
    *("examples", "faithfulness", "tokens", "trace", "mistakes"),
    *("model-card", "configuration", "environment", "reproduce"),
]
PREDICTIONS = Predictions(
    ["row"] * 7,
    np.array([0, 0, 0, 1, 1, 1, 1]),
    np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.95, 0.05], [0.45, 0.55]]),
)
GOLDEN = Path(__file__).parents[2] / "golden" / "v0_1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    runs.start_run(parse_config(TINY), folder)
    return folder


@pytest.fixture(scope="module")
def page(finished):
    return report_run(finished).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(finished):
    return read_run(finished)


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copied", ignore=shutil.ignore_patterns("report.html", "model_card.md"))


def section_of(page, name):
    return re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL).group()


def cells(html):
    return [found for found in (re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in html.split("<tr>")) if found]


def test_predictions_agree_with_the_metrics(run):
    assert run.predictions.correct.mean() == pytest.approx(run.metrics["test"]["accuracy"])
    assert run.predictions.probabilities.sum(axis=1) == pytest.approx(1)
    confusion = np.zeros((2, 2), dtype=int)
    np.add.at(confusion, (run.predictions.targets, run.predictions.probabilities.argmax(axis=1)), 1)
    assert confusion.tolist() == run.metrics["test"]["confusion_matrix"]


def test_every_section_and_id_occurs_once(page):
    assert re.findall(r'<section id="([^"]+)"', page) == SECTIONS
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_same_run_gives_the_same_bytes(finished, page):
    assert report_run(finished).read_text(encoding="utf-8") == page
    assert len(page) < 3 * 2**20


def test_metrics_are_listed_next_to_those_of_the_baselines(page, run):
    test = run.metrics["test"]
    scores = [f"{run.metrics['baselines'][name]['macro_f1']:.3f}" for name in ("linear", "nbsvm", "majority")]
    low, high = test["intervals"]["macro_f1"]
    assert [
        *("macro F1", f"{test['macro_f1']:.3f}", f"{low:.3f} to {high:.3f}"),
        *scores,
    ] in cells(section_of(page, "metrics"))
    for name in ("linear", "nbsvm"):
        assert run.metrics["baselines"][name]["description"] in section_of(page, "result")


def test_data_are_counted_by_class_and_split(page):
    rows = cells(section_of(page, "data"))
    assert ["all", "120", "40", "60"] in rows
    assert ["0", "60", "20", "30"] in rows
    assert ["longest", "9", "9", "9"] in rows


def test_accuracy_of_each_length_is_that_of_its_rows(page, finished, run):
    lengths = np.array([len(sequence) for sequence in runs.test_rows(finished).sequences])
    shortest = int(cells(section_of(page, "lengths"))[0][0].split("–")[-1])
    group = lengths <= shortest
    expected = [str(group.sum()), f"{100 * run.predictions.correct[group].mean():.1f}\u00a0%"]
    assert cells(section_of(page, "lengths"))[0][1:3] == expected


def test_early_answers_are_those_to_the_first_part_of_each_sequence(page, finished):
    model, rows = ostinato.load(finished), runs.test_rows(finished)
    sequences, section = rows.sequences, section_of(page, "early")
    shares, accuracies = np.arange(1, 11) / 10, []
    probabilities = np.empty((10, len(rows), 2))
    for index, share in enumerate(shares):
        prefixes = [sequence[: math.ceil(round(share * len(sequence), 6))] for sequence in sequences]
        probabilities[index] = model.predict_proba(prefixes)
        accuracies.append(np.mean(model.predict(prefixes) == np.array(rows.targets)))
    assert [row[1] for row in cells(section)] == [percent(accuracy) for accuracy in accuracies]
    decided = probabilities.max(axis=2) >= 0.9
    first = np.where(decided.any(axis=0), decided.argmax(axis=0), 9)
    assert f"reads {percent(shares[first].mean())} of a sequence" in section
    assert f"{percent(np.mean(~decided.any(axis=0)))} of the sequences are never decided" in section


def test_an_answer_is_decided_at_the_first_share_that_reaches_the_threshold():
    confidences = np.array([[0.6, 0.9, 0.5], [0.95, 0.6, 0.5], [0.7, 0.99, 0.6]])
    index, is_decided = decided_at(confidences, 0.9)
    assert index.tolist() == [1, 0, 2]
    assert is_decided.tolist() == [True, True, False]


def test_confusions_of_many_classes_are_listed_by_frequency():
    labels = [f"c{number}" for number in range(21)]
    counts = np.eye(21, dtype=int) * 5
    counts[3, 4], counts[7, 1] = 2, 4
    scores = metrics_of(0.9, (0.8, 1), per_class=dict.fromkeys(labels, score_of(0.9, 5)), confusion=counts.tolist())
    body = reporting._confusions(scores, Gallery())
    assert cells(body) == [["c7", "c1", "4", "9"], ["c3", "c4", "2", "7"]]
    assert "6 of 111 are wrong" in body


def test_run_without_test_and_validation_splits_is_reported(tmp_path):
    folder = tmp_path / "alone"
    settings = ["data.test_size=0", "data.validation_size=0", "training.max_epochs=1", "training.patience=none"]
    runs.start_run(override(parse_config(TINY), settings), folder)
    page = report_run(folder).read_text(encoding="utf-8")
    assert "no test split" in page and "no validation split" in page
    assert "ostinato evaluate" not in page and 'id="examples"' not in page


def test_model_card_of_the_author_is_not_overwritten(copied):
    report_run(copied)
    card = copied / "model_card.md"
    assert card.read_text(encoding="utf-8").startswith("# Model card of copied")
    card.write_text("mine", encoding="utf-8")
    report_run(copied)
    assert card.read_text(encoding="utf-8") == "mine"


def test_unfinished_run_is_refused(copied):
    (copied / "metrics.json").unlink()
    with pytest.raises(RunError, match=str(copied)):
        report_run(copied)


@pytest.mark.parametrize("name", ["audit.json", "environment.json", "metrics.jsonl", "predictions.parquet"])
@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_missing_or_altered_files_are_named(copied, name, damage):
    if damage == "missing":
        (copied / name).unlink()
    else:
        (copied / name).write_bytes(b"{")
    with pytest.raises(RunError, match=re.escape(name)):
        report_run(copied)


def test_audit_with_a_missing_field_is_refused(run):
    without = {key: value for key, value in run.audit.items() if key != "rows_read"}
    with pytest.raises(RunError, match=r"audit\.json"):
        read_audit(replace(run, audit=without))


def test_data_that_changed_since_scoring_are_refused(run, finished):
    model = load_model(finished)
    fewer = run.predictions._replace(sources=run.predictions.sources[:59])
    with pytest.raises(RunError, match="60 sequences.*59"):
        reporting.report(
            replace(run, predictions=fewer), model.task.prepare(run.config.data), model, Progress(quiet=True)
        )


def test_history_is_read_line_by_line(run, finished):
    assert run.history == [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]


def test_audit_is_typed_and_that_of_version_0_1_is_read(run):
    assert read_audit(run).findings == []
    old = json.loads((GOLDEN / "run-classification" / "audit.json").read_text(encoding="utf-8"))
    config = run.config.model_copy(update={"data": run.config.data.model_copy(update={"vectors": "vectors.txt"})})
    audit = read_audit(replace(run, config=config, audit=old))
    assert isinstance(audit, SequenceAudit) and audit.splits["train"].classes == {"bad": 32, "good": 39}
    assert audit.vectors["source"] == "vectors.txt"
    assert any("15.0%" in finding for finding in audit.findings)


@pytest.mark.parametrize("baselines", [{}, {"linear": {"n": 60}, "majority": {"n": 60}}])
def test_metrics_with_a_missing_baseline_or_field_are_refused(run, baselines):
    damaged = replace(run, metrics={**run.metrics, "baselines": baselines})
    with pytest.raises(RunError, match=r"metrics\.json: .*(linear|accuracy)"):
        damaged.read_scores(ClassificationMetrics, ["linear", "majority"])


# Rows to show


def test_typical_and_least_certain_right_predictions_of_each_class_are_chosen():
    # right of class 1: rows 6 (.55) and 4 (.9), of which the upper one is the median; of class 0: rows 1, 2, 0
    assert typical_and_unsure(PREDICTIONS) == [4, 6, 2, 1]


def test_mistakes_come_in_order_of_confidence():
    assert worst_mistakes(PREDICTIONS) == [5, 3]


# Verdict and limits


def score_of(recall, n):
    return ClassScores(precision=0.9, recall=recall, f1=0.9, n=n)


def metrics_of(accuracy, ends, n=1000, *, per_class=None, confusion=((1, 0), (0, 1)), **fields):
    defaults = {
        **dict.fromkeys(("balanced_accuracy", "macro_f1", "micro_f1", "auroc", "average_precision"), accuracy),
        "mcc": 0.5,
        "log_loss": 0.3,
        "ece": 0.01,
        "temperature": 1.2,
    }
    return ClassificationMetrics(
        n=n,
        accuracy=accuracy,
        intervals={"accuracy": ends},
        per_class=per_class or {label: score_of(accuracy, n // 2) for label in "ab"},
        confusion_matrix=[list(row) for row in confusion],
        **(defaults | fields),
    )


def scores_of(test, linear=0.7, majority=0.5):
    baselines = {name: metrics_of(value, (0, 1)) for name, value in (("linear", linear), ("majority", majority))}
    linear_model = baselines["linear"].model_copy(update={"description": "TF-IDF"})
    return {"test": test, "validation": metrics_of(0.9, (0.8, 1)), **baselines, "linear": linear_model}


GOOD = metrics_of(0.9, (0.887, 0.912), 2000)


def specific_limits(scores):
    """The limits that not every classifier has."""
    return [line.replace("\u00a0", " ") for line in list(limits(scores))[:-1]]


def test_verdict_names_all_three_accuracies():
    first = verdict("GRU", scores_of(metrics_of(0.97, (0.957, 0.979)), 0.5, 0.25))[0].replace("\u00a0", " ")
    for part in ("GRU", "97.0 %", "1,000 test sequences", "95.7 to 97.9 %", "50.0 % (46.9 to 53.1 %)", "25.0 %"):
        assert part in first


def test_verdict_says_when_the_model_is_no_better_than_the_most_frequent_class():
    assert "most frequent class" in verdict("GRU", scores_of(metrics_of(0.51, (0.48, 0.54)), 0.3))[-1]
    assert len(verdict("GRU", scores_of(GOOD))) == 2


def test_verdict_without_a_test_split_gives_the_validation_accuracy():
    alone = verdict("GRU", {"validation": metrics_of(0.75, (0.7, 0.8))})
    assert "no test split" in alone[0] and "75.0\u00a0%" in alone[1]
    assert len(verdict("GRU", {})) == 1


def test_good_metrics_have_no_limits():
    assert specific_limits(scores_of(GOOD)) == []


def test_small_test_split_is_a_limit():
    (line,) = specific_limits(scores_of(metrics_of(0.9, (0.79, 0.957), 50)))
    assert "50 sequences" in line and "79.0 % and 95.7 %" in line


def test_losing_to_the_linear_model_is_a_limit():
    (line,) = specific_limits(scores_of(metrics_of(0.65, (0.64, 0.66), 2000)))
    assert "TF-IDF" in line and "65.0 % against 70.0 %" in line


def test_class_with_the_lowest_recall_is_named_unless_it_has_no_test_rows():
    per_class = {"a": score_of(0.95, 1900), "b": score_of(0.25, 100), "c": score_of(0.0, 0)}
    (line,) = specific_limits(scores_of(metrics_of(0.9, (0.887, 0.912), 2000, per_class=per_class)))
    assert "class b" in line and "25.0 %" in line and "100 test rows" in line


def test_poor_calibration_is_a_limit():
    assert "8.0 %" in specific_limits(scores_of(metrics_of(0.9, (0.887, 0.912), 2000, ece=0.08)))[0]
    at_bound = scores_of(GOOD) | {"validation": metrics_of(0.9, (0.8, 1), temperature=0.05)}
    assert "bound, 0.05" in specific_limits(at_bound)[0]
    never = {name: each for name, each in scores_of(GOOD).items() if name != "validation"}
    assert "not calibrated" in specific_limits(never)[0]


def test_scores_are_typed(run):
    scores = run.read_scores(ClassificationMetrics, ["linear", "majority"])
    assert list(scores) == ["validation", "test", *run.metrics["baselines"]]
    assert scores["test"].to_json() == run.metrics["test"]
