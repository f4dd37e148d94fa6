"""Labels that are probably not what the user meant are findings of the audit; ordinary labels are not."""

import json
import random

import pytest

from ostinato.data.shown import shown
from ostinato.errors import DataError
from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.config import PRESETS
from ostinato.tasks.multilabel.config import MultilabelData
from ostinato.tasks.multilabel.target import LabelSetTarget
from ostinato.tasks.regression.config import RegressionData
from ostinato.tasks.regression.target import NumberTarget
from ostinato.tasks.sequences.dataset import load_dataset

RNG = random.Random(0)


def remarks(labels):
    return LabelTarget().remarks({"train": labels}, ClassificationData(path="f"))


def kinds(labels):
    return [each.kind for each in remarks(labels)]


@pytest.mark.parametrize(
    ("kind", "labels", "says"),
    [
        ("separated", ["comedy", "comedy|action", "horror", "action|horror"] * 9, 'task = "multilabel"'),
        ("spellings", ["Pos", "pos", "neg"] * 5, "'Pos', 'pos'"),
        ("spellings", ["very good", "very  good", "bad"] * 5, "write them alike"),
        ("spellings", ["1", "1.0", "0"] * 5, "'1', '1.0'"),
        ("spellings", ["caf\u00e9", "cafe\u0301", "x"] * 5, "alike"),
        ("missing", ["None", "a", "b"] * 5, "data.skip_unlabelled = true"),
        ("missing", ["nan", "a", "b"] * 5, "data.skip_unlabelled = true"),
        ("dominant", ["no"] * 99 + ["yes"], "class_weight"),
        ("unequal", ["a"] * 200 + ["b"] * 100 + ["c"] * 10, 'class_weight = "balanced"'),
        ("numbers", [f"{number / 7:.2f}" for number in range(60)] * 3, 'task = "regression"'),
        ("numbers", [str(age) for age in range(18, 90, 2)] * 9, "regression"),
        ("identifiers", [f"user{number // 2}" for number in range(10_000)], "data.label_column"),
    ],
)
def test_suspicious_labels_are_a_finding_that_says_what_to_do(kind, labels, says):
    (found,) = remarks(labels)
    assert found.kind == kind
    assert says in found.text
    assert 0 < found.rows <= len(labels)
    assert set(found.labels) <= set(labels)


@pytest.mark.parametrize(
    "labels",
    [
        ["pos", "neg"] * 50,
        ["0", "1"] * 50,
        ["0.0", "1.0"] * 50,
        [str(code) for code in range(77)] * 9,  # class codes without gaps
        [str(stars / 2) for stars in range(1, 11)] * 9,
        ["none", "some", "nothing"] * 9,
        ["01", "1", "10"] * 9,
        ["a"] * 190 + ["b"] * 100 + ["c"] * 10,
        ["Paris, France", "Lyon, France", "Nice"] * 9,
        ["spam"] * 13 + ["ham"] * 87,
        [f"intent {number}" for number in range(150)] * 20,
        [str(2**53), str(2**53 + 1)] * 9,
    ],
)
def test_ordinary_labels_are_no_finding(labels):
    assert kinds(labels) == []


def test_labels_of_one_to_three_letters_are_no_finding():
    for size in range(2, 40):
        labels = [RNG.choice("ABCDEFGHIJKLMNOPQRST") + str(number) for number in range(size)] * 20
        assert kinds(labels) == [], labels


OFFLINE = [name for name, preset in PRESETS.items() if preset().data.name not in ("imdb", *TASKS["tagging"].datasets)]


@pytest.mark.parametrize("name", OFFLINE)
def test_named_data_sets_have_no_suspicious_labels(name):
    config = PRESETS[name]()
    task = TASKS[config.task]
    found = load_dataset(config.data, task.target_kind, task.datasets).audit.remarks
    assert {each.kind for each in found} <= {"labels-per-row"}


def test_findings_of_labels_in_sets_and_of_numbers_that_are_classes():
    sets = {"train": [("Pos", "b"), ("pos",), ("None", "b")] * 5}
    found = LabelSetTarget().remarks(sets, MultilabelData(path="f"))
    assert [each.kind for each in found] == ["labels-per-row", "spellings", "missing"]
    numbers = {"train": [{"y": 0.0}, {"y": 1.0}] * 5}
    (found,) = NumberTarget().remarks(numbers, RegressionData(path="f"))
    assert (found.kind, found.labels) == ("two-values", ["0", "1"])
    assert 'task = "classification"' in found.text
    assert NumberTarget().remarks({"train": [{"y": 0.5}, {"y": 1.5}, {"y": 2.0}]}, RegressionData(path="f")) == []


def test_lists_as_labels_name_the_task_for_them(tmp_path):
    rows = [{"text": f"w{number}", "label": ["a", "b"][: number % 2 + 1]} for number in range(40)]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config = ClassificationData(path=str(path))
    with pytest.raises(DataError, match=r'row 1: label is .* \(list\).*task = "multilabel"'):
        load_dataset(config, LabelTarget(), {})


@pytest.mark.parametrize("label", ["a" * 10_000, "a\nb", "\x1b[31mred", "\u202etxt"])
def test_an_audit_shows_any_label_on_one_short_line(tmp_path, label):
    rows = [{"text": f"w{number}", "label": [label, "b"][number % 2]} for number in range(60)]
    path = tmp_path / "f.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    audit = load_dataset(ClassificationData(path=str(path)), LabelTarget(), {}).audit
    assert all(line.isprintable() and len(line) < 300 for line in audit.lines())
    assert shown(label) in "".join(audit.lines())
