"""What several commands share: options, and reading configs and rows from arguments."""

import itertools
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.streams import input_lines, say
from ostinato.errors import ConfigError, DataError, look_up, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ostinato.config import Config, DataConfig
    from ostinato.tasks.base import Task
    from ostinato.tasks.records import Model

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one key of the config; repeatable."),
]
FileSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="data.KEY=VALUE",
        help="Read the file differently from the training data, as data.text_column=review; repeatable.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where data.stream keeps rows and tokens; by default $OSTINATO_CACHE, or the user's folder for caches.",
    ),
]
On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="local|ray|ray://HOST:PORT",
        help="Where to run: in this process, or on the nodes of a Ray cluster.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")]


def use_cache(cache: Path | None) -> None:
    """Keep the rows and tokens of `data.stream` in a folder, in this process and those that it starts."""
    if cache is not None:
        os.environ["OSTINATO_CACHE"] = str(cache.absolute())


def preset_names() -> list[str]:
    from ostinato.tasks.config import PRESETS

    return sorted(PRESETS)


def config_of(what: str, settings: list[str]) -> "tuple[Config, str]":
    """The config that a preset's name or a TOML file stands for, and a name for its run."""
    from ostinato.tasks.config import PRESETS, override, read_config

    if what.endswith(".toml"):
        return override(read_config(Path(what)), settings), Path(what).stem
    if is_data_file(what):
        raise ConfigError(
            f"{what} is a data file. Write a config for it first: ostinato init {shlex.quote(what)} > config.toml"
        )
    if what not in PRESETS:
        raise ConfigError(
            f"Unknown preset {what!r}. {suggest(what, PRESETS)}For a file, write its ending too, such as {what}.csv. "
            f"Presets: {', '.join(sorted(PRESETS))}."
        )
    return override(PRESETS[what](), settings), what


def data_config_of(what: str, settings: list[str]) -> "Config":
    """As `config_of`; also accepts a named data set, or a data file, whose settings are inferred."""
    from ostinato.tasks import TASKS
    from ostinato.tasks.config import PRESETS, override, parse_config

    if is_data_file(what):
        from ostinato.tasks.infer import infer_config

        inferred = infer_config(Path(what), settings)
        say("\n".join(inferred.reasons[1:]), err=True)
        return override(inferred.config, settings)
    if what.endswith(".toml") or what in PRESETS:
        return config_of(what, settings)[0]
    owners = {name: task.name for task in TASKS.values() for name in task.datasets}
    known = {name: name for name in (*PRESETS, *owners)}
    owner = owners[look_up(known, what, "preset or data set")]
    return override(parse_config({"task": owner, "data": {"name": what}}), settings)


def load_on(run: Path, device: str) -> "Model":
    """Load a run's model onto a device."""
    from ostinato.tasks.model_file import load_model
    from ostinato.training import choose_device

    chosen = choose_device(device)
    model = load_model(run)
    model.network.to(chosen)
    return model


def new_folder(out: Path | None, name: str) -> Path:
    """The folder to create: `out`, or a free one in `runs`.

    Raises:
        ConfigError: its name is not UTF-8, so the files of weights could not be written.
    """
    from ostinato.runs import free_folder

    folder = free_folder(name) if out is None else out
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"--out {folder}: not UTF-8. Choose another name.") from None
    return folder


def task_of_dataset(name: str) -> "Task":
    """The task that has this named data set.

    Raises:
        ConfigError: there is no data set of that name.
    """
    from ostinato.tasks import TASKS

    return look_up({each: task for task in TASKS.values() for each in task.datasets}, name, "data set")


def is_data_file(what: str) -> bool:
    return not what.endswith(".toml") and ("." in what or os.sep in what)


def reading(run: Path, file: Path, settings: list[str], model: "Model") -> "DataConfig":
    """How to read `file`: like the run's own data file, except for the settings and the format its ending names."""
    from ostinato.config import Config
    from ostinato.data.files import ending_of
    from ostinato.data.formats import endings
    from ostinato.tasks.config import override, read_run_config

    refuse_model_settings(settings)
    own = run / "config.toml"
    config: Config = read_run_config(own) if own.exists() else model.config
    fields = type(config.data).model_fields
    elsewhere = ("name", "validation_path", "test_path", "split_column", "group_column", "vectors", "folds")
    changed: dict[str, Any] = {key: None for key in elsewhere if key in fields} | {"path": str(file)}
    if "fold" in fields:
        changed["fold"] = 0
    if ending_of(file) in endings():
        changed["format"] = None
    read_as = config.model_copy(
        update={
            "data": config.data.model_copy(update=changed),
            "model": type(config.model)(),
            "training": type(config.training)(),
        }
    )
    return override(read_as, settings).data


def refuse_model_settings(settings: list[str]) -> None:
    """Refuse settings of the model or training: the model is already trained."""
    for setting in settings:
        if not setting.startswith("data."):
            raise ConfigError(
                f"--set {setting}: the model is already trained. Only keys that say how to read the file can change: "
                "--set data.text_column=review"
            )


def row_groups(
    model: "Model", run: Path, file: str | None, text: list[str] | None, settings: list[str]
) -> "Iterator[Iterator[Any]]":
    """The rows of --text, standard input or a file, in groups to answer together: as standard input provides them.

    A row that cannot be read is a `DataError`.
    """
    if settings and (text or file == "-"):
        raise ConfigError(
            f"--set {settings[0]}: changes how a file is read, but there is no file. Remove it, or name a file."
        )
    if text:
        texts = ((f"--text {number}", each) for number, each in enumerate(text, 1))
        return iter([model.task.rows_of_texts(texts, model)])
    if file == "-":
        numbers = itertools.count(1)
        return (_rows_of_lines(model, zip(lines, numbers, strict=False)) for lines in input_lines())
    path = Path(str(file))
    return iter([model.task.rows_of_file(path, reading(run, path, settings, model), model)])


def rows_of(
    model: "Model", run: Path, file: str | None, text: list[str] | None, settings: list[str]
) -> "Iterator[Any]":
    """The rows of `row_groups`, one after the other."""
    return itertools.chain.from_iterable(row_groups(model, run, file, text, settings))


def _rows_of_lines(model: "Model", lines: "Iterable[tuple[bytes, int]]") -> "Iterator[Any]":
    """The rows of numbered lines of standard input; a line that cannot be read is a `DataError`."""
    for line, number in lines:
        source = f"standard input, line {number}"
        try:
            text = line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield DataError(
                f"{source}: not UTF-8 (byte 0x{line[error.start]:02x}). Convert it, for example: "
                "iconv -f latin1 -t utf-8"
            ).at(source)
        else:
            yield from model.task.rows_of_texts([(source, text)], model)


def interrupt(number: int, frame: Any) -> None:
    """A signal handler that lets SIGTERM stop a command as Ctrl-C does."""
    raise KeyboardInterrupt
