"""Tagging schemes: the rules by which the tags of tokens mark entities.

    tokens   Mark    Watney   visits   Mars    Paris   France
    iob1     I-PER   I-PER    O        I-LOC   B-LOC   B-LOC
    iob2     B-PER   I-PER    O        B-LOC   B-LOC   B-LOC
    bioes    B-PER   E-PER    O        S-LOC   S-LOC   S-LOC
    bilou    B-PER   L-PER    O        U-LOC   U-LOC   U-LOC

A scheme is a rule for each pair of adjacent tags, with O before the first and after the last tag. `violations`,
`transitions` and `infer_scheme` all apply this rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ostinato.errors import DataError, look_up

OUTSIDE = "O"
OPENING, ENDING = ("B", "S", "U"), ("E", "S", "L", "U")  # prefixes that start and end an entity in any scheme


class Entity(NamedTuple):
    """Tokens `start` ≤ t < `end`, counted from 0; `type` is empty if the tags are just B and I."""

    type: str
    start: int
    end: int


class Scheme(NamedTuple):
    """The roles of the prefixes, one letter per prefix."""

    first: str  # may start an entity
    inside: str  # may continue an entity
    after: str  # only valid directly after B or I of the same type
    last: str  # may end an entity

    @property
    def prefixes(self) -> str:
        return "".join(dict.fromkeys(self.first + self.inside))


SCHEMES: dict[str, Scheme] = {
    "iob1": Scheme(first="BI", inside="I", after="B", last="BI"),
    "iob2": Scheme(first="B", inside="I", after="I", last="BI"),
    "bioes": Scheme(first="BS", inside="IE", after="IE", last="ES"),
    "bilou": Scheme(first="BU", inside="IL", after="IL", last="LU"),
}


def entities(tags: Sequence[str], scheme: str) -> list[Entity]:
    """The well-formed entities in the tags of a sentence.

    In `iob2`, an I- that does not continue an entity does not start one; in `bioes` and `bilou`, a B- without its E-
    or L- is not an entity.

    Raises:
        DataError: a tag does not belong to the scheme.
        ConfigError: the scheme is unknown.

    Source: the strict mode of seqeval (Nakayama 2018). Unlike in seqeval, an `iob1` entity also counts if an invalid B-
    of another type follows it.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    found = []
    start: int | None = None
    before = OUTSIDE
    for t, tag in enumerate([*tags, OUTSIDE]):
        reason = _not_in_scheme(rule, tag)
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
    """The entities by the rules of the script conlleval, which also reads invalid tags.

    An I- after O or after another type starts an entity. The prefix is the text before the first hyphen.

    Source: startOfChunk and endOfChunk of conlleval.pl (Tjong Kim Sang, CoNLL-2000 to 2003), with the rules for S- and
    for tags after E- that later versions of the script added. U- and L- of `bilou` follow the rules for S- and E-.
    """
    found = []
    start: int | None = None
    before, before_type = OUTSIDE, ""
    for t, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = _split(tag)
        changes = type_ != before_type
        if start is not None and (before in ENDING or prefix in (*OPENING, OUTSIDE) or changes):
            found.append(Entity(before_type, start, t))
            start = None
        if prefix != OUTSIDE and (prefix in OPENING or before in (*ENDING, OUTSIDE) or changes):
            start = t
        before, before_type = prefix, type_
    return found


def to_tags(entities: Iterable[Entity], length: int, scheme: str) -> list[str]:
    """The tags of `length` tokens that mark these entities.

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
                f"{entity}: does not fit {length} tokens after an entity that ends at {end_before}. "
                "Expected entities of at least one token that do not overlap. Correct its bounds."
            )
        touches = entity.start == end_before and entity.type == type_before
        for t, prefix in zip(
            range(entity.start, entity.end), _prefixes(rule, entity.end - entity.start, touches), strict=True
        ):
            tags[t] = f"{prefix}-{entity.type}" if entity.type else prefix
        end_before, type_before = entity.end, entity.type
    return tags


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Convert tags to another scheme; converting back gives the same tags.

    Raises:
        DataError: the tags are invalid in `source`; names the first violation.
        ConfigError: a scheme is unknown.
    """
    found = violations(tags, source)
    if found:
        t, reason = found[0]
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise DataError(f"token {t + 1}: {reason}{more}")
    return to_tags(entities(tags, source), len(tags), target)


