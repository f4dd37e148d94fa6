"""predict --follow: pipes, growing files, Ctrl-C."""

import json
import signal
import subprocess
import sys

import pytest
from commands import FORWARDS, TEXTS, answers, jsonl, run, tiny

from ostinato.cli import following

LINES = ["a great", " film\n", "dull ünd ", "weak\n", "\n", "a fine film"]


def final(capsys, text):
    assert run("predict", "run", "--text", text) == 0
    return answers(capsys)[0]


def test_a_text_is_answered_after_each_line_that_changes_the_answer(folder, capsys, monkeypatch):
    monkeypatch.setattr(following, "CHUNK", 3)  # cuts lines and a character
    assert run("predict", "run", "-", "--follow", stdin="".join(LINES).encode()) == 0
    first, second, last = answers(capsys)
    assert [each.pop("steps") for each in (first, second, last)] == [3, 6, 9]
    assert first == final(capsys, "a great film")
    assert second == final(capsys, "a great film dull ünd weak")
    assert last == final(capsys, "".join(LINES))


def test_a_series_comes_in_lines_of_json(folder, capsys):
    lines = "[[0.5, 1.0]]\n[[1.5, 0.0], [0.1, 0.2]]\n\n[[2.0, 0.0]]"
    assert run("predict", "numeric", "-", "--follow", stdin=lines.encode()) == 0
    assert [answer["steps"] for answer in answers(capsys)] == [1, 3, 4]
    assert run("predict", "numeric", "-", "--follow", stdin=b"[[1, 2]]\nnonsense\n") == 2
    assert "line 2" in capsys.readouterr().err


def test_line_ends_are_no_part_of_dna(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = ["ACGTTGCA", "TTTTGGGG"] * 20
    (tmp_path / "dna.jsonl").write_text(jsonl(text=rows, label=["a", "b"] * 20), encoding="utf-8")
    config = f'[data]\npath = "dna.jsonl"\ntokenizer = "nucleotides"\n{FORWARDS}'
    (tmp_path / "dna.toml").write_text(config, encoding="utf-8")
    assert run("train", "dna.toml", *tiny(), "--out", "dna") == 0
    capsys.readouterr()
    assert run("predict", "dna", "-", "--follow", stdin=b"ACGT\r\nTTGA\n") == 0
    assert answers(capsys)[-1]["steps"] == 8


def test_a_tagger_prints_words_as_they_are_complete(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = jsonl(tokens=[["Ann", "sees", "Bo"]] * 20, tags=[["B-PER", "O", "B-PER"]] * 20)
    (tmp_path / "tags.jsonl").write_text(rows, encoding="utf-8")
    settings = 'bidirectional = false\nhead = "softmax"\n'
    (tmp_path / "tags.toml").write_text(
        f'task = "tagging"\n[data]\npath = "tags.jsonl"\ntarget_scheme = "none"\n[model]\n{settings}', encoding="utf-8"
    )
    assert run("train", "tags.toml", *tiny(), "--out", "tags") == 0
    capsys.readouterr()
    monkeypatch.setattr(following, "CHUNK", 4)
    assert run("predict", "tags", "-", "--follow", stdin=b"Ann sees Bo") == 0
    found = answers(capsys)
    assert [answer["tokens"] for answer in found] == [["Ann"], ["sees"], ["Bo"]]
    assert run("predict", "tags", "--text", "Ann sees Bo") == 0
    assert [tag for answer in found for tag in answer["tags"]] == answers(capsys)[0]["tags"]


def following_program(file, **options):
    command = [sys.executable, "-m", "ostinato", "predict", "run", file, "--follow"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_a_growing_file_is_answered_until_ctrl_c(folder, capsys):
    file = folder / "growing.txt"
    file.write_text(f"{TEXTS[0]}\n", encoding="utf-8")
    with following_program("growing.txt") as process:
        assert json.loads(process.stdout.readline())["steps"] == 6
        with file.open("a", encoding="utf-8") as growing:
            growing.write("dull and w\n")
        assert json.loads(process.stdout.readline())["steps"] == 9
        with file.open("ab") as growing:
            growing.write("no line\nend é".encode()[:-1])  # ends inside a character
        assert json.loads(process.stdout.readline())["steps"] == 11
        process.send_signal(signal.SIGINT)
        last = json.loads(process.stdout.readline())
        assert process.stdout.read() == process.stderr.read() == b""
    assert process.returncode == 0
    assert last.pop("steps") == 12
    assert last == final(capsys, f"{TEXTS[0]}\ndull and w\nno line\nend ")


def test_a_file_that_becomes_shorter_is_an_error(folder):
    (folder / "log.txt").write_text("a great film\n", encoding="utf-8")
    with following_program("log.txt") as process:
        process.stdout.readline()
        (folder / "log.txt").write_text("", encoding="utf-8")
        assert b"became shorter" in process.stderr.read()
    assert process.returncode == 2


def test_a_broken_pipe_ends_quietly(folder):
    with following_program("-", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"a great film\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"a dull film\n")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--text", "a", "--follow"], "--text"),
        (["-", "--follow", "--strict"], "--strict"),
        (["reviews.csv", "--follow"], "rows"),
        (["missing.txt", "--follow"], "missing.txt"),
    ],
)
def test_what_cannot_be_followed_is_refused(folder, capsys, arguments, named):
    assert run("predict", "run", *arguments) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("stdin", [b"a \xff film\n", b"a film \xc3"])
def test_what_is_not_utf_8_is_named(folder, capsys, stdin):
    assert run("predict", "run", "-", "--follow", stdin=stdin) == 2
    assert f"0x{max(stdin):02x}" in capsys.readouterr().err
