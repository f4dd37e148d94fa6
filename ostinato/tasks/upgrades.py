"""Upgrade model files of earlier versions. Each upgrade is written once and never changed afterwards."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ostinato.data.stored import StoredFields
from ostinato.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

RENAMED_0_1 = {
    "accumulate": "gradient_accumulation_steps",
    "capitals_size": "word_shape_size",
    "clip_norm": "max_grad_norm",
    "vectors_beyond": "extra_vectors",
    "vectors_on_fault": "vectors_on_error",
    "warmup": "warmup_ratio",
}
WEIGHTS_0_1 = {"front.": "conv_stem.", "capitals.": "word_shapes.", "embed.beyond": "embed.extra"}
SHARED_MODEL = (
    "cell",
    "nonlinearity",
    "embedding_size",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "residual",
    "layer_norm",
    "dropout",
    "engine",
)
MODEL_0_1 = {
    "classification": (*SHARED_MODEL, "position", "conv_size", "kernel_size", "conv_pool", "pooling"),
    "tagging": (
        *SHARED_MODEL,
        "head",
        "constrained",
        "character_cell",
        "character_embedding_size",
        "character_size",
        "word_shape_size",
        "feature_size",
        "word_dropout",
    ),
}
SHARED_DATA = ("min_count", "max_size", "vectors", "extra_vectors", "vectors_on_error")
DATA_0_1 = {
    "classification": (*SHARED_DATA, "tokenizer", "max_length", "truncate"),
    "tagging": (*SHARED_DATA, "scheme", "target_scheme", "lowercase"),
}
SHARED_TRAINING = (
    "max_epochs",
    "batch_size",
    "max_tokens",
    "gradient_accumulation_steps",
    "lr",
    "weight_decay",
    "schedule",
    "warmup_ratio",
    "max_grad_norm",
    "freeze_vectors",
    "monitor",
    "patience",
    "ema_decay",
    "precision",
    "device",
    "seed",
)
TRAINING_0_1 = {
    "classification": (*SHARED_TRAINING, "label_smoothing", "class_weight"),
    "tagging": SHARED_TRAINING,
}
# The fields of 0.1's tables, under their present names. Its model table had the keys of both tasks.
LAYERS_0_1 = {key for keys in MODEL_0_1.values() for key in keys}
ARGUMENTS_0_1 = {
    task: {*MODEL_0_1[task], *DATA_0_1[task], *TRAINING_0_1[task], "validation_fraction", "verbose"}
    for task in MODEL_0_1
}
OPTIONAL_ARGUMENTS_0_1 = ("validation_fraction", "verbose")  # missing in the model of a run
ENCODER_0_1 = {
    "classification": ("tokenizer", "tokens", "beyond", "labels", "mean", "std", "max_length", "truncate", "longest"),
    "tagging": ("words", "beyond", "characters", "features", "tags", "lowercase", "scheme", "target_scheme"),
}
OPTIONAL_0_1 = ("beyond", "features")  # empty when missing


class Facts01(StoredFields):
    """The contents of a model file of 0.1 besides the weights."""

    kind: Literal["model"]
    task: Literal["classification", "tagging"]
    parameters: dict[str, Any]
    model: dict[str, Any]
    encoder: dict[str, Any]


def from_version_0_1(facts: dict[str, Any], tensors: "dict[str, Tensor]") -> "tuple[dict[str, Any], dict[str, Tensor]]":
    """Upgrade from 0.1, which stored the estimator's arguments instead of a config, and labels and tags in the encoder.

    Raises:
        RunError: a field is missing, unknown, or of a wrong type; names it.
    """
    found = Facts01.read(facts, "facts")
    task = found.task
    arguments = _present(found.parameters, ARGUMENTS_0_1[task], "parameters", OPTIONAL_ARGUMENTS_0_1)
    layers = _present(found.model, LAYERS_0_1, "model")
    encoder = _present(found.encoder, ENCODER_0_1[task], "encoder", OPTIONAL_0_1)
    if isinstance(arguments.get("class_weight"), list):
        arguments["class_weight"] = _weights_by_text(arguments["class_weight"])
    if arguments.get("freeze_vectors", "never") != "never" and arguments.get("vectors") is None:
        del arguments["freeze_vectors"]
    config = {
        "task": task,
        "data": {key: arguments[key] for key in DATA_0_1[task] if key in arguments},
        "model": {key: layers[key] for key in MODEL_0_1[task] if key in layers},
        "training": {key: arguments[key] for key in TRAINING_0_1[task] if key in arguments},
    }
    encoder["extra"] = encoder.pop("beyond", [])
    if task == "tagging":
        encoder.setdefault("features", [])
        codec = {key: encoder.pop(key) for key in ("tags", "scheme", "target_scheme")}
    else:
        codec = {"labels": encoder.pop("labels")}
    return (
        {"kind": "model", "task": task, "config": config, "encoder": encoder, "codec": codec},
        {_renamed(name): tensor for name, tensor in tensors.items()},
    )


def _present(
    values: Mapping[str, Any], names: Iterable[str], table: str, optional: Iterable[str] = ()
) -> dict[str, Any]:
    """The values of a table under their present names: all of them, and no others.

    Raises:
        RunError: a name is missing or unknown.
    """
    present = {RENAMED_0_1.get(name, name): value for name, value in values.items()}
    for name in sorted(set(names) ^ present.keys()):
        if name not in optional:
            problem = "not a field of version 0.1" if name in present else "missing"
            raise RunError(f"{table}.{name}: {problem}. Save the model again.")
    return present


def _weights_by_text(pairs: list[Any]) -> dict[str, Any]:
    """The weight of each label by its text, from pairs of label and weight.

    Raises:
        RunError: something is not a pair.
    """
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise RunError(f"parameters.class_weight: {pairs!r:.60} are not pairs of a label and a weight. Train again.")
    return {str(label): weight for label, weight in pairs}


def _renamed(name: str) -> str:
    for old, new in WEIGHTS_0_1.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
