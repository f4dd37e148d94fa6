"""Write a trained model to one ONNX file, certified against our own engine."""

import json
from pathlib import Path
from typing import Any

from ostinato.errors import ConfigError, MissingExtraError, RunError
from ostinato.export.certificate import Certificate, certify
from ostinato.export.runner import FORMAT, open_session, read_facts
from ostinato.nn.onnx.graph import IR_VERSION, OPSET
from ostinato.storage import write_atomically
from ostinato.tasks.base import Model
from ostinato.tasks.loading import fitted_model
from ostinato.tasks.onnx import OnnxModel, Port
from ostinato.versions import __version__

LARGEST = 2**31 - 1  # bytes that protobuf allows


def to_onnx(model: Any, path: str | Path, *, opset: int = OPSET, stateful: bool = False) -> Certificate:
    """Write a fitted estimator to an ONNX file, and compare the file with our own engine.

    The graph's inputs are `tokens` (batch, length) int64 or `values` (batch, length, channels) float32, and `lengths`
    (batch,) int64; padding may hold anything. The metadata `ostinato` holds, as JSON, what turns raw input into tokens
    and outputs into answers; `Runner` uses it.

    Args:
        opset: version of ONNX's operators.
        stateful: read sequences in pieces: the states of a model of one direction are further inputs and outputs.

    Raises:
        NotFittedError: before `fit`.
        ConfigError: ONNX cannot express the model; an unknown opset; `stateful`, and the model reads both directions.
        RunError: the answers differ by more than the certificate allows, or the file cannot be written. No file is
            left then.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    fitted = fitted_model(model)
    _check_opset(opset)
    exported = _exported(fitted, stateful)
    facts = _facts(fitted, exported)
    certificate = certify(exported, open_session(_serialized(exported, facts, opset)))
    if not certificate.holds:
        raise RunError(
            f"{path}: not written, because its answers differ from those of our engine. {' '.join(certificate.lines())}"
        )
    write_atomically(Path(path), _serialized(exported, {**facts, "certificate": certificate.to_json()}, opset))
    return certificate


def verify(path: str | Path, model: Any) -> Certificate:
    """Compare an ONNX file with a fitted estimator once more, with the ONNX Runtime that is installed here.

    Raises:
        RunError: the file is missing, is not one that `to_onnx` wrote, or belongs to a model with another input or
            other answers.
        MissingExtraError: onnxruntime is not installed.
    """
    fitted = fitted_model(model)
    session = open_session(Path(path))
    facts = read_facts(Path(path), session.get_modelmeta().custom_metadata_map)
    exported = _exported(fitted, "states" in facts.get("answer", {}))
    for key, expected in _facts(fitted, exported).items():
        if key not in ("ostinato", "format") and facts.get(key) != expected:
            raise RunError(f"{path}: its {key} is not that of the model. It belongs to another model: export this one.")
    return certify(exported, session)


def _exported(model: Model, stateful: bool) -> OnnxModel:
    return model.task.stateful_onnx(model) if stateful else model.task.onnx(model)


def _facts(model: Model, exported: OnnxModel) -> dict[str, Any]:
    facts = {
        "format": FORMAT,
        "ostinato": __version__,
        "task": model.task.name,
        "config": model.config.model_dump(mode="json", exclude={"search"}),
        "encoder": model.encoder.to_json(),
        "answer": exported.answer,
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, ensure_ascii=False, allow_nan=False))
    return plain


def _serialized(exported: OnnxModel, facts: dict[str, Any], opset: int) -> bytes:
    from onnx import checker, helper

    graph = exported.graph
    ends = [helper.make_node("Identity", [port.value], [name]) for name, port in exported.outputs.items()]
    inputs, outputs = (
        [_value_info(name, port) for name, port in side.items()] for side in (exported.inputs, exported.outputs)
    )
    nodes, constants = [*graph.nodes, *ends], list(graph.constants.values())
    made = helper.make_graph(nodes, "ostinato", inputs, outputs, initializer=constants)
    proto = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSION,
        producer_name="ostinato",
        producer_version=__version__,
    )
    helper.set_model_props(proto, {"ostinato": json.dumps(facts, ensure_ascii=False)})
    if proto.ByteSize() > LARGEST:
        raise ConfigError(f"The model has {proto.ByteSize():,} bytes. An ONNX file holds at most {LARGEST:,}.")
    checker.check_model(proto)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _value_info(name: str, port: Port) -> Any:
    import numpy as np
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype)), list(port.shape))


def _check_opset(opset: int) -> None:
    try:
        from onnx.defs import onnx_opset_version
    except ImportError:
        raise MissingExtraError("onnx", "export", "Exporting a model") from None
    if not OPSET <= opset <= onnx_opset_version():
        raise ConfigError(f"opset {opset} is not available. Choose from {OPSET} to {onnx_opset_version()}.")
