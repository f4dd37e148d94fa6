"""The first minute: the screen of `ostinato` alone, the example in each help, and completion by the shell."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer
from commands import run

from ostinato.cli import UsageError, app
from ostinato.tasks.config import PRESETS

PROGRAM = "import sys; sys.argv[0] = 'ostinato'; from ostinato.cli import main; main()"


def commands_of(command, path=("ostinato",)):
    """The path of each command and group, and what parses it."""
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands_of(each, (*path, name))


COMMANDS = dict(commands_of(typer.main.get_command(app)))


def parse(line):
    """Parse a command, without what is redirected, and do not run it; returns its path."""
    words = shlex.split(line.partition(" > ")[0])
    path = max((each for each in COMMANDS if tuple(words[: len(each)]) == each), key=len)
    rest = words[len(path) :]
    assert not hasattr(COMMANDS[path], "commands") or rest in ([], ["--help"]), f"{line}: unknown command"
    with contextlib.suppress(typer.Exit):  # --help
        COMMANDS[path].make_context(path[-1], rest)
    return path


def help_of(path, capsys):
    assert run(*path[1:], "--help") == 0
    return capsys.readouterr().out


# The screen of `ostinato` alone


def test_ostinato_alone_shows_a_short_screen_of_commands_that_exist(capsys):
    assert run() == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert 1 < len(lines) <= 12
    assert all(len(line) <= 110 for line in lines)
    commands = [line.split("  ")[0] for line in map(str.strip, lines) if line.startswith("ostinato ")]
    paths = [parse(each) for each in commands]
    assert [path[-1] for path in paths if len(path) > 1] == ["train", "train", "predict", "new", "train"]
    assert "ostinato --help" in commands and "dna" in PRESETS


GROUPS = [path for path, command in COMMANDS.items() if hasattr(command, "commands")]


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_a_group_alone_shows_where_to_start(path, capsys):
    assert run(*path[1:]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = [line.strip() for line in told.out.splitlines()]
    shown = [line.split("  ")[0] for line in lines if line.startswith("ostinato ")]
    assert 2 <= len(shown) <= 6
    for each in shown:
        assert parse(each)[: len(path)] == path


def test_ostinato_alone_imports_nothing_heavy():
    heavy = ("torch", "numpy", "rich", "pyarrow")  # newer versions of typer parse by pydantic
    code = f"import atexit\natexit.register(lambda: print([m for m in {heavy} if m in sys.modules]))\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_command_shows_no_start_screen(capsys):
    run()
    start = capsys.readouterr().out.splitlines()[0]
    assert run("schema") == 0
    assert start not in capsys.readouterr().out


# Examples


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_command_ends_with_an_example_that_its_parser_takes(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    last = help_of(path, capsys).splitlines()[-1]
    found = re.fullmatch(r"  Example: (ostinato .+)", last)
    assert found, f"{last!r} is not the whole example"
    assert parse(found[1])[: len(path)] == path


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_h_is_help(path, capsys):
    assert run(*path[1:], "-h") == 0
    assert capsys.readouterr().out == help_of(path, capsys)


@pytest.mark.parametrize("line", ["ostinato train --no-such-option", "ostinato data show", "ostinato predict a b c"])
def test_parsing_an_example_refuses_unknown_options_and_wrong_arguments(line):
    with pytest.raises(UsageError):
        parse(line)


# Completion


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")
def test_show_completion_prints_a_script_by_which_bash_completes_commands(tmp_path):
    program = tmp_path / "ostinato"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", PROGRAM])} "$@"\n', encoding="utf-8")
    program.chmod(0o755)

    def bash(script):
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path})

    shown = bash("ostinato --show-completion bash; exit $?")  # after `exit`, bash does not replace itself
    assert shown.returncode == 0, shown.stderr
    function = re.search(r"complete .*-F (\w+) ostinato", shown.stdout)[1]
    words = "COMP_WORDS=(ostinato tr) COMP_CWORD=1"
    completed = bash(f'{shown.stdout}\n{words}\n{function} ostinato\necho "${{COMPREPLY[@]}}"')
    assert completed.stdout.split() == ["train", "trace"], completed.stderr
