"""Training in a run folder: from a config to scores, resumable at any moment."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ostinato.config import Config, to_toml
from ostinato.errors import RunError
from ostinato.nn.network import Network
from ostinato.progress import Progress, TimeLeft, unlimited
from ostinato.runs.creation import create_run
from ostinato.runs.finished import MODEL, digests_of, finished_metrics, lost_files
from ostinato.runs.folder import (
    CONFIG,
    ENVIRONMENT,
    environment_of,
    refuse_occupied,
    refuse_pretraining,
    with_absolute_paths,
    write_json,
)
from ostinato.runs.log import Log, epoch_line, write_history
from ostinato.runs.ranks import prepare_on_all
from ostinato.storage import EXAMPLES, METRICS, make_subfolder, unusable, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.config import read_run_config
from ostinato.tasks.init import describe
from ostinato.tasks.model_file import save_model
from ostinato.tasks.records import Model, TaskData, Trained
from ostinato.tasks.seen import ROWS, save_rows
from ostinato.training import TrainingState, choose_device
from ostinato.training.device import precision_note
from ostinato.training.ranks import ALONE, Ranks

CHECKPOINTS, CHECKPOINT_FILES = "checkpoints", ("last.safetensors", "best.safetensors")
FILES = ("audit.json", "vocabulary.json", ROWS, "metrics.jsonl", MODEL, EXAMPLES)  # and the task's predictions


def start_run(
    config: Config, folder: Path, *, progress: Progress | None = None, ranks: Ranks = ALONE
) -> dict[str, Any]:
    """Create a run folder and train in it; see `resume_run`. Creates nothing if the config or the data cannot be used.

    Args:
        ranks: the processes that train; this one is the first, and the others `help_train`.

    Raises:
        RunError: the path already exists, or cannot be written.
        KeyboardInterrupt, OstinatoError: as in `resume_run`.
    """
    refuse_occupied(folder)
    config = ranks.share(with_absolute_paths(config))
    task = TASKS[config.task]
    with (progress or Progress(quiet=True)).reading(config.data.files().values()):
        data = prepare_on_all(config, ranks)
    config = task.settle(config, data)
    task.check(config, data)
    create_run(config, folder)
    return resume_run(folder, data=data, progress=progress, ranks=ranks)


def resume_run(
    folder: Path,
    *,
    data: TaskData | None = None,
    progress: Progress | None = None,
    wait_s: float = 0,
    time_left: TimeLeft = unlimited,
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Train and evaluate what the folder's config describes, from its last checkpoint on. Returns the metrics.

    If a finished run has lost a file, such as its model, the file is made again from the checkpoints.

    Args:
        data: its prepared data, if the caller has them already.
        wait_s: how long to wait for another process that is using the run.
        time_left: for the baselines; when time is over, they are the best so far.
        ranks: the processes that train; this one is the first, and the others `help_train`.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint.
        RunError: another process is using the run, or a file of it is damaged.
        OstinatoError: a problem of the config, the data, the training or the disk.
    """
    progress = progress or Progress(quiet=True)
    refuse_pretraining(folder)
    done = finished_metrics(folder)
    if done is not None and not lost_files(folder, done):
        ranks.share(None)
        return done
    with locked(folder, wait_s=wait_s):
        done = finished_metrics(folder)  # another process may have finished it meanwhile
        lost = [] if done is None else lost_files(folder, done)
        if done is not None and not lost:
            ranks.share(None)
            return done
        if lost:
            _refuse_without_checkpoints(folder, lost)
            progress.say(f"{', '.join(lost)}: missing or altered, so made again from the best weights.")
        config = read_run_config(folder / CONFIG)
        task = TASKS[config.task]
        if data is None:
            data = prepare_on_all(ranks.share(config), ranks)
        if not config.is_settled:
            config = task.settle(config, data)
            write_atomically(folder / CONFIG, to_toml(config))
        return _train(folder, ranks.share(config), data, progress, time_left, ranks)


def help_train(ranks: Ranks) -> None:
    """Compute a part of each batch and of each split of the run that the first rank starts or resumes.

    It alone writes files, and fits baselines after this process has ended. The data are read again from the paths in
    the config, so they must be there on each machine.

    Raises:
        KeyboardInterrupt: another rank was interrupted, or this one.
        OstinatoError: a problem of the training.
        SystemExit: the first rank has ended before or after the training, with an error that says why.
    """
    with ranks.led_by_first():
        config: Config | None = ranks.share(None)
        if config is None:  # the run is finished
            return
        data = prepare_on_all(config, ranks)
        config = ranks.share(config)  # with nothing left to choose
    task = TASKS[config.task]
    with stop_signals() as stop_requested:
        trained = task.fit(config, data, ranks=ranks, stop_requested=stop_requested)
        if any(ranks.any(stop_requested())):
            raise KeyboardInterrupt
    if "test" in data.splits:
        with ranks.led_by_first():
            task.outputs(trained.network, data.splits["test"], ranks)


