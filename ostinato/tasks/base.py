"""What every task offers: the one interface through which runs, comparison, report and command line see a task.

A task has no state. Its data are a `TaskData`, its trained network with all that belongs to it a `Model`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from ostinato.config import Config, DataConfig
    from ostinato.data.named import NamedSet
    from ostinato.evaluation.results import Metric, Metrics
    from ostinato.evaluation.statistics import Scored
    from ostinato.explanation.explanation import Explanation
    from ostinato.explanation.faithfulness import Masking
    from ostinato.explanation.records import ExplainedRows
    from ostinato.explanation.trace import Trace
    from ostinato.nn.network import Network
    from ostinato.progress import Progress
    from ostinato.report.record import Report, RunRecord
    from ostinato.training import Examples, Objective, TrainingState
    from ostinato.training.vectors import PretrainedVectors


ALL_UNKNOWN = "every token is out of vocabulary"  # a row's warning


class InputEncoder(Protocol):
    """Turns sequences into a network's input; knows nothing of targets."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""


class TargetCodec(Protocol):
    """Turns targets into numbers, and a network's outputs into answers; knows nothing of tokens."""

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""


class Audit(Protocol):
    """What is in the data, and what was done to them."""

    def lines(self) -> Iterable[str]:
        """The contents, then the findings, in sentences."""

    @property
    def findings(self) -> list[str]:
        """What deserves attention, in sentences."""

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""


