"""The report of a classifier: result, metrics, confusions, calibration, explanations and model card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ostinato.evaluation.bootstrap import wilson_interval
from ostinato.evaluation.calibration import HIGHEST, LOWEST
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS, ClassificationMetrics, accuracy_misleads
from ostinato.evaluation.results import Metric
from ostinato.progress import Progress
from ostinato.report.card import MISCALIBRATED, WIDE, CardSection
from ostinato.report.explained import truth_of
from ostinato.report.figures import plot_confidence, plot_confusion_matrix, plot_reliability
from ostinato.report.gallery import Gallery
from ostinato.report.groups import Group, by_confidence
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
from ostinato.tasks.classification.scoring import Predictions
from ostinato.tasks.classification.task import Classification
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

CLASSES_SHOWN, MISTAKES_SHOWN = 4, 6
MAX_CLASSES = 20  # in a plot of the confusion matrix; for more classes, a table lists this many confusions
STRATIFIED = ", stratified by label"
METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mcc": "Matthews correlation",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log-loss (lower is better)",
    "ece": "calibration error (lower is better)",
}
MISTAKES = "The most confident wrong predictions: often the label is wrong, or the sequence resembles the other class."
LOADING = """import ostinato

model = ostinato.load("model.safetensors")
model.predict_proba(sequences)  # (n, C), columns as in model.classes_"""


def report(run: RunRecord, data: TaskData | None, model: Model, progress: Progress) -> Report:
    """Build the sections of a classifier's report; see `Task.report`.

    Args:
        data: None if the run has no test split.

    Raises:
        RunError: audit.json is damaged, or the test split has changed since it was scored.
    """
    audit, gallery = read_audit(run), Gallery()
    scores = run.read_scores(ClassificationMetrics, model.task.baselines)
    sections = [
        Section("Result", "result", _result(run, scores)),
        data_section(run, audit, model.codec.names, how=STRATIFIED),
        training_section(
            run, gallery, description=f"{describe_model(run)} {describe_task(model)}", metric=_watched(run)
        ),
        *teacher_section(run),
    ]
    files = {}
    if data is not None:
        predictions: Predictions = run.predictions
        refuse_changed(run, data, predictions.sources)
        sections += [
            Section("Test metrics", "metrics", _metrics(scores)),
            Section("Confusions", "confusions", _confusions(scores["test"], gallery)),
            Section("Calibration", "calibration", _calibration(scores, predictions, gallery)),
            length_section(data, predictions.correct, CLASSIFICATION_METRICS["accuracy"], gallery),
            early_section(
                model,
                data,
                lambda answers, rows: answers.argmax(dim=1).numpy() == predictions.targets[rows],
                CLASSIFICATION_METRICS["accuracy"],
                gallery,
            ),
        ]
        test = data.rows["test"]
        evidence = collect_evidence(
            model, test, choose(predictions, model), labels=test.targets, data=run.config.data.name, progress=progress
        )
        sections += explained_sections(evidence, gallery, label="class", mistakes=MISTAKES)
        files = motif_file(evidence)
    return Report(sections, gallery, files)


def choose(predictions: Predictions, model: Model) -> Choice:
    """Choose rows to explain: a typical and an uncertain correct row per frequent class, and confident mistakes."""
    labels = model.codec.names
    answers = predictions.probabilities.argmax(axis=1)
    truths = [truth_of(labels[true], labels[answer]) for true, answer in zip(predictions.targets, answers, strict=True)]
    return Choice(typical_and_unsure(predictions), worst_mistakes(predictions), truths)


