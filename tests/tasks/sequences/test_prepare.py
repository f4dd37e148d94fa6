"""The audit counts lengths in what the tokenizer makes, before any cut."""

import json

import pytest

from ostinato.tasks import TASKS
from ostinato.tasks.classification.config import ClassificationData


@pytest.mark.parametrize(("scale", "kinds"), [("channel", ["scales"]), ("series", [])])
def test_series_of_very_different_sizes_are_a_finding_unless_each_is_scaled_by_itself(tmp_path, scale, kinds):
    rows = [{"series": [float(size), -float(size), 0.0], "label": "ab"[size % 2]} for size in range(1, 100)]
    path = tmp_path / "f.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    audit = TASKS["classification"].prepare(ClassificationData(path=str(path), text_column="series", scale=scale)).audit
    assert [remark.kind for remark in audit.remarks] == kinds
    assert ('data.scale = "series"' in "".join(audit.findings)) == bool(kinds)


@pytest.mark.parametrize(
    ("tokenizer", "unit", "longest"),
    [
        ("words", "words", 5),
        ("characters", "characters", 20),
        ("kmers(3)", "k-mers", 18),
        ("nucleotides", "characters", 20),
    ],
)
@pytest.mark.parametrize("max_length", [None, 2])
def test_lengths_are_in_tokens_before_the_cut(tmp_path, tokenizer, unit, longest, max_length):
    texts = ["AC GT A", "ACG TACG TACG TA CGT"]  # the longest has 5 words and 20 characters
    if tokenizer == "nucleotides":
        texts = [text.replace(" ", "N") for text in texts]
    path = tmp_path / "f.csv"
    path.write_text(f"text,label\n{texts[0]},a\n{texts[1]},b\n", encoding="utf-8")
    sizes = {"validation_size": 0, "test_size": 0}
    config = ClassificationData(path=str(path), tokenizer=tokenizer, max_length=max_length, **sizes)
    audit = TASKS["classification"].prepare(config).audit
    assert audit.unit == unit
    assert audit.splits["train"].lengths["longest"] == longest
    assert f"in {unit}" in "\n".join(audit.lines())