@dataclass(frozen=True)
class TaskData:
    """The audited and encoded splits of a config; everything that is fitted comes from train alone.

    Args:
        config: the data that were prepared.
        name: the named set's, or the file's.
        source: where the data come from.
        rows: each split as it was read: train, and validation and test if there are any. Rows have a length and
            `sources`, where each comes from, as `train.csv, row 17`.
        splits: the same, encoded.
        encoder: an `InputEncoder`, fitted on train.
        codec: a `TargetCodec`, fitted on train.
        vectors: pretrained vectors of the tokens, where the config names them.
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


@dataclass(frozen=True)
class Model:
    """A trained network, and what it needs to read sequences and to name its answers: what a model file holds."""

    task: "Task"
    config: "Config"
    encoder: Any
    codec: Any
    network: Any


class Trained(NamedTuple):
    """The result of a training.

    Args:
        validation: what the network's outputs are for the validation split; None without one.
    """

    network: Any
    state: "TrainingState"
    validation: Any


class Inferred(NamedTuple):
    """A config for a data file, with the reason for each decision, one a line."""

    config: "Config"
    reasons: list[str]


class Answered(NamedTuple):
    """A row's answer, or why there is none.

    Args:
        text: as it is printed, with its line end; None where the row has an error.
        warning: what to know about the answer: every token of the row is out of vocabulary.
    """

    source: str
    text: Any
    error: str | None = None
    warning: str | None = None


class Task(ABC):
    """What can be asked of any task. Methods import what they need, so that a config is read without PyTorch."""

    name: ClassVar[str]
    config: "ClassVar[type[Config]]"
    presets: "ClassVar[Mapping[str, Callable[[], Config]]]"
    baselines: ClassVar[Mapping[str, str]]  # the headings of the simple models beside every result, the strongest first
    rival: ClassVar[str]  # the strongest of them, in words
    predictions_file: ClassVar[str]  # in a run's folder: the answers to the test split
    formats: ClassVar[tuple[str, ...]] = ("jsonl",)  # in which `predict` prints answers; the first is the default

    # What there is

    @property
    @abstractmethod
    def datasets(self) -> "Mapping[str, NamedSet]":
        """The named data sets of this task."""

    @property
    @abstractmethod
    def metrics(self) -> "Mapping[str, Metric]":
        """The metrics that models are compared by."""

    @property
    @abstractmethod
    def estimator(self) -> type:
        """The scikit-learn estimator."""

    def main_metric(self, config: "Config") -> str:
        """What models of this config are compared by, unless another metric is named."""
        return next(iter(self.metrics))

    # Data

    @abstractmethod
    def infer(self, path: Path) -> Inferred | None:
        """A config for a data file, from its first rows; None where the file is not of this task.

        Raises:
            DataError: the file seems to be of this task, and cannot be used.
        """

    @abstractmethod
    def prepare(self, config: "DataConfig") -> TaskData:
        """Load, audit and encode the splits of a config's data.

        Raises:
            OstinatoError: the data cannot be used.
        """

    def check(self, config: "Config", data: TaskData) -> None:
        """Refuse settings of model and training that these data do not allow, before anything is trained.

        Raises:
            ConfigError: names the keys.
        """
        from ostinato.training.vectors import check_size

        check_size(data.vectors, config)
        self.objective(config, data)

    @abstractmethod
    def read(self, path: Path, config: "DataConfig") -> Any:
        """The labelled rows of a file."""

    @abstractmethod
    def refuse_new(self, model: Model, rows: Any) -> None:
        """Refuse rows from outside the run's data that the model cannot score: an empty one, unknown features.

        Raises:
            DataError: names the row.
        """

    @abstractmethod
    def encode(self, model: Model, rows: Any) -> "Examples":
        """Rows as the network reads them, with their targets.

        Raises:
            DataError: a target that training never saw; names the row.
        """

    @abstractmethod
    def shown_rows(self, rows: Any, count: int) -> Iterator[dict[str, Any]]:
        """The first rows as JSON values, for `ostinato data show`."""

    # The network

    @abstractmethod
    def encoder_from_json(self, fields: dict[str, Any]) -> InputEncoder:
        """The encoder that its `to_json` described; RunError where fields are missing or wrong."""

    @abstractmethod
    def codec_from_json(self, fields: dict[str, Any]) -> TargetCodec:
        """The codec that its `to_json` described; RunError where fields are missing or wrong."""

    @abstractmethod
    def build(self, config: "Config", encoder: Any, codec: Any) -> "Network":
        """A network with fresh weights; draws from torch's generator."""

    @abstractmethod
    def objective(self, config: "Config", data: TaskData) -> "Objective[Any, Any]":
        """The loss, and what an epoch is judged by."""

    @abstractmethod
    def outputs(self, network: Any, examples: Any) -> Any:
        """The network's outputs for encoded examples, in order; targets do not matter."""

    def calibrate(self, config: "Config", network: Any, outputs: Any, examples: Any) -> None:  # noqa: B027, optional
        """Fit what turns outputs into probabilities, on the validation split."""

    def fit(
        self,
        config: "Config",
        data: TaskData,
        *,
        splits: Mapping[str, Any] | None = None,
        objective: "Objective[Any, Any] | None" = None,
        **options: Any,
    ) -> Trained:
        """Draw a network, train and calibrate it; torch's generators stay as they were.

        Args:
            splits: encoded examples in place of the data's own: `train`, and perhaps `validation`.
            objective: in place of the config's own.
            options: as for `ostinato.training.train`.
        """
        import torch

        from ostinato.training import train
        from ostinato.training.vectors import fill

        splits = data.splits if splits is None else splits
        validation = splits.get("validation")
        with torch.random.fork_rng():
            torch.manual_seed(config.training.seed)
            network = self.build(config, data.encoder, data.codec)
            if data.vectors is not None:
                fill(network.embed, data.vectors)
            objective = objective or self.objective(config, data)
            state = train(network, splits["train"], validation, config.training, objective=objective, **options)
        outputs = None
        if validation is not None:
            outputs = self.outputs(network, validation)
            self.calibrate(config, network, outputs, validation)
        return Trained(network.eval(), state, outputs)

    # Results

    @abstractmethod
    def score(self, model: Model, rows: Any, examples: Any, outputs: Any) -> "Metrics":
        """Metrics of outputs for labelled rows."""

    @abstractmethod
    def score_baselines(self, data: TaskData) -> "Mapping[str, Metrics]":
        """What every model must beat, on the test split: a simple model for each of `baselines`."""

    @abstractmethod
    def result_cells(self, metrics: dict[str, Any]) -> dict[str, str]:
        """A finished run's test figures beside its baselines, by the heading of a table's column."""

    @abstractmethod
    def write_predictions(self, path: Path, model: Model, rows: Any, outputs: Any) -> None:
        """Write each row's source, target and answer.

        Raises:
            RunError: the file cannot be written.
        """

    @abstractmethod
    def read_predictions(self, path: Path, test: Mapping[str, Any]) -> Any:
        """What `write_predictions` wrote; `test` are the run's test metrics."""

    @abstractmethod
    def compared(
        self, seeds: "Sequence[Sequence[Any]]", metric: str, test: Mapping[str, Any]
    ) -> "tuple[Scored, list[str], tuple[float, float]]":
        """The predictions of one configuration, ready to be compared with another's on the same rows.

        Args:
            seeds: for each seed, its predictions: one for each fold.
            test: the metrics of the first run's test split.

        Returns:
            Scores, the rows' sources in a fixed order, and a 95 % interval of the mean.
        """

    # Answers

    @abstractmethod
    def answer(self, model: Model, rows: Iterator[Any], *, form: str, strict: bool) -> Iterator[Answered]:
        """The answer to each row, in order, some hundred at a time; a row that cannot be read is answered by its error.

        Raises:
            DataError: `strict`, and a row cannot be read or consists of unknown tokens.
        """

    @abstractmethod
    def rows_of_file(self, path: Path, config: "DataConfig", model: Model) -> Iterator[Any]:
        """The unlabelled rows of a file; a row that cannot be read is a `DataError` in their midst."""

    @abstractmethod
    def rows_of_texts(self, texts: Iterable[tuple[str, str]], model: Model) -> Iterator[Any]:
        """Rows as they are typed, each with its source; as in `rows_of_file`."""

    # Explanations

    @abstractmethod
    def explain(self, model: Model, sequences: Iterable[Any], **options: Any) -> "list[Explanation]":
        """What drove the answers; options as `ostinato.explain` documents them."""

    @abstractmethod
    def explain_rows(
        self,
        model: Model,
        rows: Sequence[Any],
        *,
        method: str,
        label: str | None = None,
        tokens: Sequence[int] | None = None,
        progress: "Progress | None" = None,
    ) -> "ExplainedRows":
        """Explain the answers for rows that were read, and measure how faithful the explanations are.

        Args:
            rows: as `rows_of_file` and `rows_of_texts` yield them.
            label: the name of the output to explain, as text; by default the predicted one.
            tokens: of a task that answers for each token, the tokens to explain, counted from 0.

        Raises:
            ConfigError: a method, label or token that the model or a row does not have.
            DataError: a row that the model cannot read; names its source.
        """

    @abstractmethod
    def rows_to_explain(self, model: Model, rows: Any, count: int) -> Sequence[Any]:
        """The rows of a test split that are explained unless others are named: at most `count`."""

    @abstractmethod
    def masking(self, model: Model) -> "Masking":
        """How the inputs of explanations are masked, to measure their faithfulness."""

    def trace(self, model: Model, sequence: Any, *, prefixes: int = 256) -> "Trace":
        """State, gates and running answer at each step.

        Raises:
            ConfigError: this task has none.
        """
        raise ConfigError(f"A trace follows one answer through a sequence, and task {self.name} has none. Use explain.")

    # Report

    @abstractmethod
    def report(self, run: "RunRecord", data: TaskData | None, model: Model, progress: "Progress") -> "Report":
        """The sections of a run's report that are this task's own, and its model card."""
