"""Rows of any content through `predict` of a small model of each task: answered, or an error that names the row."""

import contextlib
import io
import json
import sys

import pytest
from fuzzing import fuzzing
from hypothesis import given
from hypothesis import strategies as st

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger
from ostinato.cli import main
from ostinato.printable import visible

TEXTS = [f"a {('good', 'bad')[number % 2]} film w{number}" for number in range(20)]
SERIES = [[[float(number % 2), 1.0]] * 3 for number in range(20)]
TINY = {"embedding_size": 3, "hidden_size": 3, "max_epochs": 1, "validation_fraction": None}
LINES = st.lists(
    st.text(max_size=20).map(str.encode)
    | st.binary(max_size=12)
    | st.sampled_from(
        [b"", b"a good film", b"zzz", b"x " * 3000, b"[[1, 2]]", b"0", b"{}", b"[[1, NaN]]", b"[" * 3000]
    ),
    max_size=6,
).map(b"\n".join)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model file of each task."""
    folder = tmp_path_factory.mktemp("models")
    fitted = {
        "classification": SequenceClassifier(**TINY).fit(TEXTS, ["a", "b"] * 10),
        "series": SequenceClassifier(**TINY).fit(SERIES, ["a", "b"] * 10),
        "multilabel": SequenceMultilabelClassifier(**TINY).fit(TEXTS, [["a"], ["b", "a"]] * 10),
        "regression": SequenceRegressor(**TINY).fit(TEXTS, [float(number) for number in range(20)]),
        "tagging": SequenceTagger(**TINY).fit([text.split() for text in TEXTS], [["O", "B-X", "I-X", "O"]] * 20),
    }
    for name, model in fitted.items():
        model.save(folder / name)
    return folder


def predict(model, lines, *options):
    """Call `ostinato predict MODEL -` in this process; returns the exit status and what it printed."""
    out = io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["ostinato", "predict", str(model), "-", *options], io.TextIOWrapper(io.BytesIO(lines))
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(io.StringIO()),
            pytest.raises(SystemExit) as end,
        ):
            main()
    finally:
        sys.argv, sys.stdin = before
    return end.value.code, out.getvalue()


@pytest.mark.parametrize("name", ["classification", "series", "multilabel", "regression", "tagging"])
@fuzzing
@given(lines=LINES)
def test_each_line_has_an_answer_or_an_error(models, name, lines):
    status, shown = predict(models / name, lines)
    answers = [json.loads(line) for line in shown.split("\n")[:-1]]
    assert len(answers) == len(lines.removesuffix(b"\n").split(b"\n")) - (not lines)
    assert status == any("error" in answer for answer in answers)
    assert visible(shown.replace("\n", "")) == shown.replace("\n", "")


@fuzzing
@given(lines=LINES)
def test_coloured_text_has_no_control_characters_of_the_rows(models, lines):
    status, shown = predict(models / "tagging", lines, "--format", "text")
    assert status in (0, 1)
    assert visible(shown.replace("\n", "").replace("\t", "")) == shown.replace("\n", "").replace("\t", "")
