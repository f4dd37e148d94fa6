"""The sections of a report that hold a run's results and records: who wins, data, training, figures, card, configuration."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.errors import RunError
from ostinato.report.facts import RunFacts, RunRecord
from ostinato.report.figures import (
    plot_accuracy_by_length,
    plot_confidence,
    plot_confusion_matrix,
    plot_learning_curve,
    plot_reliability,
    span,
)
from ostinato.report.gallery import Gallery
from ostinato.report.groups import Group, by_confidence, by_length
from ostinato.report.model_card import CardSection
from ostinato.report.page import Section, bullets, code, figure, heading, paragraph, table
from ostinato.report.wording import counted, describe_model, describe_task, interval, linear_interval, percent, verdict
from ostinato.scoring import Predictions

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_CLASSES = 20  # of a confusion matrix that can be read; of more the commonest confusions are listed
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


def result_sections(facts: RunFacts, lengths: np.ndarray | None, gallery: Gallery) -> list[Section]:
    """Who wins, what went in, how the training went, and how good the answers are.

    Args:
        lengths: (B,) of the test sequences as the model reads them, in the order of the predictions; None without a test split.
        gallery: keeps the pictures.

    Raises:
        RunError: the test split has not as many sequences as when it was scored.
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    if facts.predictions is not None and (lengths is None or len(lengths) != len(facts.predictions.targets)):
        found = 0 if lengths is None else len(lengths)
        scored = len(facts.predictions.targets)
        raise RunError(
            f"{facts.folder}: the test split holds {found:,} sequences, and {scored:,} were scored. Put the data back as they were, or train anew."
        )
    sections = [
        Section("Result", "result", _result(facts)),
        Section("Data", "data", _data(facts)),
        Section("Training", "training", _training(facts, gallery)),
    ]
    if facts.predictions is not None and lengths is not None:
        sections += [
            Section("Test metrics", "metrics", _metrics(facts)),
            Section("Confusions", "confusions", _confusions(facts, gallery)),
            Section("Calibration", "calibration", _calibration(facts, facts.predictions, gallery)),
            Section("Accuracy by length", "lengths", _lengths(facts, facts.predictions, lengths, gallery)),
        ]
    return sections


def record_sections(facts: RunRecord, card: Sequence[CardSection]) -> list[Section]:
    """What is needed to judge, use and repeat the run: its card, configuration, environment and commands."""
    return [
        Section("Model card", "model-card", _card(card)),
        Section("Configuration", "configuration", code(facts.config_text)),
        Section("Environment", "environment", table(("what", "found"), _environment(facts.environment))),
        Section("How to reproduce", "reproduce", _commands(facts)),
    ]


def _result(facts: RunFacts) -> "Markup":
    body = paragraph(" ".join(verdict(facts)))
    if "test" not in facts.metrics:
        return body
    test, baselines = facts.metrics["test"], facts.metrics["baselines"]
    rows = [
        (facts.config.model.cell.upper(), percent(test["accuracy"]), interval(test["intervals"]["accuracy"])),
        ("linear baseline", percent(baselines["linear"]["accuracy"]), interval(linear_interval(facts))),
        ("commonest class", percent(baselines["majority"]["accuracy"]), ""),
    ]
    told = f"The linear baseline is {baselines['linear']['description']}, on the same training split; the commonest class is that of training."
    return body + table(("", "test accuracy", "95\u00a0% interval"), rows, numeric=(1, 2)) + paragraph(told)


def _data(facts: RunFacts) -> "Markup":
    audit, data = facts.audit, facts.metrics["data"]
    splits = list(audit.splits)
    origin = f"{data['name']}" + (f" ({data['source']})" if facts.config.data.name else "")
    drawn = (
        f" Drawn at random, stratified by label: {', '.join(audit.drawn)}."
        if audit.drawn
        else " The splits were given."
    )
    classes = [
        (label, *(f"{audit.splits[split].classes.get(label, 0):,}" for split in splits)) for label in facts.labels
    ]
    total = ("all", *(f"{audit.splits[split].rows:,}" for split in splits))
    quantiles = [
        (name, *(f"{audit.splits[split].lengths[name]:,.0f}" for split in splits))
        for name in audit.splits["train"].lengths
    ]
    numeric = range(1, len(splits) + 1)
    return (
        paragraph(f"{origin}: {counted(audit.rows_read, 'row')} read.{drawn}")
        + table(("rows of class", *splits), [*classes, total], numeric)
        + table((f"length in {audit.unit}", *splits), quantiles, numeric)
        + (
            bullets(facts.findings)
            if facts.findings
            else paragraph("The audit has nothing to note: no duplicates, no overlap of splits, nothing cut.")
        )
    )


