"""Write a trained model to one ONNX file, certified against our own engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.errors import ConfigError, MissingExtraError, RunError
from ostinato.export.certificate import Certificate, certify
from ostinato.export.quantization import FLOAT32, INT8, Quantization, compare
from ostinato.export.runner import Runner, open_session, read_facts
from ostinato.export.serialize import facts_of, serialize
from ostinato.nn.onnx.graph import OPSET
from ostinato.nn.onnx.quantize import has_int8_arithmetic
from ostinato.nn.onnx.quantize import quantize as int8_graph
from ostinato.runs.scoring import validation_rows
from ostinato.storage import write_atomically
from ostinato.tasks.loading import fitted_model
from ostinato.tasks.onnx import OnnxModel
from ostinato.tasks.records import Model

Facts = dict[str, Any]

TOLERANCE = 0.5  # points, or per cent, that int8 may cost
# how fast int8 arithmetic must be, relative to float32 arithmetic: one sequence at a time, and many, which it does not
# put into batches
WORTHWHILE, NOT_SLOWER = 1.2, 0.8


class Int8(NamedTuple):
    """A model with int8 weights, what its file says of it, and its comparison with the float32 file."""

    exported: OnnxModel
    facts: Facts
    found: Quantization


def to_onnx(
    model: Any,
    path: str | Path,
    *,
    opset: int = OPSET,
    stateful: bool = False,
    quantize: str | None = None,
    validation: Any = None,
    tolerance: float = TOLERANCE,
) -> Certificate:
    """Write a fitted estimator to an ONNX file, and compare the file with our own engine.

    The graph's inputs are `tokens` (batch, length) int64 or `values` (batch, length, channels) float32 (with kernels
    float64), and `lengths` (batch,) int64; padding may hold anything. The metadata `ostinato` holds, as JSON, what
    turns raw input into tokens and outputs into answers; `Runner` uses it.

    Args:
        opset: version of ONNX's operators.
        stateful: read sequences in pieces: the states of a model of one direction are further inputs and outputs.
        quantize: `int8`: weights of 8 bits, compared with those of 32 bits on `validation`.
        validation: (X, y), labelled rows that the model was not trained on; or a run folder, for its validation split.
        tolerance: how much worse the metric of the int8 file may be on these rows: in points; for metrics without
            bounds, such as the error of a regressor, in per cent.

    Raises:
        NotFittedError: before `fit`.
        ConfigError: ONNX cannot express the model; an unknown opset; an invalid argument; `stateful`, and the model
            reads both directions.
        DataError: a row of `validation` cannot be used.
        RunError: the answers differ by more than the certificate allows, or the file cannot be written. No file is
            left then, and an existing file remains as it is.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    fitted, path = fitted_model(model), Path(path)
    _check_opset(opset)
    _check_path(path)
    _check_quantize(quantize, validation, tolerance)
    rows = None if quantize is None else _labelled_rows(fitted, validation)
    exported = _exported(fitted, stateful)
    facts = facts_of(fitted, exported)
    content = serialize(exported, facts, opset)
    certificate = certify(exported, open_session(content))
    _refuse_unequal(path, certificate)
    if quantize is not None:
        judge = _judge(fitted, rows, content, tolerance)
        exported, facts, found = _quantize(exported, facts, opset, judge)
        _refuse_worse(path, found)
        certificate = certificate.with_quantization(found)
    write_atomically(path, serialize(exported, {**facts, "certificate": certificate.to_json()}, opset))
    return certificate


def verify(path: str | Path, model: Any, *, validation: Any = None) -> Certificate:
    """Compare an ONNX file with a fitted estimator once more, with the ONNX Runtime that is installed here.

    Args:
        validation: of an int8 file, as for `to_onnx`. The tolerance is that of the file.

    Raises:
        ConfigError: an int8 file, without `validation`.
        RunError: the file is missing, is not one that `to_onnx` wrote, or belongs to a model with another input or
            other answers.
        MissingExtraError: onnxruntime is not installed.
    """
    fitted, path = fitted_model(model), Path(path)
    session = open_session(path)
    facts = read_facts(str(path), session.get_modelmeta().custom_metadata_map)
    exported = _exported(fitted, "states" in facts.get("answer", {}))
    for key, expected in facts_of(fitted, exported).items():
        if key not in ("ostinato", "format") and facts.get(key) != expected:
            raise RunError(f"{path}: its {key} is not that of the model. It belongs to another model: export this one.")
    if "quantize" not in facts:
        return certify(exported, session)
    recorded = Certificate.from_json(facts.get("certificate"), str(path)).quantization
    tolerance = TOLERANCE if recorded is None else recorded.tolerance
    _check_quantize(facts["quantize"], validation, tolerance)
    content = serialize(exported, facts_of(fitted, exported), OPSET)
    found = _judge(fitted, _labelled_rows(fitted, validation), content, tolerance)(path.read_bytes())
    return certify(exported, open_session(content)).with_quantization(found)


