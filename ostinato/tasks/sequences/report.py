"""Sections of the report and the model card that all tasks with one target per sequence share.

The `report` of a task adds its own result and metrics sections to `data_section`, `length_section` and
`explained_sections`, and fills in `sequence_card`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ostinato.config import SequenceData, SequenceModel
from ostinato.data.audit import SequenceAudit
from ostinato.errors import RunError
from ostinato.evaluation.results import Metric
from ostinato.explanation.meme import meme_text
from ostinato.report.card import NOTABLE, CardSection, data_source, model_card
from ostinato.report.figures import plot_by_length, span
from ostinato.report.gallery import Gallery
from ostinato.report.groups import Group, by_length
from ostinato.report.members import EnsembleRecord
from ostinato.report.page import Section, figure, paragraph, table
from ostinato.report.record import RunRecord
from ostinato.report.sections import data_origin, findings_block
from ostinato.report.wording import (
    capitalized,
    counted,
    describe_layers,
    enumerate_labels,
    metric_interval,
    metric_name,
    metric_value,
    percent,
)
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.sequences.report_evidence import Evidence

UNEVEN = 3.0  # minimum ratio of the largest class to the smallest that counts as imbalanced

WIDE = {"ngrams": "TF-IDF of n-grams", "kernels": "convolution kernels and summary statistics"}


def read_audit(run: RunRecord) -> SequenceAudit:
    """Read the audit of a run, including those that version 0.1 wrote.

    Raises:
        RunError: audit.json is damaged.
    """
    audit = dict(run.audit)
    if isinstance(audit.get("vectors"), dict):  # 0.1 wrote only the shares
        audit["vectors"] = {"source": run.config.data.vectors, "extra_words": 0, "skipped": 0, **audit["vectors"]}
    return run.read_audit(SequenceAudit, audit)


def refuse_changed(run: RunRecord, data: TaskData, sources: Sequence[str]) -> None:
    """Refuse data whose test split has changed since it was scored.

    Args:
        sources: the sources of the scored rows.

    Raises:
        RunError: the number of rows or a source differs.
    """
    found = data.rows["test"].sources
    if len(found) != len(sources):
        raise RunError(
            f"{run.folder}: the test split has {len(found):,} sequences, but {len(sources):,} were scored. Restore the "
            "original data, or train again."
        )
    for now, then in zip(found, sources, strict=True):
        if Path(now).name != Path(then).name:  # the folder may have moved
            raise RunError(
                f"{run.folder}: {now} is in the test split, but {then} was scored in its place. Restore the data, or "
                "train again."
            )


def describe_model(run: RunRecord) -> str:
    """Describe the layers in a sentence."""
    if "ensemble" in run.metrics:
        return _describe_members(run)
    model = run.config.model
    assert isinstance(model, SequenceModel)
    parameters = counted(run.metrics["model"]["parameters"], "parameter")
    wide = "" if model.wide is None else f"linear model of {WIDE[model.wide]}; "
    if model.cell == "none":
        return f"{capitalized(wide)}{parameters}."
    if model.cell == "cnn":
        layers, channels = counted(model.num_layers, "layer"), counted(model.hidden_size, "channel")
        stack = f"CNN, {layers} of {channels}, kernel size {model.kernel_size}"
    else:
        stack = describe_layers(model)
    return (
        f"{_describe_stem(model)}{stack}; embeddings of size {model.embedding_size}; pooling: "
        f"{', '.join(model.pooling)}; {wide}{parameters}."
    )


def _describe_members(run: RunRecord) -> str:
    record = EnsembleRecord.of(run.folder, run.metrics)
    members = [f"{each.cell} of {each.tokenizer}" for each in record.members]
    parameters = counted(run.metrics["model"]["parameters"], "parameter")
    return f"The mean answer of {counted(len(members), 'model')}: {', '.join(members)}; {parameters}."


def _describe_stem(model: SequenceModel) -> str:
    if model.conv_size is None:
        return ""
    pooled = f", max-pooled over {model.conv_pool} steps" if model.conv_pool > 1 else ""
    return f"Convolution of {counted(model.conv_size, 'channel')}, kernel size {model.kernel_size}{pooled}, then "


def describe_input(model: Model) -> str:
    """Describe the model's input, such as `sequences of words`."""
    return "numeric series" if model.encoder.is_numeric else f"sequences of {model.encoder.tokenizer}"


def data_section(run: RunRecord, audit: SequenceAudit, names: Sequence[object], *, how: str = "") -> Section:
    """The origin of the data, the targets and lengths in each split, and the findings of the audit.

    Args:
        names: the classes or labels, in the model's order.
        how: how splits are drawn, such as `, stratified by label`.
    """
    splits = list(audit.splits)
    numeric = range(1, len(splits) + 1)
    body = paragraph(f"{data_origin(run, audit.drawn, how)} {counted(audit.rows_read, 'row')} read.")
    body += table(("rows", *splits), _target_rows(audit, names), numeric)
    for target, quantiles in (audit.splits["train"].values or {}).items():
        rows = [
            (name, *(f"{(facts.values or {})[target][name]:,.4g}" for facts in audit.splits.values()))
            for name in quantiles
        ]
        body += table((f"values of {target}", *splits), rows, numeric)
    lengths = [
        (name, *(f"{facts.lengths[name]:,.0f}" for facts in audit.splits.values()))
        for name in audit.splits["train"].lengths
    ]
    body += table((f"length in {audit.unit}", *splits), lengths, numeric)
    nothing = "The audit found no duplicates, no overlap between splits and no truncated sequences."
    return Section("Data", "data", body + findings_block(audit.findings, nothing))


