"""new: a few questions, whose answers become a command; nothing is written before the user agrees to run it."""

import contextlib
import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import typer

from ostinato.cli import data, training
from ostinato.cli.portfolio import DEFAULT_MINUTES
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.errors import ConfigError, DataError, OstinatoError, suggest
from ostinato.printable import visible, visible_lines

if TYPE_CHECKING:
    from ostinato.config import Config

Value = TypeVar("Value")

EXAMPLES = ("majority", "dna", "splice", "dna-motifs", "count-ones")  # presets whose data need no download
TOKENIZERS = {
    "words": "text with spaces between words",
    "subwords": "text in which many words are rare",
    "characters": "names, codes, or text without spaces",
    "nucleotides": "DNA or RNA",
    "amino-acids": "proteins",
}
TRAIN, STREAM, AUDIT, CONFIG = "train", "stream", "audit", "config"
GOALS = {
    TRAIN: "the best model for this file, and how good it is",
    STREAM: "a model that answers while a sequence arrives",
    AUDIT: "a look at the data first: classes, lengths, duplicates, leaks",
    CONFIG: "a config file to read and edit",
}
STREAMING = ("model.bidirectional=false", "model.wide=none")  # a model that does not need the end of a sequence
LABEL_KEYS = ("label_column", "target_columns")
SHOWN_ROWS = 100  # whose columns are looked at


class Command(NamedTuple):
    """What to type, and what that calls."""

    line: str
    call: Callable[[], None]


