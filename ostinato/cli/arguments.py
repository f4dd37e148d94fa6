"""What several commands take: shared options, and the configs, readers and records that arguments stand for."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.errors import ConfigError, look_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato.config import Config, DataConfig, TaskName
    from ostinato.data.examples import Record, Sentence
    from ostinato.estimators import SequenceClassifier, SequenceTagger

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one key of the config; repeatable.")
]
FileSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="data.KEY=VALUE",
        help="Read the file otherwise than the training data, as data.text_column=review; repeatable.",
    ),
]


def preset_names() -> list[str]:
    from ostinato.presets import PRESETS

    return sorted(PRESETS)


def config_of(what: str, settings: list[str]) -> "tuple[Config, str]":
    """The config that a preset's name or a TOML file stands for, and a name for its run."""
    from ostinato.config import override, read_config
    from ostinato.presets import PRESETS

    if what.endswith(".toml"):
        return override(read_config(Path(what)), settings), Path(what).stem
    if is_data_file(what):
        raise ConfigError(
            f"{what} is a data file. Write a config for it first: ostinato init {shlex.quote(what)} > config.toml"
        )
    return override(look_up(PRESETS, what, "preset")(), settings), what


def data_config_of(what: str, settings: list[str]) -> "Config":
    """As `config_of`, but a named data set or a data file, with all guesses, will do too."""
    from ostinato.config import Config, DataConfig, override
    from ostinato.data.named import NAMED
    from ostinato.data.tagged import CORPORA
    from ostinato.presets import PRESETS

    if is_data_file(what):
        from ostinato.guess import guess_config

        config, reasons = guess_config(Path(what))
        typer.echo("\n".join(reasons[1:]), err=True)
        return override(config, settings)
    if what.endswith(".toml") or what in PRESETS:
        return config_of(what, settings)[0]
    name = (
        what
        if what in NAMED
        else look_up({each: each for each in (*PRESETS, *NAMED, *CORPORA)}, what, "preset or data set")
    )
    return override(
        Config(task="tagging" if name in CORPORA else "classification", data=DataConfig(name=name)), settings
    )


def is_data_file(what: str) -> bool:
    return not what.endswith(".toml") and ("." in what or os.sep in what)


def reading(run: Path, file: Path, settings: list[str], task: "TaskName" = "classification") -> "DataConfig":
    """How to read `file`: as the run's own data file, but for the settings, and for the format where the ending tells it."""
    from ostinato.config import Config, DataConfig, override, read_config
    from ostinato.data.files import ending_of
    from ostinato.data.formats import endings
    from ostinato.data.tagged import TAGGED_ENDINGS

    for setting in settings:
        if not setting.startswith("data."):
            raise ConfigError(
                f"--set {setting}: the model is trained already. Set only how the file is read, for example: --set data.text_column=review"
            )
    own = run / "config.toml"
    data = read_config(own).data if own.exists() else DataConfig(path=str(file))
    elsewhere = dict.fromkeys(("name", "validation_path", "test_path", "split_column", "group_column"))
    if ending_of(file) in (endings() if task == "classification" else TAGGED_ENDINGS):
        elsewhere["format"] = None
    return override(
        Config(task=task, data=data.model_copy(update={**elsewhere, "path": str(file), "vectors": None})), settings
    ).data


def records_of(
    model: "SequenceClassifier", run: Path, file: str | None, text: list[str] | None, settings: list[str]
) -> "Iterator[Record]":
    """The sequences of --text, of standard input, or of a file."""
    from ostinato import prediction

    if text:
        return prediction.typed(
            ((f"--text {number}", each) for number, each in enumerate(text, 1)), model.encoder_.tokenizer
        )
    if file == "-":
        return prediction.typed(prediction.lines(sys.stdin.buffer), model.encoder_.tokenizer)
    from ostinato.data.readers import read_records

    path = Path(str(file))
    return read_records(path, reading(run, path, settings), labelled=False)


def sentences_of(
    tagger: "SequenceTagger", run: Path, file: str | None, text: list[str] | None, settings: list[str]
) -> "Iterator[Sentence]":
    """The sentences of --text, of standard input (a text a line), or of a file."""
    from ostinato import prediction, tag_prediction
    from ostinato.data.tagged import read_sentences

    if text:
        return tag_prediction.from_texts((f"--text {number}", each) for number, each in enumerate(text, 1))
    if file == "-":
        return tag_prediction.from_texts(prediction.lines(sys.stdin.buffer))
    path = Path(str(file))
    return tag_prediction.with_known_features(
        tagger, read_sentences(path, reading(run, path, settings, "tagging"), labelled=False)
    )


def interrupt(number: int, frame: Any) -> None:
    """A handler by which SIGTERM stops a command as Ctrl-C does."""
    raise KeyboardInterrupt
