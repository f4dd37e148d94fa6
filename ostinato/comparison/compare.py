"""A comparison from plan to results: match sizes, tune, train, measure costs, test. It resumes where it stopped."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ostinato.cluster import Cluster
from ostinato.cluster.folders import ARRIVING, remove
from ostinato.comparison.cost import measure_cost
from ostinato.comparison.matching import HIDDEN, match_parameters
from ostinato.comparison.on_cluster import train_all_on
from ostinato.comparison.plan import PLAN, Combination, Plan, read_plan, slug
from ostinato.comparison.results import Comparison, Cost
from ostinato.comparison.slurm import write_array
from ostinato.comparison.summary import summarise
from ostinato.comparison.table import to_csv
from ostinato.comparison.training import Outcome, finished_outcome
from ostinato.comparison.workers import train_all
from ostinato.config import to_toml
from ostinato.errors import ConfigError, RunError
from ostinato.progress import Progress
from ostinato.runs.folder import shell_path
from ostinato.storage import is_unused, make_folder, make_subfolder, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.records import TaskData
from ostinato.threads import thread_limit
from ostinato.tuning import make_search, time_left, tune

BASE, RESULTS, TABLE = "base.toml", "comparison.json", "comparison.csv"


def run_comparison(
    plan: Plan,
    folder: Path,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
) -> Comparison:
    """Train every run that is not finished yet, measure each combination's costs, and write the results.

    Args:
        folder: is created, or holds the same comparison, interrupted before.
        processes: how many train in parallel; they share the threads that `thread_limit` allows. None: one for each.
        cluster: trains on its nodes, in parallel on its CPUs or GPUs. Costs are measured on this machine.

    Returns:
        The content of `comparison.json`.

    Raises:
        RunError: the folder holds something else, another process is using it, or the connection to the cluster is
            lost.
        OstinatoError: the data cannot be used.
        KeyboardInterrupt: all runs have stopped after a checkpoint; called again, the comparison resumes.
    """
    progress = progress or Progress(quiet=True)
    with _begun(plan, folder) as (data, combinations):
        if plan.trials:
            combinations = match_parameters(
                plan, [_tuned(plan, each, folder, progress, cluster, processes) for each in combinations], data
            )
        outcomes = _train(plan, combinations, folder, processes, progress, cluster)
        costs = _costs(combinations, outcomes, folder, progress)
        comparison = summarise(plan, combinations, outcomes, costs, folder)
        comparison.write(folder / RESULTS)
        write_atomically(folder / TABLE, to_csv(comparison))
    return comparison


def write_job_array(plan: Plan, folder: Path) -> Path | None:
    """Make the runs that a comparison still lacks, and a script that trains each in a job of Slurm.

    Afterwards, `run_comparison` finds the runs in the folder.

    Returns:
        The script; None: all runs are finished.

    Raises:
        ConfigError: the plan has trials, which are chosen one after the other.
        RunError: the folder holds something else, or another process is using it.
        OstinatoError: the data cannot be used.
    """
    if plan.trials:
        raise ConfigError(
            "--on slurm with --budget-trials: trials follow from each other. Use --on ray, or tune first."
        )
    with _begun(plan, folder) as (data, combinations):
        jobs = [job for job in plan.jobs(combinations) if finished_outcome(job, plan, folder) is None]
        return write_array(jobs, folder, data) if jobs else None


@contextmanager
def _begun(plan: Plan, folder: Path) -> Iterator[tuple[TaskData, list[Combination]]]:
    """Lock the comparison's folder, and write the plan into it; gives the data and the combinations of equal size."""
    _refuse_other(plan, folder)
    data = TASKS[plan.base.task].prepare_for(plan.base)
    combinations = match_parameters(plan, plan.combinations(), data)
    make_folder(folder)
    with locked(folder):
        _refuse_other(plan, folder)  # another process may have been faster
        remove(folder / ARRIVING)  # of a process that was killed
        plan.record().write(folder / PLAN)
        write_atomically(folder / BASE, to_toml(plan.base))
        yield data, combinations


