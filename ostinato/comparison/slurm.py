"""A comparison's runs as a job array of Slurm: a script that `sbatch` takes, and the list of runs that it reads."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ostinato.comparison.plan import Job
from ostinato.runs.creation import create_run
from ostinato.runs.folder import CONFIG
from ostinato.storage import make_subfolder, write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.records import TaskData

PLACE, SCRIPT, RUNS = "slurm", "array.sh", "runs.txt"
TEMPLATE = """\
#!/bin/sh
#SBATCH --job-name=ostinato
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task=1
#SBATCH --output={log}
# Each job trains one run, or resumes it. Options of sbatch, such as --time or --cpus-per-task, replace those above.
cd {here} || exit 1
run=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {runs})
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
exec {python} -m ostinato train --resume "$run"
"""


def write_array(jobs: Sequence[Job], folder: Path, data: TaskData) -> Path:
    """Make the folders of runs, and a script that trains each in a job of its own. Returns the script.

    Args:
        jobs: the runs that are to be trained, at least one.
        folder: of the comparison; all nodes must see it under the same path.

    Raises:
        RunError: a file cannot be written.
    """
    place = folder.absolute() / PLACE
    make_subfolder(place)
    runs = []
    for job in jobs:
        run = folder.absolute() / job.folder
        if not (run / CONFIG).exists():
            create_run(TASKS[job.config.task].settle(job.config, data), run)
        runs.append(run)
    write_atomically(place / RUNS, "".join(f"{run}\n" for run in runs))
    here, python, listed = (shlex.quote(str(each)) for each in (Path.cwd(), sys.executable, place / RUNS))
    script = TEMPLATE.format(last=len(runs) - 1, log=place / "%a.log", here=here, runs=listed, python=python)
    write_atomically(place / SCRIPT, script)
    os.chmod(place / SCRIPT, 0o755)
    return place / SCRIPT
