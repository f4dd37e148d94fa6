"""What a tagger's finished run says of itself, as plain data."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ostinato.data.examples import Sentence
from ostinato.data.tagged import TagAudit
from ostinato.errors import RunError
from ostinato.report.facts import RunRecord, collect_record, read_part
from ostinato.scoring import unusable
from ostinato.tasks.tagging import PREDICTIONS
from ostinato.tasks.tagging.schemes import OUTSIDE


@dataclass(frozen=True)
class Answered:
    """A test sentence: where it came from, its words, their true tags, those that the tagger gave, and the features beside the words."""

    place: str
    tokens: list[str]
    tags: list[str]
    predicted: list[str]
    features: list[list[str]] = field(default_factory=list)

    @property
    def sentence(self) -> Sentence:
        return Sentence(self.tokens, self.tags, self.place, features=self.features)


@dataclass(frozen=True)
class TaggerFacts(RunRecord):
    """All that a report says of a tagger's run; `answered` is None where the run has no test split."""

    audit: TagAudit
    tags: list[str]
    answered: list[Answered] | None

    @property
    def score(self) -> str:
        """The figure that the tagger is judged by: F1 of entities, or accuracy where the tags mark none."""
        return "accuracy" if self.audit.scheme is None else "f1"


def collect_tagger(folder: Path) -> TaggerFacts:
    """Read a tagger's finished run.

    Raises:
        RunError: there is no run at that place, it is not finished, or a file of it is missing or altered.
        ConfigError: its config was altered and is at fault.
    """
    record = collect_record(folder)
    vocabulary = read_part(folder / "vocabulary.json", TypeAdapter(dict[str, Any]))
    return TaggerFacts(
        **vars(record),
        audit=read_part(folder / "audit.json", TypeAdapter(TagAudit)),
        tags=list(map(str, vocabulary["tags"])),
        answered=read_answers(folder) if "test" in record.metrics else None,
    )


def read_answers(folder: Path) -> list[Answered]:
    """The sentences of a run's test split, with the tags that the tagger gave.

    Raises:
        RunError: the file is missing or altered.
    """
    path = folder / PREDICTIONS
    answered = read_part(path, TypeAdapter(list[Answered]), lines=True)
    if any(
        len(each.tokens) != len(beside) for each in answered for beside in (each.tags, each.predicted, *each.features)
    ):
        raise unusable(path)
    return answered


def sentences_to_explain(folder: Path, scheme: str | None) -> list[Sentence]:
    """The sentences of a run's own test split in which the tagger found an entity; all, where there is no scheme.

    Raises:
        RunError: the run has no test split, or its file is altered.
    """
    if not (folder / "config.toml").exists():
        raise RunError(f"{folder}: a model file alone has no test split. Name a file: a run folder, or {folder} FILE")
    if not (folder / PREDICTIONS).exists():
        raise RunError(f"{folder}: was trained without a test split. Name a file: {folder} FILE")
    answered = read_answers(folder)
    found = [each for each in answered if scheme is None or any(tag != OUTSIDE for tag in each.predicted)]
    return [each.sentence for each in found or answered]