def read_comparison(folder: Path) -> Comparison:
    """The results of a finished comparison, also of version 0.1.

    Raises:
        RunError: the comparison is not finished, or its results were altered.
    """
    if not (folder / RESULTS).exists():
        raise RunError(
            f"{folder}: holds no {RESULTS}. Finish the comparison with: ostinato compare --resume {shell_path(folder)}"
        )
    return Comparison.read(folder / RESULTS)


def _refuse_other(plan: Plan, folder: Path) -> None:
    """Refuse a folder that holds anything but this comparison."""
    if (folder / PLAN).exists():
        if read_plan(folder).record() != plan.record():
            raise RunError(
                f"{folder}: holds another comparison. Choose another --out, or resume that one: ostinato compare "
                f"--resume {shell_path(folder)}"
            )
    elif not is_unused(folder):
        raise RunError(f"{folder}: is not empty. Choose another --out.")


def _tuned(
    plan: Plan,
    combination: Combination,
    folder: Path,
    progress: Progress,
    cluster: Cluster | None,
    processes: int | None,
) -> Combination:
    """The combination with the best settings of a search; varied and matched keys stay fixed."""
    fixed = [*plan.vary, HIDDEN] if plan.match == "parameters" else list(plan.vary)
    progress.say(f"Tuning {combination.name}: {plan.trials} trials.")
    found = tune(
        make_search(combination.config, trials=plan.trials, fixed=fixed),
        folder / "tuning" / slug(combination.settings),
        progress=progress,
        cluster=cluster,
        at_once=processes,
    )
    return replace(combination, config=found.best_config())


def _train(
    plan: Plan,
    combinations: Sequence[Combination],
    folder: Path,
    processes: int | None,
    progress: Progress,
    cluster: Cluster | None,
) -> list[Outcome]:
    """The outcome of every job, in the plan's order."""
    jobs = plan.jobs(combinations)
    outcomes = {job.folder: outcome for job in jobs if (outcome := finished_outcome(job, plan, folder)) is not None}
    missing = [job for job in jobs if job.folder not in outcomes]
    if outcomes:
        progress.say(f"{len(outcomes)} of {len(jobs)} runs are already finished.")
    if cluster is None:
        limit = thread_limit().number
        parallel = max(1, min(processes or limit, len(missing)))
        trained = train_all(missing, folder, plan.lengths, processes=parallel, threads=max(1, limit // parallel))
    else:
        trained = train_all_on(cluster, missing, folder, plan.lengths, at_once=processes)
    started, before = time.monotonic(), len(outcomes)
    for outcome in trained:
        outcomes[outcome.job.folder] = outcome
        left = (time.monotonic() - started) / (len(outcomes) - before) * (len(jobs) - len(outcomes))
        line = f"[{len(outcomes)}/{len(jobs)}] {outcome.job}: {_outcome_in_words(outcome, plan.metric)}"
        progress.say(line + time_left(left))
    return [outcomes[job.folder] for job in jobs]


def _outcome_in_words(outcome: Outcome, metric: str) -> str:
    if outcome.metrics is None:
        return f"failed: {outcome.reason}"
    score = outcome.metrics["test"].get(metric)
    value = "undefined" if score is None else TASKS[outcome.job.config.task].metrics[metric].text(score)
    return f"{metric.replace('_', ' ')} {value}, {outcome.metrics['training']['seconds']:.1f} s"


def _costs(
    combinations: Sequence[Combination], outcomes: Sequence[Outcome], folder: Path, progress: Progress
) -> Mapping[str, Cost | None]:
    """The costs of each combination's first finished model, by the combination's name; measured once."""
    costs: dict[str, Cost | None] = {}
    for combination in progress.track(list(combinations), "measuring cost"):
        finished = [
            each.job
            for each in outcomes
            if each.job.combination.settings == combination.settings and each.metrics is not None
        ]
        file = folder / "cost" / f"{slug(combination.settings)}.json"
        if file.exists() and file.read_text(encoding="utf-8").strip() != "null":  # version 0.1: could not be measured
            costs[combination.name] = Cost.read(file)
        elif finished:
            cost = costs[combination.name] = measure_cost(folder / finished[0].folder)
            if cost is not None:
                make_subfolder(file.parent)
                cost.write(file)
    return costs
