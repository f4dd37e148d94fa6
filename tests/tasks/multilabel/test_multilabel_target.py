import json

import numpy as np
import pytest

from ostinato.data.rows import Row
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.multilabel.config import MultilabelData
from ostinato.tasks.multilabel.target import LabelSetTarget
from ostinato.tasks.sequences.reading import read_labelled

KIND = LabelSetTarget()


def read(values, *, needed=True, **keys):
    return KIND.read(Row("f.csv, row 2", values), MultilabelData(path="f.csv", **keys), column=None, needed=needed)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("b|a", ("a", "b")),
        (" b | a ", ("a", "b")),
        ("a|a||", ("a",)),
        ("", ()),
        (["b", "a"], ("a", "b")),
        ([], ()),
        ([2, 1], ("1", "2")),
        (None, None),
        (float("nan"), None),
        (3, ("3",)),
    ],
)
def test_cell_becomes_sorted_labels(value, expected):
    assert read({"labels": value}) == expected


def test_separator_is_the_configs():
    assert read({"genres": "a;b|c"}, label_column="genres", label_separator=";") == ("a", "b|c")


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]], [None], [""]])
def test_cell_that_has_no_labels_is_refused_with_its_row(value):
    with pytest.raises(DataError, match="row 2: labels"):
        read({"labels": value})


@pytest.mark.parametrize("yes", ["1", "true", "True", True, 1, 1.0, "1.0"])
@pytest.mark.parametrize("no", ["0", "false", "FALSE", False, 0, 0.0])
def test_columns_of_flags_become_labels(yes, no):
    assert read({"p": no, "q": yes, "r": yes}, label_columns=["p", "q", "r"]) == ("q", "r")


@pytest.mark.parametrize(("value", "shown"), [("2", "'2'"), ("yes", "'yes'"), (0.5, "'0.5'"), ("", "empty")])
def test_column_of_other_values_is_refused_with_its_row(value, shown):
    with pytest.raises(DataError, match=f"row 2: p is {shown}"):
        read({"p": value, "q": "1"}, label_columns=["p", "q"])


def test_row_without_any_flag_is_unlabelled():
    assert read({"p": "", "q": None}, label_columns=["p", "q"]) is None


def test_missing_column_is_named():
    with pytest.raises(DataError, match="'labels'.*Did you mean 'label'"):
        read({"text": "x", "label": "a"})
    assert read({"text": "x"}, needed=False) is None


def test_column_named_twice_is_refused():
    with pytest.raises(ValueError, match=r"\['p', 'p'\]"):
        MultilabelData(path="f.csv", label_columns=["p", "p"])


def test_jsonl_row_without_the_key_is_unlabelled_and_an_empty_list_is_not(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "x", "labels": []}, {"text": "y"}, {"text": "z", "labels": ["a"]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    records, skipped = read_labelled(path, MultilabelData(path=str(path), skip_unlabelled=True), KIND)
    assert [(record.sequence, record.target) for record in records] == [("x", ()), ("z", ("a",))]
    assert skipped == 1
    with pytest.raises(DataError, match="row 2"):
        read_labelled(path, MultilabelData(path=str(path)), KIND)


def draw_targets(n=60):
    rng = np.random.default_rng(1)
    return [
        tuple(label for label, share in (("a", 0.5), ("b", 0.2), ("c", 0.1)) if rng.random() < share) for _ in range(n)
    ]


def test_folds_are_disjoint_and_cover_all_rows():
    targets = draw_targets()
    folds = KIND.folds(targets, None, 4, seed=0)
    assert sorted(np.concatenate(folds)) == list(range(60))
    assert [len(fold) for fold in folds] == [15, 15, 15, 15]
    for label in "abc":  # each fold has its share of each label within two rows
        counts = [sum(label in targets[row] for row in fold) for fold in folds]
        assert max(counts) - min(counts) <= 2, label


def test_groups_stay_in_one_fold():
    targets = draw_targets()
    groups = [str(row // 3) for row in range(60)]
    folds = KIND.folds(targets, groups, 3, seed=0)
    seen = [{groups[row] for row in fold} for fold in folds]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert sum(map(len, folds)) == 60


def test_more_folds_than_rows_are_refused():
    with pytest.raises(ConfigError, match=r"folds 9.*2 rows"):
        KIND.folds([("a",), ()], None, 9, seed=0)


def test_smaller_fraction_is_part_of_a_larger_one_and_has_every_label():
    targets = [*draw_targets(), ("rare",)]
    small, large = (set(KIND.fraction(targets, share, seed=3)) for share in (0.1, 0.5))
    assert small < large
    assert {label for row in small for label in targets[row]} == {"a", "b", "c", "rare"}


def test_split_of_one_label_set_is_refused():
    with pytest.raises(DataError, match=r"test: all 2 rows.*'a', 'b'"):
        KIND.refuse_unusable("test", [("a", "b"), ("a", "b")])
    with pytest.raises(DataError, match="no labels"):
        KIND.refuse_unusable("train", [(), ()])
    KIND.refuse_unusable("train", [("a",), ()])


def test_audit_counts_labels_and_rows_without_any():
    targets = [("a", "b"), (), ("a",)]
    assert KIND.describe(targets) == {"labels": {"a": 2, "b": 1}}
    (remark,) = KIND.remarks({"train": targets}, MultilabelData(path="f"))
    assert "1.00 labels per row" in remark.text
    assert "1 row without labels" in remark.text


def test_audit_names_labels_of_train_alone():
    remarks = KIND.remarks({"train": [("a", "b"), ()], "test": [("a",), ()]}, MultilabelData(path="f"))
    assert any("Only in train" in remark.text and remark.labels == ["b"] for remark in remarks)


def test_audit_finds_a_separator_that_is_not_the_configs():
    targets = [("a;b",), ("b",), ("a",)] * 5
    assert any("';'" in remark.text for remark in KIND.remarks({"train": targets}, MultilabelData(path="f")))


def test_audit_says_when_single_labels_would_do():
    remarks = KIND.remarks({"train": [("a",), ("b",)]}, MultilabelData(path="f"))
    assert any("classification" in remark.text for remark in remarks)


def test_audit_of_a_classification_names_this_task_for_joined_labels():
    config = ClassificationData(path="f")
    remarks = LabelTarget().remarks({"train": ["a|b", "b", "a"] * 5}, config)
    assert len(remarks) == 1
    assert "multilabel" in remarks[0].text
    assert "'|'" in remarks[0].text
    assert LabelTarget().remarks({"train": ["a", "b"] * 9}, config) == []
