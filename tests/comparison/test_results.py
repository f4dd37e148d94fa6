"""Results as files: those of version 0.1 too."""

import json
from pathlib import Path

import pytest

from ostinato.comparison.compare import read_comparison
from ostinato.comparison.page import write_comparison_page
from ostinato.comparison.results import Comparison
from ostinato.errors import RunError

SHIPPED = Path(__file__).parents[2] / "benchmarks" / "results" / "comparisons"
V0_1 = json.loads((Path(__file__).parent / "comparison-v0_1.json").read_text(encoding="utf-8"))


def test_a_comparison_of_version_0_1_has_the_present_verdicts():
    comparison = Comparison.from_json(V0_1, "comparison.json")
    assert comparison.format == 1
    assert [pair.verdict for pair in comparison.pairs] == ["not significantly different"]
    assert comparison.pairs[0].sentence.startswith("rnn and gru are not significantly different: accuracy ")


def test_a_comparison_of_version_0_1_keeps_its_keys():
    written = Comparison.from_json(V0_1, "comparison.json").to_json()
    for part in ("runs", "summary", "pairs"):
        for old, new in zip(V0_1[part], written[part], strict=True):
            kept = {key: new[key] for key in old if key not in ("verdict", "sentence", "test")}
            assert kept == {key: old[key] for key in kept}
            assert old.keys() <= new.keys()
    assert written["plan"] == V0_1["plan"]
    assert written["environment"] == V0_1["environment"]


def test_the_page_of_a_comparison_of_version_0_1_is_written(tmp_path):
    (tmp_path / "comparison.json").write_text(json.dumps(V0_1), encoding="utf-8")
    page = write_comparison_page(read_comparison(tmp_path), tmp_path).read_text(encoding="utf-8")
    assert "not significantly different" in page
    assert "told apart" not in page


@pytest.mark.skipif(not SHIPPED.exists(), reason="needs the repository")
def test_every_shipped_comparison_is_read():
    for folder in SHIPPED.iterdir():
        assert read_comparison(folder).runs


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"metric": 3}, "metric"),
        ({"summary": [{**V0_1["summary"][0], "mean": "high"}]}, "summary.0.mean"),
        ({"pairs": [{**V0_1["pairs"][0], "verdict": "equal"}]}, "pairs.0.verdict"),
    ],
)
def test_an_altered_field_is_named(change, field, tmp_path):
    (tmp_path / "comparison.json").write_text(json.dumps({**V0_1, **change}), encoding="utf-8")
    with pytest.raises(RunError, match=rf"comparison\.json: {field}"):
        read_comparison(tmp_path)


@pytest.mark.parametrize(("content", "wrong"), [("{", "not JSON"), ("[]", "content"), ('{"format": 99}', "format 99")])
def test_a_file_of_something_else_is_refused(content, wrong, tmp_path):
    (tmp_path / "comparison.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=wrong):
        read_comparison(tmp_path)
