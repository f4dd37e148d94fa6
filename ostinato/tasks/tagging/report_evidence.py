"""Explain a tagger on its test split: explained tags, their faithfulness, confident mistakes, and confusions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ostinato.data.examples import Sentence
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.progress import Progress
from ostinato.report.explained import Shown, spread, truth_of
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.answers import answers_of
from ostinato.tasks.tagging.explain import TAG_METHODS, explain_tags, true_tag
from ostinato.tasks.tagging.portable import Answer
from ostinato.tasks.tagging.schemes import conlleval_entities
from ostinato.tasks.tagging.scoring import Predictions

METHOD = "integrated-gradients"
MEASURED = 40  # test sentences to measure the faithfulness of explanations
KINDS_SHOWN, MISTAKES_SHOWN = 4, 6
CONFUSIONS_SHOWN, SENTENCES_SHOWN = 10, 3


@dataclass(frozen=True)
class TagEvidence:
    """The content of a report's explaining sections."""

    examples: list[Shown]
    mistakes: list[Shown]
    faithfulness: list[Faithfulness]


class Confusion(NamedTuple):
    """A pair of a true tag and a wrong prediction.

    Args:
        times: number of occurrences.
        found: some occurrences: the row and the token of each.
    """

    true: str
    predicted: str
    times: int
    found: list[tuple[int, int]]


class Found(NamedTuple):
    """A predicted entity, represented by its least certain token; or, without entities, one token.

    Args:
        row: index of the sentence.
        token: index of the token.
        kind: the type of the entity, or the tag.
        probability: of the token's predicted tag.
        is_right: whether the entity or the tag is correct.
    """

    row: int
    token: int
    kind: str
    probability: float
    is_right: bool


def collect_tag_evidence(model: Model, predictions: Predictions, *, progress: Progress) -> TagEvidence:
    """Explain a tagger on its test split."""
    sentences = test_sentences(predictions)
    answers = list(answers_of(model, sentences))
    found = [each for row, answer in enumerate(answers) for each in _found(row, answer, predictions.tags[row])]
    rows = sorted({each.row for each in found})
    some = [sentences[rows[index]] for index in spread(len(rows), MEASURED)]
    by_method = [explain_tags(model, some, method=method, progress=progress) for method in TAG_METHODS]
    return TagEvidence(
        _show(model, sentences, typical_and_unsure(found)),
        _show(model, sentences, worst_mistakes(answers, predictions)),
        [measure(model, each, progress=progress) for each in by_method if each],
    )


def test_sentences(predictions: Predictions) -> list[Sentence]:
    """The sentences of the test split, with their true tags."""
    columns = zip(predictions.tokens, predictions.tags, predictions.sources, predictions.features, strict=True)
    return [Sentence(words, tags, source, features=features) for words, tags, source, features in columns]


def collect_confusions(predictions: Predictions, pairs: Sequence[tuple[str, str, int]]) -> list[Confusion]:
    """The most frequent confusions, each with a few evenly spaced occurrences.

    Args:
        pairs: true tag, predicted tag and count, as in `TaggingMetrics.confusion`.
    """
    shown = []
    for true, predicted, count in pairs[:CONFUSIONS_SHOWN]:
        found = [
            (row, token)
            for row, both in enumerate(zip(predictions.tags, predictions.predicted, strict=True))
            for token, pair in enumerate(zip(*both, strict=True))
            if pair == (true, predicted)
        ]
        shown.append(Confusion(true, predicted, count, [found[index] for index in spread(len(found), SENTENCES_SHOWN)]))
    return shown


def _found(row: int, answer: Answer, true: Sequence[str]) -> Iterator[Found]:
    if answer.entities is not None:
        right = set(conlleval_entities(true))
        for entity in answer.entities:
            own = answer.probabilities[entity.start : entity.end]
            yield Found(row, entity.start + own.index(min(own)), entity.type, min(own), entity in right)
    else:
        for token, (tag, probability) in enumerate(zip(answer.tags, answer.probabilities, strict=True)):
            yield Found(row, token, tag, probability, tag == true[token])


def typical_and_unsure(found: Sequence[Found]) -> list[tuple[int, int]]:
    """For each frequent kind, the correct answers of median and of lowest probability, as pairs of row and token."""
    right = [each for each in found if each.is_right]
    shown: list[tuple[int, int]] = []
    for kind, _ in Counter(each.kind for each in right).most_common(KINDS_SHOWN):
        own = sorted((each for each in right if each.kind == kind), key=lambda each: each.probability)
        shown += [(each.row, each.token) for each in (own[len(own) // 2], own[0])]
    return list(dict.fromkeys(shown))


def worst_mistakes(answers: Sequence[Answer], predictions: Predictions) -> list[tuple[int, int]]:
    """The most confident wrong tags, one per distinct sentence, as pairs of row and token."""
    worst: dict[tuple[str, ...], tuple[float, int, int]] = {}
    for row, (answer, tags) in enumerate(zip(answers, predictions.tags, strict=True)):
        wrong = [token for token, tag in enumerate(answer.tags) if tag != tags[token]]
        if wrong:
            token = max(wrong, key=answer.probabilities.__getitem__)
            worst.setdefault(tuple(predictions.tokens[row]), (answer.probabilities[token], row, token))
    most_confident = sorted(worst.values(), key=lambda mistake: -mistake[0])
    return [(row, token) for _, row, token in most_confident[:MISTAKES_SHOWN]]


def _show(model: Model, sentences: Sequence[Sentence], chosen: Sequence[tuple[int, int]]) -> list[Shown]:
    if not chosen:
        return []
    explanations = [
        explanation
        for row, token in chosen
        for explanation in explain_tags(model, [sentences[row]], method=METHOD, tokens=[token])
    ]
    measured = measure(model, explanations)
    return [
        Shown(
            sentences[row].source,
            truth_of(true_tag(model.codec, sentences[row], token), explanation.label),
            [explanation],
            measured.masking(number),
        )
        for number, ((row, token), explanation) in enumerate(zip(chosen, explanations, strict=True))
    ]