def _training(facts: RunFacts, gallery: Gallery) -> "Markup":
    history, training = facts.history, facts.metrics["training"]
    best = training["best_epoch"]
    metric = "macro_f1" if facts.config.training.monitor == "macro_f1" else "accuracy"
    pictures = gallery.show(plot_learning_curve(history, "loss", best), "Loss by epoch")
    if f"validation_{metric}" in history[0]:
        pictures += gallery.show(
            plot_learning_curve(history, metric, best), f"Validation {metric.replace('_', ' ')} by epoch"
        )
    seconds, each = training["seconds"], training["seconds_per_epoch"]
    told = f"{counted(training['epochs'], 'epoch')} in {seconds:,.1f} s, {each:,.2f} s each, on {facts.environment['device']}."
    return (
        paragraph(f"{describe_model(facts)} {describe_task(facts)}")
        + paragraph(told)
        + figure(pictures, " ".join(_curves_in_words(facts, best)))
    )


def _curves_in_words(facts: RunFacts, best: int) -> Iterator[str]:
    first, kept, last = facts.history[0], facts.history[best - 1], facts.history[-1]
    start, end = first["train_loss"], last["train_loss"]
    yield f"Training loss goes from {start:.3f} in epoch 1 to {end:.3f} in epoch {last['epoch']}, measured while the weights change."
    if "validation_loss" not in first:
        yield "There is no validation split: the last weights are kept."
        return
    yield f"Validation loss is {kept['validation_loss']:.3f} and accuracy {percent(kept['validation_accuracy'])} in epoch {best}, whose weights are kept."
    if last["validation_loss"] > kept["validation_loss"]:
        yield f"By the last epoch validation loss is {last['validation_loss']:.3f}: more epochs fit the training rows, not the task."
    elif best == last["epoch"] and kept["validation_accuracy"] < 1:
        yield "The best epoch is the last: more epochs might still help."


def _metrics(facts: RunFacts) -> "Markup":
    test, baselines = facts.metrics["test"], facts.metrics["baselines"]
    compared = [test, baselines["linear"], baselines["majority"]]
    rows = []
    for key, name in METRICS.items():
        value, linear, majority = (_number(figures[key]) for figures in compared)
        ends = test["intervals"].get(key)
        rows.append((name, value, "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}", linear, majority))
    classes = [
        (label, *(_number(each[key]) for key in ("precision", "recall", "f1")), f"{each['n']:,}")
        for label, each in test["per_class"].items()
    ]
    return (
        paragraph(
            f"Of {counted(test['n'], 'test sequence')}, scored once. Intervals say how far a figure could be off, had the split held other rows."
        )
        + table(("metric", "model", "95\u00a0% interval", "linear", "majority"), rows, numeric=range(1, 5))
        + heading("Each class")
        + table(("class", "precision", "recall", "F1", "test rows"), classes, numeric=range(1, 5))
    )


def _confusions(facts: RunFacts, gallery: Gallery) -> "Markup":
    counts = np.array(facts.metrics["test"]["confusion_matrix"])
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    if not wrong.any():
        told = "No test sequence is taken for another class."
    else:
        true, taken = np.unravel_index(wrong.argmax(), wrong.shape)
        often = f"class {facts.labels[true]} taken for {facts.labels[taken]}, {wrong[true, taken]:,} of {counted(counts[true].sum(), 'row')}"
        told = f"{wrong.sum():,} of {counts.sum():,} are wrong; the commonest mistake is {often}."
    if len(counts) <= MOST_CLASSES:
        picture = gallery.show(
            plot_confusion_matrix(counts.tolist(), facts.labels), "Confusion matrix of the test split"
        )
        return figure(
            picture, f"Test rows of each true class by predicted class, shaded by their share of the true class. {told}"
        )
    order = [divmod(int(cell), len(counts)) for cell in np.argsort(-wrong, axis=None, kind="stable")[:MOST_CLASSES]]
    rows = [
        (facts.labels[row], facts.labels[column], f"{wrong[row, column]:,}", f"{counts[row].sum():,}")
        for row, column in order
        if wrong[row, column]
    ]
    return paragraph(told) + table(("true", "predicted", "rows", "of"), rows, numeric=(2, 3))


