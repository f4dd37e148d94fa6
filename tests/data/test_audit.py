import json
from dataclasses import replace

import numpy as np

from ostinato.data.audit import SequenceAudit, describe_split, shared_groups
from ostinato.data.cleaning import Cleaning, with_keys
from ostinato.data.examples import Record, Records
from ostinato.tasks.classification.target import LabelTarget


def rows(*pairs, group=None):
    return Records.of(Record(sequence, label, None, group, "") for sequence, label in pairs)


def facts_of(records):
    """A split's facts, its targets being labels."""
    return describe_split(with_keys(records, "characters"), LabelTarget().describe(records.targets))


def audit_of(**splits):
    return SequenceAudit(
        rows_read=sum(map(len, splits.values())),
        unit="characters",
        sorted_by_label=False,
        unlabelled_skipped=0,
        cleaning=Cleaning(0, 0, 0, {}, True),
        drawn=[],
        splits={split: facts_of(records) for split, records in splits.items()},
        shared_groups=0,
        unused=0,
    )


def test_a_split_is_counted_by_hand():
    facts = facts_of(rows(("a", "x"), ("bb", "y"), ("bb", "x"), ("ccc", "y"), ("ccc", "y")))
    assert (facts.rows, facts.classes, facts.duplicates, facts.conflicting) == (5, {"x": 2, "y": 3}, 2, 2)
    assert facts.lengths == {"shortest": 1, "5 %": 1.2, "median": 2, "95 %": 3, "longest": 3}


def test_the_audit_of_clean_data_reports_rows_classes_and_lengths_alone():
    audit = audit_of(train=rows(("ab", "x"), ("abcd", "y")), test=rows(("abc", "x"), ("b", "y")))
    assert audit.lines() == [
        "4 rows read, 2 classes.",
        "train: 2 rows (x 1, y 1).",
        "test: 2 rows (x 1, y 1).",
        "Lengths in train, in characters: shortest 2, 5 % 2, median 3, 95 % 4, longest 4.",
    ]


def test_copies_conflicts_and_classes_missing_from_train_are_findings():
    repeated, conflicting, unseen = audit_of(
        train=rows(("a", "x"), ("b", "y")), test=rows(("c", "z"), ("c", "x"), ("d", "x"))
    ).findings
    assert repeated.startswith("1 row of test repeat")
    assert conflicting.startswith("2 rows of test")
    assert unseen.startswith("Only in test") and unseen.endswith(": 'z'.")


def test_targets_that_are_numbers_are_described_by_their_quantiles():
    values = {"age": {"lowest": 1.5, "5 %": 1.5, "median": 40.75, "95 %": 80.0, "highest": 80.0}}
    facts = describe_split(with_keys(rows(("a", 1.5), ("b", 80.0)), "characters"), {"values": values})
    assert (facts.classes, facts.values) == (None, values)
    audit = replace(audit_of(train=rows(("a", 1.5), ("b", 80.0))), splits={"train": facts})
    assert audit.lines()[:2] == ["2 rows read.", "train: 2 rows (age 1.5 to 80)."]


def test_encoding_adds_unknown_and_cut_tokens_to_a_new_audit():
    audit = audit_of(train=rows(("a", "x"), ("b", "y")))
    full = audit.with_encoding(0.0123, {"train": 0, "test": 7}, None)
    assert full.findings == [
        *audit.findings,
        "1.2% of validation's tokens are out of vocabulary.",
        "7 sequences of test cut to max_length.",
    ]
    assert (audit.unknown_share, audit.truncated) == (None, {})


def test_many_unknown_tokens_come_with_the_setting_that_helps():
    audit = audit_of(train=rows(("a", "x"), ("b", "y"))).with_lengths("words", {"train": [1, 1]})
    assert "data.tokenizer" not in audit.with_encoding(0.29, {}, None).findings[0]
    assert 'data.tokenizer = "subwords"' in audit.with_encoding(0.3, {}, None).findings[0]


def test_an_audit_survives_json():
    audit = audit_of(train=rows((np.zeros((3, 2), np.float32), "x"), (np.ones((4, 2), np.float32), "y"))).with_encoding(
        None, {}, None
    )
    assert json.loads(json.dumps(audit.to_json())) == audit.to_json()
    assert audit.to_json()["splits"]["train"]["lengths"]["longest"] == 4


def test_groups_in_two_splits_are_counted_once():
    splits = {
        "train": rows(("a", "x"), ("b", "x"), group="g"),
        "validation": rows(("c", "x")),
        "test": rows(("d", "x"), group="g"),
    }
    assert shared_groups(splits) == 1


def test_numbers_far_from_the_others_are_a_finding():
    quantiles = {"lowest": 0.0, "5 %": 5.0, "median": 50.0, "95 %": 95.0}
    findings = []
    for highest in (100.0, 1e6):
        targets = {"values": {"y": quantiles | {"highest": highest}}}
        facts = describe_split(with_keys(rows(("a", 0.0), ("b", highest)), "characters"), targets)
        findings.append(replace(audit_of(train=rows(("a", "x"), ("b", "y"))), splits={"train": facts}).findings)
    assert findings[0] == []
    assert "1e+06" in findings[1][0]
