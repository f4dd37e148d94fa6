"""Commands that torchrun starts in several processes, the ranks: only `train` divides its work among them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.training.ranks import Ranks


def number_of_ranks() -> int:
    """How many processes torchrun has started; 1 without it."""
    size = os.environ.get("WORLD_SIZE", "")
    return int(size) if size.isdecimal() else 1


def refuse_several_ranks(what: str) -> None:
    """Refuse what every rank would do again.

    Raises:
        ConfigError: there are several.
    """
    size = number_of_ranks()
    if size > 1:
        raise ConfigError(
            f"{what}: not divided among the {size} processes of torchrun. Run it without torchrun; `ostinato train` "
            "with a preset or a config file trains one model on all of them."
        )


@contextmanager
def all_ranks() -> "Iterator[Ranks]":
    """The processes that train together: those of torchrun, or this one alone."""
    from ostinato.training.ranks import ALONE, joined_ranks

    if number_of_ranks() == 1:
        yield ALONE
        return
    with joined_ranks(os.environ) as found:
        yield found
