"""Explain a model on its test split: explanations, their faithfulness, motifs or tokens, and a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ostinato.data.examples import Records
from ostinato.data.generated import PLANTED
from ostinato.explanation.ablation import AttentionAblation, ablate_attention
from ostinato.explanation.agreement import Agreement, agreement
from ostinato.explanation.attribution import explain_sequences, letters_of, methods_of
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.explanation.model import encode_given
from ostinato.explanation.motifs import Motif, find_motifs, letter_frequencies, position_profile, recovery
from ostinato.explanation.strands import StrandAgreement, strand_agreement
from ostinato.explanation.top_tokens import TokenScore, top_tokens
from ostinato.explanation.trace import Trace, trace_sequence, why_not_traced
from ostinato.progress import Progress
from ostinato.report.explained import Shown, spread
from ostinato.tasks.records import Model

METHOD = "integrated-gradients"
MEASURED, ABLATED = 100, 1000  # test sequences for the faithfulness of explanations, and for the ablation of attention
SURVEYED_LETTERS, SURVEYED_TOKENS = 500, 300  # sequences explained to find motifs, and tokens
# A large model explains fewer sequences: as many as MULTIPLICATIONS allows, but not fewer than FEWEST.
FEWEST, MULTIPLICATIONS = 20, 4e12
PASSES_OF_SURVEY, PASSES_OF_MEASURE = 200, 1000  # of the network over a sequence, roughly; a backward pass counts twice
LONGEST_MUTATED = 200  # letters; mutating longer sequences takes too long for a report
TRACED = 60  # maximum number of steps that a plot can label
ALIKE = 0.95  # search motifs on both strands if at least this share of sequences gets one answer on both


class Choice(NamedTuple):
    """The test rows that a report explains.

    Args:
        examples: rows with good answers, in the order of the page.
        mistakes: rows with the worst answers, the worst first.
        truths: for every row of the split, its target and the prediction, in words.
    """

    examples: Sequence[int]
    mistakes: Sequence[int]
    truths: Sequence[str]


class Letters(NamedTuple):
    """The motifs that a model of DNA, RNA or protein responds to.

    Args:
        letters: the alphabet.
        background: frequency of each letter.
        motifs: by explained label.
        profiles: by explained label; only for models with positions, on sequences of one length.
        recovered: how well each planted motif was found, from 0 to 1.
        strands: whether both strands get the same answer; None unless the data are DNA from files.
    """

    letters: str
    background: np.ndarray
    motifs: dict[str, list[Motif]]
    profiles: dict[str, np.ndarray]
    recovered: dict[str, float]
    strands: StrandAgreement | None


@dataclass(frozen=True)
class Evidence:
    """The content of a report's explaining sections.

    Args:
        surveyed: number of test sequences from which motifs and tokens are collected.
        unit: of the scores.
    """

    surveyed: int
    unit: str
    examples: list[Shown]
    mistakes: list[Shown]
    faithfulness: list[Faithfulness]
    agreement: list[Agreement]
    ablation: AttentionAblation | None
    letters: Letters | None
    tokens: dict[str, list[TokenScore]]
    trace: Trace | None


def collect_evidence(
    model: Model,
    test: Records,
    chosen: Choice,
    *,
    labels: Sequence[Any] | None,
    data: str | None,
    progress: Progress,
) -> Evidence:
    """Explain a model on its test split.

    Args:
        labels: labels of the test rows, to measure how attention changes accuracy; None: targets are not labels.
        data: the name of the data set; None for files.
    """
    letters = letters_of(model)
    candidates = spread(len(test), SURVEYED_LETTERS if letters else SURVEYED_TOKENS)
    cost = _multiplications(model, [test.sequences[row] for row in candidates])
    survey = [test.sequences[row] for row in spread(len(test), _affordable(cost, PASSES_OF_SURVEY, len(candidates)))]
    surveyed = explain_sequences(model, survey, method=METHOD, progress=progress)
    measured = spread(len(survey), _affordable(cost, PASSES_OF_MEASURE, MEASURED))
    sequences = [survey[row] for row in measured]
    explanations = {METHOD: [surveyed[row] for row in measured]}
    for method in _other_methods(model, survey):
        explanations[method] = explain_sequences(model, sequences, method=method, progress=progress)
    has_words = not letters and not model.encoder.is_numeric
    ablated = spread(len(test), ABLATED)
    return Evidence(
        surveyed=len(surveyed),
        unit=surveyed[0].unit,
        examples=_show(model, test, chosen.examples, chosen.truths),
        mistakes=_show(model, test, chosen.mistakes, chosen.truths),
        faithfulness=[measure(model, each, progress=progress) for each in explanations.values()],
        agreement=agreement(explanations),
        ablation=None
        if labels is None or "attention" not in explanations
        else ablate_attention(model, [test.sequences[row] for row in ablated], [labels[row] for row in ablated]),
        letters=_survey_letters(model, surveyed, survey, letters, data) if letters else None,
        tokens={label: top_tokens(each) for label, each in _by_label(surveyed).items()} if has_words else {},
        trace=trace_sequence(model, _traced(test, chosen.examples)) if why_not_traced(model) is None else None,
    )


def _multiplications(model: Model, sequences: Sequence[Any]) -> float:
    """Of one pass of the network's layers over a sequence of mean length."""
    of_layers: list[int] = [
        weights.numel()
        for name, weights in model.network.named_parameters()
        if "embed." not in name and "wide." not in name
    ]
    return sum(of_layers) * float(encode_given(model, sequences)[1].lengths.double().mean())


def _affordable(cost: float, passes: int, most: int) -> int:
    """How many sequences to explain, with so many passes over each."""
    return min(most, max(FEWEST, int(MULTIPLICATIONS / (passes * max(cost, 1.0)))))


def _other_methods(model: Model, sequences: Sequence[Any]) -> list[str]:
    skipped = {METHOD} | ({"in-silico-mutagenesis"} if max(map(len, sequences)) > LONGEST_MUTATED else set())
    return [method for method in methods_of(model) if method not in skipped]


def _show(model: Model, test: Records, rows: Sequence[int], truths: Sequence[str]) -> list[Shown]:
    if not rows:
        return []
    chosen = test.select(rows)
    methods = [METHOD, *(["attention"] if "attention" in methods_of(model) else [])]
    by_method = [explain_sequences(model, chosen.sequences, method=method) for method in methods]
    measured = measure(model, by_method[0])
    return [
        Shown(chosen.sources[n], truths[row], [each[n] for each in by_method], measured.masking(n))
        for n, row in enumerate(rows)
    ]


def _traced(test: Records, examples: Sequence[int]) -> Any:
    """The first example that is short enough for a plot to label its steps, else the shortest."""
    sequences = [test.sequences[row] for row in examples or [0]]
    return next((each for each in sequences if len(each) <= TRACED), min(sequences, key=len))


def _by_label(explanations: list[Explanation]) -> dict[str, list[Explanation]]:
    labels = sorted({str(each.label) for each in explanations})
    return {label: [each for each in explanations if str(each.label) == label] for label in labels}


def _survey_letters(
    model: Model, explanations: list[Explanation], sequences: list[Any], letters: str, data: str | None
) -> Letters:
    """The motifs and profiles of each label, from the sequences for which it was explained."""
    # In every named set of DNA, the label depends on the strand, so the other strand need not agree.
    strands = strand_agreement(model, sequences) if letters == "ACGT" and data is None else None
    both = strands is not None and strands.share >= ALIKE
    of_label = _by_label(explanations)
    aligned = model.network.position is not None and len({len(each.scores) for each in explanations}) == 1
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