def _calibration(facts: RunFacts, predictions: Predictions, gallery: Gallery) -> "Markup":
    groups = by_confidence(predictions.targets, predictions.probabilities)
    pictures = gallery.show(plot_reliability(groups), "Accuracy against confidence") + gallery.show(
        plot_confidence(groups), "Answers by confidence"
    )
    return figure(
        pictures, " ".join(_calibration_in_words(facts.metrics["test"], groups, "validation" in facts.metrics))
    )


def _calibration_in_words(test: dict[str, Any], groups: Sequence[Group], scaled: bool) -> Iterator[str]:
    off = sum(not group.interval[0] <= group.mean <= group.interval[1] for group in groups)
    yield "First picture: accuracy against confidence with 95\u00a0% intervals; on the dashed line a confidence of 0.9 is right 9 times in 10."
    yield (
        f"In {off} of {counted(len(groups), 'bin')} the interval misses the line."
        if off
        else "Every bin's interval holds the line."
    )
    yield "Second picture: how many answers each bin holds."
    if not scaled:
        yield f"The probabilities are not scaled, as there was no validation split: calibration error (ECE) {test['ece']:.3f}."
        return
    done = "lower" if test["ece"] < test["ece_before_scaling"] else "no lower"
    yield (
        f"The calibration error (ECE) is {test['ece']:.3f}, {done} than the {test['ece_before_scaling']:.3f} before the logits "
        f"were divided by the temperature {test['temperature']:.3g}, fitted on validation."
    )


def _lengths(facts: RunFacts, predictions: Predictions, lengths: np.ndarray, gallery: Gallery) -> "Markup":
    unit = "steps" if facts.tokenizer == "numeric" else "tokens"
    groups = by_length(lengths, predictions.correct)
    if len(groups) == 1:
        return paragraph(f"The test sequences are too alike in length to compare: {span(groups[0])} {unit}.")
    rows = [(span(group), f"{group.n:,}", percent(group.accuracy), interval(group.interval)) for group in groups]
    picture = gallery.show(plot_accuracy_by_length(groups, unit), "Accuracy by length")
    return figure(picture, _lengths_in_words(groups, unit)) + table(
        (f"length in {unit}", "test rows", "accuracy", "95\u00a0% interval"), rows, numeric=range(4)
    )


def _lengths_in_words(groups: Sequence[Group], unit: str) -> str:
    best, worst = max(groups, key=lambda group: group.accuracy), min(groups, key=lambda group: group.accuracy)
    if best.accuracy == worst.accuracy:
        return f"Accuracy by length, with 95\u00a0% intervals: {percent(best.accuracy)} at every length."
    told = "are apart: length matters" if worst.interval[1] < best.interval[0] else "overlap: length need not matter"
    return (
        f"Accuracy by length, with 95\u00a0% intervals: highest, {percent(best.accuracy)}, at {span(best)} {unit}; "
        f"lowest, {percent(worst.accuracy)}, at {span(worst)}. Their intervals {told}."
    )


def _card(card: Sequence[CardSection]) -> "Markup":
    body = paragraph(
        "The same card is in model_card.md, for its author to complete; a new report leaves that file as it is."
    )
    for section in card:
        body += heading(section.title) + bullets(section.statements)
        body += code(section.code) if section.code else ""
    return body


def _environment(environment: dict[str, Any]) -> list[tuple[str, str]]:
    facts = {name: value for name, value in environment.items() if name not in ("format", "packages")} | environment[
        "packages"
    ]
    return [(name, "none" if value is None else str(value)) for name, value in facts.items()]


def _commands(facts: RunRecord) -> "Markup":
    run, again = shlex.quote(facts.name), shlex.quote(f"{facts.name}-again")
    evaluate = f"ostinato evaluate {run}\n" if "test" in facts.metrics else ""
    commands = f"ostinato train {run}/config.toml --out {again}\n{evaluate}ostinato report {run}"
    told = (
        "From the folder that holds the run. On the CPU the first command gives the same weights, bit for bit, "
        "with the same data, versions, machine and number of threads as above."
    )
    return paragraph(told) + code(commands)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
