"""A handful of rows, as people try first: trained without the splits that cannot be drawn, and said."""

import json
import warnings

import numpy as np
import pytest

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger
from ostinato.cli import app
from ostinato.data.splits import draw_what_fits, stratified_split
from ostinato.errors import ConfigError, DataError

SMALL = {"embedding_size": 4, "hidden_size": 4, "max_epochs": 1}
TEXTS = ["good", "bad", "fine", "awful"]
FITS = {
    "classification": lambda **options: SequenceClassifier(**SMALL, **options).fit(TEXTS, [1, 0, 1, 0]),
    "multilabel": lambda **options: SequenceMultilabelClassifier(**SMALL, **options).fit(
        TEXTS, [["a"], ["b"], ["a", "b"], []]
    ),
    "regression": lambda **options: SequenceRegressor(**SMALL, **options).fit(TEXTS, [1.0, 2.0, 3.0, 4.0]),
    "tagging": lambda **options: SequenceTagger(**SMALL, **options).fit([["in", "Oslo"]], [["O", "B-LOC"]]),
}


@pytest.mark.parametrize("task", FITS)
def test_an_estimator_trains_on_a_handful_of_rows_with_a_warning(task):
    with pytest.warns(UserWarning, match=r"(4 rows|1 different sentence) .*too few .*validation_fraction=None"):
        fitted = FITS[task]()
    assert "validation_loss" not in fitted.history_[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FITS[task](validation_fraction=None)


@pytest.mark.parametrize("rows", range(2, 11))
def test_two_classes_of_few_rows_train(rows):
    texts, labels = [f"w{row} x" for row in range(rows)], [row % 2 for row in range(rows)]
    with pytest.warns(UserWarning, match="too few"):
        assert len(SequenceClassifier(**SMALL).fit(texts, labels).predict(texts)) == rows


def test_copies_of_a_sequence_do_not_prevent_training():
    with pytest.warns(UserWarning, match="too few"):
        SequenceClassifier(**SMALL).fit(["a", "a", "b", "b"], [1, 1, 0, 0])


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: SequenceClassifier(**SMALL).fit(TEXTS, [1] * 4), r"only the class '1' \(4 rows\)"),
        (lambda: SequenceClassifier(**SMALL).fit(TEXTS[:1], [1]), r"only the class '1' \(1 row\)"),
        (lambda: SequenceClassifier(**SMALL).fit([], []), "no sequences"),
        (lambda: SequenceClassifier(**SMALL).fit(TEXTS, [1, None, 0, 1]), "sequence 1: None cannot be a label"),
        (lambda: SequenceRegressor(**SMALL).fit(TEXTS[:1], [1.0]), "nothing to learn"),
        (lambda: SequenceMultilabelClassifier(**SMALL).fit(TEXTS[:1], [["a"]]), "same labels"),
        (lambda: SequenceTagger(**SMALL).fit([], []), "no sentences"),
    ],
)
def test_what_no_training_can_use_is_refused(fit, message):
    with pytest.raises(DataError, match=message):
        fit()


def test_a_rare_class_among_many_rows_is_named_as_the_user_wrote_it():
    labels = np.array([0] * 149 + [1])
    with pytest.raises(DataError, match=r"class '1' has 1 row") as refused:
        SequenceClassifier(**SMALL).fit([f"w{row}" for row in range(150)], labels)
    assert "np.int64" not in str(refused.value)


def test_splits_are_left_out_only_if_few_rows_cannot_be_drawn():
    def draw(labels, sizes):
        drawn, left_out = draw_what_fits(lambda each: stratified_split(labels, None, each, 0), sizes, len(labels))
        assert sorted(np.concatenate(drawn).tolist()) == list(range(len(labels)))
        return list(map(len, drawn)), left_out

    assert draw(["a", "b"] * 20, (None, 0.1, 0.2)) == ([28, 4, 8], [])
    assert draw(["a", "b"] * 5, (None, 0.1, 0.2)) == ([8, 0, 2], ["validation"])
    assert draw(["a", "b"] * 2, (None, 0.1, 0.2)) == ([4, 0, 0], ["validation", "test"])
    assert draw(["a"] * 10, (None, 0.1, 0.2)) == ([10, 0, 0], ["validation", "test"])  # refused later, by its class
    assert draw(["a", "b"] * 2, (None, 0.1, 2)) == ([2, 0, 2], ["validation"])
    with pytest.raises(ConfigError, match="leave none for train"):
        draw(["a", "b"] * 2, (None, 2, 2))  # numbers of rows are what the user asked for
    with pytest.raises(DataError, match="class 'b' has 1 row"):
        draw(["a"] * 150 + ["b"], (None, 0.1, 0.2))


FILES = {
    "classification": ("f.csv", "text,label\ngood,1\nbad,0\nfine,1\nawful,0\n"),
    "multilabel": ("f.csv", "text,labels\ngood,a\nbad,b\nfine,a|b\nawful,\n"),
    "regression": ("f.csv", "text,target\ngood,1\nbad,2\nfine,3\nawful,5\n"),
    "tagging": ("f.conll", "in O\nOslo B-LOC\n\nto O\nRome B-LOC\n\n"),
}


@pytest.mark.parametrize("task", FILES)
def test_a_run_trains_on_a_handful_of_rows_and_says_what_is_missing(task, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name, content = FILES[task]
    (tmp_path / name).write_text(content, encoding="utf-8")
    settings = "[model]\nembedding_size = 4\nhidden_size = 4\n[training]\nmax_epochs = 1\n"
    (tmp_path / "f.toml").write_text(f'task = "{task}"\n[data]\npath = "{name}"\n{settings}', encoding="utf-8")
    app(["train", "f.toml", "--out", "run"], standalone_mode=False)
    printed = capsys.readouterr()
    assert "no test split" in printed.out
    assert "too few to draw a test split" in printed.err
    audit = json.loads((tmp_path / "run" / "audit.json").read_text(encoding="utf-8"))
    assert (set(audit["splits"]), set(audit["left_out"])) == ({"train"}, {"validation", "test"})
    app(["predict", "run", "--text", "good"], standalone_mode=False)
    assert capsys.readouterr().out


def test_too_few_rows_for_the_linear_baseline_are_said_in_its_description(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.csv").write_text(FILES["classification"][1], encoding="utf-8")
    (tmp_path / "f.toml").write_text('task = "classification"\n[data]\npath = "f.csv"\n[training]\nmax_epochs = 1\n')
    app(["train", "f.toml", "--out", "run", "--set", "data.test_size=2"], standalone_mode=False)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert "no linear model can be fitted" in metrics["baselines"]["linear"]["description"]
    assert metrics["baselines"]["linear"]["accuracy"] == metrics["baselines"]["majority"]["accuracy"]
