"""The base class of tasks with one target per sequence."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ostinato.errors import ConfigError, DataError
from ostinato.tasks.base import ALL_UNKNOWN, LONGEST_EXAMPLE, MOST_EXAMPLES, Task
from ostinato.tasks.records import Answered, Candidate, Model, TaskData

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ostinato.config import Config, DataConfig, SemiTraining, SequenceData
    from ostinato.data.encoder import SequenceEncoder
    from ostinato.data.examples import Record, Records
    from ostinato.data.vocabulary import Vocabulary
    from ostinato.explanation.explanation import Explanation
    from ostinato.explanation.faithfulness import SequenceMasking
    from ostinato.explanation.records import ExplainedRows, Truth
    from ostinato.explanation.trace import Trace
    from ostinato.nn import SequenceNetwork
    from ostinato.nn.onnx.graph import Graph
    from ostinato.progress import Progress, TimeLeft
    from ostinato.tasks.onnx import OnnxModel, Port
    from ostinato.tasks.portable import Outputs, StreamAnswer
    from ostinato.tasks.sequences.stream import SequenceStream
    from ostinato.tasks.sequences.targets import TargetKind
    from ostinato.training.objective import Labelled, Objective
    from ostinato.training.ranks import Ranks

ROWS_AT_A_TIME = 512


class SequenceTask(Task):
    """A task whose network has one output vector per sequence."""

    predictions_file: ClassVar[str] = "predictions.parquet"
    size_matters: ClassVar[bool] = False  # whether targets may depend on the size of a series, not only on its shape
    answers_output: ClassVar[str] = "probabilities"  # the output of an ONNX graph that has what `network.answers` gives

    @property
    @abstractmethod
    def target_kind(self) -> "TargetKind":
        """The kind of target."""

    @property
    @abstractmethod
    def network_type(self) -> "type[SequenceNetwork]":
        """The network's class."""

    @abstractmethod
    def fit_codec(self, config: "SequenceData", records: "Records") -> Any:
        """Fit the codec to the targets of the training split."""

    def num_outputs(self, config: "Config", codec: Any) -> int:
        """C, the number of outputs per sequence."""
        return len(codec.names)

    @abstractmethod
    def answer_json(self, model: Model, answer: "Tensor") -> dict[str, Any]:
        """The answer to one row as `predict` prints it, from the network's answers (C,)."""

    # Data

    def prepare(self, config: "DataConfig") -> TaskData:
        from ostinato.tasks.sequences.prepare import prepare

        return prepare(self, config)

    def settle(self, config: "Config", data: TaskData) -> "Config":
        from ostinato.tasks.sequences.settle import settle

        return settle(config, data)

    def portfolio(self, config: "Config", data: TaskData) -> list[Candidate]:
        from ostinato.tasks.sequences.portfolio import portfolio

        return portfolio(config, data)

    def check(self, config: "Config", data: TaskData) -> None:
        from ostinato.tasks.sequences.network import warn_of_wide_windows

        super().check(config, data)
        if data.unlabelled is not None and data.encoder.is_numeric:
            raise ConfigError(
                "training.semi self-training: the teacher needs tokens, and these sequences are numeric. Set it to "
                "none, and remove data.unlabelled."
            )
        warn_of_wide_windows(config.model, data.encoder.longest)  # type: ignore[arg-type]

    def read(self, path: Path, config: "DataConfig", model: Model) -> "tuple[Records, list[DataError]]":
        from ostinato.data.examples import Record, Records
        from ostinato.tasks.sequences.prepare import encode_each
        from ostinato.tasks.sequences.reading import labelled_records

        rows = list(labelled_records(path, config, self.target_kind))  # type: ignore[arg-type]
        errors = encode_each(model.encoder, rows)[1]
        usable = [row for row, error in zip(rows, errors, strict=True) if error is None and isinstance(row, Record)]
        refused = [error for error in errors if error is not None]
        if refused and not usable:
            raise refused[0]
        return Records.of(usable), refused

    def labelled_rows(self, model: Model, X: Iterable[Any], y: Any) -> "Records":
        from ostinato.data.inputs import records_of

        return records_of(X, y, "sequence")

    def refuse_new(self, model: Model, rows: "Records") -> None:
        from ostinato.tasks.sequences.prepare import refuse_empty

        refuse_empty(model.encoder.encode(rows.sequences, rows.sources), rows.sources)

    def shown_rows(self, rows: "Records", count: int) -> Iterator[dict[str, Any]]:
        for row in islice(rows, count):
            sequence = row.sequence.tolist() if hasattr(row.sequence, "tolist") else row.sequence
            yield {"label": row.target, "sequence": sequence}

    def examples(self, rows: "Records") -> list[Any]:
        short = (row.sequence for row in rows if len(row.sequence) <= LONGEST_EXAMPLE)
        return [
            sequence.tolist() if hasattr(sequence, "tolist") else sequence for sequence in islice(short, MOST_EXAMPLES)
        ]

    def row_keys(self, encoder: "SequenceEncoder", rows: "Records") -> Iterator[Hashable]:
        from ostinato.data.cleaning import key_of

        return (key_of(sequence, encoder.tokenizer) for sequence in rows.sequences)

    def vocabulary(self, encoder: "SequenceEncoder") -> "Vocabulary | None":
        return encoder.vocabulary

    def adopt_encoder(
        self, own: "SequenceEncoder", pretrained: "SequenceEncoder", vocabulary: "Vocabulary | None"
    ) -> "SequenceEncoder":
        from dataclasses import replace

        return replace(
            pretrained,
            vocabulary=vocabulary,
            max_length=own.max_length,
            truncate=own.truncate,
            longest=own.longest,
        )

    def encode(self, model: Model, rows: "Records") -> "Labelled":
        from ostinato.tasks.sequences.prepare import encode

        return encode(model.encoder, model.codec, rows)

    # The network

    def encoder_from_json(self, fields: dict[str, Any]) -> "SequenceEncoder":
        from ostinato.data.encoder import SequenceEncoder

        return SequenceEncoder.from_json(fields)

    def build(self, config: "Config", encoder: "SequenceEncoder", codec: Any) -> "SequenceNetwork":
        from ostinato.tasks.sequences.network import build_network

        num_outputs = self.num_outputs(config, codec)
        network = build_network(self.network_type, config.model, encoder, num_outputs)  # type: ignore[arg-type]
        data = config.data
        has_seen = data.min_count > 1 or data.max_size is not None or config.model.init is not None
        network.has_trained_unknown = (encoder.is_fitted and has_seen) or network.word_dropout > 0
        return network

    def start(
        self,
        config: "Config",
        network: "SequenceNetwork",
        data: TaskData,
        splits: "Mapping[str, Labelled]",
        objective: "Objective[Any, Any]",
        *,
        folder: Path | None,
        time_left: "TimeLeft",
    ) -> "Labelled":
        train, seed = splits["train"], config.training.seed
        is_sample = splits is not data.splits  # to measure a training's cost
        if network.wide is not None:
            from ostinato.tasks.sequences.wide import Fitting, fit_wide, settings_of

            known = {} if is_sample else data.known
            fitting = known.setdefault(settings_of(config), Fitting())
            size = config.model.wide_size  # type: ignore[attr-defined]
            train = fit_wide(
                network,
                splits,
                objective,  # type: ignore[arg-type]
                size=size,
                seed=seed,
                fitting=fitting,
                time_left=time_left,
            )
        if data.unlabelled is not None and not (network.is_linear or is_sample):
            from ostinato.tasks.sequences.semi import with_soft_labels

            training: SemiTraining = config.training  # type: ignore[assignment]
            train = with_soft_labels(
                network,
                data,
                train,
                teacher=training.teacher,
                confidence=training.confidence,
                seed=seed,
                folder=folder,
            )
        return train

    def outputs(self, network: "SequenceNetwork", examples: "Labelled", ranks: "Ranks | None" = None) -> "Tensor":
        from ostinato.training import predict_outputs
        from ostinato.training.ranks import ALONE

        return predict_outputs(network, examples.sequences, ranks or ALONE)

    # Answers

    def answer(self, model: Model, rows: "Iterator[Record | DataError]", *, strict: bool) -> Iterator[Answered]:
        while batch := list(islice(rows, ROWS_AT_A_TIME)):
            yield from self._answer_batch(model, batch, strict)

    def _answer_batch(self, model: Model, batch: "list[Record | DataError]", strict: bool) -> Iterator[Answered]:
        """Answer each row in order, including those that cannot be read."""
        from ostinato.tasks.sequences.prepare import encode_each, rows_without_known_tokens
        from ostinato.training import predict_outputs

        encoded, errors = encode_each(model.encoder, batch)
        answers = iter(model.network.answers(predict_outputs(model.network, encoded)))
        unknown = set(rows_without_known_tokens(model.encoder, encoded).tolist())
        number = 0
        for row, error in zip(batch, errors, strict=True):
            if error is not None:
                if strict:
                    raise error
                yield Answered(row.source, None, str(error))
                continue
            warning = ALL_UNKNOWN if number in unknown else None
            number += 1
            if warning is not None and strict:
                raise DataError(f"{row.source}: {warning}. Remove the row, or predict without --strict.")
            yield Answered(row.source, next(answers), None, warning)

    def rows_of_file(self, path: Path, config: "DataConfig", model: Model) -> "Iterator[Record | DataError]":
        from ostinato.tasks.sequences.reading import read_records

        return read_records(path, config, self.target_kind, labelled=False)  # type: ignore[arg-type]

    def rows_of_texts(self, texts: Iterable[tuple[str, str]], model: Model) -> "Iterator[Record | DataError]":
        from ostinato.tasks.sequences.reading import typed

        return typed(texts, model.encoder.tokenizer)

    def stream(self, model: Model, state: Mapping[str, Any] | None = None) -> "SequenceStream":
        from ostinato.tasks.sequences.stream import SequenceStream

        return SequenceStream(model, state)

    def confidence(self, answers: "np.ndarray") -> "np.ndarray | None":
        """The probability of each sequence's answer, from the network's answers (B, C). None for predicted numbers."""
        return None

    @abstractmethod
    def stream_answer(self, model: Model, answers: "Tensor", steps: int) -> "StreamAnswer":
        """The answer of a stream after `steps` steps, from the network's answers (C,)."""

    def row_of_value(self, value: Any, source: str, model: Model) -> "Record":
        from ostinato.tasks.sequences.reading import record_of_value

        return record_of_value(value, source, model.encoder.tokenizer)

    # Export

    def onnx(self, model: Model) -> "OnnxModel":
        from ostinato.tasks.sequences.onnx import to_onnx

        return to_onnx(self, model)

    def outputs_of_onnx(self, outputs: "Outputs") -> "Tensor":
        import numpy as np
        import torch

        return torch.from_numpy(np.stack(list(outputs["logits"])))

    def stateful_onnx(self, model: Model) -> "OnnxModel":
        from ostinato.tasks.sequences.onnx_stateful import to_stateful_onnx

        return to_stateful_onnx(self, model)

    @abstractmethod
    def onnx_outputs(self, graph: "Graph", model: Model, logits: str) -> "dict[str, Port]":
        """Add the nodes from the logits (B, C) to the outputs that users read; one of them is `answers_output`."""

    @abstractmethod
    def onnx_outputs_for(self, graph: "Graph", model: Model, answers: str) -> str:
        """Add the nodes from the mean answers of an ensemble to its outputs, as `network.outputs_for`; float64."""

    @abstractmethod
    def answer_facts(self, model: Model) -> dict[str, Any]:
        """How these outputs become answers; see `portable.py` in the task's folder."""

    # Explanations

    def explain(self, model: Model, sequences: Iterable[Any], **options: Any) -> "list[Explanation]":
        from ostinato.explanation.attribution import explain_sequences

        return explain_sequences(model, sequences, **options)

    def explain_rows(
        self,
        model: Model,
        rows: "Sequence[Record]",
        *,
        method: str,
        label: str | None = None,
        tokens: Sequence[int] | None = None,
        progress: "Progress | None" = None,
    ) -> "ExplainedRows":
        from ostinato.tasks.sequences.explain import explain_rows

        return explain_rows(model, rows, self.truth, method=method, label=label, tokens=tokens, progress=progress)

    def truth(self, target: Any, label: Any) -> "Truth":
        """Compare the target of a row with the explained label, or with the name of the explained number."""
        from ostinato.explanation.records import Truth

        return Truth(str(target), str(target) == str(label))

    def rows_to_explain(self, model: Model, rows: "Records", count: int) -> "Sequence[Record]":
        return list(islice(rows, count))

    def masking(self, model: Model) -> "SequenceMasking":
        from ostinato.explanation.faithfulness import SequenceMasking

        return SequenceMasking(model)

    def trace(self, model: Model, sequence: Any, *, prefixes: int = 256) -> "Trace":
        from ostinato.explanation.trace import trace_sequence

        return trace_sequence(model, sequence, prefixes=prefixes)