def _refuse_without_checkpoints(folder: Path, lost: list[str]) -> None:
    for name in CHECKPOINT_FILES:
        path = folder / CHECKPOINTS / name
        if not path.exists():
            raise RunError(
                f"{folder}: {', '.join(lost)} is missing or altered, and cannot be made again without {path}. Copy the "
                "run folder again, or train again."
            )


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Give a function that says, between steps, whether Ctrl-C or SIGTERM came; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def note(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _train(
    folder: Path, config: Config, data: TaskData, progress: Progress, time_left: TimeLeft, ranks: Ranks
) -> dict[str, Any]:
    task, checkpoints = TASKS[config.task], folder / CHECKPOINTS
    identity = identity_of(folder, config, data)
    log = Log(folder / "training.log", progress)
    for line in data.audit.lines():
        log.say(line)
    if data.pretrained is not None:
        log.say(describe(task, data))
    note = precision_note(choose_device(config.training.device), config.training.precision)
    if note is not None:
        log.say(note)
    write_json(folder / "audit.json", data.audit.to_json())
    write_json(folder / "vocabulary.json", {"encoder": data.encoder.to_json(), "codec": data.codec.to_json()})
    save_rows(folder, task, data)
    make_subfolder(checkpoints)

    def save_history(state: TrainingState) -> None:
        write_history(folder, state)
        log.note(epoch_line(state))

    with stop_signals() as stop_requested:
        trained = task.fit(
            config,
            data,
            folder=checkpoints,
            identity=identity,
            progress=progress,
            on_epoch=save_history,
            stop_requested=stop_requested,
            time_left=_until_stopped(stop_requested),
            ranks=ranks,
        )
        if any(ranks.any(stop_requested())):
            raise KeyboardInterrupt
    write_history(folder, trained.state)  # a kill between the last checkpoint and its line leaves it out
    model = Model(task, config, data.encoder, data.codec, trained.network)
    save_model(folder / MODEL, model)
    if "test" in data.splits:
        log.say("Scoring the test split once, with its baselines.")
    metrics = {
        **_describe(config, data, trained.network, trained.state),
        **_score(folder, model, data, trained, log, time_left, ranks),
    }
    metrics["files"] = digests_of(folder, (*FILES, task.predictions_file))
    write_json(folder / METRICS, metrics)
    return metrics


def identity_of(folder: Path, config: Config, data: TaskData) -> dict[str, Any]:
    """What makes a run this one, apart from its training data and settings; its checkpoints hold it.

    Raises:
        RunError: the run has checkpoints, but has lost the file that says which run it is.
    """
    if not (folder / ENVIRONMENT).exists() and (folder / CHECKPOINTS / "last.safetensors").exists():
        raise unusable(folder / ENVIRONMENT)
    return {
        "run": environment_of(folder, config).get("run"),
        "test data": data.splits["test"].digest() if "test" in data.splits else "none",
        "table [model] of the config": config.model.model_dump(mode="json", exclude={"engine"}),
    }


def _until_stopped(stop_requested: Callable[[], bool]) -> TimeLeft:
    """No limit, except that Ctrl-C interrupts."""

    def time_left() -> float:
        if stop_requested():
            raise KeyboardInterrupt
        return unlimited()

    return time_left


def _score(
    folder: Path, model: Model, data: TaskData, trained: Trained, log: Log, time_left: TimeLeft, ranks: Ranks
) -> dict[str, Any]:
    """Metrics of validation and test, each scored once, with the baselines; writes the answers to the test split.

    The other ranks compute a part of the network's outputs, and then end.
    """
    task, found = model.task, {}
    outputs = {"validation": trained.validation}
    if "test" in data.splits:
        outputs["test"] = task.outputs(trained.network, data.splits["test"], ranks)
    for name in ("validation", "test"):
        if name in data.splits:
            found[name] = task.score(model, data.rows[name], data.splits[name], outputs[name]).to_json()
    if "test" in data.splits:
        baselines = task.score_baselines(data, log.say, time_left, (model, outputs["test"]))
        found["baselines"] = {name: each.to_json() for name, each in baselines.items()}
        write_json(folder / EXAMPLES, {"examples": task.examples(data.rows["test"])})
        task.write_predictions(folder / task.predictions_file, model, data.rows["test"], outputs["test"])
    return found


def _describe(config: Config, data: TaskData, model: Network, state: TrainingState) -> dict[str, Any]:
    """What was trained on what, and how long it took."""
    return {
        "task": config.task,
        "data": {
            "name": data.name,
            "source": data.source,
            "digests": {name: split.digest() for name, split in data.splits.items()},
        },
        "model": {
            "cell": config.model.cell,
            "engine": model.engine,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        "training": {
            "seconds": round(state.seconds, 3),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch + 1,
            "seconds_per_epoch": round(state.seconds / max(state.epoch, 1), 3),
        },
    }
