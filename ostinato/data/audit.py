"""What is in the data and what was done to them: reported before training, and written to audit.json."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ostinato.data.chunks import raw_lengths
from ostinato.data.cleaning import Cleaning, Splits, conflicting, keys_of
from ostinato.data.examples import Records
from ostinato.data.examples import Sequence as Input
from ostinato.data.shown import SHOWN, count_of, listed, shown

SHOWN_CLASSES = 10
MANY_UNKNOWN = 0.3  # share of validation's tokens from which the vocabulary costs accuracy
UNKNOWN_CURES = {  # by the unit of the lengths
    "words": 'Set data.tokenizer = "subwords", or "characters" for single words and scripts without spaces.',
    "events": "Set data.min_count = 1, or replace rare events by kinds of events.",
    "k-mers": "Set data.tokenizer to k-mers of fewer letters.",
    "characters": "Check data.tokenizer: these characters are not in the training split or the alphabet.",
}
FAR = 5  # times the distance between the 5 % and the 95 % quantile


@dataclass(frozen=True)
class SplitFacts:
    """A split as it is used.

    Args:
        rows: after cleaning.
        lengths: quantiles of the sequences' lengths.
        duplicates: rows that repeat an earlier one.
        conflicting: rows of sequences with two targets.
        classes: rows of each class; None where targets are not classes.
        values: quantiles of each numeric target; None where targets are not numbers.
        labels: rows of each label, where a row can have several; else None.
    """

    rows: int
    lengths: dict[str, float]
    duplicates: int
    conflicting: int
    classes: dict[str, int] | None = None
    values: dict[str, dict[str, float]] | None = None
    labels: dict[str, int] | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each class or label; empty where targets are numbers."""
        return self.classes or self.labels or {}


@dataclass(frozen=True)
class Remark:
    """Something in the targets or the series that deserves attention.

    Args:
        kind: what it is, in one word; docs/files.md lists them.
        labels: the labels that it is about, at most `SHOWN`.
        rows: how many rows have them.
        text: the finding in a sentence or two, with what to do.
    """

    kind: str
    labels: list[str]
    rows: int
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", self.labels[:SHOWN])


@dataclass(frozen=True)
class SequenceAudit:
    """The facts of a data set, as read, as cleaned and as split.

    Args:
        unit: of the lengths: characters, events or steps; words, k-mers or tokens if the tokenizer makes them.
        drawn: the splits that were drawn at random; the others were given.
        unused: rows that no split needs.
        unknown_share: out-of-vocabulary tokens among validation's, from 0 to 1; None: no validation, or no vocabulary.
        truncated: for each split, how many sequences were cut to `max_length`.
        vectors: the source of pretrained vectors, and how many of the vocabulary's tokens it has; None: no vectors.
        remarks: what deserves attention in the targets and the series.
        left_out: the splits that were not drawn, because there are too few rows.
    """

    rows_read: int
    unit: str
    sorted_by_label: bool
    unlabelled_skipped: int
    cleaning: Cleaning
    drawn: list[str]
    splits: dict[str, SplitFacts]
    shared_groups: int
    unused: int
    unknown_share: float | None = None
    truncated: dict[str, int] = field(default_factory=dict)
    vectors: dict[str, Any] | str | None = None
    remarks: list[Remark] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def with_encoding(
        self, unknown_share: float | None, truncated: dict[str, int], vectors: dict[str, Any] | None
    ) -> "SequenceAudit":
        """The same audit with what only the encoder knows."""
        return replace(self, unknown_share=unknown_share, truncated=dict(truncated), vectors=vectors)

    def with_lengths(self, unit: str, lengths: Mapping[str, np.ndarray]) -> "SequenceAudit":
        """The same audit with the lengths of each split's sequences in another unit."""
        splits = {split: replace(facts, lengths=quantiles(lengths[split])) for split, facts in self.splits.items()}
        return replace(self, unit=unit, splits=splits)

    def to_json(self) -> dict[str, Any]:
        """All facts as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The contents, then the findings, in sentences."""
        return [*self._contents(), *self.findings]

    @property
    def findings(self) -> list[str]:
        """What was removed, and what deserves attention, in sentences."""
        rows = sum(facts.rows for split, facts in self.splits.items() if split in ("train", *self.drawn))
        return [
            *describe_left_out(self.left_out, rows, "row"),
            *self._removed(),
            *self._noted(),
            *(each.text for each in self.remarks),
            *self._encoded(),
        ]

    def _contents(self) -> Iterator[str]:
        distinct = dict.fromkeys(label for facts in self.splits.values() for label in facts.counts)
        what = "labels" if self.splits["train"].labels is not None else "classes"
        found = f", {len(distinct):,} {what}" if distinct else ""
        yield f"{count_of(self.rows_read, 'row')} read{found}."
        for split, facts in self.splits.items():
            yield f"{split}: {count_of(facts.rows, 'row')} ({_targets(facts)})."
        quantiles = ", ".join(f"{name} {value:,.0f}" for name, value in self.splits["train"].lengths.items())
        yield f"Lengths in train, in {self.unit}: {quantiles}."

    def _removed(self) -> Iterator[str]:
        cleaning = self.cleaning
        if self.unlabelled_skipped:
            yield f"{count_of(self.unlabelled_skipped, 'row')} without a label skipped."
        if cleaning.empty_dropped:
            yield f"{count_of(cleaning.empty_dropped, 'row')} with an empty sequence dropped."
        if cleaning.conflicting_dropped:
            yield f"{count_of(cleaning.conflicting_dropped, 'row')} of sequences with two labels dropped, all copies."
        if cleaning.duplicates_dropped:
            dropped = count_of(cleaning.duplicates_dropped, "exact duplicate")
            yield f"{dropped} dropped before splitting; the first copy of each remains."
        for pair, rows in cleaning.overlap.items():
            first, second = pair.split("/")
            done = f"removed from {first}" if cleaning.overlap_dropped else "kept, as the data set defines its splits"
            yield f"{count_of(rows, 'row')} of {first} also in {second}: {done}."

    def _noted(self) -> Iterator[str]:
        for pair, rows in self.cleaning.reverse_complements.items():
            first, second = pair.split("/")
            yield (
                f"{count_of(rows, 'row')} of {first} are reverse complements of sequences in {second}: a leak if the "
                "strand does not matter; kept."
            )
        if self.sorted_by_label:
            what = "the splits were drawn at random" if self.drawn else "training shuffles them"
            yield f"The rows are sorted by label: {what}."
        for split, facts in self.splits.items():
            if facts.duplicates:
                yield f"{count_of(facts.duplicates, 'row')} of {split} repeat an earlier one; kept."
            if facts.conflicting:
                yield f"{count_of(facts.conflicting, 'row')} of {split} are of sequences with different targets; kept."
            yield from _outliers(split, facts)
            unseen = sorted(facts.counts.keys() - self.splits["train"].counts.keys())
            if unseen:
                yield f"Only in {split}, so the model cannot learn them: {listed(unseen)}."
        if self.shared_groups:
            yield f"{count_of(self.shared_groups, 'group')} in more than one of the given splits; kept."
        if self.unused:
            yield f"{count_of(self.unused, 'row')} not used: the sizes ask for fewer."

    def _encoded(self) -> Iterator[str]:
        if self.unknown_share:
            cure = UNKNOWN_CURES.get(self.unit, "") if self.unknown_share >= MANY_UNKNOWN else ""
            yield f"{self.unknown_share:.1%} of validation's tokens are out of vocabulary. {cure}".rstrip()
        for split, rows in self.truncated.items():
            if rows:
                yield f"{count_of(rows, 'sequence')} of {split} cut to max_length."
        if self.vectors is not None:
            yield describe_vectors(self.vectors)


