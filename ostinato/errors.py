"""What Ostinato raises, and how a misspelt name is answered.

    OstinatoError            base of all Ostinato errors; the command line prints its message and exits with 2
    ├── ConfigError          a config file, a --set, an argument (also a ValueError)
    ├── DataError            a data file or a sequence, named with its row (also a ValueError)
    ├── RunError             a run folder, a checkpoint or a model file
    ├── TrainingError        a training that cannot go on (loss not finite)
    │   ├── OutOfTimeError   a candidate of `ostinato train FILE` that is too slow for the time it has
    │   └── LostRankError    another process of a data-parallel training has ended
    ├── NotFittedError       predict before fit (also what scikit-learn expects of one)
    └── MissingExtraError    an optional package is not installed (also an ImportError)

A message says what was wrong, with its value; what was expected; what to do.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Item = TypeVar("Item")


class OstinatoError(Exception):
    """Base of every error that Ostinato raises on purpose."""


class ConfigError(OstinatoError, ValueError):
    """A key, value or argument that cannot be used; all problems at once, one per line."""


class DataError(OstinatoError, ValueError):
    """A data file or a sequence that cannot be used; names the file and row.

    Attributes:
        source: the file and row, where a single row is the problem and reading can go on after it.
    """

    source: str = ""

    def at(self, source: str) -> "DataError":
        """The same error, naming the row at `source`."""
        self.source = source
        return self


class RunError(OstinatoError):
    """A run folder, checkpoint or model file that cannot be used."""


class TrainingError(OstinatoError):
    """A training that cannot go on."""


class OutOfTimeError(TrainingError):
    """A fit that would end after its time is over.

    Attributes:
        needed_s: estimate of the seconds that it needs.
    """

    def __init__(self, needed_s: float) -> None:
        super().__init__(f"Too slow: it needs about {needed_s:.0f} s before its first epoch. Give it more minutes.")
        self.needed_s = needed_s


class LostRankError(TrainingError):
    """Another process of a data-parallel training has ended, or does not answer."""


class NotFittedError(OstinatoError, ValueError, AttributeError):
    """An estimator was asked for an answer before `fit`."""


class MissingExtraError(OstinatoError, ImportError):
    """A package of an optional extra is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package!r}, which is not installed. Install it with: "
            f"pip install 'ostinato[{extra}]'"
        )


def suggest(name: str, choices: Iterable[str]) -> str:
    """`Did you mean 'gru'? ` when one of the choices is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def look_up(table: Mapping[str, Item], name: str, kind: str) -> Item:
    """Return `table[name]`, or say which `kind` is unknown, the nearest name and all there are.

    Raises:
        ConfigError: `name` is not in `table`.
    """
    if name in table:
        return table[name]
    raise ConfigError(f"Unknown {kind} {name!r}. {suggest(name, table)}Choose from: {', '.join(sorted(table))}.")
