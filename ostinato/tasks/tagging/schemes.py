"""Tagging schemes: how the tags of single tokens spell out entities, and where they fail to.

    tokens   Mark    Watney   visits   Mars    Paris   France
    iob1     I-PER   I-PER    O        I-LOC   B-LOC   B-LOC
    iob2     B-PER   I-PER    O        B-LOC   B-LOC   B-LOC
    bioes    B-PER   E-PER    O        S-LOC   S-LOC   S-LOC

Whether tags are well-formed is a matter of neighbours: each scheme is a rule about two tags in a row, with O before
the first and after the last. `faults`, `transitions` and `guess_scheme` all ask that one rule.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ostinato.errors import DataError, look_up

OUTSIDE = "O"
TYPED = re.compile(r"[BIES]-.")
FEW = 0.1  # of the tags but O: misspelt, and not a sign of another kind of tags
ENTITY_TAG = re.compile(
    r"O|[BIES]-.+|[BI]"
)  # without a type only B and I: a tag S or E alone is more often a part of speech


class Entity(NamedTuple):
    """Tokens `start` ≤ t < `end`, counted from 0; `type` is empty where the tags are B and I alone."""

    type: str
    start: int
    end: int


class Scheme(NamedTuple):
    """What each prefix does."""

    first: str  # may open an entity
    inside: str  # go on with an entity
    after: str  # stand only right after B or I of their type
    last: str  # may close an entity

    @property
    def prefixes(self) -> str:
        return "".join(dict.fromkeys(self.first + self.inside))


SCHEMES: dict[str, Scheme] = {
    "iob1": Scheme(first="BI", inside="I", after="B", last="BI"),
    "iob2": Scheme(first="B", inside="I", after="I", last="BI"),
    "bioes": Scheme(first="BS", inside="IE", after="IE", last="ES"),
}


def entities(tags: Sequence[str], scheme: str) -> list[Entity]:
    """The well-formed entities: in `iob2` an I- that continues nothing opens none, in `bioes` a B- that no E- closes is none.

    Raises:
        DataError: a tag is not one of the scheme's.
        ConfigError: the scheme is unknown.

    Source: seqeval's strict mode (Nakayama 2018); unlike there, an `iob1` entity counts also where a faulty B- of another type follows it.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    found = []
    start: int | None = None
    before = OUTSIDE
    for t, tag in enumerate([*tags, OUTSIDE]):
        reason = _misspelt(rule, tag)
        if reason:
            raise DataError(f"token {t + 1}: {reason}")
        prefix = _split(tag)[0]
        follows = _follows(before, tag)
        if start is None or prefix not in rule.inside or not follows:
            if start is not None and _split(before)[0] in rule.last:
                found.append(Entity(_split(before)[1], start, t))
            start = t if prefix in rule.first and (follows or prefix not in rule.after) else None
        before = tag
    return found


def conlleval_entities(tags: Sequence[str]) -> list[Entity]:
    """The entities that the script conlleval reads, which mends what is ill-formed: I- after O or another type opens an entity.

    Source: startOfChunk and endOfChunk of conlleval.pl (Tjong Kim Sang, CoNLL-2000 to 2003), with the rules for S-
    (and for what follows E-) that later versions of the script added. The prefix is what stands before the first hyphen.
    """
    found = []
    start: int | None = None
    before, before_type = OUTSIDE, ""
    for t, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = _split(tag)
        changes = type_ != before_type
        if start is not None and (before in ("E", "S") or prefix in ("B", "S", "O") or changes):
            found.append(Entity(before_type, start, t))
            start = None
        if prefix != OUTSIDE and (prefix in ("B", "S") or before in ("E", "S", "O") or changes):
            start = t
        before, before_type = prefix, type_
    return found


def to_tags(entities: Iterable[Entity], length: int, scheme: str) -> list[str]:
    """Spell entities out as the tags of `length` tokens.

    Raises:
        DataError: an entity is empty, overlaps another, or lies outside the tokens.
        ConfigError: the scheme is unknown.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    tags = [OUTSIDE] * length
    end_before, type_before = 0, None
    for entity in sorted(entities, key=lambda entity: entity.start):
        if not end_before <= entity.start < entity.end <= length:
            raise DataError(
                f"{entity}: not usable among {length} tokens after an entity that ends at {end_before}. "
                "Expected entities of one token or more that do not overlap."
            )
        touches = entity.start == end_before and entity.type == type_before
        for t, prefix in zip(
            range(entity.start, entity.end), _prefixes(rule, entity.end - entity.start, touches), strict=True
        ):
            tags[t] = f"{prefix}-{entity.type}" if entity.type else prefix
        end_before, type_before = entity.end, entity.type
    return tags


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """The same entities in another scheme; nothing is lost, and converting back gives the same tags.

    Raises:
        DataError: the tags are not well-formed in `source`; names the first fault.
        ConfigError: a scheme is unknown.
    """
    wrong = faults(tags, source)
    if wrong:
        t, reason = wrong[0]
        more = f" ({len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise DataError(f"token {t + 1}: {reason}{more}")
    return to_tags(entities(tags, source), len(tags), target)


def faults(tags: Sequence[str], scheme: str) -> list[tuple[int, str]]:
    """Every place, counted from 0, where the tags break the scheme, with the reason; none means well-formed.

    Raises:
        ConfigError: the scheme is unknown.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    found = []
    for t, (before, tag) in enumerate(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True)):
        open_reason = _left_open(rule, before, tag)
        if open_reason:
            found.append((t - 1, open_reason))
        reason = _misspelt(rule, tag) or _out_of_place(rule, before, tag)
        if reason:
            found.append((t, reason))
    return found


