import json

import numpy as np

from ostinato.data.audit import Audit, describe_split, is_sorted_by_label, shared_groups
from ostinato.data.cleaning import Cleaning
from ostinato.data.examples import Record


def rows(*pairs, group=None):
    return [Record(sequence, label, None, group, "") for sequence, label in pairs]


def audit_of(**splits):
    return Audit(
        rows_read=sum(map(len, splits.values())),
        unit="characters",
        sorted_by_label=False,
        unlabelled_skipped=0,
        cleaning=Cleaning(0, 0, 0, {}, True),
        drawn=[],
        splits={split: describe_split(records, "characters") for split, records in splits.items()},
        shared_groups=0,
        unused=0,
    )


def test_a_split_is_counted_by_hand():
    facts = describe_split(rows(("a", "x"), ("bb", "y"), ("bb", "x"), ("ccc", "y"), ("ccc", "y")), "characters")
    assert (facts.rows, facts.classes, facts.duplicates, facts.conflicting) == (5, {"x": 2, "y": 3}, 2, 2)
    assert facts.lengths == {"shortest": 1, "5 %": 1.2, "median": 2, "95 %": 3, "longest": 3}


def test_a_clean_set_is_told_in_rows_classes_and_lengths_alone():
    audit = audit_of(train=rows(("ab", "x"), ("abcd", "y")), test=rows(("abc", "x"), ("b", "y")))
    assert audit.lines() == [
        "4 rows read, 2 classes.",
        "train: 2 rows (x 1, y 1).",
        "test: 2 rows (x 1, y 1).",
        "Lengths in train, in characters: shortest 2, 5 % 2, median 3, 95 % 4, longest 4.",
    ]


def test_copies_conflicts_and_classes_never_learnt_are_said():
    lines = audit_of(train=rows(("a", "x"), ("b", "y")), test=rows(("c", "z"), ("c", "x"), ("d", "x"))).lines()
    assert "1 row of test repeat an earlier one; kept." in lines
    assert "2 rows of test are of sequences with different targets; kept." in lines
    assert "Only in test, so never learnt: z." in lines


def test_the_encoder_adds_unknown_and_cut_tokens_to_a_new_audit():
    audit = audit_of(train=rows(("a", "x"), ("b", "y")))
    full = audit.with_encoding(0.0123, {"train": 0, "test": 7})
    assert full.lines() == [
        *audit.lines(),
        "1.2% of validation's tokens are not in the vocabulary.",
        "7 sequences of test cut to max_length.",
    ]
    assert audit.unknown_share is None


def test_an_audit_survives_json():
    audit = audit_of(train=rows((np.zeros((3, 2), np.float32), "x"), (np.ones((4, 2), np.float32), "y"))).with_encoding(
        None, {}
    )
    assert json.loads(json.dumps(audit.to_dict())) == audit.to_dict()
    assert audit.to_dict()["splits"]["train"]["lengths"]["longest"] == 4


def test_sorted_labels_are_seen():
    assert is_sorted_by_label(rows(("a", "y"), ("b", "y"), ("c", "x")))
    assert not is_sorted_by_label(rows(("a", "y"), ("b", "x"), ("c", "y")))
    assert not is_sorted_by_label(rows(("a", "y"), ("b", "y")))
    assert not is_sorted_by_label(rows(("a", "y"), ("b", "x")))


def test_groups_in_two_splits_are_counted_once():
    splits = {
        "train": rows(("a", "x"), ("b", "x"), group="g") + rows(("c", "x")),
        "test": rows(("d", "x"), group="g") + rows(("e", "x")),
    }
    assert shared_groups(splits) == 1
