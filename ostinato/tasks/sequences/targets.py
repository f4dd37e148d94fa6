"""What a target is: how it is read from a row, what splits it allows, and what an audit says of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.rows import Row
from ostinato.data.splits import Size

SplitRows = tuple[np.ndarray, np.ndarray, np.ndarray]  # the rows of train, validation and test


class TargetKind(ABC):
    """The targets of one task.

    Attributes:
        keeps_conflicts: whether rows of one sequence with different targets are repeated measurements, which stay
            together in one split; else they contradict each other, and are removed before splits are drawn.
    """

    keeps_conflicts: ClassVar[bool] = False

    @abstractmethod
    def read(self, row: Row, config: SequenceData, *, column: str | None, needed: bool) -> Any:
        """The target of a row; None where the row has none.

        Args:
            column: the one that holds the label in formats that leave no choice; None: the config says which.
            needed: whether the column must exist.

        Raises:
            DataError: the row's column is missing and `needed`, or holds what is not a target; names the row.
        """

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
        """A share of the rows, in order; a smaller share is part of a larger one."""

    @abstractmethod
    def refuse_unusable(self, split: str, targets: Sequence[Any]) -> None:
        """Refuse a split that cannot train or test a model.

        Raises:
            DataError: says what is missing.
        """

    @abstractmethod
    def describe(self, targets: Sequence[Any]) -> dict[str, Any]:
        """Facts of a split's targets for the audit: `classes` or `labels` (rows of each), or `values` (quantiles)."""

    def remarks(self, targets: Mapping[str, Sequence[Any]], config: SequenceData) -> list[str]:
        """What deserves attention in the targets of each split, in sentences for the audit."""
        return []

    def is_sorted(self, targets: Sequence[Any]) -> bool:
        """Whether the rows are sorted by target."""
        return False