def transitions(tags: Sequence[str], scheme: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of C tags may come first (C,), which may follow which, from row to column (C, C), and which may come last (C,).

    Raises:
        DataError: a tag is not one of the scheme's.
        ConfigError: the scheme is unknown.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    for tag in tags:
        reason = _misspelt(rule, tag)
        if reason:
            raise DataError(reason)
    start = np.array([_fits(rule, OUTSIDE, tag) for tag in tags], dtype=bool)
    between = np.array([[_fits(rule, before, tag) for tag in tags] for before in tags], dtype=bool).reshape(
        len(tags), len(tags)
    )
    end = np.array([_fits(rule, tag, OUTSIDE) for tag in tags], dtype=bool)
    return start, between, end


def guess_scheme(sentences_of_tags: Iterable[Sequence[str]]) -> str | None:
    """The scheme that the tags keep to, or None where they are not entity tags (parts of speech, or O alone).

    No two schemes fit tags that spell an entity. Where none fits all sentences, or a few tags in a hundred are no entity
    tags, it is the one with the fewest faults; `faults` then tells where.
    """
    pairs, counts = Counter[tuple[str, str]](), Counter[str]()
    for tags in sentences_of_tags:
        counts.update(tag for tag in tags if tag != OUTSIDE)
        pairs.update(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True))
    strange = [tag for tag in counts if not ENTITY_TAG.fullmatch(tag)]
    few = sum(counts[tag] for tag in strange) <= FEW * counts.total() and any(TYPED.match(tag) for tag in counts)
    if not counts or (strange and not few):
        return None
    wrong = {
        name: sum(count for pair, count in pairs.items() if not _fits(rule, *pair)) for name, rule in SCHEMES.items()
    }
    return min(("iob2", "bioes", "iob1"), key=wrong.__getitem__)


@lru_cache(maxsize=10_000)
def _split(tag: str) -> tuple[str, str]:
    """Prefix and type: `B-LOC` is B and LOC, `B-geo-loc` B and geo-loc, `O` O and nothing."""
    prefix, _, type_ = tag.partition("-")
    return prefix, type_


def _follows(before: str, tag: str) -> bool:
    """Whether `before` holds an entity of `tag`'s type open."""
    (prefix, type_), (_, wanted) = _split(before), _split(tag)
    return prefix in ("B", "I") and type_ == wanted


def _fits(rule: Scheme, before: str, tag: str) -> bool:
    return not (
        _misspelt(rule, before)
        or _misspelt(rule, tag)
        or _left_open(rule, before, tag)
        or _out_of_place(rule, before, tag)
    )


def _misspelt(rule: Scheme, tag: str) -> str:
    prefix, type_ = _split(tag)
    if tag == OUTSIDE or (prefix in tuple(rule.prefixes) and (type_ or tag == prefix)):
        return ""
    return f"{tag!r} is no tag of the scheme. Expected O, or a type after {', '.join(f'{prefix}-' for prefix in rule.prefixes)}."


def _out_of_place(rule: Scheme, before: str, tag: str) -> str:
    """Why `tag` may not stand after `before`."""
    prefix, type_ = _split(tag)
    if prefix not in tuple(rule.after) or _follows(before, tag):
        return ""
    return f"{tag} after {before} continues nothing. Expected it right after {_choices('BI', type_)}."


def _left_open(rule: Scheme, before: str, tag: str) -> str:
    """Why an entity may not end with `before`, where `tag` does not go on with it."""
    prefix, type_ = _split(before)
    is_open = prefix in ("B", "I") and prefix not in rule.last
    if not is_open or (_split(tag)[0] in tuple(rule.inside) and _follows(before, tag)):
        return ""
    return f"{before} before {tag} is not finished. Expected {_choices(rule.inside, type_)} next."


def _choices(prefixes: str, type_: str) -> str:
    return " or ".join(f"{prefix}-{type_}" if type_ else prefix for prefix in prefixes)


def _prefixes(rule: Scheme, length: int, touches: bool) -> str:
    """The prefixes of an entity of `length` tokens; `touches`: right before it ends another of its type."""
    if rule is SCHEMES["bioes"]:
        return "S" if length == 1 else f"B{'I' * (length - 2)}E"
    opening = "I" if rule is SCHEMES["iob1"] and not touches else "B"
    return opening + "I" * (length - 1)
