"""A row that cannot be used among good ones: the others are answered or scored, and it is named with its reason."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import LABELS, TEXTS, WORDS, answers, run, tiny

from ostinato.printable import visible

UNKNOWN, EMPTY = "zzz qqq", ""
ROWS = [TEXTS[0], TEXTS[1], UNKNOWN, EMPTY, TEXTS[2], TEXTS[3]]
TARGETS = {
    "classification": ("label", LABELS, ["neg", "pos", "neg", "neg", "pos", "neg"]),
    "multilabel": ("labels", ["a|b", "b", "a", ""] * 10, ["a", "b", "a", "a", "b", ""]),
    "regression": ("target", [number % 7 for number in range(40)], [1, 2, 3, 4, 5, 6]),
}
HOSTILE = "a great\x1b[2J film \u202e\x9b31m"


def csv_of(name, texts, targets):
    lines = [f'"{text}",{target}\n' for text, target in zip(texts, targets, strict=True)]
    return "".join([f"text,{name}\n", *lines])


def conll_of(texts):
    return "".join(
        "".join(f"{word}\t{'B-X' if word == 'film,' else 'O'}\n" for word in text.split()) + "\n" for text in texts
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a small finished run of each task."""
    folder, here = tmp_path_factory.mktemp("runs"), Path.cwd()
    os.chdir(folder)
    for task, (name, targets, _) in TARGETS.items():
        Path(f"{task}.csv").write_text(csv_of(name, TEXTS, targets), encoding="utf-8")
    Path("tagging.conll").write_text(conll_of(TEXTS), encoding="utf-8")
    for path in sorted(folder.glob("*.c*")):
        words = "" if path.stem == "tagging" else WORDS
        config = f'task = "{path.stem}"\n[data]\npath = "{path.name}"\n{words}'
        Path(f"{path.stem}.toml").write_text(config, encoding="utf-8")
        assert run("train", f"{path.stem}.toml", *tiny(), "--out", path.stem) == 0
    os.chdir(here)
    return folder


@pytest.fixture
def folder(runs, tmp_path, monkeypatch):
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("from_file", [True, False])
def test_predict_answers_the_other_rows(task, from_file, folder, capsys):
    name, _, targets = TARGETS[task]
    Path("a.csv").write_text(csv_of(name, ROWS, targets), encoding="utf-8")
    capsys.readouterr()
    assert run("predict", task, "a.csv" if from_file else "-", stdin="\n".join(ROWS).encode()) == 1
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert len(lines) == len(ROWS)
    assert [number for number, line in enumerate(lines) if '"error"' in line] == [3]
    assert ("row 5" if from_file else "line 4") in lines[3]
    assert [number for number, line in enumerate(lines) if '"warning"' in line] == [2]
    assert shown.err == "1 row could not be read.\n"


@pytest.mark.parametrize("form", ["jsonl", "conll", "text"])
def test_predict_tags_the_other_sentences(form, folder, capsys):
    assert run("predict", "tagging", "-", "--format", form, stdin="\n".join(ROWS).encode()) == 1
    shown = capsys.readouterr()
    assert "standard input, line 4" in (shown.out if form == "jsonl" else shown.err)
    assert "number" in shown.out.splitlines()[-1 if form != "conll" else -3]
    assert shown.err.endswith("1 row could not be read.\n")


@pytest.mark.parametrize("task", TARGETS)
def test_evaluate_scores_the_other_rows_and_those_of_unknown_words(task, folder, capsys):
    name, _, targets = TARGETS[task]
    Path("a.csv").write_text(csv_of(name, ROWS, targets), encoding="utf-8")
    assert run("evaluate", task, "a.csv", "--json") == 1
    shown = capsys.readouterr()
    assert '"n": 5' in shown.out
    assert "a.csv, row 5: the sequence is empty" in shown.err
    assert shown.err.endswith("1 row could not be read; the scores leave it out.\n")


def test_evaluate_scores_the_other_sentences(folder, capsys):
    Path("a.jsonl").write_text(
        '{"tokens": ["film"], "tags": ["O"]}\n{"tokens": [], "tags": []}\n{"tokens": ["zzz"], "tags": ["O"]}\n',
        encoding="utf-8",
    )
    assert run("evaluate", "tagging", "a.jsonl", "--json") == 1
    shown = capsys.readouterr()
    assert '"num_sentences": 2' in shown.out
    assert "a.jsonl, row 2" in shown.err


def test_a_file_without_a_row_that_can_be_scored_is_an_error(folder, capsys):
    Path("a.csv").write_text('text,label\n"",pos\n', encoding="utf-8")
    assert run("evaluate", "classification", "a.csv") == 2
    assert "a.csv, row 2" in capsys.readouterr().err


@pytest.mark.parametrize("task", [*TARGETS, "tagging"])
@pytest.mark.parametrize("command", ["predict", "explain", "trace"])
def test_control_characters_are_shown_not_sent(task, command, folder, capsys):
    if (command, task) == ("trace", "tagging"):
        return
    for options in ([], ["--format", "text"] if (command, task) == ("predict", "tagging") else ["--json"]):
        if command == "predict" and "--json" in options:
            continue
        assert run(command, task, "--text", HOSTILE, *options) == 0
        shown = "".join(capsys.readouterr())
        assert visible(shown.replace("\n", "")) == shown.replace("\n", "")


def test_a_hostile_name_is_shown_in_errors(folder, capsys):
    for command in (["predict", f"no{HOSTILE}", "-"], [f"no{HOSTILE}"], ["train", f"{HOSTILE}.toml"]):
        assert run(*command) == 2
        error = capsys.readouterr().err
        assert r"\x1b[2J" in error
        assert visible(error.replace("\n", "")) == error.replace("\n", "")


def test_answers_are_printed_as_rows_arrive(folder):
    command = [sys.executable, "-m", "ostinato", "predict", "classification", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for text in TEXTS[:2]:
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            assert b'"label"' in process.stdout.readline()  # while standard input is open
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_line_in_two_parts_is_one_row(folder, capsys, monkeypatch):
    from ostinato.cli import streams

    monkeypatch.setattr(streams, "CHUNK", 7)
    assert run("predict", "classification", "-", stdin="\n".join(TEXTS[:5]).encode()) == 0
    in_parts = answers(capsys)
    assert run("predict", "classification", *(part for text in TEXTS[:5] for part in ("--text", text))) == 0
    assert in_parts == answers(capsys)


def test_a_closed_standard_input_is_an_error(folder, capsys, monkeypatch):
    command = [sys.executable, "-m", "ostinato", "predict", "classification", "-"]
    done = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: standard input is closed.")
