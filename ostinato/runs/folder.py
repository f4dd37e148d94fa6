"""A run's folder: making it, and reading and writing its files."""

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ostinato.config import Config, to_toml
from ostinato.errors import RunError
from ostinato.storage import FORMAT, check_format, write_atomically
from ostinato.training import choose_device
from ostinato.versions import environment

PATHS = ("path", "validation_path", "test_path", "label_table")  # keys of [data] that name files


def create_run(config: Config, folder: Path) -> None:
    """Make a run folder with its config; it appears in one rename, complete or not at all.

    Raises:
        RunError: there is something at that place already, or it cannot be written.
        ConfigError: the config's device is not there.
    """
    refuse_occupied(folder)
    facts = {"format": FORMAT, "created": now(), **environment(), "device": str(choose_device(config.training.device))}
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
    """The same config, readable from any folder."""
    paths = {key: getattr(config.data, key, None) for key in PATHS}
    absolute = {key: str(Path(path).absolute()) for key, path in paths.items() if path is not None}
    return config.model_copy(update={"data": config.data.model_copy(update=absolute)})


def refuse_occupied(folder: Path) -> None:
    """Refuse a place where something is already."""
    if (folder / "config.toml").exists():
        raise RunError(
            f"{folder}: is not empty, it holds a run. Choose another --out, or go on with it: "
            f"ostinato train --resume {folder}"
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
            f"{folder}: is not a run folder: it holds no config.toml. Start one with: "
            f"ostinato train PRESET --out {folder}"
        )
    environment_file, metrics_file = folder / "environment.json", folder / "metrics.json"
    if environment_file.exists():
        check_format(environment_file, int(read_json(environment_file).get("format", 0)))
    return read_json(metrics_file) if metrics_file.exists() else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that a run wrote.

    Raises:
        RunError: it is truncated or altered.
    """
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


def now() -> str:
    """The time of day, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
