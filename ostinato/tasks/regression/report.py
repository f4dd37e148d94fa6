"""The report of a regressor: result, metrics, residuals, intervals, explanations and model card."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ostinato.progress import Progress
from ostinato.report.card import CardSection
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, figure, heading, paragraph, table
from ostinato.report.record import Report, RunRecord
from ostinato.report.sections import training_section
from ostinato.report.wording import compare_to_baseline, counted, enumerate_labels, percent
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.regression.metrics import REGRESSION_METRICS, CentralInterval, RegressionMetrics
from ostinato.tasks.regression.report_plots import plot_predictions, plot_residuals
from ostinato.tasks.regression.scoring import Predictions
from ostinato.tasks.sequences.report import (
    data_section,
    describe_input,
    describe_model,
    length_section,
    motif_file,
    read_audit,
    refuse_changed,
    sequence_card,
)
from ostinato.tasks.sequences.report_early import early_section
from ostinato.tasks.sequences.report_evidence import Choice, collect_evidence
from ostinato.tasks.sequences.report_explained import explained_sections

if TYPE_CHECKING:
    from markupsafe import Markup

    from ostinato.data.audit import SequenceAudit

Scores = dict[str, RegressionMetrics]

EXAMPLES_SHOWN, ERRORS_SHOWN = 4, 6
STRATIFIED = ", stratified by quantiles of the first target"
METRICS = {
    "rmse": "root mean squared error (lower is better)",
    "mae": "mean absolute error (lower is better)",
    "r2": "R²",
    "spearman": "rank correlation (Spearman)",
    "pinball_loss": "pinball loss (lower is better)",
}
COMPARED = {"ridge": "ridge regression", "mean": "training mean", "median": "training median"}
ERRORS = "The test rows with the largest errors: often the number is wrong, or the sequence is unusual."
LOADING = """import ostinato

model = ostinato.load("model.safetensors")
model.predict(sequences)  # (n,), or (n, K) for K targets, in their units"""


def report(run: RunRecord, data: TaskData | None, model: Model, progress: Progress) -> Report:
    """Build the sections of a regressor's report; see `Task.report`.

    Args:
        data: None where the run has no test split.

    Raises:
        RunError: audit.json or metrics.json is damaged, or the test split has changed since it was scored.
    """
    audit, gallery = read_audit(run), Gallery()
    scores = run.read_scores(RegressionMetrics, model.task.baselines)
    monitor = run.config.training.monitor
    watched = REGRESSION_METRICS[monitor if monitor in REGRESSION_METRICS else "rmse"]
    sections = [
        Section("Result", "result", _result(run, scores)),
        data_section(run, audit, model.codec.names, how=STRATIFIED),
        training_section(
            run, gallery, description=f"{describe_model(run)} {describe_task(run, model)}", metric=watched
        ),
    ]
    files = {}
    if data is not None:
        predictions: Predictions = run.predictions
        refuse_changed(run, data, predictions.sources)
        errors = _errors(predictions.predictions, predictions.targets)
        sections += [
            Section("Test metrics", "metrics", _metrics(scores)),
            Section("Predicted and actual", "residuals", _residuals(model, predictions, gallery)),
            *_intervals(scores["test"]),
            length_section(data, errors, REGRESSION_METRICS["mae"], gallery),
            early_section(
                model,
                data,
                lambda answers, rows: _errors(model.network.predictions(answers).numpy(), predictions.targets[rows]),
                REGRESSION_METRICS["mae"],
                gallery,
            ),
        ]
        evidence = collect_evidence(
            model,
            data.rows["test"],
            choose(predictions, model),
            labels=None,
            data=run.config.data.name,
            progress=progress,
        )
        sections += explained_sections(evidence, gallery, label="target", mistakes=ERRORS)
        files = motif_file(evidence)
    return Report(sections, gallery, files)


