"""Infer the scheme of tags, and recognise tags that would mark entities if they were spelt otherwise."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ostinato.tasks.tagging.schemes import OUTSIDE, count_violations

TYPED = re.compile(r"[BIESLU]-.")
MAX_INVALID_SHARE = 0.1  # of all tags except O; fewer invalid tags are typos, more mean that these are no entity tags
ENTITY_TAG = re.compile(r"O|[BIESLU]-.+|[BI]")  # not a bare S or E, which is more often a part of speech
BY_PREFERENCE = ("iob2", "bioes", "bilou", "iob1")  # the first of those with the fewest violations wins

# Other spellings -> the spelling that schemes have
RESPELLINGS: dict[str, Callable[[str], str]] = {
    "in lower case": lambda tag: re.sub(r"^([bieslu](?=-)|[bio]$)", lambda found: found[0].upper(), tag),
    "with an underscore": lambda tag: re.sub(r"^([BIESLU])_(?=.)", r"\1-", tag),
    "with the prefix at the end": lambda tag: re.sub(r"^(.+)[-_]([BIESLU])$", r"\2-\1", tag),
    "with M for the tokens inside": lambda tag: re.sub(r"^M-(?=.)", "I-", tag),
}


@dataclass(frozen=True)
class Lookalike:
    """Tags that would follow a scheme if they were spelt otherwise.

    Args:
        scheme: the scheme that they would follow.
        spelling: how they are spelt: one of `RESPELLINGS`.
        tag: one of the tags.
        respelt: the same tag as the scheme spells it.
    """

    scheme: str
    spelling: str
    tag: str
    respelt: str


def infer_scheme(sentences_of_tags: Iterable[Sequence[str]]) -> str | None:
    """Infer the scheme of the tags; None if they are not entity tags (such as parts of speech, or only O).

    If no scheme fits all sentences, or a few tags are not entity tags, the scheme with the fewest violations wins.
    """
    pairs, counts = Counter[tuple[str, str]](), Counter[str]()
    for tags in sentences_of_tags:
        counts.update(tag for tag in tags if tag != OUTSIDE)
        pairs.update(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True))
    invalid = [tag for tag in counts if not ENTITY_TAG.fullmatch(tag)]
    are_few = sum(counts[tag] for tag in invalid) <= MAX_INVALID_SHARE * counts.total()
    if not counts or (invalid and not (are_few and any(TYPED.match(tag) for tag in counts))):
        return None
    return min(BY_PREFERENCE, key=lambda scheme: count_violations(pairs, scheme))


def find_lookalike(sentences_of_tags: Sequence[Sequence[str]]) -> Lookalike | None:
    """The spelling in which tags without a scheme, such as `b-LOC`, mark entities; None if they mark none."""
    distinct = {tag for tags in sentences_of_tags for tag in tags}
    for spelling, respell in RESPELLINGS.items():
        found = {tag: respell(tag) for tag in distinct}
        changed = next((tag for tag, respelt in sorted(found.items()) if tag != respelt), None)
        if changed is None or not all(ENTITY_TAG.fullmatch(respelt) for respelt in found.values()):
            continue
        respelt_sentences = [[found[tag] for tag in tags] for tags in sentences_of_tags]
        scheme = infer_scheme(respelt_sentences)
        if scheme is not None and OUTSIDE in found.values():
            return Lookalike(scheme, spelling, changed, found[changed])
    return None
