"""Find, refuse and repair the tags that a scheme does not allow, such as I- after O in `iob2`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ostinato.data.examples import Sentence, tags_of
from ostinato.errors import DataError
from ostinato.tasks.tagging.scheme_inference import ENTITY_TAG, infer_scheme
from ostinato.tasks.tagging.schemes import conlleval_entities, to_tags, violations

SHOWN = 3  # ill-formed tags that a message names


@dataclass(frozen=True)
class Repairs:
    """The tags that were changed because their scheme does not allow them.

    Args:
        tags: how many.
        sentences: in how many sentences.
        examples: the first few: the source and the change, such as `train.txt, line 17: I-LOC → B-LOC`.
    """

    tags: int
    sentences: int
    examples: list[str]


class InScheme(NamedTuple):
    """Sentences whose tags follow `scheme`, or do not mark entities if it is None; and the repairs of their tags."""

    sentences: list[Sentence]
    scheme: str | None
    repairs: Repairs | None


def bring_into_scheme(scheme: str | None, sentences: Sequence[Sentence], *, repair: bool) -> InScheme:
    """Infer or check the scheme of tags.

    Args:
        scheme: `plain`, the name of a scheme, or None to infer it from the tags.
        repair: change tags that the scheme does not allow, as the script conlleval reads them, instead of refusing.

    Raises:
        DataError: the scheme does not allow a tag, and `repair` is False or cannot help; names the lines.
    """
    scheme = None if scheme == "plain" else scheme or infer_scheme(map(tags_of, sentences))
    if scheme is None:
        return InScheme(list(sentences), None, None)
    if not repair:
        check_tags(scheme, sentences)
        return InScheme(list(sentences), scheme, None)
    repaired = [_repaired(sentence, scheme) for sentence in sentences]
    check_tags(scheme, repaired)
    pairs = [pair for pair in zip(sentences, repaired, strict=True) if pair[0] is not pair[1]]
    changes = [change for before, after in pairs for change in _changes(before, after)]
    return InScheme(repaired, scheme, Repairs(len(changes), len(pairs), changes[:SHOWN]))


def check_tags(scheme: str, sentences: Iterable[Sentence]) -> None:
    """Refuse tags that the scheme does not allow.

    Raises:
        DataError: counts the ill-formed tags, and names the first of them with their lines.
    """
    found = [
        (sentence, token, reason) for sentence in sentences for token, reason in violations(tags_of(sentence), scheme)
    ]
    if not found:
        return
    sentence, token, reason = found[0]
    others = [other.source_of(at) for other, at, _ in found[1:SHOWN]]
    more = f"{len(found):,} tags are ill-formed; the next: {'; '.join(others)}. " if others else ""
    can_repair = all(_is_repairable(each) for each, _, _ in found)
    offer = "set data.repair_tags = true to repair ill-formed tags, " if can_repair else ""
    raise DataError(
        f"{sentence.source_of(token)}: by scheme {scheme}, {reason} {more}Correct {'them' if others else 'it'}, {offer}"
        "or set data.scheme (plain: tags do not mark entities)."
    )


def _is_repairable(sentence: Sentence) -> bool:
    return all(ENTITY_TAG.fullmatch(tag) for tag in tags_of(sentence))


def _repaired(sentence: Sentence, scheme: str) -> Sentence:
    """The sentence with well-formed tags; the same object if they already are, or if a tag is not an entity tag."""
    tags = tags_of(sentence)
    if not _is_repairable(sentence) or not violations(tags, scheme):
        return sentence
    return sentence._replace(tags=to_tags(conlleval_entities(tags), len(tags), scheme))


def _changes(before: Sentence, after: Sentence) -> Iterator[str]:
    for token, (old, new) in enumerate(zip(tags_of(before), tags_of(after), strict=True)):
        if old != new:
            yield f"{before.source_of(token)}: {old} → {new}"
