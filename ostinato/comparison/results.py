"""From finished runs to what a comparison says: a row a run, a row a combination, a sentence a pair."""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ostinato.comparison.lengths import predictions_file
from ostinato.comparison.plan import LENGTH, Combination, Plan, describe
from ostinato.comparison.workers import Outcome
from ostinato.evaluation.statistics import Scored, compare, holm, sentence, verdict
from ostinato.tasks import TASKS


class Answers(NamedTuple):
    """What the trainings of one combination answered to the same test examples."""

    settings: dict[str, str]
    combination: Combination
    outcomes: list[Outcome]
    sources: list[str]
    scored: Scored
    interval: tuple[float, float]


def summarise(
    plan: Plan, combinations: Sequence[Combination], outcomes: Sequence[Outcome], costs: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """All that the comparison found, as JSON values: `runs`, `summary`, `pairs`."""
    rows = [row for combination in combinations for row in _answers(plan, combination, outcomes, folder)]
    return {
        "task": plan.base.task,
        "metric": plan.metric,
        "plan": plan.to_json(),
        "runs": [_run(plan, outcome) for outcome in outcomes],
        "summary": [_summary(plan, row, outcomes, costs) for row in rows],
        "pairs": _pairs(rows),
    }


def to_csv(results: dict[str, Any]) -> str:
    """One line a run."""
    settings = list(dict.fromkeys(key for run in results["runs"] for key in run["settings"]))
    figures = [*TASKS[results["task"]].metrics, "seconds", "epochs", "parameters", "hidden_size"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*settings, "seed", "fold", "status", *figures, "reason"])
    for run in results["runs"]:
        known = {**run, **run.get("test", {})}
        shared = [*(run["settings"].get(key, "") for key in settings), run["seed"], run["fold"], run["status"]]
        writer.writerow(
            ["" if cell is None else cell for cell in [*shared, *(known.get(name) for name in figures), run["reason"]]]
        )
    return text.getvalue()


def _answers(plan: Plan, combination: Combination, outcomes: Sequence[Outcome], folder: Path) -> Iterable[Answers]:
    """The combination's answers; at each length where lengths are varied. A seed counts when all its folds are there."""
    finished = [
        outcome
        for outcome in outcomes
        if outcome.job.combination.settings == combination.settings and outcome.figures is not None
    ]
    by_seed = {seed: [outcome for outcome in finished if outcome.job.seed == seed] for seed in plan.seeds}
    whole = [runs for runs in by_seed.values() if len(runs) == (plan.num_folds or 1)]
    if not whole:
        return
    task = TASKS[plan.base.task]
    lengths: Sequence[int | None] = plan.lengths or [None]
    for length in lengths:
        read = [
            [
                task.read_predictions(predictions_file(folder / run.job.folder, task.name, length), _test(run))
                for run in runs
            ]
            for runs in whole
        ]
        scored, sources, interval = task.compared(read, plan.metric, _test(whole[0][0]))
        settings = combination.settings if length is None else {**combination.settings, LENGTH: str(length)}
        yield Answers(settings, combination, [run for runs in whole for run in runs], sources, scored, interval)


def _test(outcome: Outcome) -> dict[str, Any]:
    """The metrics of a finished run's test split."""
    assert outcome.figures is not None
    test: dict[str, Any] = outcome.figures["test"]
    return test


def _run(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    job, figures = outcome.job, outcome.figures
    config = job.config
    row = {
        "settings": job.combination.settings,
        "seed": job.seed,
        "fold": job.fold,
        "folder": job.folder,
        "status": "failed" if figures is None else "finished",
        "reason": outcome.reason,
        "hidden_size": config.model.hidden_size,
    }
    if figures is None:
        return row
    names, training = list(TASKS[plan.base.task].metrics), figures["training"]
    row |= {"parameters": figures["model"]["parameters"], "seconds": training["seconds"], "epochs": training["epochs"]}
    row["test"] = {name: figures["test"][name] for name in names if figures["test"].get(name) is not None}
    if plan.lengths:
        row["lengths"] = {length: {name: each[name] for name in names} for length, each in figures["lengths"].items()}
    return row


def _summary(plan: Plan, row: Answers, outcomes: Sequence[Outcome], costs: dict[str, Any]) -> dict[str, Any]:
    figures = [run.figures for run in row.outcomes if run.figures is not None]
    failed = [
        each for each in outcomes if each.job.combination.settings == row.combination.settings and each.figures is None
    ]
    own = LENGTH not in row.settings
    return {
        "name": describe(row.settings),
        "settings": row.settings,
        "hidden_size": row.combination.config.model.hidden_size,
        "parameters": figures[0]["model"]["parameters"],
        "n": row.scored.n,
        "seeds": len(row.scored.scores),
        "failed": len(failed),
        "mean": float(row.scored.scores.mean()),
        "interval": list(row.interval),
        "interval_over": "seeds" if len(row.scored.scores) > 1 else "examples",
        "scores": row.scored.scores.tolist(),
        "baselines": _baselines(plan, figures) if own else {},
        "training_s": float(np.mean([each["training"]["seconds"] for each in figures])),
        "epochs": float(np.mean([each["training"]["epochs"] for each in figures])),
        "cost": costs.get(row.combination.name),
    }


def _baselines(plan: Plan, figures: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What each simple model scores on the same rows, the strongest kind first."""
    names = TASKS[plan.base.task].baselines
    return {name: float(np.mean([each["baselines"][name][plan.metric] for each in figures])) for name in names}


def _is_pair(first: Answers, second: Answers) -> bool:
    """Whether the two differ in one setting, and answered the same examples: at the same length."""
    differing = [key for key in first.settings if first.settings[key] != second.settings[key]]
    return len(differing) == 1 and differing != [LENGTH] and first.sources == second.sources


def _pairs(rows: Sequence[Answers]) -> list[dict[str, Any]]:
    """Pairs of combinations that differ in one setting and answered the same examples; p corrected for their number."""
    paired = [(first, second) for first, second in itertools.combinations(rows, 2) if _is_pair(first, second)]
    found = [compare(first.scored, second.scored) for first, second in paired]
    corrected = holm([each.p for each in found])
    return [
        {
            "first": describe(first.settings),
            "second": describe(second.settings),
            "difference": each.difference,
            "interval": list(each.interval),
            "p": p,
            "p_uncorrected": each.p,
            "effect": each.effect,
            "effect_name": each.effect_name,
            "test": each.test,
            "verdict": verdict(each, p),
            "sentence": sentence(describe(first.settings), describe(second.settings), each, p),
        }
        for (first, second), each, p in zip(paired, found, corrected, strict=True)
    ]
