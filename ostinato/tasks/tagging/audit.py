"""The audit of tagged sentences: their contents, and what deserves attention."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ostinato.data.audit import describe_left_out, describe_vectors
from ostinato.data.shown import shown
from ostinato.tasks.tagging.repair import Repairs
from ostinato.tasks.tagging.scheme_inference import Lookalike

SHOWN_TAGS = 10
LONGEST_EXAMPLE = 400  # characters: a path, a line number and two tags


@dataclass(frozen=True)
class TagAudit:
    """The contents of tagged data, reported before training and written to audit.json.

    Args:
        scheme: the scheme by which the tags mark entities; None: they do not mark entities.
        tags: number of distinct tags in train.
        splits: for each split, the number of sentences, of tokens and, with a scheme, of entities of each type.
        drawn: the splits that were drawn at random; copies of a sentence stay together.
        repeated: for each pair of given splits `first/second`, the sentences of the first that are also in the second.
        overlap_dropped: whether these sentences were removed from the first.
        unseen_tags: for each split except train, the tags that do not occur in train.
        vectors: the source and the coverage of pretrained vectors; None: no vectors.
        unknown: for each split except train, the share of out-of-vocabulary tokens.
        features: for each feature column, the number of distinct values in train.
        unseen_values: for each split except train and each feature column, the share of tokens whose value does not
            occur in train.
        repairs: with `repair_tags`, the tags that were changed because the scheme does not allow them; else None.
        left_out: the splits that were not drawn, because there are too few sentences.
        lookalike: how the tags are spelt, if they would mark entities in another spelling; None: they would not.
    """

    scheme: str | None
    tags: int
    splits: dict[str, dict[str, Any]]
    drawn: list[str]
    repeated: dict[str, int]
    unseen_tags: dict[str, list[str]]
    overlap_dropped: bool = False
    vectors: dict[str, Any] | str | None = None
    unknown: dict[str, float] | None = None
    features: dict[str, int] | None = None
    unseen_values: dict[str, dict[str, float]] | None = None
    repairs: Repairs | None = None
    lookalike: Lookalike | None = None
    left_out: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """All facts as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Describe the contents, then the findings, in sentences."""
        return [*self._contents(), *self.findings]

    @property
    def findings(self) -> list[str]:
        """Everything that needs attention, in sentences."""
        source = [facts["sentences"] for split, facts in self.splits.items() if split in ("train", *self.drawn)]
        return [
            *describe_left_out(self.left_out, sum(source), "sentence"),
            *self._tag_findings(),
            *self._split_findings(),
            *self._encoding_findings(),
        ]

    def _contents(self) -> Iterator[str]:
        marks = "which do not mark entities" if self.scheme is None else f"scheme {self.scheme}"
        yield f"{self.tags} tags, {marks}."
        for split, facts in self.splits.items():
            found = ", ".join(f"{shown(kind)} {count:,}" for kind, count in facts.get("entities", {}).items())
            size = f"{facts['sentences']:,} sentences, {facts['tokens']:,} tokens"
            yield f"{split}: {size}{f' ({found})' if found else ''}."

    def _tag_findings(self) -> Iterator[str]:
        if self.lookalike is not None:
            tag, respelt = shown(self.lookalike.tag), shown(self.lookalike.respelt)
            yield (
                f"The tags look like {self.lookalike.scheme} {self.lookalike.spelling}, such as {tag}. They are read "
                f"as plain tags, so entities are not scored. To score entities, write {respelt} instead of {tag}, and "
                'so on; otherwise set data.scheme = "plain".'
            )
        if self.repairs is not None and self.repairs.tags:
            more = ", …" if self.repairs.tags > len(self.repairs.examples) else ""
            examples = ", ".join(shown(example, LONGEST_EXAMPLE) for example in self.repairs.examples)
            yield (
                f"{self.repairs.tags:,} ill-formed tags repaired in {self.repairs.sentences:,} sentences "
                f"(data.repair_tags): {examples}{more}."
            )

    def _split_findings(self) -> Iterator[str]:
        for pair, count in self.repeated.items():
            first, second = pair.split("/")
            action = (
                f"removed from {first}" if self.overlap_dropped else "kept, because the data set defines its splits"
            )
            yield f"{count:,} sentences of {first} are also in {second}: {action}."
        for split, tags in self.unseen_tags.items():
            more = ", …" if len(tags) > SHOWN_TAGS else ""
            found = ", ".join(map(shown, tags[:SHOWN_TAGS]))
            yield f"Tags only in {split}, so the model cannot learn them: {found}{more}."

    def _encoding_findings(self) -> Iterator[str]:
        for column, values in (self.features or {}).items():
            yield f"Feature column {column}: {values:,} values in train."
        for split, shares in (self.unseen_values or {}).items():
            for column, share in shares.items():
                if share:
                    yield f"{share:.1%} of the {split} tokens have a value of column {column} that train does not have."
        for split, share in (self.unknown or {}).items():
            if share:
                yield f"{share:.1%} of the {split} tokens are out of vocabulary."
        if self.vectors is not None:
            yield describe_vectors(self.vectors)
