"""What a run's model shows of itself on its test split: explanations, how far to believe them, motifs or tokens, mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ostinato.data.examples import Examples
from ostinato.data.generated import PLANTED
from ostinato.estimators import SequenceClassifier
from ostinato.explanation.ablation import AttentionAblation, ablate_attention
from ostinato.explanation.agreement import Agreement, agreement
from ostinato.explanation.attribution import Explanation, explain, letters_of, methods_of
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.explanation.motifs import Motif, find_motifs, letter_frequencies, position_profile, recovery
from ostinato.explanation.strands import StrandAgreement, strand_agreement
from ostinato.explanation.top_tokens import TokenScore, top_tokens
from ostinato.explanation.trace import Trace, trace, why_not_traced
from ostinato.progress import Progress
from ostinato.scoring import Predictions

METHOD = "integrated-gradients"
MEASURED, ABLATED = (
    100,
    1000,
)  # test sequences whose explanations are measured; that are asked with other attention weights
SURVEYED_LETTERS, SURVEYED_TOKENS = 500, 300  # sequences explained for motifs, and for tokens
LONGEST_MUTATED = 200  # letters: mutating all of a longer sequence takes too long for a report
CLASSES_SHOWN, MISTAKES_SHOWN = 4, 6
TRACED = 60  # steps that a figure can name
ALIKE = 0.95  # share of sequences answered alike on both strands, from which motifs are sought on both


class Shown(NamedTuple):
    """A test sequence on the page: where it came from, its true label where that is known, its explanations, and what masking does to the answer."""

    place: str
    true: str | None
    explanations: list[Explanation]
    masking: str


class Letters(NamedTuple):
    """What a model of DNA, RNA or protein knows: motifs by label, and of a model that tells positions apart the profiles by label."""

    letters: str
    background: np.ndarray
    motifs: dict[str, list[Motif]]
    profiles: dict[str, np.ndarray]
    recovered: dict[str, float]
    strands: StrandAgreement | None


@dataclass(frozen=True)
class Evidence:
    """All that the explaining sections of a report show."""

    surveyed: int
    examples: list[Shown]
    mistakes: list[Shown]
    faithfulness: list[Faithfulness]
    agreement: list[Agreement]
    ablation: AttentionAblation | None
    letters: Letters | None
    tokens: dict[str, list[TokenScore]]
    trace: Trace | None


def collect_evidence(
    model: SequenceClassifier, test: Examples, predictions: Predictions, *, data: str | None, progress: Progress
) -> Evidence:
    """Explain a run's model on its test split.

    Args:
        test: in the order of the predictions.
        data: the name of the data set; None for files.
    """
    letters = letters_of(model)
    survey = [test.sequences[row] for row in spread(len(test), SURVEYED_LETTERS if letters else SURVEYED_TOKENS)]
    surveyed = explain(model, survey, method=METHOD, progress=progress)
    some = spread(len(survey), MEASURED)
    explanations = {METHOD: [surveyed[row] for row in some]}
    for method in _other_methods(model, survey):
        explanations[method] = explain(model, [survey[row] for row in some], method=method, progress=progress)
    shown = _typical_and_unsure(predictions, [str(label) for label in model.encoder_.labels])
    asked = test.select(spread(len(test), ABLATED))
    return Evidence(
        surveyed=len(surveyed),
        examples=_show(model, test, list(dict.fromkeys(shown))),
        mistakes=_show(model, test, _worst_mistakes(predictions)),
        faithfulness=[measure(model, each, progress=progress) for each in explanations.values()],
        agreement=agreement(explanations),
        ablation=ablate_attention(model, asked.sequences, asked.labels) if "attention" in explanations else None,
        letters=_survey_letters(model, surveyed, survey, letters, data) if letters else None,
        tokens={}
        if letters or model.encoder_.is_numeric
        else {label: top_tokens(each) for label, each in _by_label(surveyed).items()},
        trace=trace(model, test.sequences[_traced(test, shown)]) if why_not_traced(model) is None else None,
    )


def spread(count: int, most: int) -> np.ndarray:
    """At most so many of so many rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _other_methods(model: SequenceClassifier, sequences: Sequence[Any]) -> list[str]:
    left_out = {METHOD} | ({"in-silico-mutagenesis"} if max(map(len, sequences)) > LONGEST_MUTATED else set())
    return [method for method in methods_of(model) if method not in left_out]


def _typical_and_unsure(predictions: Predictions, labels: list[str]) -> list[int]:
    """Of the commonest classes the right answer of median confidence, and the one least sure: in turn, and one for the other where there is but one."""
    rows = []
    for label in np.argsort(-np.bincount(predictions.targets, minlength=len(labels)), kind="stable")[:CLASSES_SHOWN]:
        right = np.flatnonzero(predictions.correct & (predictions.targets == label))
        by_confidence = right[predictions.probabilities[right, label].argsort(kind="stable")]
        if len(right):
            rows += [int(by_confidence[len(right) // 2]), int(by_confidence[0])]
    return rows


def _worst_mistakes(predictions: Predictions) -> list[int]:
    """The wrong answers of the highest confidence."""
    wrong = np.flatnonzero(~predictions.correct)
    confidence = predictions.probabilities[wrong].max(axis=1)
    return [int(row) for row in wrong[np.argsort(-confidence, kind="stable")[:MISTAKES_SHOWN]]]


def _show(model: SequenceClassifier, test: Examples, rows: list[int]) -> list[Shown]:
    if not rows:
        return []
    chosen = test.select(rows)
    methods = [METHOD, *(["attention"] if "attention" in methods_of(model) else [])]
    by_method = [explain(model, chosen.sequences, method=method) for method in methods]
    measured = measure(model, by_method[0])
    return [
        Shown(short(chosen.places[row]), chosen.labels[row], [each[row] for each in by_method], measured.masking(row))
        for row in range(len(rows))
    ]


def short(place: str) -> str:
    """A place without the folders of its file: `/data/reviews.csv, row 17` as `reviews.csv, row 17`."""
    file, comma, row = place.partition(", ")
    return f"{Path(file).name}{comma}{row}"


def _traced(test: Examples, shown: list[int]) -> int:
    """The first of the typical sequences that is short enough for its steps to be named, else the shortest."""
    rows = shown[::2] or [0]
    return next(
        (row for row in rows if len(test.sequences[row]) <= TRACED), min(rows, key=lambda row: len(test.sequences[row]))
    )


def _by_label(explanations: list[Explanation]) -> dict[str, list[Explanation]]:
    labels = sorted({str(each.label) for each in explanations})
    return {label: [each for each in explanations if str(each.label) == label] for label in labels}


def _survey_letters(
    model: SequenceClassifier, explanations: list[Explanation], sequences: list[Any], letters: str, data: str | None
) -> Letters:
    """Motifs and profiles of each label, from the sequences given that answer."""
    # every named set of DNA has its labels from the strand that is given, so the other strand need not agree
    strands = strand_agreement(model, sequences) if letters == "ACGT" and data is None else None
    both = strands is not None and strands.share >= ALIKE
    of_label = _by_label(explanations)
    aligned = model.model_.position is not None and len({len(each.scores) for each in explanations}) == 1
    motifs = {label: find_motifs(each, letters, both_strands=both) for label, each in of_label.items()}
    every = [motif for each in motifs.values() for motif in each]
    return Letters(
        letters,
        letter_frequencies(explanations, letters),
        motifs,
        {label: position_profile(each, letters) for label, each in of_label.items()} if aligned else {},
        {planted: recovery(every, planted) for planted in PLANTED.get(data or "", ())},
        strands,
    )
