"""The report of a multilabel classifier: result, metrics of each label, calibration, explanations and model card."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ostinato.evaluation.metrics import binary_log_losses
from ostinato.evaluation.results import Metric
from ostinato.progress import Progress
from ostinato.report.card import MISCALIBRATED, WIDE, CardSection
from ostinato.report.figures import plot_confusion_matrix, plot_reliability
from ostinato.report.gallery import Gallery
from ostinato.report.groups import by_confidence
from ostinato.report.page import Section, figure, heading, paragraph, table
from ostinato.report.record import Report, RunRecord
from ostinato.report.sections import training_section
from ostinato.report.wording import (
    compare_to_baseline,
    counted,
    decimals,
    enumerate_labels,
    interval,
    percent,
    range_of,
)
from ostinato.tasks.multilabel.metrics import MULTILABEL_METRICS, MultilabelMetrics, multilabel_metrics
from ostinato.tasks.multilabel.scoring import Predictions
from ostinato.tasks.multilabel.task import Multilabel
from ostinato.tasks.records import Model, TaskData
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
from ostinato.tasks.sequences.report_baselines import NAMES, described, fitted, strongest
from ostinato.tasks.sequences.report_early import early_section
from ostinato.tasks.sequences.report_evidence import Choice, collect_evidence
from ostinato.tasks.sequences.report_explained import explained_sections
from ostinato.tasks.sequences.report_teacher import teacher_section

if TYPE_CHECKING:
    from markupsafe import Markup

LABELS_EXPLAINED, MISTAKES_SHOWN = 4, 6
MAX_LABELS = 20  # in a table of labels that occur together
STRATIFIED = ", stratified by every label"
METRICS = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "sample_f1": "F1 per sequence",
    "subset_accuracy": "all labels right (subset accuracy)",
    "hamming_loss": "wrong decisions (Hamming loss, lower is better)",
    "coverage_error": "ranked labels needed (coverage error, lower is better)",
    "macro_average_precision": "average precision, mean over labels",
    "macro_auroc": "AUROC, mean over labels",
    "log_loss": "log-loss (lower is better)",
    "ece": "calibration error (lower is better)",
}
MISTAKES = "The rows with the most wrong labels; the most probable label of each is explained."
LOADING = """import ostinato

model = ostinato.load("model.safetensors")
model.predict(sequences)  # the labels of each sequence
model.predict_proba(sequences)  # (n, L), columns as in model.classes_"""

Scores = dict[str, MultilabelMetrics]


def report(run: RunRecord, data: TaskData | None, model: Model, progress: Progress) -> Report:
    """Build the sections of a multilabel classifier's report; see `Task.report`.

    Args:
        data: None if the run has no test split.

    Raises:
        RunError: audit.json is damaged, or the test split has changed since it was scored.
    """
    audit, gallery = read_audit(run), Gallery()
    scores = run.read_scores(MultilabelMetrics, model.task.baselines)
    description = f"{describe_model(run)} {describe_task(model)}"
    sections = [
        Section("Result", "result", _result(run, scores)),
        data_section(run, audit, model.codec.names, how=STRATIFIED),
        training_section(run, gallery, description=description, metric=_watched(run)),
        *teacher_section(run),
    ]
    files = {}
    if data is not None:
        predictions: Predictions = run.predictions
        refuse_changed(run, data, predictions.sources)
        right = _all_right(predictions.predicted, predictions.targets)
        sections += [
            Section("Test metrics", "metrics", _metrics(scores)),
            Section("Labels", "labels", _labels(scores["test"], predictions, gallery)),
            Section("Calibration", "calibration", _calibration(scores, predictions, model, gallery)),
            length_section(data, right, MULTILABEL_METRICS["subset_accuracy"], gallery),
            early_section(
                model,
                data,
                lambda answers, rows: _all_right(model.network.decisions(answers).numpy(), predictions.targets[rows]),
                MULTILABEL_METRICS["subset_accuracy"],
                gallery,
            ),
        ]
        chosen = choose(predictions, model)
        evidence = collect_evidence(
            model, data.rows["test"], chosen, labels=None, data=run.config.data.name, progress=progress
        )
        sections += explained_sections(evidence, gallery, label="label", mistakes=MISTAKES)
        files = motif_file(evidence)
    return Report(sections, gallery, files)