def _exported(model: Model, stateful: bool) -> OnnxModel:
    return model.task.stateful_onnx(model) if stateful else model.task.onnx(model)


def _quantize(exported: OnnxModel, facts: Facts, opset: int, judge: Callable[[bytes], Quantization]) -> Int8:
    """The model with int8 weights; LSTM layers get int8 arithmetic if it holds and is worthwhile."""
    careful = _int8(exported, facts, opset, judge, int8_arithmetic=False)
    if not has_int8_arithmetic(int8_graph(exported.graph, int8_arithmetic=True)):
        return careful
    fast = _int8(exported, facts, opset, judge, int8_arithmetic=True)
    one, many = (each / other for each, other in zip(fast.found.speedups, careful.found.speedups, strict=True))
    return fast if fast.found.holds and one >= WORTHWHILE and many >= NOT_SLOWER else careful


def _int8(
    exported: OnnxModel, facts: Facts, opset: int, judge: Callable[[bytes], Quantization], *, int8_arithmetic: bool
) -> Int8:
    rounded = replace(exported, graph=int8_graph(exported.graph, int8_arithmetic=int8_arithmetic))
    own_facts = {**facts, "quantize": INT8, "batch_dependent": int8_arithmetic}
    return Int8(rounded, own_facts, judge(serialize(rounded, own_facts, opset)))


def _judge(model: Model, rows: Any, float32: bytes, tolerance: float) -> Callable[[bytes], Quantization]:
    """A function that compares an int8 file with the float32 file on labelled rows."""

    def compared(int8: bytes) -> Quantization:
        contents = {FLOAT32: float32, INT8: int8}
        runners = {name: Runner.of(content, threads=1) for name, content in contents.items()}
        sizes = {name: len(content) for name, content in contents.items()}
        return compare(model, rows, runners, sizes, tolerance)

    return compared


def _labelled_rows(model: Model, validation: Any) -> Any:
    """Rows from (X, y), or the validation split of a run.

    Raises:
        RunError: the run is of another task, has no validation split, or its data have changed.
        DataError: the model cannot use a row.
    """
    if isinstance(validation, str | Path):
        return validation_rows(Path(validation), model.task)
    X, y = validation
    rows = model.task.labelled_rows(model, X, y)
    model.task.refuse_new(model, rows)
    return rows


def _refuse_unequal(path: Path, certificate: Certificate) -> None:
    if not certificate.holds:
        raise RunError(
            f"{path}: not written, because its answers differ from those of our engine. {' '.join(certificate.lines())}"
        )


def _refuse_worse(path: Path, found: Quantization) -> None:
    if not found.holds:
        raise RunError(
            f"{path}: not written, because int8 weights cost more than the tolerance allows. {' '.join(found.lines())} "
            "Export the model with float32 weights, or raise the tolerance."
        )


def _check_path(path: Path) -> None:
    """Refuse a path that no file can have, before any work.

    Raises:
        RunError: it is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise RunError(f"{path}: is a folder. Name a file in it: {path / 'model.onnx'}")
    if not path.parent.is_dir():
        raise RunError(f"{path}: the folder {path.parent} does not exist. Create it, or choose another.")


def _check_quantize(quantize: str | None, validation: Any, tolerance: float) -> None:
    if quantize is None:
        return
    if quantize != INT8:
        raise ConfigError(f"quantize {quantize!r} is not available. Choose {INT8}.")
    if not (isinstance(tolerance, int | float) and 0 <= tolerance < float("inf")):
        raise ConfigError(f"tolerance {tolerance!r} is invalid. Expected a number of at least 0.")
    if validation is None:
        raise ConfigError(
            "An int8 file is judged on labelled rows that the model was not trained on. Pass validation=(X, y), or the "
            "run folder of the model."
        )
    is_pair = isinstance(validation, tuple | list) and len(validation) == 2
    if not is_pair and not isinstance(validation, str | Path):
        raise ConfigError(f"validation is a {type(validation).__name__}. Expected (X, y), or the path of a run folder.")


def _check_opset(opset: int) -> None:
    try:
        from onnx.defs import onnx_opset_version
    except ImportError:
        raise MissingExtraError("onnx", "export", "Exporting a model") from None
    if not OPSET <= opset <= onnx_opset_version():
        raise ConfigError(f"opset {opset} is not available. Choose from {OPSET} to {onnx_opset_version()}.")
