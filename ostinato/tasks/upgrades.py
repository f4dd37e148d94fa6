"""Upgrade model files of earlier versions. Each upgrade is written once and never changed afterwards."""

from typing import TYPE_CHECKING, Any

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


def from_version_0_1(facts: dict[str, Any], tensors: "dict[str, Tensor]") -> "tuple[dict[str, Any], dict[str, Tensor]]":
    """Upgrade from 0.1, which stored the estimator's arguments instead of a config, and labels and tags in the encoder.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: the facts are not those of a 0.1 file.
    """
    task = facts["task"]
    arguments = {RENAMED_0_1.get(name, name): value for name, value in facts["parameters"].items()}
    layers = {RENAMED_0_1.get(name, name): value for name, value in facts["model"].items()}
    if isinstance(arguments.get("class_weight"), list):  # pairs of label and weight
        arguments["class_weight"] = {str(label): weight for label, weight in arguments["class_weight"]}
    if arguments.get("freeze_vectors", "never") != "never" and arguments.get("vectors") is None:
        del arguments["freeze_vectors"]
    config = {
        "task": task,
        "data": {key: arguments[key] for key in DATA_0_1[task] if key in arguments},
        "model": {key: layers[key] for key in MODEL_0_1[task] if key in layers},
        "training": {key: arguments[key] for key in TRAINING_0_1[task] if key in arguments},
    }
    encoder = dict(facts["encoder"])
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


def _renamed(name: str) -> str:
    for old, new in WEIGHTS_0_1.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
