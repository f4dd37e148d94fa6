"""What goes into a task and what comes out: data, trained models, candidates, answers."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from ostinato.config import Config, DataConfig
    from ostinato.data.examples import Records
    from ostinato.tasks.base import Task
    from ostinato.training import TrainingState
    from ostinato.training.pretrained import Pretrained
    from ostinato.training.vectors import PretrainedVectors


class InputEncoder(Protocol):
    """Turns sequences into the network's input; independent of the targets."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""


class TargetCodec(Protocol):
    """Turns targets into numbers, and outputs into answers; independent of the tokens."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""


class Audit(Protocol):
    """The contents of the data, and every change made to it."""

    def lines(self) -> Iterable[str]:
        """Describe the contents, then the findings, in sentences."""

    @property
    def findings(self) -> list[str]:
        """Everything that needs attention, in sentences."""

    def to_json(self) -> dict[str, Any]:
        """All facts as JSON values."""


@dataclass(frozen=True)
class TaskData:
    """The audited and encoded splits of a config. Encoder and codec are fitted on train alone.

    Args:
        config: the data table of the config, with every key chosen.
        name: name of the data set or of the file.
        source: origin of the data, for reports.
        rows: the rows of each split before encoding: `train`, and `validation` and `test` if they exist. Rows have a
            length and `sources`: the source of each row, such as `train.csv, row 17`.
        splits: the same rows, encoded.
        encoder: the `InputEncoder`.
        codec: the `TargetCodec`.
        audit: the contents of the data, and every change made to it.
        vectors: pretrained token vectors, if the config names any.
        unlabelled: rows without a target; None: there are none.
        pretrained: the pre-training that `model.init` names, if any; the encoder is then its encoder.
        known: what was fitted to `splits` for one network and fits others, by the settings that it depends on.
    """

    config: "DataConfig"
    name: str
    source: str
    rows: Mapping[str, Any]
    splits: Mapping[str, Any]
    encoder: Any
    codec: Any
    audit: Audit
    vectors: "PretrainedVectors | None" = None
    unlabelled: "Records | None" = None
    pretrained: "Pretrained | None" = None
    known: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Model:
    """The contents of a model file: a trained network, the encoder of its input and the codec of its answers.

    Args:
        members: the models of an ensemble, whose config and codec are those of the first; none in other models.
    """

    task: "Task"
    config: "Config"
    encoder: Any
    codec: Any
    network: Any
    members: "tuple[Model, ...]" = ()


class Trained(NamedTuple):
    """The result of training.

    Args:
        network: in eval mode.
        state: the training history and the final state.
        validation: the network's outputs for the validation split; None without one.
    """

    network: Any
    state: "TrainingState"
    validation: Any


class Chosen(NamedTuple):
    """What a user says about a data file, so that it is not inferred; None: not said."""

    label: str | None = None
    text: str | None = None
    tokenizer: str | None = None


NOTHING_CHOSEN = Chosen()


class Inferred(NamedTuple):
    """A config for a data file, and one line with the reason for each decision."""

    config: "Config"
    reasons: list[str]


class Candidate(NamedTuple):
    """One of the models that `ostinato train FILE` compares.

    Args:
        name: short, unique in its portfolio, and usable as the name of a folder.
        config: a complete config; its data are those of the other candidates.
        reason: why it is tried.
        is_linear: whether it is a linear model.
    """

    name: str
    config: "Config"
    reason: str
    is_linear: bool = False


class Answered(NamedTuple):
    """The answer to one row, or the error that prevented it.

    Args:
        source: such as `train.csv, row 17`.
        answer: in the task's own form, which `Task.answer_json` and `Task.writer` read; None if the row has an error.
        error: the error message; None if the row has an answer.
        warning: set if every token of the row is out of vocabulary.
    """

    source: str
    answer: Any
    error: str | None = None
    warning: str | None = None
