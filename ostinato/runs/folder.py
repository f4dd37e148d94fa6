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


def create_run(config: Config, folder: Path) -> None:
    """Make a run folder with its config; it appears in one rename, complete or not at all.

    Raises:
        RunError: the path already exists, or cannot be written.
        ConfigError: the config's device is not available.
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
        raise RunError(f"{folder}: cannot be created: {error.strerror}. Choose another --out.") from None
    finally:
        if fresh is not None and fresh.exists():
            shutil.rmtree(fresh, ignore_errors=True)


def with_absolute_paths(config: Config) -> Config:
    """The same config, readable from any folder."""
    absolute = {key: str(Path(path).absolute()) for key, path in config.data.files().items()}
    return config.model_copy(update={"data": config.data.model_copy(update=absolute)})


def refuse_occupied(folder: Path) -> None:
    """Refuse a path that already exists and is not an empty folder."""
    if (folder / "config.toml").exists():
        raise RunError(
            f"{folder}: already holds a run. Choose another --out, or resume it: ostinato train --resume {folder}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: is not empty. Choose another --out.")


def free_folder(name: str) -> Path:
    """`runs/name`, or `runs/name-2`, `runs/name-3`, … if that exists."""
    number, folder = 1, Path("runs") / name
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def finished_metrics(folder: Path) -> dict[str, Any] | None:
    """The metrics of a finished run; None while it is unfinished.

    Raises:
        RunError: there is no run at that path, or its format is newer than this Ostinato reads.
    """
    if not (folder / "config.toml").exists():
        raise RunError(
            f"{folder}: not a run folder, since it has no config.toml. Start a run with: "
            f"ostinato train PRESET --out {folder}"
        )
    environment_file, metrics_file = folder / "environment.json", folder / "metrics.json"
    if environment_file.exists():
        check_format(environment_file, int(read_json(environment_file).get("format", 0)))
    return read_json(metrics_file) if metrics_file.exists() else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that a run wrote.

    Raises:
        RunError: it is truncated or altered.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not UTF-8, or not JSON
        content = None
    if not isinstance(content, dict):
        raise RunError(
            f"{path}: damaged; it is not the JSON object that was written. Delete it and resume, or train again."
        )
    return content


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and programs, atomically."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def now() -> str:
    """The current time in UTC, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
