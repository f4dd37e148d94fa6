"""The commands that show what a model learnt: explain, trace, report."""

import json
import random
import re
import sys
from pathlib import Path

import pytest

from ostinato import cli, load, runs
from ostinato.storage import FORMAT
from ostinato.tasks.config import PRESETS, override, parse_config

rng = random.Random(0)
ROWS = [
    (
        f"A {rng.choice(['GREAT', 'fine'] if number % 2 else ['dull', 'weak'])}  film, number {number}",
        ("neg", "pos")[number % 2],
    )
    for number in range(60)
]
REVIEWS = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS)


def run(*arguments):
    """Call the command line in this process; returns its exit status."""
    before, sys.argv = sys.argv, ["ostinato", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as finished:
        return finished.code
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    (folder / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    data = {
        "path": str(folder / "reviews.csv"),
        "text_column": "text",
        "tokenizer": "words",
        "min_count": 1,
        "label_column": "label",
        "validation_size": 0.2,
        "test_size": 0.3,
    }
    model = {"cell": "lstm", "hidden_size": 4, "embedding_size": 4, "bidirectional": True, "pooling": ["attention"]}
    runs.start_run(
        parse_config({"data": data, "model": model, "training": {"max_epochs": 3, "device": "cpu"}}), folder / "run"
    )
    return folder / "run"


@pytest.fixture(scope="module")
def motifs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motifs") / "dna"
    small = [
        "data.train_size=400",
        "data.validation_size=50",
        "data.test_size=60",
        "data.length=[20,20]",
        "training.max_epochs=1",
        "training.device=cpu",
    ]
    runs.start_run(override(PRESETS["dna"](), small), folder)
    return folder


def test_explain_answers_in_json_as_the_library_does(reviews, capsys):
    text = "a GREAT  film"
    assert run("explain", reviews, "--text", text, "--label", "pos", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    (told,) = answer["explanations"]
    expected = load(reviews)
    assert told["tokens"] == ["a", "great", "film"] and [text[start:end] for start, end in told["offsets"]] == [
        "a",
        "GREAT",
        "film",
    ]
    assert told["label"] == "pos" and told["source"] == "--text 1" and answer["format"] == FORMAT
    assert told["probability"] == pytest.approx(expected.predict_proba([text])[0, 1], abs=1e-6)
    assert (
        answer["faithfulness"]["n"] == 1
        and told["comprehensiveness"] == answer["faithfulness"]["comprehensiveness"]["value"]
    )


def test_explain_shows_rows_of_the_test_split_by_default(reviews, capsys):
    assert run("explain", reviews, "--rows", 3, "--method", "attention") == 0
    told = capsys.readouterr().out
    for text in runs.test_rows(reviews).sequences[:3]:
        assert text in told  # spacing and case as they were
    assert len(re.findall(r"\(correct\)|\(it is ", told)) == 3
    assert "ranking by attention" in told


def test_explain_reads_a_file_and_writes_a_page_and_pictures(reviews, tmp_path, capsys):
    assert run("explain", reviews, reviews.parent / "reviews.csv", "--rows", 2, "--out", tmp_path / "out") == 0
    names = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert names == {".html", ".json", ".png", ".svg"}
    assert json.loads((tmp_path / "out" / "explanations.json").read_text())["explanations"][1]["true_label"] == "pos"
    assert "explanations.html" in capsys.readouterr().err


def test_trace_shows_each_step_and_when_the_model_decided(reviews, tmp_path, capsys):
    assert run("trace", reviews, "--text", "a great film", "--json", "--plot", tmp_path / "trace.png") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tokens"] == ["a", "great", "film"] and len(told["running"]) == 3
    assert [layer["name"] for layer in told["layers"]] == ["layer 1, forwards", "layer 1, backwards"]
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")
    assert run("trace", reviews) == 0
    assert "Decided" in capsys.readouterr().out


def test_report_has_every_section_and_its_files(reviews, capsys):
    assert run("report", reviews) == 0
    page = (reviews / "report.html").read_text(encoding="utf-8")
    assert str(reviews / "report.html") in capsys.readouterr().out
    results = ["result", "data", "training", "metrics", "confusions", "calibration", "lengths", "early"]
    explained = ["examples", "faithfulness", "tokens", "trace", "mistakes"]
    records = ["model-card", "configuration", "environment", "reproduce"]
    assert re.findall(r'<section id="([^"]+)"', page) == [*results, *explained, *records]
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (reviews / "model_card.md").exists()
    assert {path.suffix for path in (reviews / "figures").iterdir()} == {".png", ".svg"}
    assert "attention weights" in page
    run("report", reviews)
    assert (reviews / "report.html").read_text(encoding="utf-8") == page  # the same run has the same report


def test_report_of_dna_has_motifs_for_the_meme_suite(motifs):
    assert run("report", motifs) == 0
    page = (motifs / "report.html").read_text(encoding="utf-8")
    assert 'id="motifs"' in page and 'id="tokens"' not in page and "TATAATGC" in page
    assert (motifs / "motifs.meme").read_text().startswith("MEME version 4")


def test_train_writes_a_report_on_request(tmp_path, capsys):
    settings = ["data.train_size=80", "data.validation_size=20", "data.test_size=20", "training.max_epochs=1"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert run("train", "majority", "--out", tmp_path / "run", "--report", "--json", *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["report"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ["explain", "RUN", "--text", "a", "--method", "occlusoin"],
            "Did you mean 'occlusion'?",
        ),
        (
            ["explain", "RUN", "--text", "a", "--method", "in-silico-mutagenesis"],
            "its tokens are words",
        ),
        (
            ["explain", "RUN", "--text", "a", "--label", "poss"],
            "Did you mean 'pos'?",
        ),
        (["explain", "RUN", "--text", ""], "--text 1: "),
        (["explain", "RUN", "file.csv", "--text", "a"], "--text"),
        (["explain", "RUN", "--text", "a", "--token", "1"], "tokens [0]"),
        (["explain", "RUN/model.safetensors"], "a model file has no test split"),
        (["explain", "RUN", "missing.csv"], "missing.csv"),
        (["trace", "RUN", "--text", ""], "empty"),
        (["trace", "RUN", "--text", "a", "--plot", "trace.xyz"], "'xyz'"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_answered_in_one_line(command, expected, reviews, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*(part.replace("RUN", str(reviews)) for part in command)) == 2
    told = capsys.readouterr()
    error, page = told.err.splitlines()
    assert error.startswith("Error: ") and expected in error and not told.out
    assert page.startswith("See docs/")


def test_a_missing_extra_is_named_with_its_command(reviews, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run("report", reviews) == 2
    assert "pip install 'ostinato[explain]'" in capsys.readouterr().err
