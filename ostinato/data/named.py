"""Named data sets: what each is, where it comes from, and how it is loaded. Each task has a table of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ostinato.config import SequenceData
from ostinato.config.memory import available_bytes, refuse_more_than
from ostinato.data.examples import Record
from ostinato.data.generated import Length
from ostinato.data.splits import Size

Sizes = tuple[Size, Size, Size]

GENERATED_TRAIN = 2_000
GENERATED_TOTAL = 2_500
BYTES_OF_A_TOKEN, BYTES_OF_A_ROW = 9, 100  # at least: a character and an id; objects

Generator = Callable[[int, Length, np.random.Generator], tuple[list[str], list[Any]]]  # (rows, length, rng)


@dataclass(frozen=True)
class Loaded:
    """A named set's rows: `train`, to draw the missing splits from, and the splits that the set defines itself."""

    source: str
    splits: Mapping[str, list[Any]]
    sizes: Sizes


@dataclass(frozen=True)
class NamedSet:
    """The description of a set in `ostinato data list`, and how to load it.

    Args:
        tokenizer: the default for its sequences.
        is_generated: whether it is drawn at random, with any number of rows of any length.
    """

    description: str
    size: str
    tokenizer: str
    source: str
    load: Callable[[Any], Loaded]
    is_generated: bool = False


def sizes_of(config: SequenceData) -> Sizes:
    """The sizes that the config asks for."""
    return config.train_size, config.validation_size, config.test_size


def generated_set(description: str, size: str, tokenizer: str, generator: Generator, length: Length) -> NamedSet:
    """A set that is drawn at random, with sequences from `length[0]` to `length[1]` unless the config sets a length."""
    load = partial(_draw, generator=generator, length=length)
    return NamedSet(description, size, tokenizer, "generated", load, is_generated=True)


def _draw(config: SequenceData, *, generator: Generator, length: Length) -> Loaded:
    """Draw the rows that the config asks for; a share is of 2,500 rows, and `none` means 2,000.

    Raises:
        ConfigError: the set has no sequences of that length, or too few.
    """
    if config.length is not None:
        first, last = (config.length, config.length) if isinstance(config.length, int) else config.length
        length = first, last
    sizes = tuple(map(_rows, sizes_of(config)))
    _refuse_oversized(str(config.name), sum(sizes), length[1])
    sequences, targets = generator(sum(sizes), length, np.random.default_rng(config.seed))
    records = [
        Record(sequence, target, None, None, f"{config.name}, sequence {number}")
        for number, (sequence, target) in enumerate(zip(sequences, targets, strict=True), start=1)
    ]
    return Loaded(f"generated, seed {config.seed}", {"train": records}, (sizes[0], sizes[1], sizes[2]))


def _refuse_oversized(name: str, rows: int, longest: int) -> None:
    what = f"Drawing {rows:,} sequences of up to {longest:,} tokens for {name}"
    remedy = "Reduce data.length, or the data's train_size, validation_size or test_size."
    refuse_more_than(available_bytes(), rows * (longest // 2 * BYTES_OF_A_TOKEN + BYTES_OF_A_ROW), what, remedy)


def _rows(size: Size) -> int:
    if size is None:
        return GENERATED_TRAIN
    return int(size * GENERATED_TOTAL + 1e-9) if isinstance(size, float) else size
