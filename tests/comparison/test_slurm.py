"""A comparison as a job array: each job is run here as Slurm would, by a shell and a number."""

import json
import os
import subprocess

import pytest
from typer.testing import CliRunner

from ostinato.cli import app
from ostinato.comparison.compare import run_comparison, write_job_array
from ostinato.comparison.options import make_plan
from ostinato.errors import ConfigError
from ostinato.tasks.config import PRESETS, override

SETTINGS = ["data.train_size=60", "data.validation_size=30", "data.test_size=40", "training.max_epochs=1"]


def plan_of(**options):
    return make_plan(override(PRESETS["majority"](), SETTINGS), ["model.cell=rnn,gru"], seeds="1", **options)


def run_job(script, number):
    """What Slurm does for one job of the array."""
    environ = os.environ | {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "1"}
    return subprocess.run(["sh", script], env=environ, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.slow
def test_the_runs_of_an_array_are_those_of_a_local_comparison(tmp_path):
    folder = tmp_path / "an array"  # with a space
    script = write_job_array(plan_of(), folder)
    text = script.read_text(encoding="utf-8")
    assert "#SBATCH --array=0-1\n" in text and os.access(script, os.X_OK)
    run_job(script, 1)
    again = write_job_array(plan_of(), folder)  # what is finished is left out
    assert again == script and "#SBATCH --array=0-0\n" in script.read_text(encoding="utf-8")
    run_job(script, 0)
    assert write_job_array(plan_of(), folder) is None
    found, expected = run_comparison(plan_of(), folder), run_comparison(plan_of(), tmp_path / "local", processes=1)
    assert [run.test for run in found.runs] == [run.test for run in expected.runs]
    assert [run.status for run in found.runs] == ["finished"] * 2


def test_the_command_says_what_to_do_next(tmp_path):
    settings = [each for setting in SETTINGS for each in ("--set", setting)]
    command = ["compare", "majority", "--vary", "model.cell=rnn,gru", "--seeds", "1", *settings, "--on", "slurm"]
    told = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "one")], catch_exceptions=False)
    assert told.stdout.splitlines() == [
        f"Submit the runs with: sbatch {tmp_path}/one/slurm/array.sh",
        f"When they have ended, compare them with: ostinato compare --resume {tmp_path}/one",
    ]
    resumed = ["compare", "--resume", str(tmp_path / "one"), "--on", "slurm", "--json"]
    answer = json.loads(CliRunner().invoke(app, resumed, catch_exceptions=False).stdout)
    assert answer["script"] == f"{tmp_path}/one/slurm/array.sh" and answer["then"].endswith(f"{tmp_path}/one")


def test_trials_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--on slurm with --budget-trials.*--on ray"):
        write_job_array(plan_of(trials=3), tmp_path / "one")
    assert not (tmp_path / "one").exists()
