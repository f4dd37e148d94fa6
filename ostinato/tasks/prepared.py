"""What a run needs of its data and its task."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ostinato.checkpoint import TrainingState
from ostinato.config import Config, DataConfig, ModelConfig
from ostinato.data.dataset import Dataset
from ostinato.data.encoder import Encoder
from ostinato.data.tag_encoder import TagEncoder
from ostinato.data.tagged import TaggedDataset
from ostinato.models import Network
from ostinato.pretrained import Pretrained


@dataclass(frozen=True)
class Prepared(ABC):
    """Audited, encoded splits and what a task does with them.

    Args:
        config: the data that were prepared.
        data: the splits as they were read, with their audit.
        encoder: fitted on train.
        splits: encoded examples: train, and validation and test where there are such.
        vectors: pretrained ones of the tokens, where the config names such.
    """

    parameters: ClassVar[Iterable[str]]  # an estimator's arguments

    config: DataConfig
    data: Dataset | TaggedDataset
    encoder: Encoder | TagEncoder
    splits: Mapping[str, Any]
    vectors: Pretrained | None

    @abstractmethod
    def check(self, config: Config) -> None:
        """Refuse what the config says of model and training and these data do not allow, before anything is made."""

    @abstractmethod
    def audit_lines(self) -> Iterable[str]:
        """What is in the data and what was done to them, in sentences."""

    @abstractmethod
    def audit_facts(self) -> dict[str, Any]:
        """The same as JSON values."""

    @abstractmethod
    def build(self, config: ModelConfig) -> Network:
        """A network of these sizes for these data, with fresh weights."""

    @abstractmethod
    def fit_on(self, train: Any, validation: Any, config: Config, **options: Any) -> tuple[Any, TrainingState]:
        """Draw a network and train it on these examples; `options` as for `training.train`."""

    def fit(self, config: Config, **options: Any) -> tuple[Any, TrainingState]:
        """The same on the training split, judged on the validation split where there is one."""
        return self.fit_on(self.splits["train"], self.splits.get("validation"), config, **options)

    @abstractmethod
    def answer(self, network: Any, examples: Any) -> Any:
        """What the network says of encoded examples; their targets do not matter."""

    @abstractmethod
    def figures(self, network: Any, folder: Path) -> dict[str, Any]:
        """Score validation and test once, with the baselines, and keep the answers to the test split in `folder`."""

    def estimator_arguments(self, config: Config) -> dict[str, Any]:
        """The config as the arguments of the task's estimator."""
        tables = (config.model, config.training, config.data)
        values = {key: value for table in reversed(tables) for key, value in table.model_dump().items()}
        return {key: values[key] for key in self.parameters if key in values}
