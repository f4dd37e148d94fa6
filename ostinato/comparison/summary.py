"""From finished runs to results: a row for each run and each combination, and a test of each pair."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ostinato.comparison.lengths import predictions_file
from ostinato.comparison.plan import LENGTH, Combination, Plan, describe
from ostinato.comparison.results import Comparison, Cost, Environment, Pair, RunRow, Settings, SummaryRow
from ostinato.comparison.training import Outcome
from ostinato.evaluation.statistics import Scored, compare, holm, sentence, verdict
from ostinato.storage import FORMAT, refuse_altered
from ostinato.tasks import TASKS
from ostinato.versions import environment


class Predicted(NamedTuple):
    """The predictions of one combination's runs for the same test examples, scored.

    Args:
        settings: the combination's, with the length where lengths are varied.
        metrics: the content of each run's `metrics.json`.
        failed: number of runs that failed.
        sources: of the examples, in order.
        interval: 95 % interval of the mean score.
    """

    combination: Combination
    settings: Settings
    metrics: list[dict[str, Any]]
    failed: int
    sources: list[str]
    scored: Scored
    interval: tuple[float, float]


def summarise(
    plan: Plan,
    combinations: Sequence[Combination],
    outcomes: Sequence[Outcome],
    costs: Mapping[str, Cost | None],
    folder: Path,
) -> Comparison:
    """Summarise all runs and test all pairs.

    Args:
        costs: by the combination's name.
        folder: the comparison's, in which each run's predictions are read.

    Raises:
        RunError: predictions are missing or altered.
    """
    predicted = [each for combination in combinations for each in _predicted(plan, combination, outcomes, folder)]
    return Comparison(
        format=FORMAT,
        task=plan.base.task,
        metric=plan.metric,
        plan=plan.record(),
        runs=[_run_row(plan, outcome) for outcome in outcomes],
        summary=[_summary_row(plan, each, costs.get(each.combination.name)) for each in predicted],
        pairs=_pairs(predicted),
        environment=Environment.model_validate(environment()),
    )


def _predicted(plan: Plan, combination: Combination, outcomes: Sequence[Outcome], folder: Path) -> Iterator[Predicted]:
    """The combination's scored predictions: once, or at each varied length; nothing where no seed has a score."""
    task = TASKS[plan.base.task]
    own = [each for each in outcomes if each.job.combination.settings == combination.settings]
    lengths: Sequence[int | None] = plan.lengths or [None]
    for length in lengths:
        seeds = [runs for seed in plan.seeds if (runs := _scored_runs(plan, own, seed, length))]
        if not seeds:
            continue
        predictions = [[_predictions(run, folder, length) for run in runs] for runs in seeds]
        scored, sources, interval = task.compared(predictions, plan.metric, _test(seeds[0][0]))
        settings = combination.settings if length is None else {**combination.settings, LENGTH: str(length)}
        metrics = [run.metrics for runs in seeds for run in runs if run.metrics is not None]
        failed = sum(run.metrics is None for run in own)
        yield Predicted(combination, settings, metrics, failed, sources, scored, interval)


def _predictions(run: Outcome, folder: Path, length: int | None) -> Any:
    """A finished run's predictions for its test split, or for test sequences of a length."""
    task = TASKS[run.job.config.task]
    file = predictions_file(folder / run.job.folder, task.name, length)
    refuse_altered(file)
    return task.read_predictions(file, _test(run))


def _scored_runs(plan: Plan, outcomes: Sequence[Outcome], seed: int, length: int | None) -> list[Outcome]:
    """A seed's runs; none if a fold is missing, or if the metric is undefined in all."""
    runs = [each for each in outcomes if each.job.seed == seed and each.metrics is not None]
    is_scored = any(_test(run, length).get(plan.metric) is not None for run in runs)
    return runs if is_scored and len(runs) == (plan.num_folds or 1) else []


def _test(outcome: Outcome, length: int | None = None) -> dict[str, Any]:
    """A finished run's metrics on its test split, or at a length."""
    assert outcome.metrics is not None
    test: dict[str, Any] = outcome.metrics["test"] if length is None else outcome.metrics["lengths"][str(length)]
    return test


def _run_row(plan: Plan, outcome: Outcome) -> RunRow:
    job, metrics = outcome.job, outcome.metrics
    row = RunRow(
        settings=job.combination.settings,
        seed=job.seed,
        fold=job.fold,
        folder=job.folder,
        status="failed" if metrics is None else "finished",
        reason=outcome.reason,
        hidden_size=job.config.model.hidden_size,
    )
    if metrics is None:
        return row
    names = list(TASKS[plan.base.task].metrics)
    test = {name: metrics["test"].get(name) for name in names}
    lengths = metrics["lengths"] if plan.lengths else {}
    return row.model_copy(
        update={
            "reason": f"{plan.metric} is undefined on its test rows" if test[plan.metric] is None else None,
            "parameters": metrics["model"]["parameters"],
            "seconds": metrics["training"]["seconds"],
            "epochs": metrics["training"]["epochs"],
            "test": test,
            "lengths": {length: {name: each.get(name) for name in names} for length, each in lengths.items()},
        }
    )


def _summary_row(plan: Plan, predicted: Predicted, cost: Cost | None) -> SummaryRow:
    scores, metrics = predicted.scored.scores, predicted.metrics
    return SummaryRow(
        name=describe(predicted.settings),
        settings=predicted.settings,
        hidden_size=predicted.combination.config.model.hidden_size,
        parameters=metrics[0]["model"]["parameters"],
        n=predicted.scored.n,
        seeds=len(scores),
        failed=predicted.failed,
        mean=float(scores.mean()),
        interval=predicted.interval,
        interval_over="seeds" if len(scores) > 1 else "examples",
        scores=scores.tolist(),
        baselines={} if LENGTH in predicted.settings else _baselines(plan, metrics),
        training_s=float(np.mean([each["training"]["seconds"] for each in metrics])),
        epochs=float(np.mean([each["training"]["epochs"] for each in metrics])),
        cost=cost,
    )


def _baselines(plan: Plan, metrics: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean score of each simple model for which the metric is defined."""
    means = {}
    for name in TASKS[plan.base.task].baselines:
        scores = [each["baselines"].get(name, {}).get(plan.metric) for each in metrics]
        if None not in scores:
            means[name] = float(np.mean(scores))
    return means


def _is_pair(first: Predicted, second: Predicted) -> bool:
    """Whether the two differ in one setting and predicted the same examples, of the same length."""
    differing = [key for key in first.settings if first.settings[key] != second.settings[key]]
    return len(differing) == 1 and differing != [LENGTH] and first.sources == second.sources


def _pairs(predicted: Sequence[Predicted]) -> list[Pair]:
    """All pairs, tested; p values are corrected for the number of pairs."""
    pairs = [(first, second) for first, second in itertools.combinations(predicted, 2) if _is_pair(first, second)]
    found = [compare(first.scored, second.scored) for first, second in pairs]
    corrected = holm([each.p for each in found])
    names = [(describe(first.settings), describe(second.settings)) for first, second in pairs]
    return [
        Pair.model_validate(
            {
                "first": first,
                "second": second,
                "difference": each.difference,
                "interval": each.interval,
                "p": p,
                "p_uncorrected": each.p,
                "effect": each.effect,
                "effect_name": each.effect_name,
                "test": each.test,
                "verdict": verdict(each, p),
                "sentence": sentence(first, second, each, p),
            }
        )
        for (first, second), each, p in zip(names, found, corrected, strict=True)
    ]
