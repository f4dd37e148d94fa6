"""`ostinato new`: answers become a command, wrong ones are asked again, nothing is written before the user agrees."""

import io
import os
import shlex
import signal
import sys
from itertools import product
from select import select

import pytest
from commands import LABELS, SERIES, jsonl, run, tiny
from test_help import PROGRAM, parse

from ostinato import cli
from ostinato.cli import asking, training
from ostinato.tasks.config import PRESETS, read_config

PLACES = ("Oslo", "Rome", "Paris")
ROWS = [
    f"{place},a {word} film that I saw {number} times,{verdict},{stars}"
    for number, (place, (word, verdict, stars)) in enumerate(
        product(PLACES * 5, [("warm", "good", 4.5), ("dull", "bad", 1.25), ("fine", "good", 3.75)])
    )
]
OWN = "place,comment,verdict,stars\n" + "\n".join(ROWS) + "\n"


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text(OWN, encoding="utf-8")
    return tmp_path


@pytest.fixture
def new(monkeypatch, capsys):
    """Answer the questions; returns the exit status, the command and the whole screen."""

    def answered(*answers):
        monkeypatch.setattr(sys, "argv", ["ostinato", "new"])
        monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO("".join(f"{each}\n" for each in answers).encode())))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        with pytest.raises(SystemExit) as finished:
            cli.main()
        told = capsys.readouterr()
        assert told.err == ""
        lines = told.out.splitlines()
        line = next((line.strip() for line in reversed(lines) if line.startswith("  ostinato ")), None)
        if line is not None:
            parse(line)
        return finished.value.code, line, told.out

    return answered


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_enter_everywhere_takes_what_init_infers(new, folder):
    assert new("own.csv", "", "", "", "", "", "no")[:2] == (0, "ostinato train own.csv --minutes 10")
    assert names(folder) == ["own.csv"]


def test_corrections_are_settings_that_train_reads(new):
    _, line, _ = new("own.csv", "place", "verdict", "subwords", "train", "0.5", "no")
    settings = ["data.label_column=place", "data.text_column=verdict", "data.tokenizer=subwords"]
    assert shlex.split(line) == ["ostinato", "train", "own.csv", "--minutes", "0.5"] + [
        part for each in settings for part in ("--set", each)
    ]


def test_a_label_of_numbers_becomes_a_target(new, folder):
    rows = "".join(f"words of row {n},{'ab'[n % 2]},{n / 7:.3f}\n" for n in range(40))
    (folder / "own.csv").write_text(f"text,label,price\n{rows}", encoding="utf-8")
    _, line, _ = new("own.csv", "price", "", "", "", "", "no")
    assert line == "ostinato train own.csv --minutes 10 --set data.target_columns=price"


def test_columns_and_choices_can_be_named_by_their_number(new):
    _, line, _ = new("own.csv", "1", "1", "3", "1", "5", "no")
    assert "data.label_column=place" in line and "data.tokenizer=characters" in line


def test_wrong_answers_are_asked_again_with_what_was_expected(new):
    status, line, screen = new(
        "missing.csv", "own.csv", "verdit", "verdict", "", "", "", "soon", "-1", "nan", "2", "maybe", "no"
    )
    assert (status, line) == (0, "ostinato train own.csv --minutes 2")
    for expected in (
        "missing.csv: there is no such file",
        "Did you mean 'verdict'",
        "'soon'",
        "'-1'",
        "'nan'",
        "'maybe'",
    ):
        assert expected in screen


def test_a_label_that_cannot_be_one_is_asked_again(new, folder):
    rows = "".join(f"text number {n},{'ab'[n % 2]},key {n}\n" for n in range(40))
    (folder / "own.csv").write_text(f"text,label,key\n{rows}", encoding="utf-8")
    _, line, screen = new("own.csv", "key", "label", "", "", "", "", "no")
    assert line == "ostinato train own.csv --minutes 10"
    assert "'key' has 40 distinct values" in screen


def test_a_label_that_no_rule_finds_has_to_be_named(new, folder):
    rows = "".join(f"{n} {n * 7 % 13} words of text,{'abcdefgh'[n % 8]}\n" for n in range(20))
    (folder / "own.csv").write_text(f"opinion,mark\n{rows}", encoding="utf-8")
    _, line, screen = new("own.csv", "", "mark", "", "", "", "no")
    assert "no column looks like a label" in screen and "no default" in screen
    assert line == "ostinato train own.csv --minutes 10 --set data.label_column=mark"


