"""Run folders: one training from config to figures, all of it kept, resumable at any moment.

    config.toml           all that the run depends on; re-runnable
    environment.json      versions, machine, engine
    audit.json            what the data are, and what was done to them
    vocabulary.json       tokenizer, tokens, labels (or channel means), fitted on train
    checkpoints/          last.safetensors (to resume), best.safetensors
    metrics.jsonl         one line an epoch
    training.log          what was said, with the time
    model.safetensors     the classifier, complete: what `ostinato.load` reads
    predictions.parquet   the test split, row by row
    metrics.json          the figures; written last, so that it tells a finished run
"""

import json
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ostinato.checkpoint import TrainingState, load_model, model_file, save_model
from ostinato.config import Config, DataConfig, read_config, to_toml
from ostinato.data.dataset import Dataset, load_dataset
from ostinato.data.encoder import Encoder
from ostinato.data.examples import Examples
from ostinato.errors import RunError
from ostinato.estimators import SequenceClassifier, class_weights, encode, fit_classifier, refuse_empty, refuse_unknown
from ostinato.models import Classifier, predict_logits
from ostinato.progress import Progress
from ostinato.scoring import score, score_baselines, write_predictions
from ostinato.storage import FORMAT, check_format, write_atomically
from ostinato.training import Labelled, choose_device
from ostinato.versions import environment


@dataclass(frozen=True)
class Prepared:
    """All that trainings need of their data; `splits` has train, and validation and test where there are such."""

    config: DataConfig
    data: Dataset
    encoder: Encoder
    splits: dict[str, Labelled]

    @cached_property
    def baselines(self) -> dict[str, Any]:
        """What every model of these data must beat."""
        return score_baselines(self.data, self.encoder, {name: split.targets.numpy() for name, split in self.splits.items()}, self.config.seed)


def start_run(config: Config, folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Make a run folder and train in it; see `resume_run`. Nothing is made when config or data are at fault.

    Raises:
        RunError: there is something at that place already, or it cannot be written.
        KeyboardInterrupt, OstinatoError: as in `resume_run`.
    """
    refuse_occupied(folder)
    config = with_absolute_paths(config)
    prepared = prepare(config.data)
    class_weights(config.training.class_weight, prepared.encoder, prepared.splits["train"].targets)  # refused before anything is made
    create_run(config, folder)
    return _train(folder, config, prepared, progress or Progress(quiet=True))


def resume_run(folder: Path, *, prepared: Prepared | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Train, evaluate and keep what the folder's config describes, from wherever it stands. Returns the figures.

    Args:
        prepared: its data, where they are at hand already.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint.
        OstinatoError: whatever the config, the data, the training or the disk has at fault.
    """
    done = finished_metrics(folder)
    if done is not None:
        return done
    config = read_config(folder / "config.toml")
    return _train(folder, config, prepared or prepare(config.data), progress or Progress(quiet=True))


def create_run(config: Config, folder: Path) -> None:
    """Make a run folder with its config; it appears in one rename, complete or not at all.

    Raises:
        RunError: there is something at that place already, or it cannot be written.
        ConfigError: the config's device is not there.
    """
    refuse_occupied(folder)
    facts = {"format": FORMAT, "created": _now(), **environment(), "device": str(choose_device(config.training.device))}
    fresh = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        fresh.chmod(0o755)
        (fresh / "checkpoints").mkdir()
        write_atomically(fresh / "config.toml", to_toml(config))
        write_json(fresh / "environment.json", facts)
        fresh.rename(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}. Choose another --out.") from None
    finally:
        if fresh is not None and fresh.exists():
            shutil.rmtree(fresh, ignore_errors=True)


def with_absolute_paths(config: Config) -> Config:
    """The same config, to be read from any folder."""
    paths = {key: getattr(config.data, key) for key in ("path", "validation_path", "test_path", "label_table")}
    absolute = {key: str(Path(path).absolute()) for key, path in paths.items() if path is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=absolute)})


def refuse_occupied(folder: Path) -> None:
    """Refuse a place where something is already."""
    if (folder / "config.toml").exists():
        raise RunError(f"{folder}: is not empty, it holds a run. Choose another --out, or go on with it: ostinato train --resume {folder}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: is not empty. Choose another --out.")


def free_folder(name: str) -> Path:
    """`runs/name`, or with the first number that is free."""
    number, folder = 1, Path("runs") / name
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def finished_metrics(folder: Path) -> dict[str, Any] | None:
    """The figures of a finished run; None while it is not finished.

    Raises:
        RunError: there is no run at that place, or its format is newer than this Ostinato reads.
    """
    if not (folder / "config.toml").exists():
        raise RunError(f"{folder}: is not a run folder: it holds no config.toml. Start one with: ostinato train PRESET --out {folder}")
    environment_file, metrics_file = folder / "environment.json", folder / "metrics.json"
    if environment_file.exists():
        check_format(environment_file, int(_read_json(environment_file).get("format", 0)))
    return _read_json(metrics_file) if metrics_file.exists() else None