def typical_and_unsure(predictions: Predictions) -> list[int]:
    """For each frequent class, the correct predictions with the median and with the lowest confidence."""
    rows: list[int] = []
    num_classes = predictions.probabilities.shape[1]
    frequency = np.bincount(predictions.targets, minlength=num_classes)
    for label in np.argsort(-frequency, kind="stable")[:CLASSES_SHOWN]:
        right = np.flatnonzero(predictions.correct & (predictions.targets == label))
        by_confidence = right[predictions.probabilities[right, label].argsort(kind="stable")]
        if len(right):
            rows += [int(by_confidence[len(right) // 2]), int(by_confidence[0])]
    return list(dict.fromkeys(rows))


def worst_mistakes(predictions: Predictions) -> list[int]:
    """The wrong predictions with the highest confidence."""
    wrong = np.flatnonzero(~predictions.correct)
    confidence = predictions.probabilities[wrong].max(axis=1)
    return [int(row) for row in wrong[np.argsort(-confidence, kind="stable")[:MISTAKES_SHOWN]]]


# In words


def describe_task(model: Model) -> str:
    """Describe the model's input and output in a sentence."""
    labels = list(map(str, model.codec.names))
    return f"It reads {describe_input(model)} and predicts one of {len(labels)} classes: {enumerate_labels(labels)}."


def verdict(name: str, scores: dict[str, ClassificationMetrics]) -> list[str]:
    """Compare the test accuracy with the baselines, in sentences."""
    if "test" not in scores:
        return [
            "The run has no test split: nothing here shows how well the model does on unseen sequences.",
            *_validation_only(scores),
        ]
    test, linear, majority = scores["test"], scores["linear"], scores["majority"]
    ends, linear_ends = test.intervals["accuracy"], accuracy_interval(linear)
    best = strongest(Classification(), scores)
    sentences = [
        f"The {name} predicts {percent(test.accuracy)} of {counted(test.n, 'test sequence')} correctly "
        f"(95\u00a0% interval {interval(ends)}), the linear baseline {percent(linear.accuracy)} "
        f"({interval(linear_ends)}), the most frequent class {percent(majority.accuracy)}.",
        *_against_rival(best, scores),
        compare_to_baseline(
            test.accuracy,
            ends,
            scores[best].accuracy,
            accuracy_interval(scores[best]),
            model="the model",
            rival=NAMES[best].sentence,
            paired=scores[best].versus,
        ),
    ]
    if accuracy_misleads(test.accuracy, test.balanced_accuracy, majority.accuracy):
        sentences.append(
            f"The classes are uneven: the balanced accuracy, the mean over the classes, is "
            f"{percent(test.balanced_accuracy)}."
        )
    if ends[0] <= majority.accuracy < test.accuracy:
        sentences.append("The model is not clearly better than always predicting the most frequent class.")
    return sentences


def _against_rival(best: str, scores: dict[str, ClassificationMetrics]) -> list[str]:
    if best == "linear":
        return []
    accuracy, ends = percent(scores[best].accuracy), interval(accuracy_interval(scores[best]))
    return [f"The baseline to beat is {NAMES[best].sentence}, the best on validation: {accuracy} on test ({ends})."]


def _validation_only(scores: dict[str, ClassificationMetrics]) -> list[str]:
    if "validation" not in scores:
        return []
    accuracy = percent(scores["validation"].accuracy)
    return [f"Validation accuracy is {accuracy}, an optimistic estimate, because that split picked the best epoch."]


def accuracy_interval(metrics: ClassificationMetrics) -> tuple[float, float]:
    """The 95 % Wilson interval of the accuracy."""
    return wilson_interval(round(metrics.accuracy * metrics.n), metrics.n)


def _watched(run: RunRecord) -> Metric:
    """The metric to plot per epoch."""
    monitor = run.config.training.monitor
    return CLASSIFICATION_METRICS[monitor if monitor in CLASSIFICATION_METRICS else "accuracy"]


# Sections


def _result(run: RunRecord, scores: dict[str, ClassificationMetrics]) -> "Markup":
    called = run.model_name
    body = paragraph(" ".join(verdict(called, scores)))
    if "test" not in scores:
        return body
    test, majority = scores["test"], scores["majority"]
    baselines = fitted(scores)
    rows = [
        (called, percent(test.accuracy), interval(test.intervals["accuracy"])),
        *(
            (NAMES[name].row, percent(each.accuracy), interval(accuracy_interval(each)))
            for name, each in baselines.items()
        ),
        ("most frequent class", percent(majority.accuracy), ""),
    ]
    return (
        body
        + table(("", "test accuracy", "95\u00a0% interval"), rows, numeric=(1, 2))
        + paragraph(f"All baselines are fitted on the same training split. {described(scores)}")
    )


def _metrics(scores: dict[str, ClassificationMetrics]) -> "Markup":
    test, baselines = scores["test"], fitted(scores)
    compared = [*baselines.values(), scores["majority"]]
    headings = [*(NAMES[name].heading for name in baselines), "majority"]
    rows = [
        (
            name,
            decimals(getattr(test, key)),
            range_of(test.intervals.get(key)),
            *(decimals(getattr(each, key)) for each in compared),
        )
        for key, name in METRICS.items()
    ]
    classes = [
        (label, decimals(each.precision), decimals(each.recall), decimals(each.f1), f"{each.n:,}")
        for label, each in test.per_class.items()
    ]
    intro = (
        f"On {counted(test.n, 'test sequence')}, scored once. The intervals show how much a score could differ on "
        "another test split of the same size."
    )
    return (
        paragraph(intro)
        + table(("metric", "model", "95\u00a0% interval", *headings), rows, numeric=range(1, 3 + len(headings)))
        + heading("By class")
        + table(("class", "precision", "recall", "F1", "test rows"), classes, numeric=range(1, 5))
    )


def _confusions(test: ClassificationMetrics, gallery: Gallery) -> "Markup":
    labels, counts = list(test.per_class), np.array(test.confusion_matrix)
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    summary = "Every test sequence is predicted correctly."
    if wrong.any():
        true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
        summary = (
            f"{wrong.sum():,} of {counts.sum():,} are wrong; most often {labels[true]} is predicted as "
            f"{labels[predicted]}: {wrong[true, predicted]:,} of {counted(int(counts[true].sum()), 'row')}."
        )
    if len(counts) <= MAX_CLASSES:
        plot = plot_confusion_matrix(counts.tolist(), labels)
        caption = f"Test rows by true and predicted class, shaded by their share of the true class. {summary}"
        return figure(gallery.show(plot, "Confusion matrix of the test split"), caption)
    order = [divmod(int(cell), len(counts)) for cell in np.argsort(-wrong, axis=None, kind="stable")[:MAX_CLASSES]]
    rows = [
        (labels[row], labels[column], f"{wrong[row, column]:,}", f"{counts[row].sum():,}")
        for row, column in order
        if wrong[row, column]
    ]
    return paragraph(summary) + table(("true", "predicted", "rows", "of"), rows, numeric=(2, 3))


def _calibration(scores: dict[str, ClassificationMetrics], predictions: Predictions, gallery: Gallery) -> "Markup":
    groups = by_confidence(predictions.targets, predictions.probabilities)
    pictures = gallery.show(plot_reliability(groups), "Accuracy against confidence")
    pictures += gallery.show(plot_confidence(groups), "Predictions by confidence")
    return figure(pictures, " ".join(_calibration_in_words(scores["test"], groups)))


def _calibration_in_words(test: ClassificationMetrics, groups: Sequence[Group]) -> Iterator[str]:
    off = sum(not group.interval[0] <= group.mean <= group.interval[1] for group in groups)
    yield (
        "First plot: accuracy against confidence with 95\u00a0% intervals; on the dashed line, predictions with a "
        "confidence of 0.9 are right 9 times in 10."
    )
    yield (
        f"The intervals of {off} of {counted(len(groups), 'bin')} do not include the line."
        if off
        else "The intervals of all bins include the line."
    )
    yield "Second plot: the number of predictions in each bin."
    if test.ece_before_scaling is None or test.temperature is None:
        yield f"The probabilities were not calibrated on validation: calibration error {test.ece:.3f}."
        return
    change = "lower" if test.ece < test.ece_before_scaling else "not lower"
    yield (
        f"The calibration error (ECE) is {test.ece:.3f}, {change} than the {test.ece_before_scaling:.3f} before the "
        f"logits were divided by the temperature {test.temperature:.3g}, which was fitted on validation."
    )


# Model card


def card(run: RunRecord, model: Model) -> list[CardSection]:
    """The model card of a classifier; see `Task.card`."""
    scores = run.read_scores(ClassificationMetrics, model.task.baselines)
    is_scaled = any(each.temperature is not None for each in scores.values())
    scaled = " Probabilities are scaled by one temperature, fitted on validation." if is_scaled else ""
    return sequence_card(
        run,
        read_audit(run),
        model,
        task=describe_task(model),
        loading=LOADING,
        metrics=[
            "Accuracy, next to fitted baselines and the most frequent class; macro F1; recall of each class; AUROC; "
            "expected calibration error.",
            "Intervals are 95\u00a0% bootstrap intervals over the test sequences; for accuracy, Wilson's interval.",
            f"The prediction is the most probable class.{scaled}",
        ],
        results=_results(run, scores),
        limits=limits(scores),
        how=STRATIFIED,
    )


def _results(run: RunRecord, scores: dict[str, ClassificationMetrics]) -> list[str]:
    results = verdict(run.model_name, scores)
    test = scores.get("test")
    if test is not None:
        for name, value, key in (
            ("macro F1", test.macro_f1, "macro_f1"),
            ("AUROC", test.auroc, "auroc"),
            ("expected calibration error", test.ece, "ece"),
        ):
            if value is not None:
                results.append(f"{name}: {value:.3f} (95\u00a0% interval {range_of(test.intervals.get(key))}).")
    return results


def limits(scores: dict[str, ClassificationMetrics]) -> Iterator[str]:
    """Limits of the classifier that its metrics show, in sentences."""
    if "test" in scores:
        yield from _test_limits(scores["test"], strongest(Classification(), scores), scores)
    yield from _calibration_limits(scores)
    yield "It assigns one of its classes to every sequence, even to one unlike anything in the training data."


def _test_limits(test: ClassificationMetrics, best: str, scores: Mapping[str, ClassificationMetrics]) -> Iterator[str]:
    low, high = test.intervals["accuracy"]
    if high - low > WIDE:
        yield (
            f"The test split is small: with {counted(test.n, 'sequence')}, accuracy is only known to lie between "
            f"{percent(low)} and {percent(high)}."
        )
    rival = scores[best]
    if test.accuracy <= rival.accuracy:
        yield (
            f"It does not beat {NAMES[best].sentence} ({rival.description}): accuracy {percent(test.accuracy)} against "
            f"{percent(rival.accuracy)}."
        )
    label, weakest = min(test.per_class.items(), key=lambda each: each[1].recall if each[1].n else 1.0)
    if weakest.recall < test.accuracy:
        yield (
            f"It finds {percent(weakest.recall)} of the {counted(weakest.n, 'test row')} of class {label}, the lowest "
            "recall of all classes."
        )


def _calibration_limits(scores: dict[str, ClassificationMetrics]) -> Iterator[str]:
    validation = scores.get("validation")
    if validation is None:
        yield "Its probabilities are not calibrated: there was no validation split."
        return
    temperature = validation.temperature
    if temperature is not None and not LOWEST * 1.01 < temperature < HIGHEST * 0.99:
        yield (
            f"Its probabilities are poorly calibrated: the temperature reached its bound, {temperature:.3g}, because "
            "the validation split is too small or too easy."
        )
    ece = scores.get("test", validation).ece
    if ece > MISCALIBRATED:
        yield f"Its probabilities are off by {percent(ece)} on average (expected calibration error)."
