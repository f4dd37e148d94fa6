"""Accuracy on four small sets, by fixed protocols, next to other models on the same rows.

    python benchmarks/goals.py                                                the four protocols
    python benchmarks/goals.py splice promoters --json benchmarks/results/goals.json

`splice` is scored on ten folds, `promoters` by leaving each row out, `japanese-vowels` and `peptides` on the test split
of their presets with three seeds. Where a protocol has several members, their mean probabilities are scored: an
ensemble. What each answers is stored in --out, so the same command continues where it was stopped; `--only 0` computes
the first fold or seed alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from ostinato import SequenceClassifier
from ostinato.errors import look_up
from ostinato.evaluation.baselines.boosting import boosting_baseline
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.config import override
from ostinato.tasks.records import Model, TaskData
from ostinato.versions import environment

TASK = TASKS["classification"]
CONVOLUTION = ("model.cell=cnn", "model.hidden_size=64", "model.num_layers=2")
LINEAR = ("model.cell=none", "model.wide=ngrams", "model.position=none")
SHORT = ("training.max_epochs=15", "training.lr=0.005", "training.patience=none")
LONG = ("training.max_epochs=40", "training.patience=none", "training.ema_decay=0.98")
FOLDS = 10


class Member(NamedTuple):
    """A model: its changes to the preset, and its seed, to which three times the number of a score is added."""

    name: str
    seed: int = 0
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """How a set is scored.

    Args:
        by: `fold`, `row` (leave one out) or `seed`.
        members: of the ensemble, or the only model. They were fixed before any test row was scored.
        peers: other models.
        goal: of the mean accuracy.
    """

    by: str
    members: tuple[Member, ...]
    peers: tuple[Member, ...]
    goal: float

    @property
    def numbers(self) -> range:
        """The folds or seeds; rows are left out within one score."""
        return range({"fold": FOLDS, "row": 1, "seed": 3}[self.by])


class Answers(NamedTuple):
    """Probabilities (B, C) and classes (B,) of the rows of two splits; without validation, B is 0."""

    validation: np.ndarray
    validation_targets: np.ndarray
    test: np.ndarray
    test_targets: np.ndarray


BOOSTING = Member("boosting")
PROTOCOLS = {
    "splice": Protocol(
        "fold",
        (
            *(Member(cell, seed, (f"model.cell={cell}", *SHORT)) for cell in ("lstm", "gru") for seed in range(2)),
            Member("linear", 0, LINEAR),
        ),
        (BOOSTING,),
        goal=0.975,
    ),
    "japanese-vowels": Protocol(
        "seed",
        (
            *(
                Member("cnn", seed, (*CONVOLUTION, "model.kernel_size=3", "data.validation_size=0", *LONG))
                for seed in range(3)
            ),
        ),
        (),
        goal=0.989,
    ),
    "peptides": Protocol(
        "seed",
        (
            *(Member("cnn", seed, (*CONVOLUTION, "model.kernel_size=5", *SHORT)) for seed in range(2)),
            Member("gru", 0, SHORT),
            Member("linear", 0, LINEAR),
        ),
        (),
        goal=0.918,  # of the best cell alone, in docs/which-cell.md
    ),
    "promoters": Protocol("row", (Member("linear", 0, LINEAR),), (), goal=102 / 106),
}


def answers(name: str, number: int, member: Member, out: Path) -> Answers:
    """What a member answers for one fold or seed; computed once."""
    path = out / name / f"{number}-{member.name}-{member.seed}.npz"
    if path.exists():
        with np.load(path) as stored:
            return Answers(*(stored[field] for field in Answers._fields))
    found = left_out(name, member) if PROTOCOLS[name].by == "row" else split(name, number, member)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **found._asdict())
    return found


def split(name: str, number: int, member: Member) -> Answers:
    """Train on the training split of the preset, or of a fold, and answer validation and test."""
    by_fold = PROTOCOLS[name].by == "fold"
    chosen = [f"data.folds={FOLDS}", f"data.fold={number}"] if by_fold else []
    seed = member.seed + (0 if by_fold else 3 * number)
    config = override(TASK.presets[name](), [*chosen, *member.settings, f"training.seed={seed}"])
    data = TASK.prepare(config.data)
    predict = boosted(data, seed) if member == BOOSTING else trained(config, data)
    test = np.asarray(predict(data.rows["test"].sequences))
    validation, targets = np.empty((0, test.shape[1])), np.empty(0, np.int64)
    if "validation" in data.rows:
        validation = np.asarray(predict(data.rows["validation"].sequences))
        targets = np.asarray(data.splits["validation"].targets)
    return Answers(validation, targets, test, np.asarray(data.splits["test"].targets))


def trained(config: Any, data: TaskData) -> Any:
    config = TASK.settle(config, data)
    network = TASK.fit(config, data).network
    return SequenceClassifier.of(Model(TASK, config, data.encoder, data.codec, network)).predict_proba


def boosted(data: TaskData, seed: int) -> Any:
    """Gradient boosting, fitted to the training and the validation rows."""
    rows = [each for part in ("train", "validation") for each in data.rows[part].sequences]
    targets = np.concatenate([data.splits[part].targets for part in ("train", "validation")])
    return boosting_baseline(rows, targets, seed=seed).predict


def left_out(name: str, member: Member) -> Answers:
    """For each row: train on all others, without a validation split, and answer this one."""
    settings = [*member.settings, "data.validation_size=0", "data.test_size=0", f"training.seed={member.seed}"]
    config = override(TASK.presets[name](), settings)
    data = TASK.prepare(config.data)
    model = SequenceClassifier.of(Model(TASK, TASK.settle(config, data), data.encoder, data.codec, None))
    sequences, labels = data.rows["train"].sequences, data.rows["train"].targets
    found = []
    for row, sequence in enumerate(sequences):
        others = [other for other in range(len(sequences)) if other != row]
        model.fit([sequences[other] for other in others], [labels[other] for other in others])
        found.append(model.predict_proba([sequence])[0])
    nothing = np.empty((0, len(found[0]))), np.empty(0, np.int64)
    return Answers(*nothing, np.array(found), np.asarray(data.splits["train"].targets))


def accuracy(found: Sequence[Answers], part: str) -> float | None:
    """Of the mean probabilities of those that have rows of this split; None: none has."""
    found = [each for each in found if len(getattr(each, part))]
    if not found:
        return None
    targets = getattr(found[0], f"{part}_targets")
    mean = np.mean([getattr(each, part) for each in found], axis=0)
    return float((mean.argmax(axis=1) == targets).mean())


@dataclass(frozen=True)
class Result:
    """Accuracy of a model on test and, where there is one, on the validation split, for each fold or seed."""

    model: str
    test: list[float]
    validation: list[float | None]

    def cells(self) -> tuple[str, ...]:
        known = [each for each in self.validation if each is not None]
        return self.model, f"{np.mean(self.test):.4f}", f"{np.mean(known):.4f}" if known else ""


def score(name: str, numbers: Sequence[int], out: Path) -> list[Result]:
    protocol = PROTOCOLS[name]
    groups = {f"{each.name}, seed {each.seed}": [each] for each in (*protocol.members, *protocol.peers)}
    if len(protocol.members) > 1:
        groups = {"ensemble": list(protocol.members), **groups}
    results = {model: Result(model, [], []) for model in groups}
    for number in numbers:
        for model, members in groups.items():
            found = [answers(name, number, each, out) for each in members]
            results[model].test.append(accuracy(found, "test") or 0.0)
            results[model].validation.append(accuracy(found, "validation"))
        print(f"{name}, {protocol.by} {number}: {next(iter(results.values())).test[-1]:.4f}", flush=True)
    return list(results.values())


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PROTOCOL]...")] = None,
    only: Annotated[list[int] | None, typer.Option(help="Only these folds or seeds.")] = None,
    out: Path = Path("runs/goals"),
    as_json: Annotated[Path | None, typer.Option("--json", help="Add the results to this file.")] = None,
) -> None:
    """Score each protocol, and its members alone."""
    for name in names or PROTOCOLS:
        protocol = look_up(PROTOCOLS, name, "protocol")
        numbers = only or list(protocol.numbers)
        results = score(name, numbers, out)
        print_table((name, "test", "validation"), [each.cells() for each in results])
        if as_json is not None:
            record = json.loads(as_json.read_text(encoding="utf-8")) if as_json.exists() else {}
            facts = {"protocol": asdict(protocol), "numbers": numbers, "results": [asdict(each) for each in results]}
            record[name] = {"date": date.today().isoformat(), **environment(), **facts}
            write_atomically(as_json, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
