"""A run's folder: making it, and reading and writing its files."""

import json
import secrets
import shlex
from pathlib import Path
from typing import Any

from ostinato.config import Config
from ostinato.data.remote import is_remote
from ostinato.errors import RunError
from ostinato.storage import FORMAT, is_unused, now, read_json, write_atomically
from ostinato.tasks.init import is_preset
from ostinato.training import choose_device
from ostinato.versions import environment

CONFIG, ENVIRONMENT = "config.toml", "environment.json"


def environment_of(folder: Path, config: Config) -> dict[str, Any]:
    """The content of `environment.json`; written first if it does not exist.

    Raises:
        RunError: it is damaged, or cannot be written.
        ConfigError: the config's device is not available.
    """
    path = folder / ENVIRONMENT
    if path.exists():
        return read_json(path)
    device = str(choose_device(config.training.device))
    facts = {"format": FORMAT, "run": secrets.token_hex(8), "created": now(), **environment(), "device": device}
    write_json(path, facts)
    return facts


def with_absolute_paths(config: Config) -> Config:
    """The same config, readable from any folder."""
    files = config.data.files()
    absolute = {key: str(Path(path).absolute()) for key, path in files.items() if not is_remote(path)}
    tables: dict[str, Any] = {"data": config.data.model_copy(update=absolute)}
    if config.model.init is not None and not is_preset(config.model.init):
        tables["model"] = config.model.model_copy(update={"init": str(Path(config.model.init).absolute())})
    teacher = getattr(config.training, "teacher", None)
    if teacher is not None:
        tables["training"] = config.training.model_copy(update={"teacher": str(Path(teacher).absolute())})
    return config.model_copy(update=tables)


def refuse_occupied(folder: Path) -> None:
    """Refuse a path that already exists and is not an empty folder."""
    if (folder / CONFIG).exists():
        raise RunError(f"{folder}: already holds a run. Choose another --out, or resume it: {resume_command(folder)}")
    if not is_unused(folder):
        raise RunError(f"{folder}: is not empty. Choose another --out.")


def resume_command(folder: Path) -> str:
    """The command that resumes a run or a pre-training, for messages."""
    return f"ostinato {'pretrain' if is_pretraining(folder) else 'train'} --resume {shell_path(folder)}"


def is_pretraining(folder: Path) -> bool:
    """Whether a folder is one of `ostinato pretrain`."""
    try:
        with (folder / CONFIG).open(encoding="utf-8") as file:
            return 'task = "pretraining"' in (line.strip() for line in file)
    except (OSError, UnicodeDecodeError):
        return False


def refuse_pretraining(folder: Path) -> None:
    """Refuse a folder of `ostinato pretrain` where a run of a task is expected.

    Raises:
        RunError: says what can be done with it.
    """
    if is_pretraining(folder):
        raise RunError(
            f"{folder}: is a pre-training, not a run of a task. Resume it with: {resume_command(folder)}. Start a run "
            f"from it with: ostinato train config.toml --set model.init={shell_path(folder)}"
        )


def shell_path(path: Path) -> str:
    """A path as an argument for a shell, on one line, also if it starts with a dash."""
    text = str(path)
    if not text.isprintable():
        escaped = (each if each.isprintable() and each not in "'\\" else f"\\U{ord(each):08x}" for each in text)
        return f"$'{''.join(escaped)}'"
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def free_folder(name: str) -> Path:
    """`runs/name`, or `runs/name-2`, `runs/name-3`, … if that exists."""
    number, folder = 1, Path("runs") / name
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and programs, atomically."""
    write_atomically(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
