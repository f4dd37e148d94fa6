"""The interface of a kind of target: reading it from a row, splitting by it, and describing it in an audit."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.audit import Remark
from ostinato.data.rows import Row
from ostinato.data.splits import Size, SplitRows


class TargetKind(ABC):
    """The targets of one task.

    Attributes:
        keeps_conflicts: True: equal sequences with different targets are repeated measurements and stay together in
            one split. False: they contradict each other and are removed before splits are drawn.
    """

    keeps_conflicts: ClassVar[bool] = False

    @abstractmethod
    def read(self, row: Row, config: SequenceData, *, column: str | None, needed: bool) -> Any:
        """Read the target of a row; None if it is empty.

        Args:
            column: the label column of formats with fixed columns; None: the column that the config names.
            needed: whether the column must exist.

        Raises:
            DataError: the column is missing and `needed`, or its value is not a target; names the row.
        """

    @abstractmethod
    def columns(self, config: SequenceData) -> list[str]:
        """The columns that `read` looks at, in formats with named columns."""

    @abstractmethod
    def split(
        self, targets: Sequence[Any], groups: list[str] | None, sizes: tuple[Size, Size, Size], seed: int
    ) -> SplitRows:
        """Draw the rows of train, validation and test, each in random order; rows of one group stay together."""

    @abstractmethod
    def folds(self, targets: Sequence[Any], groups: list[str] | None, count: int, seed: int) -> list[np.ndarray]:
        """Cut the rows into this many folds; rows of one group stay together.

        Raises:
            ConfigError: there are too few rows.
        """

    @abstractmethod
    def fraction(self, targets: Sequence[Any], share: float, seed: int) -> list[int]:
        """Draw a share of the rows, in order; a smaller share is a subset of a larger one."""

    @abstractmethod
    def refuse_unusable(self, split: str, targets: Sequence[Any]) -> None:
        """Refuse a split whose targets cannot train or test a model.

        Raises:
            DataError: names the split and the problem.
        """

    @abstractmethod
    def describe(self, targets: Sequence[Any]) -> dict[str, Any]:
        """Describe the targets of a split: rows per class (`classes`) or label (`labels`), or quantiles (`values`)."""

    def remarks(self, targets: Mapping[str, Sequence[Any]], config: SequenceData) -> list[Remark]:
        """Everything in the targets that needs attention, for the audit."""
        return []

    def is_sorted(self, targets: Sequence[Any]) -> bool:
        """Whether the rows are sorted by target."""
        return False
