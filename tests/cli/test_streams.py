"""Standard streams that are closed, full or broken pipes, and locales and terminals of any kind."""

import os
import subprocess
import sys

import pytest

OURS = [sys.executable, "-m", "ostinato"]


def shell(redirection, *arguments, **environment):
    """Call the command line by a shell that redirects its streams."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *OURS, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("command", [["data", "list"], ["schema"], ["--help"], ["init", "majority"]])
def test_a_closed_standard_output_is_an_error(command):
    done = shell(">&-", *command)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: standard output is closed.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["data", "list"], ["train", "no.toml"], ["--nonsense"]])
def test_a_closed_standard_error_changes_nothing_else(command):
    done = shell("2>&-", *command)
    assert done.returncode == (0 if command == ["data", "list"] else 2)
    assert ("majority" in done.stdout) == (command == ["data", "list"])


@pytest.mark.parametrize("redirection", ["| head -1", "2>&1 | head -1"])
def test_a_broken_pipe_is_quiet(redirection):
    done = shell(redirection, "schema")
    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_named():
    assert shell("> /dev/full", "schema").stderr.startswith("Error: standard output: ")
    assert shell("2> /dev/full", "train", "no.toml").returncode == 2


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"COLUMNS": "20", "TERM": "dumb", "NO_COLOR": "1"},
        {"HOME": "/nonexistent"},
    ],
    ids=str,
)
def test_any_locale_and_terminal_will_do(environment):
    done = shell("", "data", "list", **environment)
    assert done.returncode == 0
    assert "majority" in done.stdout


@pytest.mark.parametrize("name", ["train", "compare", "tune", "data"])
def test_a_fault_of_a_config_is_reported_without_importing_pytorch(name, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('[data]\nname = "majority"\nx = 1\n', encoding="utf-8")
    words = {"data": ["data", "audit"]}.get(name, [name])
    code = "import sys; from ostinato.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, *words, path], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "data.x: unknown key" in done.stderr
    assert "AssertionError" not in done.stderr
