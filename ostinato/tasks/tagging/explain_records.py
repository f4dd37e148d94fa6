"""The sentences of a file, their tags explained: each with its place, the true tag where it is known, and what masking does to the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.data.examples import Sentence
from ostinato.errors import DataError
from ostinato.estimators import SequenceTagger
from ostinato.explanation.tag_faithfulness import TagFaithfulness, measure_tags
from ostinato.explanation.tagging import TagExplanation, explain_tags
from ostinato.progress import Progress
from ostinato.tasks.tagging.schemes import conlleval_entities, to_tags


@dataclass(frozen=True)
class ExplainedTag:
    """A tag's explanation, where its sentence came from, the true tag in the learnt scheme (None: not known), and what masking does to it."""

    place: str
    true: str | None
    explanation: TagExplanation
    masking: str


@dataclass(frozen=True)
class ExplainedTags:
    """Explained tags, how far they can be believed (None: there is none), and the sentences in which no entity was found."""

    tags: list[ExplainedTag]
    faithfulness: TagFaithfulness | None
    without: list[Sentence]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = []
        for row, each in enumerate(self.tags):
            true = {} if each.true is None else {"true_tag": each.true}
            rows.append({"place": each.place, **true, **each.explanation.to_dict(), **self._masked(row)})
        return {
            "explanations": rows,
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_dict(),
        }

    def _masked(self, row: int) -> dict[str, float]:
        assert self.faithfulness is not None
        figures = {"lost": self.faithfulness.lost[row], "lost_at_random": self.faithfulness.lost_at_random[row]}
        return {
            name: round(float(figure), 6) for name, figure in figures.items() if figure == figure
        }  # a word alone has none


def explain_sentences(
    tagger: SequenceTagger,
    sentences: Sequence[Sentence],
    *,
    method: str,
    tag: str | None = None,
    tokens: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> ExplainedTags:
    """Explain the tags of sentences, as `explain_tags` does, and mask what the explanations rank first.

    Raises:
        ConfigError: a method, tag or token that is not there.
        DataError: there is no sentence, or one that the tagger cannot read.
    """
    if not sentences:
        raise DataError("There is no sentence: nothing to explain. Give at least one.")
    found = explain_tags(tagger, sentences, method=method, tag=tag, tokens=tokens, progress=progress)
    flat = [each for explanations in found for each in explanations]
    measured = measure_tags(tagger, flat, progress=progress) if flat else None
    told = [] if measured is None else [measured.masking(row) for row in range(len(flat))]
    owners = [sentence for sentence, explanations in zip(sentences, found, strict=True) for _ in explanations]
    explained = [
        ExplainedTag(sentence.place, true_tag(tagger, sentence, each.token), each, masking)
        for sentence, each, masking in zip(owners, flat, told, strict=True)
    ]
    return ExplainedTags(
        explained,
        measured,
        [sentence for sentence, explanations in zip(sentences, found, strict=True) if not explanations],
    )


def true_tag(tagger: SequenceTagger, sentence: Sentence, token: int) -> str | None:
    """The true tag of a word in the scheme that the tagger learnt; None where it is not known."""
    scheme, target, tags = tagger.encoder_.scheme, tagger.encoder_.target_scheme, sentence.tags
    if tags is None:
        return None
    if scheme is None or target is None or scheme == target:
        return tags[token]
    return to_tags(conlleval_entities(tags), len(tags), target)[token]
