"""A comparison from plan to results: match, train, measure, test; it goes on where it stopped."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ostinato.comparison.cost import measure_cost
from ostinato.comparison.matching import HIDDEN, match_parameters
from ostinato.comparison.plan import PLAN, Combination, Job, Plan, slug
from ostinato.comparison.results import summarise, to_csv
from ostinato.comparison.workers import Outcome, train_all
from ostinato.config import to_toml
from ostinato.errors import RunError
from ostinato.progress import Progress
from ostinato.runs.folder import finished_metrics, write_json
from ostinato.storage import write_atomically
from ostinato.tasks import TASKS
from ostinato.tuning import best_config, make_search, time_left, tune
from ostinato.versions import environment

BASE, RESULTS, TABLE = "base.toml", "comparison.json", "comparison.csv"


def run_comparison(
    plan: Plan, folder: Path, *, processes: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Train every run that is not finished yet, measure what each combination costs, and write what was found.

    Args:
        folder: is made, or holds the same comparison, begun before.
        processes: that train side by side, with the machine's cores divided among them; None: one a core.

    Returns:
        The content of `comparison.json`: `runs`, `summary`, `pairs`, and the machine that they were measured on.

    Raises:
        RunError: the folder holds something else.
        OstinatoError: the data cannot be used.
        KeyboardInterrupt: all runs have stopped after a checkpoint; called again, the comparison goes on.
    """
    progress = progress or Progress(quiet=True)
    refuse_other(plan, folder)
    data = TASKS[plan.base.task].prepare(plan.base.data)
    combinations = match_parameters(plan, plan.combinations(), data)
    keep_plan(plan, folder)
    if plan.trials:
        combinations = match_parameters(plan, [_tuned(plan, each, folder, progress) for each in combinations], data)
    outcomes = _train(plan, combinations, folder, processes, progress)
    costs = _costs(combinations, outcomes, folder, progress)
    results = {**summarise(plan, combinations, outcomes, costs, folder), "environment": environment()}
    write_json(folder / RESULTS, results)
    write_atomically(folder / TABLE, to_csv(results))
    return results


def refuse_other(plan: Plan, folder: Path) -> None:
    """Refuse a place where something other than this comparison is."""
    if (folder / PLAN).exists():
        if json.loads((folder / PLAN).read_text(encoding="utf-8")) != plan.to_json():
            raise RunError(
                f"{folder}: holds another comparison. Choose another --out, or go on with that one: ostinato compare --resume {folder}"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: is not empty. Choose another --out.")


def keep_plan(plan: Plan, folder: Path) -> None:
    """Make the folder, with the plan in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}. Choose another --out.") from None
    write_json(folder / PLAN, plan.to_json())
    write_atomically(folder / BASE, to_toml(plan.base))


def _tuned(plan: Plan, combination: Combination, folder: Path, progress: Progress) -> Combination:
    """The combination with what a search found best for it; what is varied or matched stays."""
    fixed = [*plan.vary, HIDDEN] if plan.match == "parameters" else list(plan.vary)
    progress.say(f"Tuning {combination.name}: {plan.trials} trials.")
    found = tune(
        make_search(combination.config, trials=plan.trials, fixed=fixed),
        folder / "tuning" / slug(combination.settings),
        progress=progress,
    )
    return replace(combination, config=best_config(found))


def _train(
    plan: Plan, combinations: Sequence[Combination], folder: Path, processes: int | None, progress: Progress
) -> list[Outcome]:
    """The outcome of every job, in the plan's order."""
    jobs = plan.jobs(combinations)
    outcomes = {
        job.folder: Outcome(job, figures, None) for job in jobs if (figures := _finished(job, plan, folder)) is not None
    }
    missing = [job for job in jobs if job.folder not in outcomes]
    if outcomes:
        progress.say(f"{len(outcomes)} of {len(jobs)} runs are finished already.")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    side_by_side = max(1, min(processes or cores, len(missing)))
    started, before = time.monotonic(), len(outcomes)
    for outcome in train_all(
        missing, folder, plan.lengths, processes=side_by_side, threads=max(1, cores // side_by_side)
    ):
        outcomes[outcome.job.folder] = outcome
        left = (time.monotonic() - started) / (len(outcomes) - before) * (len(jobs) - len(outcomes))
        progress.say(f"[{len(outcomes)}/{len(jobs)}] {outcome.job}: {_told(outcome, plan.metric)}{time_left(left)}")
    return [outcomes[job.folder] for job in jobs]


def _finished(job: Job, plan: Plan, folder: Path) -> dict[str, Any] | None:
    run = folder / job.folder
    figures = finished_metrics(run) if (run / "config.toml").exists() else None
    if figures is None or not plan.lengths:
        return figures
    lengths = run / "lengths.json"
    return {**figures, "lengths": json.loads(lengths.read_text(encoding="utf-8"))} if lengths.exists() else None


def _told(outcome: Outcome, metric: str) -> str:
    if outcome.figures is None:
        return f"failed: {outcome.reason}"
    value = TASKS[outcome.job.config.task].metrics[metric].text(outcome.figures["test"][metric])
    return f"{metric.replace('_', ' ')} {value}, {outcome.figures['training']['seconds']:.1f} s"


def _costs(
    combinations: Sequence[Combination], outcomes: Sequence[Outcome], folder: Path, progress: Progress
) -> dict[str, Any]:
    """What each combination's first finished model costs, by the combination's name; measured once."""
    costs = {}
    for combination in progress.track(list(combinations), "measuring cost"):
        finished = [
            each.job
            for each in outcomes
            if each.job.combination.settings == combination.settings and each.figures is not None
        ]
        kept = folder / "cost" / f"{slug(combination.settings)}.json"
        if kept.exists():
            costs[combination.name] = json.loads(kept.read_text(encoding="utf-8"))
        elif finished:
            costs[combination.name] = measure_cost(folder / finished[0].folder)
            kept.parent.mkdir(exist_ok=True)
            write_json(kept, costs[combination.name])
    return costs