def describe_split(records: Records, targets: dict[str, Any]) -> SplitFacts:
    """Count a split's rows, copies and conflicts, and measure its lengths.

    Args:
        records: with their keys.
        targets: `classes` or `values`, as the task describes its targets.
    """
    return SplitFacts(
        rows=len(records),
        lengths=quantiles(raw_lengths(records.sequences)),
        duplicates=len(records) - len(np.unique(keys_of(records))),
        conflicting=int(conflicting(records).sum()),
        **targets,
    )


def describe_vectors(facts: dict[str, Any] | str) -> str:
    """How many of a vocabulary's tokens have a pretrained vector, in a sentence; 0.1 wrote the sentence itself."""
    if isinstance(facts, str):
        return facts
    lower = f", {facts['lower_cased_share']:.1%} more in lower case" if facts["lower_cased"] else ""
    skipped = f" {count_of(facts['skipped'], 'malformed line')} skipped." if facts["skipped"] else ""
    return (
        f"Vectors of {facts['source']}: {facts['exact_share']:.1%} of the vocabulary found{lower}, "
        f"{facts['missing_share']:.1%} missing; {count_of(facts['extra_words'], 'extra word')}.{skipped}"
    )


def describe_left_out(splits: Sequence[str], rows: int, what: str) -> Iterator[str]:
    """What follows from the splits that too few rows or sentences leave out, in sentences."""
    reason = f"{count_of(rows, what)} {'is' if rows == 1 else 'are'} too few to draw a"
    if "test" in splits:
        yield (
            f"{reason} test split, so nothing shows how good the model is. Add {what}s, or name a file in "
            "data.test_path."
        )
    if "validation" in splits:
        yield (
            f"{reason} validation split, so training runs to the last epoch, without early stopping. Add {what}s, or "
            "name a file in data.validation_path."
        )


def quantiles(values: Sequence[Any] | np.ndarray) -> dict[str, float]:
    """Five quantiles by name."""
    names = ("shortest", "5 %", "median", "95 %", "longest")
    return dict(zip(names, np.quantile(values, [0, 0.05, 0.5, 0.95, 1]).tolist(), strict=True))


def unit_of(sequence: Input) -> str:
    """What the length of a raw sequence counts."""
    if isinstance(sequence, np.ndarray):
        return "steps"
    return "characters" if isinstance(sequence, str) else "events"


def shared_groups(splits: Splits) -> int:
    """How many groups have rows in more than one split."""
    found = Counter(group for records in splits.values() for group in set(records.groups or ()) - {None})
    return sum(number > 1 for number in found.values())


def _outliers(split: str, facts: SplitFacts) -> Iterator[str]:
    """The numeric targets with values far from nine tenths of their rows."""
    for name, value in (facts.values or {}).items():
        low, high = value["5 %"], value["95 %"]
        far = max(value["highest"] - high, low - value["lowest"])
        if far > FAR * (high - low):
            yield (
                f"{name} has outliers in {split}: 90 % of the rows lie between {low:.4g} and {high:.4g}, all between "
                f"{value['lowest']:.4g} and {value['highest']:.4g}. Check them: they dominate a squared loss."
            )


def _targets(facts: SplitFacts) -> str:
    if facts.counts:
        first = [f"{shown(label)} {rows:,}" for label, rows in list(facts.counts.items())[:SHOWN_CLASSES]]
        return ", ".join([*first, *(["…"] if len(facts.counts) > SHOWN_CLASSES else [])])
    values = [f"{name} {each['lowest']:.4g} to {each['highest']:.4g}" for name, each in (facts.values or {}).items()]
    return ", ".join(values)
