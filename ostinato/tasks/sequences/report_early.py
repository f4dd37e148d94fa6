"""The section of the report about early answers: how good they are after a share of each sequence."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ostinato.data.joined import JoinedEncoder
from ostinato.data.ragged import Ragged
from ostinato.data.spans import spans
from ostinato.evaluation.results import Metric
from ostinato.nn import streaming
from ostinato.report.figures import plot_by_share
from ostinato.report.gallery import Gallery
from ostinato.report.groups import Group, mean_interval
from ostinato.report.page import Section, figure, paragraph, table
from ostinato.report.wording import counted, metric_interval, metric_name, metric_value, percent
from ostinato.tasks.records import Model, TaskData
from ostinato.training.predict import predict_outputs

SHARES = np.arange(1, 11) / 10
MOST_ROWS = 1_000
THRESHOLD = 0.9  # the probability at which an answer counts as decided

Scoring = Callable[[Tensor, np.ndarray], np.ndarray]  # answers (n, C) and the n rows they are for -> scores (n,)


def early_section(model: Model, data: TaskData, score: Scoring, metric: Metric, gallery: Gallery) -> Section:
    """A metric after each tenth of the test sequences, and when the answer would be decided.

    Args:
        score: of answers to the given test rows: whether each is right, or a number whose mean is the metric.
    """
    if isinstance(model.encoder, JoinedEncoder):
        text = "Not measured, because the members of this ensemble read different tokens."
        return Section("Early answers", "early", paragraph(text))
    sequences: Ragged = data.splits["test"].sequences
    rows = np.unique(np.linspace(0, len(sequences) - 1, min(len(sequences), MOST_ROWS)).round().astype(int))
    answers = [answers_to_prefixes(model, sequences.select(rows), share) for share in SHARES]
    scores = np.stack([score(each, rows) for each in answers])  # (10, n)
    groups = [
        Group(share, share, share, len(rows), float(each.mean()), mean_interval(each, metric.bounds))
        for share, each in zip(SHARES.tolist(), scores, strict=True)
    ]
    name = metric_name(metric.name)
    title = f"{name[:1].upper()}{name[1:]} by share read"
    caption = f"{title}: {_described(groups, metric)}, over {counted(len(rows), 'test row')}, with 95\u00a0% intervals."
    body = paragraph(_introduction(model)) + figure(gallery.show(plot_by_share(groups, name), title), caption)
    confidences = [model.task.confidence(each.numpy()) for each in answers]  # type: ignore[attr-defined]
    if confidences[0] is not None:
        body += paragraph(_decision(np.stack(confidences), scores, metric))
    cells = [
        (f"{100 * share:.0f}\u00a0%", metric_value(each.score, metric), metric_interval(each.interval, metric))
        for share, each in zip(SHARES, groups, strict=True)
    ]
    return Section(
        "Early answers", "early", body + table(("share read", name, "95\u00a0% interval"), cells, numeric=range(3))
    )


def answers_to_prefixes(model: Model, sequences: Ragged, share: float) -> Tensor:
    """The answers if every sequence ended after this share of its tokens, rounded up. (n, C)."""
    lengths = np.ceil(sequences.lengths.numpy() * share - 1e-9).astype(np.int64)
    kept = spans(sequences.offsets[:-1].numpy(), lengths)
    prefixes = Ragged(sequences.values[torch.from_numpy(kept)], torch.from_numpy(lengths))
    answers: Tensor = model.network.answers(predict_outputs(model.network, prefixes)).cpu()
    return answers


def decided_at(confidences: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """The index of the first share at which each answer is decided, else the last; and whether it is decided at all.

    Args:
        confidences: (S, n), the probability of each answer at each of S shares.

    Returns:
        (n,) indices and (n,) booleans.
    """
    reached = confidences >= threshold
    is_decided = np.asarray(reached.any(axis=0))
    return np.where(is_decided, reached.argmax(axis=0), len(confidences) - 1), is_decided


def _introduction(model: Model) -> str:
    if streaming.reads_ahead(model.network):
        return (
            "The answers if the sequences ended earlier. The model reads both directions, so it starts anew for every "
            "answer: to answer while a sequence arrives, train with model.bidirectional = false."
        )
    return "The answers if the sequences ended earlier: what a stream of this model says at these points."


def _described(groups: Sequence[Group], metric: Metric) -> str:
    first, half, last = (metric_value(groups[index].score, metric) for index in (0, 4, 9))
    return f"{first} after a tenth, {half} after half, {last} at the end"


def _decision(confidences: np.ndarray, scores: np.ndarray, metric: Metric) -> str:
    """When a probability of 0.9 is reached, and how good these answers are. (10, n), (10, n)."""
    index, is_decided = decided_at(confidences, THRESHOLD)
    early = scores[index, np.arange(len(index))].mean()
    return (
        f"Reading until the answer has a probability of {THRESHOLD:g} (looking after every tenth) reads "
        f"{percent(float(SHARES[index].mean()))} of a sequence on average, with a {metric_name(metric.name)} of "
        f"{metric_value(float(early), metric)} instead of {metric_value(float(scores[-1].mean()), metric)}; "
        f"{percent(float((~is_decided).mean()))} of the sequences are never decided, and read to the end."
    )
