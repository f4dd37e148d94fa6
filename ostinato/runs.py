"""Run folders: one training from config to figures, all of it kept, resumable at any moment.

config.toml           all that the run depends on; re-runnable
environment.json      versions, machine, engine
audit.json            what the data are, and what was done to them
vocabulary.json       tokenizer, tokens, labels (or channel means, or words, characters and tags), fitted on train
checkpoints/          last.safetensors (to resume), best.safetensors
metrics.jsonl         one line an epoch
training.log          what was said, with the time
model.safetensors     the classifier or tagger, complete: what `ostinato.load` reads
predictions.parquet   the test split, row by row (a tagger's: predictions.jsonl, sentence by sentence)
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
from datetime import datetime, timezone
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ostinato.checkpoint import TrainingState, load_model, load_network, model_file, save_model
from ostinato.config import Config, read_config, to_toml
from ostinato.data.dataset import load_dataset
from ostinato.data.examples import Examples, Sentence
from ostinato.data.tag_encoder import TagEncoder
from ostinato.data.tagged import load_tagged, scheme_of
from ostinato.errors import RunError
from ostinato.estimators import encode, encode_tagged, refuse_empty, refuse_strange_features, refuse_unknown
from ostinato.models import Network, Tagger, predict_logits
from ostinato.progress import Progress
from ostinato.scoring import score
from ostinato.storage import FORMAT, check_format, write_atomically
from ostinato.tasks import Prepared, prepare
from ostinato.tasks.tagging import score_tagger
from ostinato.training import choose_device
from ostinato.versions import environment


def start_run(config: Config, folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Make a run folder and train in it; see `resume_run`. Nothing is made when config or data are at fault.

    Raises:
        RunError: there is something at that place already, or it cannot be written.
        KeyboardInterrupt, OstinatoError: as in `resume_run`.
    """
    refuse_occupied(folder)
    config = with_absolute_paths(config)
    prepared = prepare(config)
    prepared.check(config)
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
    return _train(folder, config, prepared or prepare(config), progress or Progress(quiet=True))


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
        raise RunError(
            f"{folder}: is not empty, it holds a run. Choose another --out, or go on with it: ostinato train --resume {folder}"
        )
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
        raise RunError(
            f"{folder}: is not a run folder: it holds no config.toml. Start one with: ostinato train PRESET --out {folder}"
        )
    environment_file, metrics_file = folder / "environment.json", folder / "metrics.json"
    if environment_file.exists():
        check_format(environment_file, int(_read_json(environment_file).get("format", 0)))
    return _read_json(metrics_file) if metrics_file.exists() else None


def evaluate_run(folder: Path, examples: Examples | None = None) -> dict[str, Any]:
    """Score a finished classifier's run on `examples`, or again on its own test split.

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


def task_of(run: Path) -> str:
    """The task of a finished run, or of a model file.

    Raises:
        RunError: it is missing, truncated, altered, or of a newer format.
    """
    _, _, encoder, _ = load_network(model_file(run))
    return "tagging" if isinstance(encoder, TagEncoder) else "classification"


def evaluate_tagger(folder: Path, sentences: list[Sentence] | None = None) -> dict[str, Any]:
    """Score a finished tagger's run on labelled sentences, or again on its own test split.

    Raises:
        RunError: the run is not finished, or has no test split.
        DataError: a tag that the scheme does not allow; features that training never met.
    """
    model, _, encoder, _ = load_network(model_file(folder))
    assert isinstance(model, Tagger) and isinstance(encoder, TagEncoder)
    if sentences is None:
        sentences = load_tagged(_own_config(folder).data).test
        if sentences is None:
            raise RunError(f"{folder}: was trained without a test split. Name a file: {folder} FILE")
    else:
        refuse_strange_features(encoder, sentences)
    scheme_of(encoder.scheme or "plain", sentences)
    return score_tagger(model, encoder, sentences, encode_tagged(encoder, sentences))[0]


def test_examples(run: Path) -> Examples:
    """A run's own test split, loaded again.

    Raises:
        RunError: there is none.
        OstinatoError: the data are not as they were.
    """
    examples = load_dataset(_own_config(run).data).test
    if examples is None:
        raise RunError(f"{run}: was trained without a test split. Name a file: {run} FILE")
    return examples


def _own_config(run: Path) -> Config:
    if not (run / "config.toml").exists():
        raise RunError(f"{run}: a model file alone has no test split. Name a file: a run folder, or {run} FILE")
    return read_config(run / "config.toml")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not UTF-8, or not JSON
        content = None
    if not isinstance(content, dict):
        raise RunError(
            f"{path}: truncated or altered, not the JSON that was written. Remove it and resume, or train anew."
        )
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
    log = Log(folder / "training.log", progress)
    for line in prepared.audit_lines():
        log.say(line)
    write_json(folder / "audit.json", prepared.audit_facts())
    write_json(folder / "vocabulary.json", prepared.encoder.to_json())

    def keep_history(state: TrainingState) -> None:
        _write_history(folder, state)
        log.note(_epoch_line(state))

    with stop_signals() as stop_requested:
        model, state = prepared.fit(
            config,
            folder=folder / "checkpoints",
            progress=progress,
            on_epoch=keep_history,
            stop_requested=stop_requested,
        )
        if stop_requested():
            raise KeyboardInterrupt
    _write_history(folder, state)  # who was killed between the last checkpoint and its line gets the line now
    save_model(
        folder / "model.safetensors", model, config.model, prepared.encoder, prepared.estimator_arguments(config)
    )
    if "test" in prepared.splits:
        log.say("Scoring the test split once, and the baselines beside it.")
    figures = {**_describe(config, prepared, model, state), **prepared.figures(model, folder)}
    write_json(folder / "metrics.json", figures)
    return figures


def _describe(config: Config, prepared: Prepared, model: Network, state: TrainingState) -> dict[str, Any]:
    """What was trained on what, and how long it took."""
    return {
        "task": config.task,
        "data": {"name": prepared.data.name, "source": prepared.data.source},
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


def _epoch_line(state: TrainingState) -> str:
    entry = state.history[-1]
    told = [f"train loss {entry['train_loss']:.4f}"]
    told += [
        f"{name.replace('_', ' ')} {entry[name]:.4f}"
        for name in ("validation_loss", "validation_accuracy", "validation_f1")
        if name in entry
    ]
    best = "  best so far" if state.best_epoch == state.epoch - 1 and "validation_loss" in entry else ""
    return f"Epoch {entry['epoch']}: {', '.join(told)}, {entry['seconds']:.1f} s{best}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