def _errors(predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The mean absolute error of each sequence's targets. (B, K), (B, K) -> (B,)."""
    errors: np.ndarray = np.abs(predicted - targets).mean(axis=1)
    return errors


def choose(predictions: Predictions, model: Model) -> Choice:
    """The rows to explain: typical ones from the lowest to the highest prediction; the largest errors."""
    scaled = np.abs(predictions.predictions - predictions.targets) / np.array(model.codec.scale)
    errors = scaled.mean(axis=1)  # (B, K) -> (B,)
    typical = np.flatnonzero(errors <= np.median(errors))
    by_prediction = typical[predictions.predictions[typical, 0].argsort(kind="stable")]
    spread = np.unique(np.linspace(0, len(typical) - 1, min(len(typical), EXAMPLES_SHOWN)).round().astype(int))
    worst = np.argsort(-errors, kind="stable")[:ERRORS_SHOWN]
    truths = [
        f"it is {_enumerate(targets, model)}, predicted {_enumerate(predicted, model)}"
        for targets, predicted in zip(predictions.targets, predictions.predictions, strict=True)
    ]
    return Choice(by_prediction[spread].tolist(), [int(row) for row in worst if errors[row] > 0], truths)


def _enumerate(numbers: np.ndarray, model: Model) -> str:
    if len(numbers) == 1:
        return f"{numbers[0]:.4g}"
    return ", ".join(f"{name} {number:.4g}" for name, number in zip(model.codec.names, numbers, strict=True))


# In words


def describe_task(run: RunRecord, model: Model) -> str:
    """What the model reads and predicts."""
    levels = run.config.training.levels  # type: ignore[attr-defined]
    quantiles = f", with the quantiles {', '.join(f'{level:g}' for level in levels)}" if levels else ""
    return f"It reads {describe_input(model)} and predicts {enumerate_labels(model.codec.names)}{quantiles}."


def verdict(name: str, scores: Scores) -> list[str]:
    """The test error next to its baselines, in sentences."""
    if "test" not in scores:
        return [
            "The run has no test split: nothing here shows how well the model does on unseen sequences.",
            *_validation_only(scores),
        ]
    test, ridge, mean = scores["test"], scores["ridge"], scores["mean"]
    explained = "" if test.r2 is None else f", R² {test.r2:.3f}"
    # a lower error is better, so the signs are turned
    comparison = compare_to_baseline(
        -test.rmse,
        _turned(test),
        -ridge.rmse,
        _turned(ridge),
        model="the model",
        rival="ridge regression",
        paired=ridge.versus,
    )
    sentences = [
        f"The root mean squared error of the {name} is {test.rmse:.4g} on {counted(test.n, 'test sequence')} "
        f"(95\u00a0% interval {_range(test, 'rmse')}{explained}); of ridge regression {ridge.rmse:.4g} "
        f"({_range(ridge, 'rmse')}), of the training mean {mean.rmse:.4g}.",
        comparison,
    ]
    if test.intervals["rmse"][1] >= mean.rmse:
        sentences.append("The model is not clearly better than always predicting the mean.")
    return sentences


def _turned(metrics: RegressionMetrics) -> tuple[float, float]:
    low, high = metrics.intervals["rmse"]
    return -high, -low


def _validation_only(scores: Scores) -> list[str]:
    if "validation" not in scores:
        return []
    error = scores["validation"].rmse
    return [
        f"The root mean squared error on validation is {error:.4g}, which is optimistic: that split picked the epoch."
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _range(metrics: RegressionMetrics, name: str) -> str:
    if name not in metrics.intervals:
        return ""
    low, high = metrics.intervals[name]
    return f"{low:.4g} to {high:.4g}"


# Sections


def _result(run: RunRecord, scores: Scores) -> "Markup":
    called = run.model_name
    body = paragraph(" ".join(verdict(called, scores)))
    if "test" not in scores:
        return body
    named = {called: scores["test"]} | {name: scores[key] for key, name in COMPARED.items()}
    rows = [(name, _number(each.rmse), _range(each, "rmse"), _number(each.r2)) for name, each in named.items()]
    return (
        body
        + table(("", "test RMSE", "95\u00a0% interval", "R²"), rows, numeric=range(1, 4))
        + paragraph(
            f"The ridge regression is {scores['ridge'].description}, on the same training split; mean and median are "
            "those of the training split. RMSE is the root mean squared error, in the target's units."
        )
    )


def _metrics(scores: Scores) -> "Markup":
    test, compared = scores["test"], [scores[name] for name in COMPARED]
    rows = [
        (name, _number(value), _range(test, key), *(_number(getattr(each, key)) for each in compared))
        for key, name in METRICS.items()
        if (value := getattr(test, key)) is not None
    ]
    several = ", each the mean over the targets" if len(test.per_output) > 1 else ""
    body = paragraph(
        f"On {counted(test.n, 'test sequence')}, scored once{several}. Errors are in the target's units. The intervals "
        "show how much a score could differ on another test split of the same size."
    )
    body += table(("metric", "model", "95\u00a0% interval", *COMPARED.values()), rows, numeric=range(1, 6))
    if len(test.per_output) == 1:
        return body
    targets = [
        (name, *(_number(getattr(each, key)) for key in ("rmse", "mae", "r2", "spearman")))
        for name, each in test.per_output.items()
    ]
    headings = ("target", "RMSE", "MAE", "R²", "rank correlation")
    return body + heading("By target") + table(headings, targets, numeric=range(1, 5))


def _residuals(model: Model, predictions: Predictions, gallery: Gallery) -> "Markup":
    body = paragraph("A residual is the prediction less the actual number, in the target's units.")
    for k, name in enumerate(model.codec.names):
        targets, predicted = predictions.targets[:, k], predictions.predictions[:, k]
        residuals = predicted - targets
        pictures = gallery.show(plot_predictions(targets, predicted, name), f"Predicted against actual {name}")
        pictures += gallery.show(plot_residuals(residuals, name), f"Residuals of {name}")
        low, middle, high = np.quantile(residuals, [0.05, 0.5, 0.95])
        body += figure(
            pictures,
            f"First plot: on the dashed line the prediction of {name} is right. Second plot: 90\u00a0% of the "
            f"residuals lie between {low:.4g} and {high:.4g}, the median is {middle:.4g}.",
        )
    return body


def _intervals(test: RegressionMetrics) -> list[Section]:
    """How often the predicted intervals include the actual number; nothing without quantiles."""
    if not test.central_intervals:
        return []
    rows = [
        (name, *_interval_cells(each)) for name, scores in test.per_output.items() for each in scores.central_intervals
    ]
    overall = [
        f"{each.lower:g} to {each.upper:g}: {percent(each.coverage)}, expected {percent(each.upper - each.lower)}"
        for each in test.central_intervals
    ]
    body = paragraph(
        "The interval between two predicted quantiles should include the actual number as often as they say. "
        f"Found: {'; '.join(overall)}."
    )
    headings = ("target", "quantiles", "expected", "found", "mean width")
    return [Section("Intervals", "intervals", body + table(headings, rows, numeric=range(2, 5)))]


def _interval_cells(each: CentralInterval) -> tuple[str, ...]:
    return (
        f"{each.lower:g} to {each.upper:g}",
        percent(each.upper - each.lower),
        percent(each.coverage),
        f"{each.width:.4g}",
    )


# Model card


def card(run: RunRecord, model: Model) -> list[CardSection]:
    """The model card of a regressor; see `Task.card`."""
    audit, scores = read_audit(run), run.read_scores(RegressionMetrics, model.task.baselines)
    levels = run.config.training.levels  # type: ignore[attr-defined]
    coverage = ["Coverage of the intervals between predicted quantiles."] if len(levels) > 1 else []
    return sequence_card(
        run,
        audit,
        model,
        task=describe_task(run, model),
        loading=LOADING,
        metrics=[
            "Root mean squared and mean absolute error in the target's units, R² and Spearman's rank correlation, next "
            "to ridge regression and the training mean and median.",
            "Intervals are 95\u00a0%, by bootstrap over the test sequences.",
            *coverage,
        ],
        results=_results(run, scores),
        limits=limits(audit, scores),
        how=STRATIFIED,
    )


def _results(run: RunRecord, scores: Scores) -> list[str]:
    results = verdict(run.model_name, scores)
    if "test" in scores:
        test = scores["test"]
        results.append(f"Mean absolute error: {test.mae:.4g} (95\u00a0% interval {_range(test, 'mae')}).")
        if test.spearman is not None:
            results.append(f"Rank correlation: {test.spearman:.3f} (95\u00a0% interval {_range(test, 'spearman')}).")
        results += [
            f"The interval between the quantiles {each.lower:g} and {each.upper:g} includes {percent(each.coverage)} "
            f"of the test rows, expected {percent(each.upper - each.lower)}."
            for each in test.central_intervals
        ]
    return results


def limits(audit: "SequenceAudit", scores: Scores) -> Iterator[str]:
    """Where not to trust the regressor, according to its metrics and its training targets."""
    if "test" in scores and scores["test"].rmse >= scores["ridge"].rmse:
        test, ridge = scores["test"], scores["ridge"]
        yield (
            f"It does not beat ridge regression ({ridge.description}): root mean squared error {test.rmse:.4g} "
            f"against {ridge.rmse:.4g}."
        )
    for name, values in (audit.splits["train"].values or {}).items():
        yield (
            f"{name} is between {values['lowest']:.4g} and {values['highest']:.4g} in the training data: the model is "
            "untested outside."
        )