def _target_rows(audit: SequenceAudit, names: Sequence[object]) -> list[tuple[str, ...]]:
    total = ("all", *(f"{facts.rows:,}" for facts in audit.splits.values()))
    if not audit.splits["train"].counts:
        return [total]
    labels = list(map(str, names))
    return [
        *((label, *(f"{facts.counts.get(label, 0):,}" for facts in audit.splits.values())) for label in labels),
        total,
    ]


def length_section(data: TaskData, scores: np.ndarray, metric: Metric, gallery: Gallery) -> Section:
    """A metric by the length of the test sequences.

    Args:
        scores: (B,) for each test row, in order: whether it is correct, or a number whose mean is the metric.
    """
    unit, name = "steps" if data.encoder.is_numeric else "tokens", metric_name(metric.name)
    groups = by_length(data.splits["test"].sequences.lengths.numpy(), scores, metric.bounds)
    title = f"{name[:1].upper()}{name[1:]} by length"
    if len(groups) == 1:
        body = paragraph(f"All test sequences have a similar length ({span(groups[0])} {unit}).")
        return Section(title, "lengths", body)
    rows = [
        (span(group), f"{group.n:,}", metric_value(group.score, metric), metric_interval(group.interval, metric))
        for group in groups
    ]
    picture = gallery.show(plot_by_length(groups, unit, name), title)
    body = figure(picture, _lengths_in_words(groups, unit, metric, title))
    headings = (f"length in {unit}", "test rows", name, "95\u00a0% interval")
    return Section(title, "lengths", body + table(headings, rows, numeric=range(4)))


def _lengths_in_words(groups: Sequence[Group], unit: str, metric: Metric, title: str) -> str:
    high, low = max(groups, key=lambda group: group.score), min(groups, key=lambda group: group.score)
    intro = f"{title}, with 95\u00a0% intervals"
    if high.score == low.score:
        return f"{intro}: {metric_value(high.score, metric)} at every length."
    apart = low.interval[1] < high.interval[0]
    verdict = "do not overlap: length matters" if apart else "overlap: length may not matter"
    return (
        f"{intro}: highest, {metric_value(high.score, metric)}, at {span(high)} {unit}; lowest, "
        f"{metric_value(low.score, metric)}, at {span(low)}. Their intervals {verdict}."
    )


def sequence_card(
    run: RunRecord,
    audit: SequenceAudit,
    model: Model,
    *,
    task: str,
    loading: str,
    metrics: Iterable[str],
    results: Iterable[str],
    limits: Iterable[str],
    how: str = "",
) -> list[CardSection]:
    """The model card; see `ostinato.report.card.model_card`.

    Args:
        limits: limits of the task's metrics and answers; those of the data are added.
        how: how splits are drawn, such as `, stratified by label`.
    """
    drawn = f"Drawn from the same data{how}, with data.seed {run.config.data.seed}."
    size = [_size(audit, "test")] if "test" in audit.splits else []
    return model_card(
        run,
        model=describe_model(run),
        task=task,
        loading=loading,
        examples="sequences",
        factors="Groups, instruments or conditions",
        metrics=metrics,
        training_data=[data_source(run, model.task.datasets), _size(audit, "train"), *audit.findings],
        test_data=[*size, drawn if "test" in audit.drawn else "Given with the data."],
        results=results,
        limits=[*limits, *data_limits(run, audit)],
    )


def _size(audit: SequenceAudit, split: str) -> str:
    facts = audit.splits[split]
    counts = enumerate_labels([f"{label} {rows:,}" for label, rows in facts.counts.items()])
    return f"{counted(facts.rows, 'sequence')}{f': {counts}' if counts else ''}."


def data_limits(run: RunRecord, audit: SequenceAudit) -> Iterator[str]:
    """Limits of the model that its data cause, in sentences."""
    data, classes, cleaning = run.config.data, audit.splits["train"].classes, audit.cleaning
    assert isinstance(data, SequenceData)
    if classes:
        most, least = max(classes, key=classes.__getitem__), min(classes, key=classes.__getitem__)
        if classes[most] >= UNEVEN * classes[least]:
            yield (
                f"The training classes are imbalanced: {most} has {counted(classes[most], 'row')}, {least} "
                f"{classes[least]:,}."
            )
    for split, rows in audit.truncated.items():
        share = rows / audit.splits[split].rows
        if share > NOTABLE:
            longest = data.max_length or 0
            yield f"{percent(share)} of the {split} sequences were truncated to {longest:,} tokens."
    if (audit.unknown_share or 0) > NOTABLE:
        yield f"{percent(audit.unknown_share or 0)} of the validation tokens are out of vocabulary."
    if cleaning.duplicates_dropped:
        yield (
            f"The data contained {counted(cleaning.duplicates_dropped, 'exact duplicate')}, which were removed. Near "
            "duplicates were not checked."
        )
    if any(cleaning.overlap.values()) and not cleaning.overlap_dropped:
        yield "The splits that the data set defines share sequences: the scores may be too high."
    length = audit.splits["train"].lengths["longest"]
    yield f"Trained on sequences of up to {length:,.0f} {audit.unit}; untested on longer ones."


def motif_file(evidence: Evidence) -> dict[str, str]:
    """The file `motifs.meme` with all motifs; empty unless the sequences are DNA, RNA or protein."""
    letters = evidence.letters
    if letters is None:
        return {}
    motifs = [motif for each in letters.motifs.values() for motif in each]
    return {"motifs.meme": meme_text(motifs, letters.letters, letters.background)}
