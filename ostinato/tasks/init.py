"""`model.init`: take over vocabulary and vectors of a pre-training, and its layers if it has any."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ostinato.config import AUTO, Config, reading
from ostinato.config.names import ENCODERS
from ostinato.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from ostinato.data.vocabulary import Vocabulary
    from ostinato.tasks.base import Task
    from ostinato.tasks.records import TaskData
    from ostinato.training.pretrained import Pretrained

AnyConfig = TypeVar("AnyConfig", bound=Config)
LAYERS = (
    "cell",
    "nonlinearity",
    "embedding_size",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "residual",
    "layer_norm",
)
LOWER_CASED = ("words", "subwords")  # tokenizers that lower-case


def with_encoder(config: AnyConfig, source: str) -> AnyConfig:
    """The config with the vector size, the layers and the tokenizer of the pre-training that `model.init` names.

    Keys that the config leaves out are taken over; one that it sets, to its default too, must agree. A preset of
    `ostinato pretrain` is left as it is, see `is_preset`.

    Args:
        source: names the config in messages.

    Raises:
        ConfigError: there is no such pre-training, it is not finished, or the config contradicts it; every
            contradiction at once, with both values.
    """
    init = config.model.init
    if init is None or is_preset(init):
        return config
    found = _config_of(Path(init))
    has_layers = _has_layers(found["training"]) and _has_layers(config.training.model_dump())
    keys = LAYERS if has_layers else ("embedding_size",)
    wanted = {"model": {key: found["model"][key] for key in keys if key in found["model"]}, "data": {}}
    tokenizer = found["data"]["tokenizer"]
    if "tokenizer" in type(config.data).model_fields:
        wanted["data"] = {key: found["data"][key] for key in ("tokenizer", "scale")}
    elif tokenizer in (*LOWER_CASED[:1], "events"):
        wanted["data"] = {"lowercase": True} if tokenizer in LOWER_CASED else {}
    else:
        raise ConfigError(
            f"{source}: model.init: {init} has the tokenizer {tokenizer}, but task {config.task} reads words. "
            "Pre-train with tokenizer words or events."
        )
    problems = [f"{source}: {problem}" for problem in _contradictions(config, wanted, init, has_layers=has_layers)]
    if problems:
        raise ConfigError("\n".join(problems))
    if has_layers:
        wanted["model"] |= {key: None for key in ("position", "conv_size") if getattr(config.model, key, None) == AUTO}
    tables = {name: getattr(config, name).model_copy(update=values) for name, values in wanted.items()}
    return config.model_copy(update=tables)


def is_preset(init: str) -> bool:
    """Whether `model.init` names a pre-training that `ostinato train` makes first if there is none."""
    return init in ENCODERS and not Path(init).exists()


def refuse_preset(init: str) -> None:
    """Refuse a pre-training that is not made yet.

    Raises:
        ConfigError: says how to make it.
    """
    if is_preset(init):
        raise ConfigError(
            f"model.init: {init} is not a folder yet. Make it with: ostinato pretrain {init} --out runs/{init}. Then "
            f"add: --set model.init=runs/{init}"
        )


def _has_layers(training: dict[str, Any]) -> bool:
    """Whether the table `[training]` of a config is one that trains layers, not the embedding alone."""
    return bool(training.get("objective", "next-step") == "next-step")


def _config_of(folder: Path) -> dict[str, Any]:
    """The config of a finished pre-training, as in its TOML file.

    Raises:
        ConfigError: there is none at that path.
    """
    if not os.path.isfile(folder / "config.toml"):  # false, not an error, for a name that no file can have
        raise ConfigError(f"model.init: {folder} is not a folder of ostinato pretrain. Name one, or remove model.init.")
    values = reading.read_toml(folder / "config.toml")
    if values.get("task") != "pretraining":
        raise ConfigError(
            f"model.init: {folder} is a run of task {values.get('task')!r:.60}, not one of ostinato pretrain. Name one "
            "of those, or remove model.init."
        )
    tables = [values.get(name) for name in Config.TABLES]
    if not all(isinstance(each, dict) for each in tables) or not {"tokenizer", "scale"} <= values["data"].keys():
        raise ConfigError(f"model.init: {folder / 'config.toml'} is incomplete. Copy the folder again.")
    if not (folder / "metrics.json").exists():
        raise ConfigError(
            f"model.init: the pre-training in {folder} is not finished. Finish it with: ostinato pretrain --resume "
            f"{folder}"
        )
    return values


def _contradictions(config: Config, wanted: dict[str, dict[str, Any]], init: str, *, has_layers: bool) -> list[str]:
    """A sentence for each key whose value the config sets differently."""
    problems = []
    for table, values in wanted.items():
        own = getattr(config, table)
        for key, value in values.items():
            is_set = key in own.model_fields_set and getattr(own, key) not in (None, AUTO)
            if is_set and getattr(own, key) != value:
                problems.append(
                    f"{table}.{key}: {getattr(own, key)}, but {init} has {value}. Remove the key, or pre-train with it."
                )
    conv_size = getattr(config.model, "conv_size", None)
    if has_layers and conv_size not in (None, AUTO):
        problems.append(
            f"model.conv_size: {conv_size} changes what the layers of {init} read. Set it to "
            "none, or remove model.init."
        )
    if config.data.vectors is not None:
        problems.append(
            f"data.vectors: {config.data.vectors} and model.init {init} both give the first vectors. Remove one."
        )
    if config.model.cell == "none" and not has_layers:
        problems.append(f"model.cell: none has no vectors that could start from {init}. Remove model.init.")
    return problems


def adopt(task: "Task", config: Config, data: "TaskData") -> "TaskData":
    """The data, encoded with the vocabulary or the scale of a pre-training.

    Raises:
        ConfigError: the pre-training has none of the task's tokens, or other channels.
        RunError: its files are damaged.
    """
    from ostinato.tasks.records import Model
    from ostinato.training.pretrained import read_pretrained, with_new_tokens

    refuse_preset(str(config.model.init))
    pretrained = read_pretrained(Path(str(config.model.init)))
    own, found = task.vocabulary(data.encoder), pretrained.encoder.vocabulary
    if own is not None and found is not None:
        _refuse_strangers(own, pretrained)
        # the merges of subwords follow from the order of their vocabulary, so none can be added
        joined = found if pretrained.encoder.tokenizer == "subwords" else with_new_tokens(found, own)
    elif data.encoder.channels != pretrained.encoder.channels:
        raise ConfigError(
            f"model.init: the series have {data.encoder.channels} channels, but those of {pretrained.source} have "
            f"{pretrained.encoder.channels}. Pre-train on series with the same channels."
        )
    else:
        joined = None
    encoder = task.adopt_encoder(data.encoder, pretrained.encoder, joined)
    model = Model(task, config, encoder, data.codec, None)
    splits = {name: task.encode(model, rows) for name, rows in data.rows.items()}
    return replace(data, encoder=encoder, splits=splits, pretrained=pretrained)


def _refuse_strangers(own: "Vocabulary", pretrained: "Pretrained") -> None:
    """Refuse a pre-training that has no token of the task."""
    known = pretrained.encoder.vocabulary
    if known is not None and len(own) > 1 and not any(token in known.ids for token in own.tokens[1:]):
        shown = ", ".join(map(repr, own.tokens[1:4]))
        raise ConfigError(
            f"model.init: {pretrained.source} has none of the task's {len(own) - 1:,} tokens ({shown}, …). Pre-train "
            "on sequences of the same kind."
        )


def hashes_as_read(task: "Task", rows: Any, tokenizer: str) -> "np.ndarray":
    """A hash of each row of a task, equal to that of the sequence which a pre-training with this tokenizer reads."""
    from ostinato.data.encoder import SequenceEncoder
    from ostinato.data.hashes import row_hashes

    keys = task.row_keys(SequenceEncoder(tokenizer, None, None, None, None, "head", 0), rows)
    are_texts = tokenizer in LOWER_CASED  # lists of words are compared with texts, whose case and spacing do not matter
    return row_hashes("".join(key).lower() if are_texts and isinstance(key, tuple) else key for key in keys)


def refuse_seen_rows(task: "Task", data: "TaskData") -> None:
    """Refuse a pre-training that has read rows which are to score the task's model.

    Raises:
        ConfigError: with their number in each split.
    """
    pretrained = data.pretrained
    assert pretrained is not None
    counts = {
        split: pretrained.knows(hashes_as_read(task, data.rows[split], pretrained.encoder.tokenizer))
        for split in ("validation", "test")
        if split in data.rows
    }
    if any(counts.values()):
        found = {name: count for name, count in counts.items() if count}
        seen = " and ".join(f"{count:,} of {len(data.rows[name]):,} {name} rows" for name, count in found.items())
        raise ConfigError(
            f"model.init: {pretrained.source} was trained on {seen}, so the scores would be too high. Pre-train "
            "without them: set data.exclude to the config or preset of this task."
        )


def describe(task: "Task", data: "TaskData") -> str:
    """What is taken over from the pre-training, in a sentence."""
    pretrained = data.pretrained
    assert pretrained is not None
    vocabulary, joined = pretrained.encoder.vocabulary, task.vocabulary(data.encoder)
    if vocabulary is None or joined is None:
        return f"Training starts from the scale and the layers of {pretrained.source}."
    new = len(joined) - len(vocabulary)
    taken = "tokens and the layers" if pretrained.has_layers else "token vectors"
    fresh = "" if pretrained.has_layers else " All layers start fresh."
    added = f" {new:,} tokens that it lacks are added; they start with the vector of unknown tokens." if new else ""
    return f"Training starts from the {len(vocabulary):,} {taken} of {pretrained.source}.{fresh}{added}"
