"""What the HTTP service asks of a model, whatever its task."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ostinato.errors import ConfigError, DataError
from ostinato.storage import EXAMPLES, read_json, unusable
from ostinato.tasks.records import Answered, Model


class ModelFacts(NamedTuple):
    """What a page or a client must know of a model to ask it.

    Args:
        kind: of the input: `text`, `symbols` (DNA, RNA and protein), `events` or `numeric`.
        tokenizer: what splits the input, as `data.tokenizer` names it; `words` for taggers.
        labels: what the model can answer; None if it predicts numbers.
        channels: of a numeric series; None for tokens.
        quantity: what the answers are: `probability` or `prediction`.
        calibrated: whether the probabilities were calibrated on a validation split.
        explanation_methods: those that this model has.
        traces: whether `Task.trace` can follow the model step by step.
        ids: whether the model also reads token ids (`row_of_ids`).
    """

    kind: str
    tokenizer: str
    labels: list[Any] | None
    channels: int | None
    quantity: str
    calibrated: bool
    explanation_methods: list[str]
    traces: bool
    ids: bool


class Output(NamedTuple):
    """An output in the Open Inference Protocol: its datatype, and the shape of all rows, −1 for any size."""

    datatype: str
    shape: tuple[int, ...]


class ServedModel(ABC):
    """A model as the service uses it. Rows are as `Task.answer` reads them.

    Args:
        model: on the device where it computes.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    @abstractmethod
    def facts(self) -> ModelFacts:
        """What a page or a client must know of the model."""

    @property
    @abstractmethod
    def outputs(self) -> Mapping[str, Output]:
        """The outputs in the Open Inference Protocol, by name."""

    @abstractmethod
    def arrays(self, answer: Any) -> dict[str, np.ndarray]:
        """The outputs for one row, unrounded: the dimensions of `outputs` except the first."""

    @abstractmethod
    def count_tokens(self, row: Any, enough: int) -> int:
        """The number of tokens or steps of a row, before any cut; exact above `enough`, else any number up to it."""

    @abstractmethod
    def count_in_piece(self, piece: str | list[Any], enough: int) -> int:
        """As `count_tokens`, for a piece of a stream."""

    def stream_obstacle(self) -> str | None:
        """Why the model cannot answer sequences that arrive in pieces, and what to do; None if it can."""
        try:
            self.model.task.stream(self.model)
        except ConfigError as error:
            return str(error)
        return None

    @abstractmethod
    def cut(self, row: Any, length: int) -> Any:
        """The first tokens or steps of a row."""

    def row_of_ids(self, ids: Sequence[int], source: str) -> Any:
        """A row of token ids.

        Raises:
            DataError: the model does not read token ids, or an id is out of range.
        """
        raise DataError(f"{source}: this model does not read token ids. Send the input `text` instead.")

    def examples(self, path: Path) -> list[Any]:
        """Inputs to try, as JSON values; none if `path` is a model file, or a run without a test split.

        Raises:
            RunError: the run's file of examples is damaged.
        """
        file = path / EXAMPLES
        if not file.is_file():
            return []
        found = read_json(file).get("examples")
        if not isinstance(found, list):
            raise unusable(file)
        return found

    def answer(self, rows: Sequence[Any]) -> list[Answered]:
        """Answer rows together."""
        return list(self.model.task.answer(self.model, iter(rows), strict=False))
