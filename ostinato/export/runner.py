"""Run an exported model: from raw input to answers with onnxruntime, numpy and tokenizers, without PyTorch."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.encoding import SequenceEncoding, source_of
from ostinato.data.spans import spans
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import ConfigError, DataError, MissingExtraError, RunError
from ostinato.export.answers import KINDS, Answers, Numbers, Outputs

FORMAT = 1  # of the facts in an ONNX file
STEPS_IN_A_BATCH = 16_384  # padding included


class Runner:
    """A model from an ONNX file that `ostinato.export.to_onnx` wrote.

    Args:
        path: the file.
        threads: of ONNX Runtime; by default it decides.

    Attributes:
        facts: what the file says of itself: task, encoder, answer, certificate.
        classes_: the labels in the order of the probabilities; only of classifiers.

    Raises:
        RunError: the file is missing, is not such a model, or is newer than this version reads.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self.session = open_session(Path(path), threads)
        self.facts = read_facts(Path(path), self.session.get_modelmeta().custom_metadata_map)
        try:
            self.encoding = _encoding(self.facts["encoder"])
            self._answers: Answers = _answers(self.facts["answer"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RunError(f"{path}: its description is not valid ({error!r}). Export the model again.") from None

    @property
    def classes_(self) -> np.ndarray:
        if isinstance(self._answers, Numbers):
            raise AttributeError("a model that predicts numbers has no classes_")
        return self._answers.classes  # type: ignore[attr-defined, no-any-return]

    def predict(self, X: Iterable[Any]) -> Any:
        """Predict as the estimator's `predict` does.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        return self._answers.predict(self.outputs(X))

    def predict_proba(self, X: Iterable[Any]) -> np.ndarray:
        """Calibrated probabilities, (n, C), columns as in `classes_`.

        Raises:
            ConfigError: the model predicts numbers.
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        if isinstance(self._answers, Numbers):
            raise ConfigError("This model predicts numbers, which have no probabilities. Use predict.")
        return self.outputs(X)["probabilities"]

    def predict_quantiles(self, X: Iterable[Any]) -> np.ndarray:
        """The quantiles of each target, (n, K, Q), in increasing order.

        Raises:
            ConfigError: the model predicts none.
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        if not isinstance(self._answers, Numbers):
            raise ConfigError("This model predicts labels, which have no quantiles. Use predict_proba.")
        return self._answers.quantiles(self.outputs(X))

    def answers(self, X: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """One answer for each sequence, as `ostinato predict` prints it.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        sequences = list(X)
        outputs = self.outputs(sequences)
        return (self._answers.as_json(outputs, row) for row in range(len(sequences)))

    def outputs(self, X: Iterable[Any], sources: list[str] | None = None) -> dict[str, np.ndarray]:
        """Every output of the graph with one row for each sequence, by name.

        Args:
            X: strings, lists of tokens, or arrays (T,) or (T, channels), as in training.
            sources: names of the sequences, for error messages.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names it.
        """
        sequences = [list(each) if isinstance(each, tuple) else each for each in X]
        if not sequences:
            raise DataError("There is no sequence. Give at least one.")
        values, lengths, _ = self.encoding.arrays(sequences, sources)
        for row in np.flatnonzero(lengths == 0)[:1].tolist():
            raise DataError(f"{source_of(row, sources)}: the sequence is empty. Fill it in, or remove the row.")
        return self._run(values, lengths)

    def _run(self, values: np.ndarray, lengths: np.ndarray) -> Outputs:
        names = [each.name for each in self.session.get_outputs() if each.name != "attention"]
        found: dict[str, np.ndarray] = {}
        starts = lengths.cumsum() - lengths
        for rows in _batches(lengths):
            batch = _padded(values, starts[rows], lengths[rows])
            name = "values" if self.encoding.is_numeric else "tokens"
            for key, part in zip(names, self.session.run(names, {name: batch, "lengths": lengths[rows]}), strict=True):
                whole = found.setdefault(key, np.empty((len(lengths), *part.shape[1:]), part.dtype))
                whole[rows] = part
        return found


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


def read_facts(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """What an ONNX file says of itself.

    Raises:
        RunError: another program wrote it, or a newer version.
    """
    try:
        facts = json.loads(metadata.get("ostinato", ""))
        version = int(facts["format"])
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{path}: not a model that Ostinato exported. Write one with: ostinato export RUN --out {path}"
        ) from None
    if version > FORMAT:
        raise RunError(
            f"{path}: format {version} is newer than this version of Ostinato can read (up to {FORMAT}). "
            "Upgrade with: pip install --upgrade ostinato"
        )
    return dict(facts)


def _encoding(fields: dict[str, Any]) -> SequenceEncoding:
    tokens = fields["tokens"]
    return SequenceEncoding(
        fields["tokenizer"],
        None if tokens is None else Vocabulary(tuple(tokens), tuple(fields["extra"])),
        None if fields["mean"] is None else tuple(fields["mean"]),
        None if fields["std"] is None else tuple(fields["std"]),
        fields["max_length"],
        fields["truncate"],
        fields["longest"],
    )


def _answers(fields: dict[str, Any]) -> Answers:
    own = dict(fields)
    answers: Answers = KINDS[own.pop("kind")](**own)
    return answers


def _batches(lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of similar length, with at most `STEPS_IN_A_BATCH` padded steps, at least one row."""
    order = lengths.argsort(kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[end]] > STEPS_IN_A_BATCH:
            yield order[start:end]
            start = end


def _padded(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Sequences of a batch, filled with zeros: (N, …) -> (B, T, …), as int64 or float32."""
    dtype = np.int64 if values.ndim == 1 else np.float32
    batch = np.zeros((len(lengths), int(lengths.max()), *values.shape[1:]), dtype)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    batch[rows, spans(np.zeros_like(lengths), lengths)] = values[spans(starts, lengths)]
    return batch