def violations(tags: Sequence[str], scheme: str) -> list[tuple[int, str]]:
    """Find the tags that violate the scheme: the index of each token, counted from 0, and the reason.

    Raises:
        ConfigError: the scheme is unknown.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    found = []
    for t, (before, tag) in enumerate(zip([OUTSIDE, *tags], [*tags, OUTSIDE], strict=True)):
        open_reason = _unfinished(rule, before, tag)
        if open_reason:
            found.append((t - 1, open_reason))
        reason = _not_in_scheme(rule, tag) or _continues_nothing(rule, before, tag)
        if reason:
            found.append((t, reason))
    return found


def transitions(tags: Sequence[str], scheme: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The allowed first tags, pairs of adjacent tags, and last tags, for C tags.

    Shapes:
        first (C,), from row to column (C, C), last (C,), all bool

    Raises:
        DataError: a tag does not belong to the scheme.
        ConfigError: the scheme is unknown.
    """
    refuse_other_tags(tags, scheme)
    rule = SCHEMES[scheme]
    start = np.array([_fits(rule, OUTSIDE, tag) for tag in tags], dtype=bool)
    between = np.array([[_fits(rule, before, tag) for tag in tags] for before in tags], dtype=bool).reshape(
        len(tags), len(tags)
    )
    end = np.array([_fits(rule, tag, OUTSIDE) for tag in tags], dtype=bool)
    return start, between, end


def refuse_other_tags(tags: Iterable[str], scheme: str) -> None:
    """Refuse tags that do not belong to the scheme.

    Raises:
        DataError: names the first.
        ConfigError: the scheme is unknown.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    for tag in tags:
        reason = _not_in_scheme(rule, tag)
        if reason:
            raise DataError(reason)


def count_violations(pairs: Mapping[tuple[str, str], int], scheme: str) -> int:
    """How many pairs of adjacent tags violate the scheme, where each pair occurs the given number of times.

    Raises:
        ConfigError: the scheme is unknown.
    """
    rule = look_up(SCHEMES, scheme, "tagging scheme")
    return sum(count for pair, count in pairs.items() if not _fits(rule, *pair))


@lru_cache(maxsize=10_000)
def _split(tag: str) -> tuple[str, str]:
    """Split a tag into prefix and type: `B-geo-loc` into B and geo-loc, `O` into O and an empty type."""
    prefix, _, type_ = tag.partition("-")
    return prefix, type_


def _follows(before: str, tag: str) -> bool:
    """Whether `before` is inside an entity of the type of `tag`."""
    (prefix, type_), (_, wanted) = _split(before), _split(tag)
    return prefix in ("B", "I") and type_ == wanted


def _fits(rule: Scheme, before: str, tag: str) -> bool:
    return not (
        _not_in_scheme(rule, before)
        or _not_in_scheme(rule, tag)
        or _unfinished(rule, before, tag)
        or _continues_nothing(rule, before, tag)
    )


def _not_in_scheme(rule: Scheme, tag: str) -> str:
    prefix, type_ = _split(tag)
    if tag == OUTSIDE or (prefix in tuple(rule.prefixes) and (type_ or tag == prefix)):
        return ""
    prefixes = ", ".join(f"{prefix}-" for prefix in rule.prefixes)
    return f"{tag!r} is not a tag of the scheme. Expected O, or one of {prefixes} with a type."


def _continues_nothing(rule: Scheme, before: str, tag: str) -> str:
    """Why `tag` may not follow `before`; empty if it may."""
    prefix, type_ = _split(tag)
    if prefix not in tuple(rule.after) or _follows(before, tag):
        return ""
    return f"{tag} after {before} does not continue an entity. Expected it directly after {_choices('BI', type_)}."


def _unfinished(rule: Scheme, before: str, tag: str) -> str:
    """Why an entity may not end with `before` if `tag` does not continue it; empty if it may."""
    prefix, type_ = _split(before)
    is_open = prefix in ("B", "I") and prefix not in rule.last
    if not is_open or (_split(tag)[0] in tuple(rule.inside) and _follows(before, tag)):
        return ""
    return f"{before} before {tag} leaves the entity unfinished. Expected {_choices(rule.inside, type_)} next."


def _choices(prefixes: str, type_: str) -> str:
    return " or ".join(f"{prefix}-{type_}" if type_ else prefix for prefix in prefixes)


def _prefixes(rule: Scheme, length: int, touches: bool) -> str:
    """The prefixes of an entity of `length` tokens; `touches`: an entity of the same type ends directly before it."""
    if "B" not in rule.last:  # ends and single tokens have prefixes of their own
        last, single = rule.last[0], rule.last[1]
        return single if length == 1 else f"B{'I' * (length - 2)}{last}"
    opening = "I" if rule is SCHEMES["iob1"] and not touches else "B"
    return opening + "I" * (length - 1)
