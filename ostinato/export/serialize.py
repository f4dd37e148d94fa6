"""A model's graph and facts as the content of an ONNX file."""

import json
from typing import Any

import numpy as np

from ostinato.errors import ConfigError
from ostinato.export.runner import FORMAT
from ostinato.nn.onnx.graph import IR_VERSION
from ostinato.tasks.onnx import OnnxModel, Port
from ostinato.tasks.records import Model
from ostinato.versions import __version__

LARGEST = 2**31 - 1  # bytes that protobuf allows


def facts_of(model: Model, exported: OnnxModel) -> dict[str, Any]:
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


def serialize(exported: OnnxModel, facts: dict[str, Any], opset: int) -> bytes:
    from onnx import checker, helper

    graph = exported.graph
    ends = [helper.make_node("Identity", [port.value], [name]) for name, port in exported.outputs.items()]
    inputs, outputs = (
        [_value_info(name, port) for name, port in side.items()] for side in (exported.inputs, exported.outputs)
    )
    nodes, constants = [*graph.nodes, *ends], list(graph.constants.values())
    made = helper.make_graph(nodes, "ostinato", inputs, outputs, initializer=constants)
    domains = {node.domain for node in nodes} - {""}
    proto = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))],
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
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(port.dtype)), list(port.shape))