def _all_right(predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether all labels of each sequence are right. (B, L), (B, L) -> (B,)."""
    right: np.ndarray = (predicted == targets).all(axis=1)
    return right


def choose(predictions: Predictions, model: Model) -> Choice:
    """Choose rows to explain: a typical correct row per frequent label, and the rows with the most wrong labels."""
    decode = model.codec.decode
    pairs = zip(decode(predictions.targets), decode(predictions.predicted), strict=True)
    truths = [describe_row(true, predicted) for true, predicted in pairs]
    return Choice(typical_rows(predictions), worst_rows(predictions), truths)


def describe_row(true: Sequence[object], predicted: Sequence[object]) -> str:
    """Describe a row's labels and the predicted ones, such as `it is a, b; predicted: a`."""
    found = ", ".join(map(str, true)) or "without labels"
    return f"it is {found}" + ("" if true == predicted else f"; predicted: {', '.join(map(str, predicted)) or 'none'}")


def typical_rows(predictions: Predictions) -> list[int]:
    """For each frequent label, the correct row of median probability among those where it is the most probable."""
    right = (predictions.predicted == predictions.targets).all(axis=1)
    top = predictions.probabilities.argmax(axis=1)
    rows: list[int] = []
    for label in np.argsort(-predictions.targets.sum(axis=0), kind="stable")[:LABELS_EXPLAINED]:
        own = np.flatnonzero(right & (top == label) & (predictions.targets[:, label] == 1))
        order = predictions.probabilities[own, label].argsort(kind="stable")
        rows += own[order][len(own) // 2 : len(own) // 2 + 1].tolist()
    return rows


def worst_rows(predictions: Predictions) -> list[int]:
    """The rows with the most wrong labels; of equally many, those of the highest log-loss first."""
    wrong = (predictions.predicted != predictions.targets).sum(axis=1)
    loss = binary_log_losses(predictions.targets, predictions.probabilities).sum(axis=1)
    order = np.lexsort((-loss, -wrong))
    return [int(row) for row in order[:MISTAKES_SHOWN] if wrong[row]]


# In words


def describe_task(model: Model) -> str:
    """What the model reads and predicts."""
    labels = list(map(str, model.codec.names))
    return f"It reads {describe_input(model)} and predicts any of {len(labels)} labels: {enumerate_labels(labels)}."


def verdict(name: str, scores: Scores) -> list[str]:
    """The test F1 next to its baselines, in sentences."""
    if "test" not in scores:
        sentence = "The run has no test split: nothing here shows how well the model does on unseen sequences."
        validation = scores.get("validation")
        if validation is None or validation.micro_f1 is None:
            return [sentence]
        return [
            sentence,
            f"Micro F1 on validation is {percent(validation.micro_f1)}, which is optimistic, because that split picked "
            "the epoch and the thresholds.",
        ]
    test, linear, frequency = scores["test"], scores["linear"], scores["frequency"]
    best = strongest(Multilabel(), scores)
    rival = scores[best]
    if test.micro_f1 is None or linear.micro_f1 is None or rival.micro_f1 is None:
        return ["Micro F1 is undefined: no label occurs in the test split, and none is predicted."]
    ends, linear_ends, rival_ends = (each.intervals["micro_f1"] for each in (test, linear, rival))
    return [
        f"The {name} has a micro F1 of {percent(test.micro_f1)} on {counted(test.n, 'test sequence')} "
        f"(95\u00a0% interval {interval(ends)}), the linear baseline {percent(linear.micro_f1)} "
        f"({interval(linear_ends)}), the label frequencies {decimals_in_percent(frequency.micro_f1)}.",
        *_against_rival(best, rival.micro_f1, rival_ends),
        compare_to_baseline(
            test.micro_f1,
            ends,
            rival.micro_f1,
            rival_ends,
            model="the model",
            rival=NAMES[best].sentence,
            paired=rival.versus,
        ),
    ]


def _against_rival(best: str, micro_f1: float, ends: Sequence[float]) -> list[str]:
    if best == "linear":
        return []
    return [
        f"The baseline to beat is {NAMES[best].sentence}, the best on validation: {percent(micro_f1)} on test "
        f"({interval(ends)})."
    ]


def decimals_in_percent(value: float | None) -> str:
    """A share as `97.0 %`; a dash where it is undefined."""
    return "–" if value is None else percent(value)


def _watched(run: RunRecord) -> Metric:
    """The metric whose curve is shown."""
    monitor = run.config.training.monitor
    return MULTILABEL_METRICS[monitor if monitor in MULTILABEL_METRICS else "micro_f1"]


# Sections


def _result(run: RunRecord, scores: Scores) -> "Markup":
    called = run.model_name
    body = paragraph(" ".join(verdict(called, scores)))
    if "test" not in scores:
        return body
    baselines = {name: NAMES[name].row for name in fitted(scores)}
    names = {"test": called, **baselines, "frequency": "label frequencies"}
    rows = []
    for key, name in names.items():
        ends = scores[key].intervals.get("micro_f1")
        rows.append((name, decimals_in_percent(scores[key].micro_f1), "" if ends is None else interval(ends)))
    note = (
        "All baselines are fitted on the same training split. Their thresholds are chosen on the validation split, or "
        f"0.5 without one. {described(scores)}"
    )
    return body + table(("", "test micro F1", "95\u00a0% interval"), rows, numeric=(1, 2)) + paragraph(note)


def _metrics(scores: Scores) -> "Markup":
    test, baselines = scores["test"], fitted(scores)
    compared = [*baselines.values(), scores["frequency"]]
    rows = [
        (
            name,
            decimals(getattr(test, key)),
            range_of(test.intervals.get(key)),
            *(decimals(getattr(each, key)) for each in compared),
        )
        for key, name in METRICS.items()
    ]
    intro = (
        f"On {counted(test.n, 'test sequence')}, scored once. The intervals show how much a score could differ on "
        "another test split of the same size."
    )
    named = [*(NAMES[name].heading for name in baselines), "label frequencies"]
    headings = ("metric", "model", "95\u00a0% interval", *named)
    return paragraph(intro) + table(headings, rows, numeric=range(1, len(headings)))


def _labels(test: MultilabelMetrics, predictions: Predictions, gallery: Gallery) -> "Markup":
    rows = [
        (
            label,
            decimals(each.threshold),
            decimals(each.precision),
            decimals(each.recall),
            decimals(each.f1),
            decimals(each.average_precision),
            decimals(each.auroc),
            f"{each.support:,}",
        )
        for label, each in test.per_label.items()
    ]
    headings = ("label", "threshold", "precision", "recall", "F1", "average precision", "AUROC", "test rows")
    body = table(headings, rows, numeric=range(1, 8))
    if len(rows) > MAX_LABELS:
        return body
    counts = predictions.targets.astype(np.int64).T @ predictions.predicted.astype(np.int64)  # (L, B) @ (B, L)
    plot = plot_confusion_matrix(counts.tolist(), list(test.per_label))
    caption = (
        "The rows that have a label (row) and for which a label is predicted (column). On the diagonal the label is "
        "found; off the diagonal, labels that occur together or are confused."
    )
    return body + heading("Labels together") + figure(gallery.show(plot, "True and predicted labels"), caption)


def _calibration(scores: Scores, predictions: Predictions, model: Model, gallery: Gallery) -> "Markup":
    targets, probabilities = predictions.targets, predictions.probabilities
    flat = probabilities.ravel()
    groups = by_confidence(targets.ravel().astype(np.int64), np.stack([1 - flat, flat], axis=1))
    caption = (
        "Accuracy against confidence, over all pairs of row and label: a label of probability 0.1 is absent with a "
        "confidence of 0.9. On the dashed line, such pairs are right 9 times in 10."
    )
    temperatures = model.network.temperatures.tolist()
    rows = []
    for index, label in enumerate(map(str, model.codec.names)):
        column = targets[:, [index]], probabilities[:, [index]]
        error = multilabel_metrics(*column, predictions.thresholds[[index]], [label], resamples=0).ece
        mean = f"{column[1].mean():.3f}", f"{column[0].mean():.3f}"
        rows.append((label, decimals(temperatures[index]), *mean, decimals(error)))
    headings = ("label", "temperature", "mean probability", "share of rows", "calibration error")
    body = figure(gallery.show(plot_reliability(groups), "Accuracy against confidence"), caption)
    return body + table(headings, rows, numeric=range(1, 5)) + paragraph(_calibration_in_words(scores))


def _calibration_in_words(scores: Scores) -> str:
    test = scores["test"]
    if test.ece_before_scaling is None:
        return f"The probabilities were not calibrated on validation: calibration error {test.ece:.3f}."
    change = "lower" if test.ece < test.ece_before_scaling else "not lower"
    return (
        f"The mean calibration error is {test.ece:.3f}, {change} than the {test.ece_before_scaling:.3f} before each "
        "label's logits were divided by its temperature, which was fitted on validation."
    )


# Model card


def _fitted_on_validation(model: Model) -> str:
    """What was fitted on the validation split."""
    network = model.network
    parts = {"temperatures": (network.temperatures != 1).any(), "thresholds": (network.thresholds != 0.5).any()}
    fitted = " and ".join(name for name, is_fitted in parts.items() if is_fitted)
    return f"The labels' {fitted} were fitted on validation." if fitted else "Nothing was fitted on validation."


def card(run: RunRecord, model: Model) -> list[CardSection]:
    """The model card of a multilabel classifier; see `Task.card`."""
    scores = run.read_scores(MultilabelMetrics, model.task.baselines)
    fitted = f" {_fitted_on_validation(model)}"
    return sequence_card(
        run,
        read_audit(run),
        model,
        task=describe_task(model),
        loading=LOADING,
        metrics=[
            "Micro F1, next to fitted baselines and the label frequencies; macro F1; subset accuracy; "
            "precision, recall, average precision and AUROC of each label; expected calibration error.",
            "Intervals are 95\u00a0%, by bootstrap over the test sequences; that of subset accuracy is Wilson's.",
            f"A label is predicted where its probability reaches its threshold.{fitted}",
        ],
        results=_results(run, scores),
        limits=limits(run, scores),
        how=STRATIFIED,
    )


def _results(run: RunRecord, scores: Scores) -> list[str]:
    results = verdict(run.model_name, scores)
    test = scores.get("test")
    if test is not None:
        for key in ("macro_f1", "subset_accuracy", "macro_average_precision", "ece"):
            value = getattr(test, key)
            if value is not None:
                results.append(f"{METRICS[key]}: {value:.3f} (95\u00a0% interval {range_of(test.intervals.get(key))}).")
    return results


def limits(run: RunRecord, scores: Scores) -> Iterator[str]:
    """Where not to trust the model, according to its metrics."""
    if "test" in scores:
        yield from _test_limits(scores["test"], scores[strongest(Multilabel(), scores)])
    validation = scores.get("validation")
    if validation is None:
        yield "Its probabilities are not calibrated and its thresholds are 0.5: there was no validation split."
    elif scores.get("test", validation).ece > MISCALIBRATED:
        error = percent(scores.get("test", validation).ece)
        yield f"Its probabilities are off by {error} on average (expected calibration error)."
    if run.config.training.label_weight is not None:  # type: ignore[attr-defined]
        yield "Its loss gives rows with a label a higher weight, so probabilities are higher than frequencies."
    yield "It knows only its own labels: a sequence unlike anything in the training data may get any of them, or none."


def _test_limits(test: MultilabelMetrics, rival: MultilabelMetrics) -> Iterator[str]:
    if test.micro_f1 is None or rival.micro_f1 is None:
        return
    low, high = test.intervals["micro_f1"]
    if high - low > WIDE:
        yield (
            f"The test split is small: with {counted(test.n, 'sequence')}, micro F1 is only known to lie between "
            f"{percent(low)} and {percent(high)}."
        )
    if test.micro_f1 <= rival.micro_f1:
        yield (
            f"It does not beat a linear model ({rival.description}): micro F1 {percent(test.micro_f1)} against "
            f"{percent(rival.micro_f1)}."
        )
    found = {label: each for label, each in test.per_label.items() if each.support and each.f1 is not None}
    if found:
        label, weakest = min(found.items(), key=lambda each: each[1].f1 or 0.0)
        if (weakest.f1 or 0.0) < test.micro_f1:
            yield (
                f"Its weakest label is {label}, with an F1 of {percent(weakest.f1 or 0.0)} on "
                f"{counted(weakest.support, 'test row')} that have it."
            )
    untested = [label for label, each in test.per_label.items() if not each.support]
    if untested:
        yield f"No test row has these labels, so their scores are unknown: {enumerate_labels(untested)}."
