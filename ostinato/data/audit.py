"""What is in the data and what was done to it, told before training and written to audit.json."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ostinato.data.cleaning import Cleaning, Splits, conflicting_keys, key_of, keys_of
from ostinato.data.examples import Record, Sequence


@dataclass(frozen=True)
class SplitFacts:
    """A split as it is used: rows, rows of each class, length quantiles, copies and rows of sequences with two labels."""

    rows: int
    classes: dict[str, int]
    lengths: dict[str, float]
    duplicates: int
    conflicting: int


@dataclass(frozen=True)
class Audit:
    """The facts of a data set, as read, as cleaned and as split."""

    rows_read: int
    unit: str  # of the lengths: characters, events or steps
    sorted_by_label: bool
    unlabelled_skipped: int
    cleaning: Cleaning
    drawn: list[str]  # splits that we drew; the others were given
    splits: dict[str, SplitFacts]
    shared_groups: int
    unused: int
    unknown_share: float | None = None
    truncated: dict[str, int] = field(default_factory=dict)

    def with_encoding(self, unknown_share: float | None, truncated: dict[str, int]) -> "Audit":
        """Add what only the encoder knows, in a new audit.

        Args:
            unknown_share: unknown tokens among validation's, from 0 to 1; None: no validation, or no vocabulary.
            truncated: for each split, the sequences that were cut to `max_length`.
        """
        return replace(self, unknown_share=unknown_share, truncated=dict(truncated))

    def to_dict(self) -> dict[str, Any]:
        """All facts as plain values for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Short sentences for people: what there is, then only what is notable."""
        return [*self._contents(), *self._done(), *self._noted(), *self._encoded()]

    def _contents(self) -> Iterator[str]:
        classes = list(dict.fromkeys(label for facts in self.splits.values() for label in facts.classes))
        yield f"{_count(self.rows_read, 'row')} read, {len(classes)} classes."
        for split, facts in self.splits.items():
            shown = ", ".join(f"{label} {rows:,}" for label, rows in list(facts.classes.items())[:10])
            yield f"{split}: {_count(facts.rows, 'row')} ({shown}{', …' if len(facts.classes) > 10 else ''})."
        lengths = self.splits["train"].lengths
        quantiles = ", ".join(f"{name} {value:,.0f}" for name, value in lengths.items())
        yield f"Lengths in train, in {self.unit}: {quantiles}."

    def _done(self) -> Iterator[str]:
        if self.unlabelled_skipped:
            yield f"{_count(self.unlabelled_skipped, 'row')} without a label skipped."
        if self.cleaning.empty_dropped:
            yield f"{_count(self.cleaning.empty_dropped, 'row')} with an empty sequence dropped."
        if self.cleaning.conflicting_dropped:
            yield f"{_count(self.cleaning.conflicting_dropped, 'row')} of sequences with two labels dropped, all copies."
        if self.cleaning.duplicates_dropped:
            yield f"{_count(self.cleaning.duplicates_dropped, 'exact duplicate')} dropped before splitting; the first copy of each is kept."
        for pair, rows in self.cleaning.overlap.items():
            first, second = pair.split("/")
            done = (
                f"removed from {first}" if self.cleaning.overlap_dropped else "kept, as the data set defines its splits"
            )
            yield f"{_count(rows, 'row')} of {first} also in {second}: {done}."

    def _noted(self) -> Iterator[str]:
        for pair, rows in self.cleaning.reverse_complements.items():
            first, second = pair.split("/")
            yield f"{_count(rows, 'row')} of {first} are reverse complements of sequences in {second}: a leak if the strand does not matter; kept."
        if self.sorted_by_label:
            yield "The rows are sorted by label: " + (
                "the splits were drawn at random." if self.drawn else "training shuffles them."
            )
        for split, facts in self.splits.items():
            if facts.duplicates:
                yield f"{_count(facts.duplicates, 'row')} of {split} repeat an earlier one; kept."
            if facts.conflicting:
                yield f"{_count(facts.conflicting, 'row')} of {split} are of sequences with two labels; kept."
            unseen = sorted(facts.classes.keys() - self.splits["train"].classes.keys())
            if unseen:
                yield f"Only in {split}, so never learnt: {', '.join(unseen)}."
        if self.shared_groups:
            yield f"{_count(self.shared_groups, 'group')} in more than one of the given splits; kept."
        if self.unused:
            yield f"{_count(self.unused, 'row')} not used: the sizes ask for fewer."

    def _encoded(self) -> Iterator[str]:
        if self.unknown_share:
            yield f"{self.unknown_share:.1%} of validation's tokens are not in the vocabulary."
        for split, rows in self.truncated.items():
            if rows:
                yield f"{_count(rows, 'sequence')} of {split} cut to max_length."


def describe_split(records: list[Record], tokenizer: str) -> SplitFacts:
    """Count a split's rows, classes, copies and conflicts, and measure its lengths."""
    lengths = np.quantile([len(record.sequence) for record in records], [0, 0.05, 0.5, 0.95, 1])
    names = ("shortest", "5 %", "median", "95 %", "longest")
    conflicts = conflicting_keys(records, tokenizer)
    return SplitFacts(
        rows=len(records),
        classes=dict(sorted(Counter(str(record.label) for record in records).items())),
        lengths=dict(zip(names, lengths.tolist(), strict=True)),
        duplicates=len(records) - len(keys_of(records, tokenizer)),
        conflicting=sum(key_of(record.sequence, tokenizer) in conflicts for record in records) if conflicts else 0,
    )


def unit_of(sequence: Sequence) -> str:
    """What the length of a raw sequence counts."""
    if isinstance(sequence, np.ndarray):
        return "steps"
    return "characters" if isinstance(sequence, str) else "events"


def is_sorted_by_label(records: list[Record]) -> bool:
    """Whether each label's rows stand together, with two labels or more and more rows than labels."""
    labels = [record.label for record in records]
    runs = 1 + sum(before != after for before, after in pairwise(labels))
    return 2 <= len(set(labels)) == runs < len(labels)


def shared_groups(splits: Splits) -> int:
    """How many groups have rows in more than one split."""
    found = Counter(group for records in splits.values() for group in {record.group for record in records} - {None})
    return sum(number > 1 for number in found.values())


def _count(rows: int, what: str) -> str:
    return f"{rows:,} {what}{'' if rows == 1 else 's'}"
