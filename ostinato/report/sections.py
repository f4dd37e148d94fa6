"""The sections that every report has: training, model card, configuration, environment, how to reproduce."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ostinato.evaluation.results import Metric
from ostinato.report.card import CardSection
from ostinato.report.figures import plot_learning_curve
from ostinato.report.gallery import Gallery
from ostinato.report.members import EnsembleRecord, members_section
from ostinato.report.page import Section, bullets, code, figure, heading, paragraph, table
from ostinato.report.record import RunRecord
from ostinato.report.wording import counted, metric_name, metric_value

if TYPE_CHECKING:
    from markupsafe import Markup


def training_section(
    run: RunRecord, gallery: Gallery, *, description: str, metric: Metric, called: str = ""
) -> Section:
    """How long the training took, and its learning curves; of an ensemble, its members.

    Args:
        description: model and task, in sentences.
        metric: what is plotted of the validation split beside the loss: `validation_{name}` in the history.
        called: what the metric is called; by default its own name.
    """
    if "ensemble" in run.metrics:
        return members_section(run, description=description)
    training, best = run.metrics["training"], run.metrics["training"]["best_epoch"]
    name = called or metric_name(metric.name)
    pictures = gallery.show(plot_learning_curve(run.history, "loss", best), "Loss by epoch")
    if f"validation_{metric.name}" in run.history[0]:
        curve = plot_learning_curve(run.history, metric.name, best)
        pictures += gallery.show(curve, f"Validation {metric_name(metric.name)} by epoch")
    duration = (
        f"{counted(training['epochs'], 'epoch')} in {training['seconds']:,.1f} s "
        f"({training['seconds_per_epoch']:,.2f} s per epoch) on {run.environment['device']}."
    )
    caption = " ".join(_describe_curves(run.history, best, metric, name))
    return Section("Training", "training", paragraph(description) + paragraph(duration) + figure(pictures, caption))


def record_sections(run: RunRecord, card: Sequence[CardSection]) -> list[Section]:
    """What is needed to judge, use and repeat the run."""
    return [
        Section("Model card", "model-card", _card(card)),
        Section("Configuration", "configuration", code(run.config_text)),
        Section("Environment", "environment", table(("name", "value"), _environment(run.environment))),
        Section("How to reproduce", "reproduce", _commands(run)),
    ]


def data_origin(run: RunRecord, drawn: Sequence[str], how: str = "") -> str:
    """The name and source of the data, and how they were split, in sentences.

    Args:
        drawn: the splits that were drawn at random.
        how: how they were drawn, as `, stratified by label`.
    """
    data = run.metrics["data"]
    source = f" ({data['source']})" if run.config.data.name else ""
    splits = f"Drawn at random{how}: {', '.join(drawn)}." if drawn else "The splits were given."
    return f"Data: {data['name']}{source}. {splits}"


def findings_block(findings: Sequence[str], otherwise: str) -> "Markup":
    """The findings of an audit, or what to say without any."""
    return bullets(findings) if findings else paragraph(otherwise)


def _describe_curves(history: Sequence[dict[str, Any]], best: int, metric: Metric, name: str) -> Iterator[str]:
    first, last = history[0], history[-1]
    chosen = next(entry for entry in history if entry["epoch"] == best)
    if first["epoch"] == 0:
        yield "Epoch 0 is the fitted linear model, before the layers are trained."
    if last["epoch"] > 0:
        yield (
            f"Training loss goes from {first['train_loss']:.3f} in epoch {first['epoch']} to "
            f"{last['train_loss']:.3f} in epoch {last['epoch']}, measured while the weights change."
        )
    if "validation_loss" not in first:
        yield "There is no validation split: the final weights are used."
        return
    value = chosen.get(f"validation_{metric.name}")
    also = "" if value is None else f" and {name} {metric_value(value, metric)}"
    yield f"Validation loss is {chosen['validation_loss']:.3f}{also} in epoch {best}, whose weights are used."
    perfect = metric.bounds[1] if metric.higher_is_better else metric.bounds[0]
    if last["validation_loss"] > chosen["validation_loss"]:
        loss = last["validation_loss"]
        yield f"By the last epoch validation loss is {loss:.3f}: the model overfits the training rows."
    elif best == last["epoch"] > 0 and value != perfect:
        yield "The best epoch is the last: more epochs may help."


def _card(card: Sequence[CardSection]) -> "Markup":
    body = paragraph(
        "The same card is in model_card.md for its author to complete; a new report does not overwrite that file."
    )
    for section in card:
        body += heading(section.title) + bullets(section.statements)
        body += code(section.code) if section.code else ""
    return body


def _environment(environment: dict[str, Any]) -> list[tuple[str, str]]:
    own = {name: value for name, value in environment.items() if name not in ("format", "packages")}
    return [(name, "none" if value is None else str(value)) for name, value in (own | environment["packages"]).items()]


def _commands(run: RunRecord) -> "Markup":
    folder, again = shlex.quote(run.name), shlex.quote(f"{run.name}-again")
    evaluate = f"ostinato evaluate {folder}\n" if "test" in run.metrics else ""
    commands = f"ostinato train {folder}/config.toml --out {again}\n{evaluate}ostinato report {folder}"
    if "ensemble" in run.metrics:
        return _commands_of_ensemble(run, again, evaluate + f"ostinato report {folder}")
    return paragraph(
        "Run these in the folder that contains the run. On the CPU the first command gives bit-identical weights, "
        "given the same data, versions, machine and number of threads as above."
    ) + code(commands)


def _commands_of_ensemble(run: RunRecord, again: str, others: str) -> "Markup":
    record = EnsembleRecord.of(run.folder, run.metrics)
    members = shlex.join(each.run for each in record.members)
    text = (
        "The first command joins the members again from their run folders. The configuration above is that of the "
        "first member; each folder has its own."
    )
    return paragraph(text) + code(f"ostinato ensemble {members} --weights {record.weights} --out {again}\n{others}")
