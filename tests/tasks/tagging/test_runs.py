"""A tagger from the command line: trained, resumed, scored, its answers in every form; bad input is one line."""

import gzip
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from toy import columns, sentences

from ostinato import cli, load
from ostinato.tasks.config import read_config
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.data import read_labelled

CONFIG = """
task = "tagging"
[data]
path = "train.conll"
test_path = "test.conll"
validation_size = 0.2
[model]
cell = "lstm"
bidirectional = true
embedding_size = 8
hidden_size = 8
head = "crf"
[training]
max_epochs = 10
batch_size = 8
lr = 2e-2
device = "cpu"
monitor = "f1"
"""


def run(*arguments, stdin=b""):
    """Call the command line in this process; returns its exit status."""
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["ostinato", *map(str, arguments)], io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        cli.main()
    except SystemExit as finished:
        return finished.code
    finally:
        sys.argv, sys.stdin = before
    return 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run and its files."""
    folder = tmp_path_factory.mktemp("tagging")
    (folder / "train.conll").write_text(columns(*sentences(80)), encoding="utf-8")
    (folder / "test.conll").write_text(columns(*sentences(30, seed=1)), encoding="utf-8")
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("train", "config.toml", "--out", "run") == 0
    return folder


@pytest.fixture
def folder(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_the_metrics_of_a_run_are_those_of_its_predictions(folder):
    metrics = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in Path("run/predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [pair for row in rows for pair in zip(row["tags"], row["predicted"], strict=True)]
    assert metrics["test"]["accuracy"] == pytest.approx(np.mean([given == found for given, found in pairs]))
    assert 0.8 < metrics["test"]["f1"] <= 1
    assert metrics["test"]["scheme"] == "iob2"
    low, high = metrics["test"]["intervals"]["f1"]
    assert low <= metrics["test"]["f1"] <= high
    assert metrics["baselines"]["commonest"]["f1"] <= 1
    assert rows[0]["source"].endswith("test.conll, line 1")


def test_the_linear_baseline_is_compared_with_the_tagger_on_the_test_sentences(folder):
    metrics = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    linear = metrics["baselines"]["linear"]
    versus = linear["versus"]
    assert versus["difference"] == pytest.approx(metrics["test"]["f1"] - linear["f1"])
    assert versus["interval"][0] <= versus["difference"] <= versus["interval"][1] and 0 <= versus["p"] <= 1
    assert metrics["baselines"]["commonest"]["versus"] is None


def test_evaluating_again_gives_the_same_metrics(folder, capsys):
    own = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["test"]
    unseen = {"seen_in_training": 0, "seen_in_validation": 0}
    for arguments, counts in ((("run",), {}), (("run", "test.conll"), unseen)):
        assert run("evaluate", *arguments, "--json") == 0
        assert json.loads(capsys.readouterr().out) == {**counts, **own}


def test_a_resumed_run_has_the_weights_of_an_uninterrupted_one_bit_for_bit(folder, tmp_path, monkeypatch):
    from ostinato.runs import training as runs

    config = read_config(Path("config.toml"))
    stops = iter([False] * 25 + [True] * 2)
    with monkeypatch.context() as patch:
        import contextlib

        patch.setattr(runs, "stop_signals", lambda: contextlib.nullcontext(lambda: next(stops, True)))
        with pytest.raises(KeyboardInterrupt):
            runs.start_run(config, tmp_path / "run")
    runs.resume_run(tmp_path / "run")
    ours, theirs = (load_file(each / "model.safetensors") for each in (tmp_path / "run", Path("run")))
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(tensor, ours[name], err_msg=name)


def test_predict_gives_json_with_spans_of_the_text(folder, capsys):
    text = "Ada  likes Rio de Janeiro!"
    assert run("predict", "run", "--text", text) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["tokens"] == ["Ada", "likes", "Rio", "de", "Janeiro", "!"]
    assert row["tags"] == ["B-PER", "O", "B-LOC", "I-LOC", "I-LOC", "O"]
    for span in row["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
    assert [span["label"] for span in row["spans"]] == ["PER", "LOC"]


def test_spans_are_in_the_text_also_from_a_file(folder, capsys, tmp_path):
    text = "Ada  likes Rio de Janeiro!"
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    assert run("predict", "run", tmp_path / "texts.jsonl") == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["text"], [text[span["start"] : span["end"]] for span in row["spans"]]) == (
        text,
        ["Ada", "Rio de Janeiro"],
    )


def conllu(words, tags):
    """The text of a CoNLL-U file with the tags as xpos."""
    pairs = (enumerate(zip(*pair, strict=True), 1) for pair in zip(words, tags, strict=True))
    rows = ("\n".join(f"{n}\t{word}\t_\tX\t{tag}\t_\t_\t_\t_\tMisc" for n, (word, tag) in pair) for pair in pairs)
    return "\n\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("name", "settings"),
    [("new.conllu", []), ("new.conllu.gz", []), ("NEW.CONLLU", []), ("new.data", ["--set", "data.format=conllu"])],
)
def test_conllu_is_read_by_its_ending_or_as_the_run_s_own(folder, tmp_path, capsys, name, settings):
    written = conllu(*sentences(30)).encode()
    (tmp_path / name).write_bytes(gzip.compress(written) if name.endswith("gz") else written)
    options = [
        "--set",
        f"data.path={tmp_path / name}",
        "--set",
        "data.test_path=none",
        "--set",
        "data.tag_column=xpos",
        "--set",
        "training.max_epochs=1",
    ]
    assert run("train", "config.toml", *options, *settings, "--out", tmp_path / "run") == 0
    assert "I-LOC" in load(tmp_path / "run").classes_
    (tmp_path / "more.data" if settings else tmp_path / "more.conllu").write_bytes(written)
    capsys.readouterr()
    assert (
        run("predict", tmp_path / "run", tmp_path / ("more.data" if settings else "more.conllu"), "--format", "conll")
        == 0
    )
    assert capsys.readouterr().out.splitlines()[0].split("\t")[0] == sentences(30)[0][0][0]


def test_words_tagged_anything_but_o_are_shown_where_tags_mark_no_entities(folder, tmp_path, capsys):
    words, tags = sentences(60)
    plain = [[tag[2:] or "O" for tag in row] for row in tags]
    (tmp_path / "plain.conll").write_text(columns(words, plain), encoding="utf-8")
    options = [
        "--set",
        f"data.path={tmp_path / 'plain.conll'}",
        "--set",
        "data.test_path=none",
        "--set",
        "training.monitor=accuracy",
    ]
    assert run("train", "config.toml", *options, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert run("predict", tmp_path / "run", "--text", "Ada left Oslo.", "--format", "text") == 0
    assert capsys.readouterr().out == "Ada[PER] left Oslo[LOC].\n"
    assert run("predict", tmp_path / "run", "--text", "Ada left Oslo.") == 0
    assert "spans" not in json.loads(capsys.readouterr().out)


def test_predict_writes_columns_that_are_read_again(folder, capsys, tmp_path):
    assert run("predict", "run", "test.conll", "--format", "conll") == 0
    (tmp_path / "found.conll").write_text(capsys.readouterr().out, encoding="utf-8")
    found = read_labelled(tmp_path / "found.conll", TaggingData())
    given = read_labelled(Path("test.conll"), TaggingData())
    assert [each.words for each in found] == [each.words for each in given]
    assert [each.tags for each in found] == load("run").predict([each.words for each in given])


def test_predict_shows_entities_in_the_text(folder, capsys):
    assert run("predict", "run", "-", "--format", "text", stdin=b"Ada left Oslo .\nCid saw Rome .\n") == 0
    assert capsys.readouterr().out == "Ada[PER] left Oslo[LOC] .\nCid[PER] saw Rome[LOC] .\n"


def test_doctor_shows_the_tagger_s_layers(folder, capsys):
    assert run("doctor", "--model", "run", "--json") == 0
    assert "stack.layers.0" in capsys.readouterr().out


@pytest.fixture(scope="module")
def featured(trained, tmp_path_factory):
    """A run that reads the column between word and tag beside the words."""
    folder = tmp_path_factory.mktemp("features")
    for name, count, seed in (("train.conll", 60, 2), ("test.conll", 20, 3)):
        words, tags = sentences(count, seed=seed)
        rows = ((f"{word} {'upper' if word[0].isupper() else 'lower'}" for word in sentence) for sentence in words)
        (folder / name).write_text(columns(rows, tags), encoding="utf-8")
    (folder / "config.toml").write_text(
        CONFIG.replace("[model]", 'feature_columns = ["1"]\n[model]\nfeature_size = 3'), encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("train", "config.toml", "--report", "--out", "run") == 0
    return folder


def test_a_run_reads_features_wherever_it_is_used(featured, monkeypatch, capsys):
    monkeypatch.chdir(featured)
    own = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["test"]
    assert json.loads(Path("run/audit.json").read_text(encoding="utf-8"))["features"] == {"1": 2}
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "column 1 (3)" in page
    assert "(word, column 1)" in page
    unseen = {"seen_in_training": 0, "seen_in_validation": 0}
    for arguments, counts in ((("run",), {}), (("run", "test.conll"), unseen)):
        assert run("evaluate", *arguments, "--json") == 0
        assert json.loads(capsys.readouterr().out) == {**counts, **own}
    assert run("predict", "run", "test.conll", "--format", "conll") == 0
    first = capsys.readouterr().out.splitlines()[0].split("\t")
    assert first[:2] == Path("test.conll").read_text(encoding="utf-8").split()[:2] and len(first) == 3
    assert run("explain", "run", "--rows", "1", "--json") == 0
    (first, *_) = json.loads(capsys.readouterr().out)["explanations"]
    assert first["features"] == [["upper" if word[0].isupper() else "lower" for word in first["tokens"]]]
    assert run("predict", "run", "test.conll") == 0
    assert set(json.loads(capsys.readouterr().out.splitlines()[0])["features"][0]) == {"upper", "lower"}


def test_without_its_features_a_run_names_the_missing_setting(featured, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(featured)
    assert run("predict", "run", "--text", "Ada left Oslo.") == 1
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert "data.feature_columns" in row["error"] and row["source"] == "--text 1"
    assert run("explain", "run", "--text", "Ada left Oslo.") == 2
    assert "--text 1: " in capsys.readouterr().err
    model = Path("run/model.safetensors")
    assert run("predict", model, "test.conll", "--set", "data.feature_columns=1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 20
    assert run("predict", model, "test.conll", "--strict", "--set", "data.feature_columns=none") == 2
    assert "test.conll, line 1: " in capsys.readouterr().err
    (tmp_path / "words.conll").write_text("Ada\nleft\n", encoding="utf-8")
    assert run("predict", "run", tmp_path / "words.conll") == 1
    assert "no column 1" in json.loads(capsys.readouterr().out)["error"]
    for command in ("predict", "evaluate", "explain"):
        assert run(command, "run", "test.conll", "--set", "data.feature_columns=0", "--set", "data.word_column=1") == 2
        assert "feature 1 is " in capsys.readouterr().err


def test_feature_values_unseen_in_training_are_reported_and_the_run_scores_its_own_split(
    featured, monkeypatch, tmp_path
):
    monkeypatch.chdir(featured)
    (tmp_path / "swapped.conll").write_text("upper Ada B-PER\nlower left O\n\n", encoding="utf-8")
    assert (
        run(
            "train",
            "config.toml",
            "--set",
            f"data.test_path={tmp_path / 'swapped.conll'}",
            "--report",
            "--out",
            tmp_path / "run",
        )
        == 0
    )
    audit = json.loads((tmp_path / "run" / "audit.json").read_text(encoding="utf-8"))
    assert audit["unseen_values"]["test"] == {"1": 1.0}
    assert run("evaluate", tmp_path / "run", "--json") == 0


@pytest.mark.parametrize("ending", ["jsonl", "conllu"])
def test_features_are_read_from_every_format(folder, tmp_path, ending):
    words, tags = sentences(60)
    rows = (
        json.dumps({"tokens": each, "tags": given, "xpos": [word[:1] for word in each]}) + "\n"
        for each, given in zip(words, tags, strict=True)
    )
    (tmp_path / f"new.{ending}").write_text(
        conllu(words, tags) if ending == "conllu" else "".join(rows), encoding="utf-8"
    )
    options = [
        f"data.path={tmp_path / f'new.{ending}'}",
        "data.test_path=none",
        "training.max_epochs=1",
        "data.feature_columns=xpos",
        "training.monitor=loss",
    ]
    options += ["data.tag_column=upos"] if ending == "conllu" else []
    assert (
        run(
            "train",
            "config.toml",
            *(part for option in options for part in ("--set", option)),
            "--out",
            tmp_path / "run",
        )
        == 0
    )
    assert list(json.loads((tmp_path / "run" / "audit.json").read_text(encoding="utf-8"))["features"]) == ["xpos"]
    assert len(load(tmp_path / "run").encoder_.features) == 1


def test_init_reports_columns_between_word_and_tag(featured, capsys):
    assert run("init", featured / "train.conll") == 0
    assert re.search(r"feature_columns: none.*\[1\]", capsys.readouterr().out)


BAD = {
    "too few columns": ("Ada B-PER\nleft\n\n", "train", "bad.conll, line 2"),
    "outside the scheme": (
        "Ada O\nleft I-PER\n\nCid B-PER\nleft O\n",
        "train",
        "bad.conll, line 2: by scheme iob2, I-PER",
    ),
    "a tag among many": (
        columns(*sentences(30)) + "Cid X-X\n",
        "train",
        "iob2, 'X-X'",
    ),
    "no entities": (
        "".join(f"{name} N\n\n" for name in "ABCDEFGHIJ"),
        "train --set data.test_path=none",
        "training.monitor f1",
    ),
    "half a character": (
        '{"tokens": ["\\ud83d"], "tags": ["O"]}\n',
        "train",
        "\\ud83d",
    ),
    "empty": ("\n\n", "train", "bad.conll"),
    "unequal lists": ('{"tokens": ["a", "b"], "tags": ["O"]}\n', "train", "row 1"),
    "nothing to tag": ("", "predict run --strict --text=", "--text 1: the sentence is empty"),
    "no such column": ("Ada B-PER\n\n", "train --set data.tag_column=7", "tag_column"),
    "a classifier's key": (
        "Ada B-PER\n\n",
        "train --set model.pooling=max",
        "model.pooling: not a key of task tagging",
    ),
    "a form for taggers": ("", "predict run --format xml --text a", "xml"),
}


@pytest.mark.parametrize(("content", "command", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_answered_in_one_line(folder, capsys, tmp_path, content, command, message):
    bad = tmp_path / ("bad.jsonl" if content.startswith("{") else "bad.conll")
    bad.write_text(content, encoding="utf-8")
    words = command.split()
    if words[0] == "train":
        words[1:1] = ["config.toml", "--out", str(tmp_path / "run"), "--set", f"data.path={bad}"]
    assert run(*words) == 2
    shown = capsys.readouterr().err
    assert message in shown.replace("\n", " ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["new.conll", "new.txt", "new.tsv", "new.jsonl"])
def test_init_infers_a_config_that_trains(folder, tmp_path, capsys, name):
    words, tags = sentences(60)
    rows = (json.dumps({"tokens": sentence, "tags": given}) + "\n" for sentence, given in zip(words, tags, strict=True))
    (tmp_path / name).write_text("".join(rows) if name.endswith("jsonl") else columns(words, tags), encoding="utf-8")
    assert run("init", tmp_path / name) == 0
    shown = capsys.readouterr().out
    assert "iob2" in shown
    (tmp_path / "config.toml").write_text(shown, encoding="utf-8")
    assert (
        run(
            "train",
            tmp_path / "config.toml",
            "--set",
            "training.max_epochs=1",
            "--set",
            "training.device=cpu",
            "--out",
            tmp_path / "run",
        )
        == 0
    )
    assert load(tmp_path / "run").codec_.target_scheme == "bioes"