def new() -> None:
    """Answer a few questions to get the command that you need.

    What your file contains is inferred, as by init; Enter takes the answer in brackets. The command is shown before it
    runs.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "ostinato new asks questions, so it needs a terminal. Without one, write the command: "
            f"ostinato train FILE --minutes {DEFAULT_MINUTES}, or: ostinato init FILE > config.toml"
        )
    try:
        say("A few questions. Enter takes the answer in brackets; Ctrl-C stops. Nothing is written before you agree.")
        command = _command()
        say(f"\nThe command:\n\n  {visible(command.line)}\n")
        agreed = ask("Run it now, yes or no?", _yes_or_no, "yes")
    except (KeyboardInterrupt, EOFError):
        say("\nStopped. Nothing was written.")
        raise typer.Exit(INTERRUPTED) from None
    if agreed:
        command.call()


def _command() -> Command:
    """Ask what is needed to write the command."""
    path = ask("Which file has your data? `example`: try it without a file.", _file, "example")
    if path is None:
        what = choose("Which example?", {name: _description(name) for name in EXAMPLES}, "dna")
        return Command(f"ostinato train {what}", lambda: training.train(what))
    found = _described(path)
    goal = choose("What do you want?", {n: why for n, why in GOALS.items() if n != STREAM or found.can_stream}, TRAIN)
    settings = found.settings + (list(STREAMING) if goal == STREAM else [])
    file, options = str(path), [part for setting in settings for part in ("--set", setting)]
    if goal == AUDIT:
        return Command(_line("data", "audit", file, *options), lambda: data.data_audit(file, settings))
    if goal == CONFIG:
        out = _free_name(path.stem)
        return Command(f"{_line('init', file, *options)} > {shlex.quote(str(out))}", lambda: _init(file, settings, out))
    minutes = ask("How many minutes may it take?", _minutes, f"{DEFAULT_MINUTES}")
    line = _line("train", file, "--minutes", f"{minutes:g}", *options)
    return Command(line, lambda: training.train(file, settings, minutes=minutes))


# What the file contains


@dataclass
class _Described:
    """A file, the config that is inferred from it, and what the user corrects, as settings."""

    path: Path
    columns: list[str]
    config: "Config | None" = None
    settings: list[str] = field(default_factory=list)

    def infer(self, *settings: str) -> None:
        """Infer the config again with more settings.

        Raises:
            OstinatoError: the file cannot be used with them; nothing changes.
        """
        from ostinato.tasks.infer import infer_config

        self.config = infer_config(self.path, [*self.settings, *settings]).config
        self.settings += settings

    def value(self, key: str) -> str | None:
        """The value of a key of [data] that is one name; None if the task has no such key."""
        value = getattr(self.config.data, key, None) if self.config else None
        if isinstance(value, list) and len(value) == 1:
            (value,) = value
        return value if isinstance(value, str) else None

    @property
    def label(self) -> str | None:
        return next((self.value(key) for key in LABEL_KEYS if self.value(key) is not None), None)

    @property
    def can_stream(self) -> bool:
        return self.value("tokenizer") not in (None, "subwords") and self.value("scale") != "series"


def _described(path: Path) -> _Described:
    """Ask for the columns and the tokenizer, where there is a choice; what is inferred is the default."""
    found = _Described(path, _columns(path))
    try:
        found.infer()
    except DataError as error:  # such as: no column looks like a label
        if len(found.columns) < 2:
            raise
        say(f"{error}\n")
    if len(found.columns) > 1 and (found.config is None or found.label is not None):
        names = dict.fromkeys(found.columns, "")
        choose("Which column has the answers, to learn from?", names, found.label, then=lambda c: _set_label(found, c))
    names = {column: "" for column in found.columns if column != found.label}
    if found.value("text_column") is not None and len(names) > 1:
        _choose_key(found, "text_column", "Which column has the sequences, to predict them from?", names)
    if found.value("tokenizer") in TOKENIZERS:
        _choose_key(found, "tokenizer", "What are the sequences made of?", TOKENIZERS)
    return found


def _set_label(found: _Described, column: str) -> None:
    """Take a column as the label; whether it holds classes or numbers, the inference says."""
    if column == found.label:
        return
    found.infer(_setting("label_column", column))
    key = next(key for key in LABEL_KEYS if found.value(key) == column)
    found.settings[-1] = _setting(key, column)


def _choose_key(found: _Described, key: str, question: str, choices: Mapping[str, str]) -> None:
    value = found.value(key)
    choose(question, choices, value, then=lambda name: None if name == value else found.infer(_setting(key, name)))


def _file(answer: str) -> Path | None:
    """The file; None for an example."""
    if answer == "example":
        return None
    path = Path(answer.strip("'\"")).expanduser()  # terminals quote a file that is dropped on them
    if not _columns(path):
        _Described(path, []).infer()
    return path


def _columns(path: Path) -> list[str]:
    """The columns of a table in which the label and the sequence can be any; none for other files.

    Raises:
        OstinatoError: the file cannot be read.
    """
    from ostinato.data.files import ending_of
    from ostinato.data.formats import endings, find_format, read_rows

    form = endings().get(ending_of(path))
    if form is None or not path.is_file():  # the inference judges these
        _Described(path, []).infer()
        return []
    rows = islice(read_rows(path, form), SHOWN_ROWS)
    found = list(dict.fromkeys(column for row in rows for column in row.values))
    return found if find_format(form).columns is None else []


# Asking


def ask(question: str, read: Callable[[str], Value], default: str | None = None) -> Value:
    """Ask until `read` accepts the answer; it raises an `OstinatoError` that says what is expected."""
    shown = "" if default is None else f" [{default}]"
    while True:
        say(f"\n{visible_lines(question)}{visible(shown)} ", nl=False)
        answer = input().strip() or default
        try:
            if answer is None:
                raise ConfigError("There is no default here. Type an answer.")
            return read(answer)
        except OstinatoError as error:
            say(str(error))


def choose(
    question: str, choices: Mapping[str, str], default: str | None, then: Callable[[str], None] = lambda name: None
) -> str:
    """Ask for one of several names, or its number.

    Args:
        choices: from name to what it means.
        then: what is done with the name; the question is asked again if it raises an `OstinatoError`.
    """
    names, width = list(choices), max(map(len, choices))
    lines = [f"  {number} {name:{width}}  {choices[name]}".rstrip() for number, name in enumerate(names, 1)]

    def read(answer: str) -> str:
        name = names[int(answer) - 1] if answer not in choices and _is_number(answer, len(names)) else answer
        if name not in choices:
            raise ConfigError(f"{answer!r}: {suggest(answer, names)}Type a number from 1 to {len(names)}, or a name.")
        then(name)
        return name

    return ask("\n".join([question, *lines, "Number or name"]), read, default)


def _is_number(answer: str, largest: int) -> bool:
    return answer.isascii() and answer.isdigit() and 1 <= int(answer) <= largest


def _minutes(answer: str) -> float:
    try:
        minutes = float(answer)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise ConfigError(f"{answer!r} is not a time. Type a number of minutes above 0, such as 5 or 0.5.")
    return minutes


def _yes_or_no(answer: str) -> bool:
    if answer.lower() not in ("y", "yes", "n", "no"):
        raise ConfigError(f"{answer!r}: type yes or no.")
    return answer.lower() in ("y", "yes")


# The command


def _setting(key: str, value: str) -> str:
    """A setting of [data] whose value TOML reads as this text: a column may be named 1 or true."""
    from ostinato.config.reading import toml_value

    return f"data.{key}={value if toml_value(value) == value else json.dumps(value)}"


def _line(*words: str) -> str:
    return shlex.join(["ostinato", *words])


def _description(preset: str) -> str:
    from ostinato.tasks import TASKS
    from ostinato.tasks.config import PRESETS

    config = PRESETS[preset]()
    return TASKS[config.task].datasets[str(config.data.name)].description


def _free_name(stem: str) -> Path:
    """A config file that does not exist yet."""
    names = (Path(f"{stem}{end}.toml") for end in chain([""], (f"-{number}" for number in count(2))))
    return next(path for path in names if not path.exists())


def _init(file: str, settings: list[str], out: Path) -> None:
    """Write the config of a data file, and say what to do with it."""
    with out.open("x", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
        data.init(file, settings)
    say(f"{out} is written. Edit it, then run: {_line('train', str(out))}")