def test_a_column_whose_name_looks_like_a_number_stays_a_name(new, folder):
    rows = "".join(f"text number {n},{'ab'[n % 2]},{'cd'[n % 3 // 2]}\n" for n in range(40))
    (folder / "own.csv").write_text(f"text,label,2024\n{rows}", encoding="utf-8")
    new("own.csv", "2024", "", "", "config", "yes")
    assert read_config(folder / "own.toml").data.label_column == "2024"


def test_files_without_choices_ask_for_none(new, folder):
    (folder / "series.jsonl").write_text(jsonl(series=SERIES, label=LABELS), encoding="utf-8")
    (folder / "tags.conll").write_text("Ada B-PER\nleft O\nOslo B-LOC\n\n" * 20, encoding="utf-8")
    assert new("series.jsonl", "", "audit", "no")[1] == "ostinato data audit series.jsonl"
    assert new("tags.conll", "train", "1", "no")[1] == "ostinato train tags.conll --minutes 1"


def test_a_config_is_written_under_a_free_name_when_the_user_agrees(new, folder):
    (folder / "own.toml").write_text("mine", encoding="utf-8")
    status, line, _ = new("own.csv", "", "place", "", "config", "yes")
    assert (status, line) == (0, "ostinato init own.csv --set data.text_column=place > own-2.toml")
    assert read_config(folder / "own-2.toml").data.text_column == "place"
    assert (folder / "own.toml").read_text(encoding="utf-8") == "mine"


def test_yes_runs_the_command_that_was_shown(new, monkeypatch):
    called = []
    monkeypatch.setattr(training, "train", lambda *words, **options: called.append((words, options)))
    assert new("own.csv", "", "", "", "stream", "3", "")[1].startswith(
        "ostinato train own.csv --minutes 3 --set model."
    )
    assert new("example", "count-ones", "yes")[1] == "ostinato train count-ones"
    assert called == [(("own.csv", list(asking.STREAMING)), {"minutes": 3.0}), (("count-ones",), {})]


def test_the_settings_of_a_stream_make_a_model_that_streams(folder, capsys):
    (folder / "own.toml").write_text('[data]\npath = "own.csv"\nlabel_column = "verdict"\n', encoding="utf-8")
    settings = ("data.text_column=comment", "training.device=cpu", *asking.STREAMING)
    assert run("train", "own.toml", *tiny(*settings), "--out", "run") == 0
    capsys.readouterr()
    assert run("predict", "run", "-", "--follow", stdin=b"a warm film\n") == 0
    assert '"steps": 3' in capsys.readouterr().out


def test_the_examples_are_presets_with_a_description(new):
    assert set(asking.EXAMPLES) <= PRESETS.keys()
    _, line, screen = new("", "", "no")
    assert line == "ostinato train dna"
    assert "Bits: how many are ones?" in screen


@pytest.mark.parametrize("answers", [(), ("own.csv",), ("own.csv", "", "", "", "", "")])
def test_the_end_of_the_input_leaves_nothing_behind(new, folder, answers):
    status, _, screen = new(*answers)
    assert status == 130
    assert screen.endswith("Stopped. Nothing was written.\n")
    assert names(folder) == ["own.csv"]


def test_without_a_terminal_the_command_to_use_is_named(capsys):
    assert run("new") == 2
    assert "ostinato train FILE --minutes 10" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
def test_in_a_terminal_ctrl_c_stops_without_a_trace(folder):
    import pty

    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell inherit that it is ignored
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, "new"])
    screen, answers = b"", [b"own.csv\n", b"\x03"]
    try:
        while True:
            while not answers and not select([terminal], [], [], 1)[0]:  # a signal just before a read does not end it
                os.write(terminal, b"\x03")
            if not (part := os.read(terminal, 4096)):
                break
            screen += part
            if answers and screen.endswith((b"[example] ", b"[verdict] ")):
                os.write(terminal, answers.pop(0))
    except OSError:  # Linux ends a terminal so
        pass
    os.close(terminal)
    assert b"Traceback" not in screen
    assert screen.endswith(b"Stopped. Nothing was written.\r\n"), screen
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert names(folder) == ["own.csv"]