def prepare(config: DataConfig) -> Prepared:
    """Load, audit and encode the splits; vocabulary, scaler and labels come from train alone."""
    data = load_dataset(config)
    encoder = Encoder.fit(
        data.train.sequences,
        data.train.labels,
        tokenizer=data.tokenizer,
        **config.model_dump(include={"min_count", "max_size", "max_length", "truncate"}),
    )
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    splits = {name: encode(encoder, part.sequences, part.labels, part.places) for name, part in parts.items() if part is not None}
    unknown = None if encoder.is_numeric or "validation" not in splits else encoder.unknown_share(splits["validation"].sequences)
    audit = data.audit.with_encoding(unknown, {name: split.sequences.truncated for name, split in splits.items()})
    return Prepared(config, replace(data, audit=audit), encoder, splits)


def evaluate_run(folder: Path, examples: Examples | None = None) -> dict[str, Any]:
    """Score a finished run's model on `examples`, or again on its own test split.

    Raises:
        RunError: the run is not finished, or has no test split.
        DataError: no row, or a label that training never saw.
    """
    model, _, encoder, _ = load_model(model_file(folder))
    given = examples is not None
    if examples is None:
        examples = test_examples(folder)
    split = encode(encoder, examples.sequences, examples.labels, examples.places)
    refuse_empty(split.sequences, examples.places)
    if given:
        refuse_unknown(encoder, split.sequences, examples.places)
    return score(model, encoder, split.targets, predict_logits(model, split.sequences))


def test_examples(run: Path) -> Examples:
    """A run's own test split, loaded again.

    Raises:
        RunError: there is none.
        OstinatoError: the data are not as they were.
    """
    if not (run / "config.toml").exists():
        raise RunError(f"{run}: a model file alone has no test split. Name a file: a run folder, or {run} FILE")
    examples = load_dataset(read_config(run / "config.toml").data).test
    if examples is None:
        raise RunError(f"{run}: was trained without a test split. Name a file: {run} FILE")
    return examples


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not UTF-8, or not JSON
        content = None
    if not isinstance(content, dict):
        raise RunError(f"{path}: truncated or altered, not the JSON that was written. Remove it and resume, or train anew.")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and programs, atomically."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a question to ask between steps; a second one interrupts at once."""
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


def _train(folder: Path, config: Config, prepared: Prepared, progress: Progress) -> dict[str, Any]:
    data, encoder, splits = prepared.data, prepared.encoder, prepared.splits
    class_weight = class_weights(config.training.class_weight, encoder, splits["train"].targets)
    log = Log(folder / "training.log", progress)
    for line in data.audit.lines():
        log.say(line)
    write_json(folder / "audit.json", data.audit.to_dict())
    write_json(folder / "vocabulary.json", encoder.to_json())

    def keep_history(state: TrainingState) -> None:
        _write_history(folder, state)
        log.note(_epoch_line(state))

    with stop_signals() as stop_requested:
        model, state = fit_classifier(
            config,
            encoder,
            splits["train"],
            splits.get("validation"),
            class_weight=class_weight,
            folder=folder / "checkpoints",
            progress=progress,
            on_epoch=keep_history,
            stop_requested=stop_requested,
        )
        if stop_requested():
            raise KeyboardInterrupt
    _write_history(folder, state)  # who was killed between the last checkpoint and its line gets the line now
    save_model(folder / "model.safetensors", model, config.model, encoder, _parameters(config))
    log.say("Scoring the test split once, and the baselines beside it.")
    figures = _describe(config, data, model, state)
    if "validation" in splits:
        figures["validation"] = score(model, encoder, splits["validation"].targets, predict_logits(model, splits["validation"].sequences))
    if data.test is not None:
        logits = predict_logits(model, splits["test"].sequences)
        figures["test"] = score(model, encoder, splits["test"].targets, logits)
        figures["baselines"] = prepared.baselines
        write_predictions(folder / "predictions.parquet", data.test, encoder, model.probabilities(logits).numpy())
    write_json(folder / "metrics.json", figures)
    return figures


def _describe(config: Config, data: Dataset, model: Classifier, state: TrainingState) -> dict[str, Any]:
    """What was trained on what, and how long it took."""
    return {
        "data": {"name": data.name, "source": data.source},
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


class Log:
    """`training.log`: what was said, with the time. `say` shows a line to everyone, `note` only to who watches a terminal."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self._write(f"$ {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}")

    def say(self, line: str) -> None:
        self.progress.say(line)
        self._write(line)

    def note(self, line: str) -> None:
        self.progress.note(line)
        self._write(line)

    def _write(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(f"{_now()} {line}\n")


def _write_history(folder: Path, state: TrainingState) -> None:
    write_atomically(folder / "metrics.jsonl", "".join(json.dumps(entry) + "\n" for entry in state.history))


def _parameters(config: Config) -> dict[str, Any]:
    """The run's config as the arguments of an estimator."""
    tables = (config.model, config.training, config.data)
    values = {key: value for table in reversed(tables) for key, value in table.model_dump().items()}
    return {key: values[key] for key in SequenceClassifier().get_params() if key in values}


def _epoch_line(state: TrainingState) -> str:
    entry = state.history[-1]
    told = [f"train loss {entry['train_loss']:.4f}"]
    told += [f"{name.replace('_', ' ')} {entry[name]:.4f}" for name in ("validation_loss", "validation_accuracy") if name in entry]
    best = "  best so far" if state.best_epoch == state.epoch - 1 and "validation_loss" in entry else ""
    return f"Epoch {entry['epoch']}: {', '.join(told)}, {entry['seconds']:.1f} s{best}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
