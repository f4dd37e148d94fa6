"""A few kills of the kill harness; `make kill` runs many."""

import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "kill_harness.py"


@pytest.mark.slow
@pytest.mark.parametrize("only", ["train text", "tune"])
def test_killed_commands_resume_to_the_same_bits(only):
    command = [sys.executable, HARNESS, "--kills", "4", "--per-chain", "2", "--only", only]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout
