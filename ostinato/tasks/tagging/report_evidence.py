"""What a tagger's run shows of itself on its test split: explained tags, how far to believe them, confident mistakes, confusions in their sentences."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ostinato.estimators import SequenceTagger
from ostinato.explanation.tag_faithfulness import TagFaithfulness, measure_tags
from ostinato.explanation.tag_records import ExplainedTag, true_tag
from ostinato.explanation.tagging import TAG_METHODS, explain_tag, explain_tags
from ostinato.progress import Progress
from ostinato.report.evidence import spread
from ostinato.report.tagger_facts import Answered
from ostinato.tag_prediction import Answer, answers
from ostinato.tasks.tagging.schemes import conlleval_entities

MEASURED = 40  # test sentences whose explanations are measured
KINDS_SHOWN, MISTAKES_SHOWN = 4, 6
CONFUSIONS_SHOWN, SENTENCES_SHOWN = 10, 3


@dataclass(frozen=True)
class TagEvidence:
    """All that the explaining sections of a tagger's report show."""

    examples: list[ExplainedTag]
    mistakes: list[ExplainedTag]
    faithfulness: list[TagFaithfulness]


class Confusion(NamedTuple):
    """A true tag, the other that was given, how often, and where: sentences and a word of each."""

    true: str
    given: str
    times: int
    places: list[tuple[Answered, int]]


class _Found(NamedTuple):
    """A word that bears an answer: of an entity the least certain one."""

    row: int
    token: int
    kind: str
    probability: float
    right: bool


def collect_tag_evidence(tagger: SequenceTagger, answered: Sequence[Answered], *, progress: Progress) -> TagEvidence:
    """Explain a run's tagger on its test split, whose sentences are all in what the run kept."""
    given = list(answers(tagger, (each.sentence for each in answered)))
    found = [each for row, answer in enumerate(given) for each in _found(row, answer, answered[row].tags)]
    rows = sorted({each.row for each in found})
    some = [answered[rows[place]].sentence for place in spread(len(rows), MEASURED)]
    measured = []
    for method in TAG_METHODS:
        explained = [
            each for of_sentence in explain_tags(tagger, some, method=method, progress=progress) for each in of_sentence
        ]
        measured += [measure_tags(tagger, explained, progress=progress)] if explained else []
    return TagEvidence(
        _explain(tagger, answered, _typical_and_unsure(found)),
        _explain(tagger, answered, _worst_mistakes(given, answered)),
        measured,
    )


def collect_confusions(answered: Sequence[Answered], tags: Sequence[Sequence[object]]) -> list[Confusion]:
    """The most frequent confusions, `tags` as the metrics list them, with sentences from all over the split."""
    shown = []
    for true, given, count in tags[:CONFUSIONS_SHOWN]:
        places = [
            (each, token)
            for each in answered
            for token, pair in enumerate(zip(each.tags, each.predicted, strict=True))
            if pair == (true, given)
        ]
        shown.append(
            Confusion(
                str(true),
                str(given),
                int(str(count)),
                [places[place] for place in spread(len(places), SENTENCES_SHOWN)],
            )
        )
    return shown


def _found(row: int, answer: Answer, true: Sequence[str]) -> Iterator[_Found]:
    if answer.entities is not None:
        right = set(conlleval_entities(true))
        for entity in answer.entities:
            sure = answer.probabilities[entity.start : entity.end]
            yield _Found(row, entity.start + sure.index(min(sure)), entity.type, min(sure), entity in right)
    else:
        for token, (tag, probability) in enumerate(zip(answer.tags, answer.probabilities, strict=True)):
            yield _Found(row, token, tag, probability, tag == true[token])


def _typical_and_unsure(found: Sequence[_Found]) -> list[tuple[int, int]]:
    """Of the commonest kinds the right answer of median probability, and the one least sure."""
    right = [each for each in found if each.right]
    shown: list[tuple[int, int]] = []
    for kind, _ in Counter(each.kind for each in right).most_common(KINDS_SHOWN):
        own = sorted((each for each in right if each.kind == kind), key=lambda each: each.probability)
        shown += [(each.row, each.token) for each in (own[len(own) // 2], own[0])]
    return list(dict.fromkeys(shown))


def _worst_mistakes(given: Sequence[Answer], answered: Sequence[Answered]) -> list[tuple[int, int]]:
    """The wrong tags of the highest probability, one of each sentence, however often it occurs."""
    worst: dict[tuple[str, ...], tuple[float, int, int]] = {}
    for row, (answer, each) in enumerate(zip(given, answered, strict=True)):
        wrong = [token for token, tag in enumerate(answer.tags) if tag != each.tags[token]]
        if wrong:
            token = max(wrong, key=lambda token: answer.probabilities[token])
            worst.setdefault(tuple(each.tokens), (answer.probabilities[token], row, token))
    surest_first = sorted(worst.values(), key=lambda found: -found[0])
    return [(row, token) for _, row, token in surest_first[:MISTAKES_SHOWN]]


def _explain(
    tagger: SequenceTagger, answered: Sequence[Answered], places: Sequence[tuple[int, int]]
) -> list[ExplainedTag]:
    if not places:
        return []
    explanations = [explain_tag(tagger, answered[row].sentence, token=token) for row, token in places]
    measured = measure_tags(tagger, explanations)
    return [
        ExplainedTag(
            answered[row].place, true_tag(tagger, answered[row].sentence, token), explanation, measured.masking(number)
        )
        for number, ((row, token), explanation) in enumerate(zip(places, explanations, strict=True))
    ]
