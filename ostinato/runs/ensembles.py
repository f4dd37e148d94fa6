"""Ensembles of finished runs: one run folder whose model averages the answers of its members."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.config import Config, to_toml
from ostinato.errors import ConfigError, RunError
from ostinato.progress import Progress
from ostinato.report.members import EnsembleRecord, MemberRecord
from ostinato.report.terminal import print_table
from ostinato.runs.finished import MODEL, digests_of, finished_metrics, is_complete
from ostinato.runs.folder import (
    CONFIG,
    environment_of,
    refuse_occupied,
    resume_command,
    with_absolute_paths,
    write_json,
)
from ostinato.runs.log import Log
from ostinato.runs.scoring import own_config
from ostinato.runs.table import print_results
from ostinato.runs.training import FILES, resume_run, start_run
from ostinato.storage import EXAMPLES, LOCK, METRICS, make_folder, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.ensembles import EQUAL, VALIDATION, fit, join, member_outputs
from ostinato.tasks.model_file import load_model, save_model
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.seen import save_rows

SPLITS = ("validation", "test")
MIB = 2**20
TIMED = 256  # rows


class Origin(NamedTuple):
    """Where an ensemble comes from.

    Args:
        names: of its members: their run folders, or the names of candidates.
        weights: `equal` or `validation`.
        seconds: of all trainings.
        baselines: from the ensemble's outputs for the test split to the metrics of its baselines.
    """

    names: Sequence[str]
    weights: str
    seconds: float
    baselines: Callable[[Any, Callable[[str], object]], dict[str, Any]]


class Answered(NamedTuple):
    """What the members answer to a split.

    Args:
        examples: the rows as the ensemble reads them.
        outputs: of each member.
        ms_per_row: that each member takes, warm and in batches.
    """

    examples: Any
    outputs: list[Any]
    ms_per_row: list[float]


def train_members(config: Config, seeds: int, out: Path, *, progress: Progress | None = None) -> list[Path]:
    """Train a config with several seeds, from its own on, in `OUT-seed-0` and so on. Finished runs are kept.

    Raises:
        ConfigError: fewer than two seeds.
        RunError: one of the folders holds another run, or `out` is occupied.
        KeyboardInterrupt, OstinatoError: as in `resume_run`.
    """
    if seeds < 2:
        raise ConfigError(f"--seeds {seeds}: an ensemble has at least two members. Give 2 or more.")
    refuse_occupied(out)
    first, folders = config.training.seed, []
    for seed in range(first, first + seeds):
        training = config.training.model_copy(update={"seed": seed})
        own = config.model_copy(update={"training": training})
        folder = out.with_name(f"{out.name}-seed-{seed}")
        if not (folder / CONFIG).exists():
            start_run(own, folder, progress=progress)
        elif own_config(folder) != with_absolute_paths(own).model_copy(update={"search": None}):
            raise RunError(f"{folder}: holds a run of another config. Choose another --out.")
        else:
            resume_run(folder, progress=progress)
        folders.append(folder)
    return folders


def ensemble_runs(
    runs: Sequence[Path], out: Path, *, weights: str = EQUAL, progress: Progress | None = None
) -> dict[str, Any]:
    """Join finished runs to a run folder whose model averages their answers. Returns its metrics.

    The folder appears when it is complete.

    Args:
        weights: `equal`, or `validation`: those with the lowest loss on the validation split.

    Raises:
        ConfigError: the models do not fit each other, a run is named twice, or `weights` is unknown.
        RunError: a run is not finished, or has other validation or test rows; `out` is occupied or cannot be written.
    """
    _refuse_arguments(runs, out, weights)
    model = join([load_model(run) for run in runs], list(map(str, runs)))
    config = own_config(runs[0])
    data = TASKS[config.task].prepare(config.data)
    if not data.rows.keys() & set(SPLITS):
        raise ConfigError(
            f"{runs[0]}: has neither validation nor test rows to score an ensemble on. Join the models in Python: "
            "ostinato.ensemble"
        )
    if weights == VALIDATION and "validation" not in data.rows:
        raise ConfigError(f"--weights {VALIDATION}: the runs have no validation split. Choose {EQUAL}.")
    for member, run in zip(model.members, runs, strict=True):
        _refuse_other_rows(member, run, data, runs[0])
    data = replace(
        data,
        encoder=model.encoder,
        splits={name: model.task.encode(model, rows) for name, rows in data.rows.items()},
    )
    folder = out.with_name(f".{out.name}.unfinished")
    make_folder(folder)
    with locked(folder):
        _remove_remains(folder)
        origin = _of_runs(runs, weights)
        metrics = write_ensemble(folder, config, model, data, origin, progress or Progress(quiet=True))
    refuse_occupied(out)
    if out.exists():
        out.rmdir()
    folder.rename(out)
    return metrics


def _remove_remains(folder: Path) -> None:
    """Remove what a killed process left: it may be of another ensemble."""
    for path in folder.iterdir():
        if path.name != LOCK:
            path.unlink()


def _refuse_arguments(runs: Sequence[Path], out: Path, weights: str) -> None:
    refuse_occupied(out)
    if weights not in (EQUAL, VALIDATION):
        raise ConfigError(f"--weights {weights}: unknown. Choose from: {EQUAL}, {VALIDATION}.")
    known: set[Path] = set()
    for run in runs:
        if run.resolve() in known:
            raise ConfigError(f"{run} is named twice. Name each run once.")
        known.add(run.resolve())
        if not is_complete(run):
            raise RunError(f"{run}: the run is not finished. Finish it with: {resume_command(run)}")


def _refuse_other_rows(member: Model, run: Path, data: TaskData, first: Path) -> None:
    """Refuse a member that was validated or tested on other rows than the first.

    Raises:
        RunError: names the split.
    """
    digests = (finished_metrics(run) or {}).get("data", {}).get("digests", {})
    for split in SPLITS:
        found = member.task.encode(member, data.rows[split]).digest() if split in data.rows else None
        if digests and digests.get(split) != found:
            raise RunError(
                f"{run}: its {split} split differs from the one that the data of {first} give now. Restore data files "
                "that have changed, and train with the same splits. Random splits also depend on the tokenizer, which "
                "decides what is a duplicate: set data.split_column, or data.validation_path and data.test_path."
            )


def _of_runs(runs: Sequence[Path], weights: str) -> Origin:
    """The baselines are those of the first run; how its model compares with them says nothing of the ensemble."""
    recorded = [finished_metrics(run) or {} for run in runs]

    def baselines(outputs: Any, say: Callable[[str], object]) -> dict[str, Any]:
        return {name: {**scores, "versus": None} for name, scores in recorded[0]["baselines"].items()}

    return Origin(list(map(str, runs)), weights, sum(each["training"]["seconds"] for each in recorded), baselines)


def write_ensemble(
    folder: Path, config: Config, model: Model, data: TaskData, origin: Origin, progress: Progress
) -> dict[str, Any]:
    """Fit, calibrate and score an ensemble, and write every file of its run. Returns its metrics.

    Args:
        data: encoded as the ensemble reads them.

    Raises:
        RunError: a file cannot be written.
    """
    task = model.task
    write_atomically(folder / CONFIG, to_toml(config))
    environment_of(folder, config)
    log = Log(folder / "training.log", progress)
    answered = {name: _answer(model, data.rows[name], data.splits[name]) for name in SPLITS if name in data.rows}
    if "validation" in answered:
        fit(model, answered["validation"].outputs, data.splits["validation"], fit_weights=origin.weights == VALIDATION)
    save_model(folder / MODEL, model)
    write_json(folder / "audit.json", data.audit.to_json())
    write_json(folder / "vocabulary.json", {"encoder": model.encoder.to_json(), "codec": model.codec.to_json()})
    write_atomically(folder / "metrics.jsonl", "")  # no epochs
    save_rows(folder, task, data)
    if "test" in answered:
        log.say("Scoring the ensemble on the test split once.")
        outputs = _combined(model, answered["test"])
        write_json(folder / EXAMPLES, {"examples": task.examples(data.rows["test"])})
        task.write_predictions(folder / task.predictions_file, model, data.rows["test"], outputs)
    metrics = _metrics(model, data, origin, answered, log)
    metrics["files"] = digests_of(folder, (*FILES, task.predictions_file))
    write_json(folder / METRICS, metrics)
    return metrics


def _answer(model: Model, rows: Any, examples: Any) -> Answered:
    outputs = member_outputs(model, rows)
    return Answered(examples, outputs, [_ms_per_row(member, rows) for member in model.members])


def _combined(model: Model, answered: Answered) -> Any:
    return model.task.joining.combine(model, answered.outputs, answered.examples)


def _ms_per_row(member: Model, rows: Any) -> float:
    """The time to encode and answer, over the first rows."""
    timed = rows.select(range(min(len(rows), TIMED)))
    started = time.perf_counter()
    member.task.outputs(member.network, member.task.encode(member, timed))
    return 1000 * (time.perf_counter() - started) / len(timed)


def _metrics(model: Model, data: TaskData, origin: Origin, answered: dict[str, Answered], log: Log) -> dict[str, Any]:
    """The content of metrics.json without `files`."""
    digests = {name: split.digest() for name, split in data.splits.items()}
    found: dict[str, Any] = {
        "task": model.task.name,
        "data": {"name": data.name, "source": data.source, "digests": digests},
        "model": {
            "cell": f"ensemble of {len(origin.names)}",
            "engine": model.network.engine,
            "parameters": _parameters(model.network),
        },
        "training": {"seconds": round(origin.seconds, 3), "epochs": 0, "best_epoch": 0, "seconds_per_epoch": 0.0},
    }
    for name, each in answered.items():
        found[name] = model.task.score(model, data.rows[name], each.examples, _combined(model, each)).to_json()
    if "test" in answered:
        found["baselines"] = origin.baselines(_combined(model, answered["test"]), log.say)
    if answered:
        split = "test" if "test" in answered else "validation"
        found["ensemble"] = _record(model, origin, split, answered[split]).model_dump(mode="json")
    return found


def _record(model: Model, origin: Origin, split: str, answered: Answered) -> EnsembleRecord:
    joining = model.task.joining
    members = [
        MemberRecord(
            run=name,
            cell=member.config.model.cell,
            tokenizer=member.encoder.tokenizer,
            weight=float(model.network.weights[number]),
            parameters=_parameters(member.network),
            mib=round(sum(each.nbytes for each in member.network.state_dict().values()) / MIB, 3),
            ms_per_row=round(answered.ms_per_row[number], 4),
            scores=joining.scores(member, answered.examples, answered.outputs[number]),
        )
        for number, (name, member) in enumerate(zip(origin.names, model.members, strict=True))
    ]
    return EnsembleRecord(
        weights=origin.weights,
        split=split,
        scores=joining.scores(model, answered.examples, _combined(model, answered)),
        agreement=[[joining.agreement(model, one, other) for other in answered.outputs] for one in answered.outputs],
        members=members,
    )


def _parameters(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def show_ensemble(folder: Path, metrics: dict[str, Any]) -> None:
    """Print the members beside the ensemble, then its results beside the baselines."""
    if "ensemble" in metrics:
        record = EnsembleRecord.of(folder, metrics)
        print_table(record.headings(), record.rows())
    print_results([(folder, metrics)])
