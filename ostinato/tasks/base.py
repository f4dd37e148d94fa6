"""The interface of a task. Runs, comparisons, reports and the command line use tasks only through it.

A task is stateless: `TaskData` holds its data, `Model` its trained network with config, encoder and codec.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ostinato.errors import ConfigError, DataError
from ostinato.printable import to_json
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import (
    Answered,
    Candidate,
    Chosen,
    Inferred,
    InputEncoder,
    Model,
    TargetCodec,
    TaskData,
    Trained,
)

if TYPE_CHECKING:
    from ostinato.config import Config, DataConfig
    from ostinato.data.encoder import SequenceEncoder
    from ostinato.data.named import NamedSet
    from ostinato.data.vocabulary import Vocabulary
    from ostinato.evaluation.results import Metric, Metrics
    from ostinato.evaluation.statistics import Scored
    from ostinato.explanation.explanation import Explanation
    from ostinato.explanation.faithfulness import Masking
    from ostinato.explanation.records import ExplainedRows
    from ostinato.explanation.trace import Trace
    from ostinato.nn.network import Network
    from ostinato.progress import Progress
    from ostinato.report.card import CardSection
    from ostinato.report.record import Report, RunRecord
    from ostinato.tasks.ensembles import Joining
    from ostinato.tasks.onnx import OnnxModel
    from ostinato.tasks.portable import Outputs
    from ostinato.tasks.served import ServedModel
    from ostinato.tasks.stream import Stream
    from ostinato.training import Examples, Objective
    from ostinato.training.ranks import Ranks


MOST_EXAMPLES = 5  # of a run, for the page of the service
LONGEST_EXAMPLE = 2000  # characters, tokens or steps
ALL_UNKNOWN = "every token is out of vocabulary"  # the warning of a row


class Task(ABC):
    """The operations of a task. Methods import modules when called, so reading a config does not import PyTorch."""

    name: ClassVar[str]
    config: "ClassVar[type[Config]]"
    presets: "ClassVar[Mapping[str, Callable[[], Config]]]"
    baselines: ClassVar[Mapping[str, str]]  # name -> table heading of each baseline, the strongest first
    rivals: ClassVar[Mapping[str, str]] = {}  # the same of the baselines that only some data have
    rival: ClassVar[str]  # the strongest baseline, in words
    floor: ClassVar[tuple[str, str]]  # the baseline that every model should beat: its name, and what it does
    predictions_file: ClassVar[str]  # name of the file in a run folder that holds the answers to the test split
    pipeline: ClassVar[str | None] = None  # what the Hugging Face hub calls the task, where sequences are of tokens
    formats: ClassVar[tuple[str, ...]] = ("jsonl",)  # output formats of `predict`; the first is the default

    # Contents

    @property
    @abstractmethod
    def datasets(self) -> "Mapping[str, NamedSet]":
        """The named data sets of this task."""

    @property
    @abstractmethod
    def metrics(self) -> "Mapping[str, Metric]":
        """The metrics for comparing models."""

    @property
    @abstractmethod
    def estimator(self) -> type:
        """The scikit-learn estimator."""

    def main_metric(self, config: "Config") -> str:
        """The default metric for comparing models of this config."""
        return next(iter(self.metrics))

    # Data

    @abstractmethod
    def infer(self, path: Path, chosen: Chosen) -> Inferred | None:
        """Infer a config from the first rows of a data file; None if the file belongs to another task.

        Args:
            chosen: what need not be inferred; ignored by a task whose files have fixed columns.

        Raises:
            DataError: the file seems to belong to this task, but cannot be used.
        """

    @abstractmethod
    def portfolio(self, config: "Config", data: TaskData) -> list[Candidate]:
        """Models of different kinds for the data. Of equal ones the first is preferred, so simple ones come first.

        Args:
            config: inferred from the data file; candidates differ from it in the tables [model] and [training] only.
        """

    @abstractmethod
    def prepare(self, config: "DataConfig") -> TaskData:
        """Load, audit and encode the splits of a config's data.

        Raises:
            OstinatoError: the data cannot be used.
        """

    def prepare_for(self, config: "Config") -> TaskData:
        """Prepare the data of a config, with the vocabulary of the pre-training that `model.init` names, if any.

        Raises:
            ConfigError: the pre-training does not fit, or has read rows of the validation or test split.
            OstinatoError: the data cannot be used.
        """
        data = self.prepare(config.data)
        if config.model.init is None:
            return data
        from ostinato.tasks.init import adopt, refuse_seen_rows

        data = adopt(self, config, data)
        refuse_seen_rows(self, data)
        return data

    @abstractmethod
    def settle(self, config: "Config", data: TaskData) -> "Config":
        """The config with every key that is `auto` chosen from the training split. Called before `check` and `fit`.

        Raises:
            ConfigError: a chosen value contradicts one that was given.
        """

    @abstractmethod
    def vocabulary(self, encoder: Any) -> "Vocabulary | None":
        """The encoder's tokens; None for numeric series."""

    @abstractmethod
    def adopt_encoder(self, own: Any, pretrained: "SequenceEncoder", vocabulary: "Vocabulary | None") -> Any:
        """The task's own encoder with a larger vocabulary, or with the scale of a pre-training.

        Args:
            vocabulary: the tokens of the pre-training, then the task's own; None for numeric series.
        """

    def check(self, config: "Config", data: TaskData) -> None:
        """Refuse model and training settings that do not fit the data. Called before training.

        Raises:
            ConfigError: names the keys.
        """
        from ostinato.tasks.memory import refuse_oversized
        from ostinato.training.vectors import check_size

        check_size(data.vectors, config)
        self.objective(config, data)
        refuse_oversized(self, config, data.encoder, data.codec, data.splits["train"])

    @abstractmethod
    def read(self, path: Path, config: "DataConfig", model: Model) -> tuple[Any, list[DataError]]:
        """Read the labelled rows of a file that the model can score, and the error of each other row.

        Raises:
            DataError: the file as a whole cannot be read, or none of its rows.
        """

    @abstractmethod
    def labelled_rows(self, model: Model, X: Iterable[Any], y: Any) -> Any:
        """Sequences and targets, as an estimator's `fit` takes them, in the form that `read` returns.

        Raises:
            DataError: X and y differ in number, or a row has the wrong type; names it.
        """

    @abstractmethod
    def refuse_new(self, model: Model, rows: Any) -> None:
        """Refuse new rows that the model cannot score, such as empty sequences or unknown features.

        Raises:
            DataError: names the row.
        """

    @abstractmethod
    def row_keys(self, encoder: Any, rows: Any) -> Iterator[Hashable]:
        """What is equal for rows that are the same to the model, whatever their targets: one key per row.

        Its `repr` must be the same on every machine.
        """

    @abstractmethod
    def encode(self, model: Model, rows: Any) -> "Examples":
        """Encode rows and their targets.

        Raises:
            DataError: a target that does not occur in the training data; names the row.
        """

    @abstractmethod
    def shown_rows(self, rows: Any, count: int) -> Iterator[dict[str, Any]]:
        """The first rows as JSON values, for `ostinato data show`."""

    @abstractmethod
    def examples(self, rows: Any) -> list[Any]:
        """The inputs of the first `MOST_EXAMPLES` rows of at most `LONGEST_EXAMPLE`, as JSON values."""

    # The network

    @abstractmethod
    def encoder_from_json(self, fields: dict[str, Any]) -> InputEncoder:
        """Rebuild an encoder from its `to_json`.

        Raises:
            RunError: a field is missing or invalid.
        """

    @abstractmethod
    def codec_from_json(self, fields: dict[str, Any]) -> TargetCodec:
        """Rebuild a codec from its `to_json`.

        Raises:
            RunError: a field is missing or invalid.
        """

    @abstractmethod
    def build(self, config: "Config", encoder: Any, codec: Any) -> "Network":
        """Build a network with fresh weights, drawn from torch's global generator."""

    @abstractmethod
    def objective(self, config: "Config", data: TaskData) -> "Objective[Any, Any]":
        """The loss, and the metrics that judge an epoch."""

    @abstractmethod
    def outputs(self, network: Any, examples: Any, ranks: "Ranks | None" = None) -> Any:
        """Compute the network's outputs for encoded examples, in order; targets are ignored.

        Args:
            ranks: the processes that divide the examples; all have the same, and all get the outputs. None: this one.
        """

    def start(
        self,
        config: "Config",
        network: Any,
        data: TaskData,
        splits: Mapping[str, Any],
        objective: "Objective[Any, Any]",
        *,
        folder: Path | None,
        time_left: TimeLeft,
    ) -> "Examples":
        """Fit what the network has besides its layers, before these are trained. Returns the examples to train on.

        Args:
            splits: those of `data`, or a part of them.
            folder: where the training saves its checkpoints, if it does.
            time_left: when time is over, a linear model is the best so far.

        Raises:
            OutOfTimeError: the network cannot be trained within this time.
        """
        examples: Examples = splits["train"]
        return examples

    def calibrate(self, config: "Config", network: Any, outputs: Any, examples: Any) -> None:  # noqa: B027, optional
        """Calibrate the network's probabilities on the validation split."""

    def fit(
        self,
        config: "Config",
        data: TaskData,
        *,
        splits: Mapping[str, Any] | None = None,
        objective: "Objective[Any, Any] | None" = None,
        time_left: TimeLeft = unlimited,
        ranks: "Ranks | None" = None,
        **options: Any,
    ) -> Trained:
        """Build, train and calibrate a network. The state of torch's generators is restored afterwards.

        Args:
            splits: encoded examples that replace `data.splits`: `train`, and optionally `validation`.
            objective: replaces the objective of the config.
            time_left: for what is fitted before the layers are trained; see `start`.
            ranks: the processes that train the network together; None: this one.
            options: passed on to `ostinato.training.train`.

        Raises:
            ConfigError: the training needs more memory than is available.
            OutOfTimeError: see `start`.
        """
        import torch

        from ostinato.tasks.memory import refuse_oversized
        from ostinato.training import train
        from ostinato.training.checkpoint import finished_weights
        from ostinato.training.pretrained import start_from
        from ostinato.training.ranks import ALONE
        from ostinato.training.vectors import fill

        splits = data.splits if splits is None else splits
        refuse_oversized(self, config, data.encoder, data.codec, splits["train"])
        validation = splits.get("validation")
        with torch.random.fork_rng():
            torch.manual_seed(config.training.seed)
            network = self.build(config, data.encoder, data.codec)
            if data.vectors is not None:
                fill(network.embed, data.vectors)
            if data.pretrained is not None:
                start_from(network, data.pretrained)
            objective = objective or self.objective(config, data)
            started = time.monotonic()
            folder = options.get("folder")
            examples = splits["train"]
            weights = finished_weights(folder)
            if weights is None:
                examples = self.start(config, network, data, splits, objective, folder=folder, time_left=time_left)
            else:
                network.prepare_for(weights)
            spent_s = time.monotonic() - started
            state = train(
                network,
                examples,
                validation,
                config.training,
                objective=objective,
                spent_s=spent_s,
                ranks=ranks or ALONE,
                **options,
            )
        outputs = None
        if validation is not None:
            outputs = self.outputs(network, validation, ranks)
            self.calibrate(config, network, outputs, validation)
        return Trained(network.eval(), state, outputs)

    @property
    @abstractmethod
    def joining(self) -> "Joining":
        """How several models become an ensemble."""

    # Results

    @abstractmethod
    def score(self, model: Model, rows: Any, examples: Any, outputs: Any) -> "Metrics":
        """Compute the metrics of outputs for labelled rows."""

    @abstractmethod
    def score_baselines(
        self,
        data: TaskData,
        say: Callable[[str], object],
        time_left: TimeLeft = unlimited,
        trained: "tuple[Model, Any] | None" = None,
    ) -> "Mapping[str, Metrics]":
        """Score each of `baselines`, and those of `rivals` that suit the data, on the test split.

        Args:
            say: called with a sentence for each baseline that is left out.
            time_left: when time is over, baselines that are fitted in several ways are the best so far.
            trained: a model and its outputs for the test split, which `rivals` and the linear model are compared with.
        """

    def to_beat(self, baselines: Mapping[str, Mapping[str, Any]]) -> str:
        """The name of the baseline with the highest score on validation; without these scores, the first of all."""

        def score(name: str) -> float:
            found: float | None = baselines[name].get("validation_score")
            return -1.0 if found is None else found

        return max(baselines, key=score)

    @abstractmethod
    def result_cells(self, metrics: dict[str, Any]) -> dict[str, str]:
        """Format the test scores of a finished run and its baselines as table cells, by column heading."""

    def judging_metric(self, test: Mapping[str, Any]) -> str:
        """The metric by which `result_cells` compares these test scores with the baselines."""
        return next(iter(self.metrics))

    def shortfall(self, metrics: Mapping[str, Any]) -> str | None:
        """Say so if the model of a finished run does not beat the baseline `floor`; None if it does.

        Args:
            metrics: those of the run, with test scores.
        """
        from ostinato.report.wording import metric_name

        name = self.judging_metric(metrics["test"])
        baseline, action = self.floor
        value, floor = metrics["test"][name], metrics["baselines"][baseline][name]
        if value is None or floor is None:
            return None
        if (value > floor) if self.metrics[name].higher_is_better else (value < floor):
            return None
        return f"The model does not beat {action}: test {metric_name(name)} {value:.4g} against {floor:.4g}."

    @abstractmethod
    def write_predictions(self, path: Path, model: Model, rows: Any, outputs: Any) -> None:
        """Write the source, target and answer of each row.

        Raises:
            RunError: the file cannot be written.
        """

    @abstractmethod
    def read_predictions(self, path: Path, test: Mapping[str, Any]) -> Any:
        """Read the file that `write_predictions` wrote.

        Args:
            test: the run's test metrics.
        """

    @abstractmethod
    def compared(
        self, seeds: "Sequence[Sequence[Any]]", metric: str, test: Mapping[str, Any]
    ) -> "tuple[Scored, list[str], tuple[float, float]]":
        """Prepare the predictions of one configuration for comparison with another on the same rows.

        Args:
            seeds: for each seed, one set of predictions per fold.
            test: test metrics of the first run.

        Returns:
            The scores, the sources of the rows in a fixed order, and a 95 % interval of the mean.
        """

    # Answers

    @abstractmethod
    def answer(self, model: Model, rows: Iterator[Any], *, strict: bool) -> Iterator[Answered]:
        """Answer rows in order, a few hundred at a time. For a row that cannot be read, the answer holds the error.

        Args:
            strict: raise at the first row with an error or a warning.

        Raises:
            DataError: `strict`, and a row cannot be read or has only out-of-vocabulary tokens.
        """

    @abstractmethod
    def answer_json(self, model: Model, answer: Any) -> dict[str, Any]:
        """An `Answered.answer` as JSON values."""

    def writer(self, model: Model, form: str) -> Callable[[Answered], Any]:
        """What turns the answers to a model's rows into printable text, including the line end.

        Args:
            form: one of `formats`.
        """
        return lambda answered: to_json(self.answered_json(model, answered)) + "\n"

    def answered_json(self, model: Model, answered: Answered) -> dict[str, Any]:
        """The answer to a row and its warning, if it has one, as JSON values."""
        fields = self.answer_json(model, answered.answer)
        return fields if answered.warning is None else {**fields, "warning": answered.warning}

    def file_format(self, path: Path, config: "DataConfig") -> str:
        """The name of the format as which `rows_of_file` reads a file.

        Raises:
            DataError: the ending is unknown.
        """
        from ostinato.data.formats import format_of

        return format_of(path, config.format)

    @abstractmethod
    def rows_of_file(self, path: Path, config: "DataConfig", model: Model) -> Iterator[Any]:
        """Stream the unlabelled rows of a file; yields a `DataError` in place of a row that cannot be read."""

    @abstractmethod
    def rows_of_texts(self, texts: Iterable[tuple[str, str]], model: Model) -> Iterator[Any]:
        """Turn pairs of a source and a typed text into rows; errors as in `rows_of_file`."""

    @abstractmethod
    def stream(self, model: Model, state: Mapping[str, Any] | None = None) -> "Stream":
        """Start to read one sequence in pieces, or continue from the state of a stream.

        Raises:
            ConfigError: the model cannot answer before the end of a sequence.
            RunError: the state is of another model or format, or damaged.
        """

    @abstractmethod
    def row_of_value(self, value: Any, source: str, model: Model) -> Any:
        """Turn a JSON value into a row: a text, or a list of tokens or numbers.

        Raises:
            DataError: the value is not a sequence.
        """

    # Export

    @abstractmethod
    def onnx(self, model: Model) -> "OnnxModel":
        """Build the model's ONNX graph.

        Raises:
            ConfigError: ONNX cannot express the model.
        """

    @abstractmethod
    def outputs_of_onnx(self, outputs: "Outputs") -> Any:
        """Convert the outputs of an exported model to the form that `outputs` returns."""

    def stateful_onnx(self, model: Model) -> "OnnxModel":
        """Build an ONNX graph that reads sequences in pieces: states are further inputs and outputs.

        Raises:
            ConfigError: ONNX cannot express the model in this form.
        """
        raise ConfigError(f"Models of task {self.name!r} cannot be exported with states. Export without --stateful.")

    # Service

    @abstractmethod
    def served(self, model: Model) -> "ServedModel":
        """The model as the HTTP service uses it."""

    # Explanations

    @abstractmethod
    def explain(self, model: Model, sequences: Iterable[Any], **options: Any) -> "list[Explanation]":
        """Explain the answers to sequences; for the options see `ostinato.explain`."""

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
        """Explain the answers to rows, and measure how faithful the explanations are.

        Args:
            rows: as yielded by `rows_of_file` and `rows_of_texts`.
            label: the name of the output to explain, as text; by default the predicted one.
            tokens: for tasks with one answer per token, the tokens to explain, counted from 0.

        Raises:
            ConfigError: the model does not have the method or label, or a row does not have the token.
            DataError: the model cannot read a row; names its source.
        """

    @abstractmethod
    def rows_to_explain(self, model: Model, rows: Any, count: int) -> Sequence[Any]:
        """Choose the rows of a test split to explain by default, at most `count`."""

    @abstractmethod
    def masking(self, model: Model) -> "Masking":
        """The masking of inputs that measures the faithfulness of explanations."""

    def trace(self, model: Model, sequence: Any, *, prefixes: int = 256) -> "Trace":
        """Trace the state, the gates and the running answer at each step; see `ostinato.trace`.

        Raises:
            ConfigError: the task does not support traces.
        """
        raise ConfigError(
            f"Task {self.name!r} does not support traces, which follow one answer through a sequence. "
            "Use ostinato.explain."
        )

    # Report

    @abstractmethod
    def report(self, run: "RunRecord", data: TaskData | None, model: Model, progress: "Progress") -> "Report":
        """Build the task-specific sections of a run's report.

        Args:
            data: None if the run has no test split.
        """

    @abstractmethod
    def card(self, run: "RunRecord", model: Model) -> "list[CardSection]":
        """The model card of a run, which needs neither its data nor the packages of a report.

        Raises:
            RunError: audit.json or metrics.json is damaged.
        """
