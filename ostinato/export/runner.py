"""Run an exported model: from raw input to answers with onnxruntime, numpy and tokenizers, without PyTorch."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.errors import DataError, MissingExtraError, RunError
from ostinato.tasks.base import ALL_UNKNOWN
from ostinato.tasks.portable import NEXT, Arrays, Encoded, Outputs, portable_of

if TYPE_CHECKING:
    from ostinato.export.stream import RunnerStream

FORMAT = 1  # of the facts in an ONNX file
STEPS_IN_A_BATCH = 16_384  # padding included


class Runner:
    """A model from an ONNX file that `ostinato.export.to_onnx` wrote.

    Args:
        path: the file.
        threads: of ONNX Runtime; by default it decides.

    Attributes:
        facts: what the file says of itself: task, config, encoder, answer, certificate.
        task: the name of the task.
        classes_: the labels in the order of the probabilities; only of models that predict labels or tags.

    Raises:
        RunError: the file is missing, is not such a model, or is newer than this version reads.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self._open(Path(path), str(path), threads)

    @classmethod
    def of(cls, content: bytes, *, threads: int | None = None) -> "Runner":
        """The runner of a file's content."""
        runner = cls.__new__(cls)
        runner._open(content, "The graph", threads)
        return runner

    def _open(self, model: Path | bytes, name: str, threads: int | None) -> None:
        self.session = open_session(model, threads)
        self.facts = read_facts(name, self.session.get_modelmeta().custom_metadata_map)
        self.task = str(self.facts.get("task"))
        try:
            self.portable = portable_of(self.task, self.facts.get("encoder", {}), self.facts.get("answer", {}))
        except RunError as error:
            raise RunError(f"{name}: {error}") from None

    @property
    def encoding(self) -> Any:
        """The fitted encoding of the input."""
        return self.portable.encoding

    @property
    def classes_(self) -> np.ndarray:
        classes = self.portable.classes
        if classes is None:
            raise AttributeError("This model predicts numbers, so it has no classes_.")
        return classes

    def predict(self, X: Iterable[Any]) -> Any:
        """Predict as the estimator's `predict` does.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        return self.portable.predict(self.outputs(X))

    def predict_proba(self, X: Iterable[Any]) -> Any:
        """Calibrated probabilities, as the estimator's `predict_proba` returns them.

        Raises:
            ConfigError: the model predicts numbers.
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        return self.portable.predict_proba(self.outputs(X))

    def answers(self, X: Iterable[Any], sources: list[str] | None = None) -> list[dict[str, Any]]:
        """One answer for each sequence, as `ostinato predict` prints it.

        Args:
            sources: names of the sequences, for messages.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names it.
        """
        sequences = _listed(X)
        encoded = self.encode(sequences, sources)
        outputs = self.run(encoded)
        found = []
        for row, sequence in enumerate(sequences):
            answer = self.portable.as_json(sequence, {name: arrays[row] for name, arrays in outputs.items()})
            found.append(answer | ({"warning": ALL_UNKNOWN} if encoded.all_unknown[row] else {}))
        return found

    def outputs(self, X: Iterable[Any], sources: list[str] | None = None) -> Outputs:
        """Every output of the graph but the attention: by name, one array for each sequence.

        Args:
            X: sequences, as for the estimator's `predict`.
            sources: names of the sequences, for messages.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names it.
        """
        return self.run(self.encode(_listed(X), sources))

    def stream(self) -> "RunnerStream":
        """Start to read one sequence in pieces, as `model.stream()` does.

        Raises:
            ConfigError: the file was exported without states, or its tokenizer needs whole sequences.
        """
        from ostinato.export.stream import RunnerStream

        return RunnerStream(self)

    def first_states(self, count: int) -> Arrays:
        """The states before the first step of `count` sequences, by the names of the graph's inputs.

        Raises:
            RunError: the file's description of them is not valid.
        """
        states = self.facts["answer"].get("states", {})
        try:
            return {
                name: np.full((count, *each["shape"]), each["first"], each["dtype"]) for name, each in states.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"The file's states are not valid ({error!r}). Export the model again.") from None

    def encode(self, X: list[Any], sources: list[str] | None = None) -> Encoded:
        """Sequences as inputs of the graph.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names it.
        """
        return self.portable.encode(X, sources)

    def run(self, encoded: Encoded) -> Outputs:
        """The outputs of encoded sequences, as `outputs` returns them."""
        of_steps = {each.name: list(each.shape[1:2]) == ["length"] for each in self.session.get_outputs()}
        names = [name for name in of_steps if name != "attention" and not name.startswith(NEXT)]
        found: dict[str, list[Any]] = {name: [None] * len(encoded.lengths) for name in names}
        # where activations share a scale, a batch would make an answer depend on its batch mates
        most_steps = 0 if self.facts.get("batch_dependent") else STEPS_IN_A_BATCH
        singles = {each.name for each in self.session.get_inputs() if each.type == "tensor(float)"}
        for rows in _batches(encoded.lengths, most_steps):
            inputs = {**encoded.inputs(rows), **self.first_states(len(rows))}
            inputs |= {name: inputs[name].astype(np.float32, copy=False) for name in singles & inputs.keys()}
            for name, part in zip(names, self.session.run(names, inputs), strict=True):
                for row, array in zip(rows.tolist(), part, strict=True):
                    found[name][row] = array[: encoded.lengths[row]] if of_steps[name] else array
        return found


def sequence_of(row: Any) -> Any:
    """The sequence of a record; a sentence is one itself."""
    return getattr(row, "sequence", row)


def _listed(X: Iterable[Any]) -> list[Any]:
    if isinstance(X, str):
        raise DataError(f"X is the one string {X[:40]!r}: give a list of sequences, as [{X[:10]!r}].")
    sequences = list(X)
    if not sequences:
        raise DataError("There is no sequence. Give at least one.")
    return sequences


def open_session(model: Path | bytes, threads: int | None = None) -> Any:
    """An ONNX Runtime session on the CPU.

    Raises:
        RunError: the file is missing, or is no ONNX model.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "export", "Running an ONNX file") from None

    if isinstance(model, Path) and not model.is_file():
        raise RunError(f"{model}: file not found. Write it with: ostinato export RUN --out {model}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    if threads is not None:
        options.intra_op_num_threads = threads
    given = str(model) if isinstance(model, Path) else model
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except runtime_errors() as error:
        reason = str(error).splitlines()[0]
        shown = model if isinstance(model, Path) else "The graph"
        raise RunError(f"{shown}: ONNX Runtime cannot open it ({reason}). Export the model again.") from None


def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no base class of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(each for each in vars(state).values() if isinstance(each, type) and issubclass(each, Exception))


def read_facts(name: str, metadata: dict[str, str]) -> dict[str, Any]:
    """What an ONNX file says of itself.

    Raises:
        RunError: another program wrote it, or a newer version.
    """
    try:
        facts = json.loads(metadata.get("ostinato", ""))
        version = int(facts["format"])
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{name}: not a model that Ostinato exported. Write one with: ostinato export RUN --out {name}"
        ) from None
    if version > FORMAT:
        raise RunError(
            f"{name}: format {version} is newer than this version of Ostinato can read (up to {FORMAT}). "
            "Upgrade with: pip install --upgrade ostinato"
        )
    return dict(facts)


def _batches(lengths: np.ndarray, most_steps: int) -> Iterator[np.ndarray]:
    """Rows of similar length, with at most `most_steps` padded steps, at least one row."""
    order = lengths.argsort(kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[end]] > most_steps:
            yield order[start:end]
            start = end
