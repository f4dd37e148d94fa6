"""Taggers as ONNX graphs."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError
from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.onnx import crf
from ostinato.nn.onnx.graph import Graph, Steps
from ostinato.nn.onnx.layers import character_features, stack, token_vectors
from ostinato.tasks.onnx import OnnxModel, Port
from ostinato.tasks.portable import Arrays, Outputs
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.encoding import WORD_SHAPES
from ostinato.tasks.tagging.network import CertainTags, Tagger
from ostinato.tasks.tagging.sentences import Sentences

LONGEST_WORD = 12  # characters of the words that are drawn to certify a file
TRAINED_LENGTH = 40  # tokens; an encoder of sentences does not know the longest of training


def to_onnx(model: Model) -> OnnxModel:
    """A trained tagger as a graph.

    Inputs, padding arbitrary: `tokens` (batch, length), the ids of words, and `lengths` (batch,). As far as the model
    reads them: `word_shapes` (batch, length); `features` (batch, length, K); `characters` (forms, characters) with
    `character_lengths` (forms,), the characters of distinct words, and `forms` (batch, length), the word of each token.
    All are int64. Outputs: `scores` (batch, length, C) float32, `tags` (batch, length) int64, the best sequence, −1
    at padding, and `probabilities` (batch, length, C) float32, the marginal probabilities, arbitrary at padding.

    Raises:
        ConfigError: the model has a wide part, or is an ensemble.
    """
    if model.members:
        raise ConfigError("An ensemble of taggers cannot be exported to ONNX. Export its members one by one.")
    graph, network = Graph(), model.network
    if network.wide is not None:
        raise ConfigError(
            "model.wide features: the features of words cannot be exported to ONNX. Train again with "
            "wide = none, or serve the model file itself."
        )
    inputs = _inputs(model)
    steps = Steps(graph, graph.size("tokens", 1), "lengths")
    h = stack(graph, network.stack, _vectors(graph, network), steps)  # (T, B, D) -> (T, B, H)
    scores = graph.linear(h, network.head.weight, network.head.bias)  # (T, B, C)
    return OnnxModel(
        graph,
        inputs,
        _outputs(graph, network, scores, steps),
        {**model.codec.to_json(), "inputs": list(inputs)},
        TRAINED_LENGTH,
        partial(_draw, model),
        partial(_reference, network),
        partial(_reference, copy.deepcopy(network).double()),
    )


def _outputs(graph: Graph, network: Tagger, scores: str, steps: Steps) -> dict[str, Port]:
    """Scores, tags and probabilities, from the scores (T, B, C)."""
    if network.crf is None:
        probabilities = graph.op("Softmax", scores, axis=-1)
        tags = graph.op("ArgMax", scores, axis=2, keepdims=0)
    else:
        probabilities = crf.marginals(graph, network.crf, scores, steps)
        tags = crf.decode(graph, network.crf, scores, steps)
    shown_tags = steps.masked(graph.unsqueeze(tags, 2), graph.constant(-1, np.int64))
    shape = ("batch", "length", network.head.out_features)
    return {
        "scores": Port("float32", shape, graph.transpose(scores, 1, 0, 2)),
        "tags": Port("int64", ("batch", "length"), graph.transpose(graph.squeeze(shown_tags, 2), 1, 0)),
        "probabilities": Port("float32", shape, graph.transpose(probabilities, 1, 0, 2)),
    }


def _inputs(model: Model) -> dict[str, Port]:
    network: Tagger = model.network
    of_tokens = ("batch", "length")
    inputs = {"tokens": Port("int64", of_tokens), "lengths": Port("int64", ("batch",))}
    if network.word_shapes is not None:
        inputs["word_shapes"] = Port("int64", of_tokens)
    if network.characters is not None:
        inputs["characters"] = Port("int64", ("forms", "characters"))
        inputs["character_lengths"] = Port("int64", ("forms",))
        inputs["forms"] = Port("int64", of_tokens)
    if len(network.features):
        inputs["features"] = Port("int64", (*of_tokens, len(network.features)))
    return inputs


def _vectors(graph: Graph, network: Tagger) -> str:
    """The vector of each token, (T, B, D)."""
    assert isinstance(network.embed, TokenEmbedding)
    parts = [token_vectors(graph, network.embed, graph.transpose("tokens", 1, 0))]
    if network.word_shapes is not None:
        parts.append(token_vectors(graph, network.word_shapes, graph.transpose("word_shapes", 1, 0)))
    if network.characters is not None:
        forms = graph.transpose("forms", 1, 0)
        parts.append(character_features(graph, network.characters, "characters", "character_lengths", forms))
    tables: list[TokenEmbedding] = list(network.features)  # type: ignore[arg-type]
    for number, embed in enumerate(tables):
        ids = graph.op("Gather", "features", graph.constant(number, np.int64), axis=2)
        parts.append(token_vectors(graph, embed, graph.transpose(ids, 1, 0)))
    return graph.op("Concat", *parts, axis=2) if len(parts) > 1 else parts[0]


def _draw(model: Model, random: np.random.Generator, lengths: Sequence[int]) -> Arrays:
    """Random words, shapes, characters and features."""
    encoder, wanted = model.encoder, _inputs(model)
    size = (len(lengths), max(*lengths, 1))
    forms = 1 + sum(lengths)
    drawn: dict[str, Any] = {
        "tokens": random.integers(0, len(encoder.words.ids), size),
        "lengths": np.array(lengths, np.int64),
        "word_shapes": random.integers(0, len(WORD_SHAPES), size),
        "characters": random.integers(0, len(encoder.characters), (forms, LONGEST_WORD)),
        "character_lengths": random.integers(1, LONGEST_WORD + 1, forms),
        "forms": random.integers(0, forms, size),
        "features": np.stack(
            [random.integers(0, len(values), size) for values in encoder.features] or [np.zeros(size, np.int64)], 2
        ),
    }
    return {name: drawn[name] for name in wanted}


@torch.inference_mode()
def _reference(network: Tagger, inputs: Arrays) -> Arrays:
    """What our own engine gives for the same inputs, in the precision of the network."""
    lengths = inputs["lengths"]
    real = np.arange(inputs["tokens"].shape[1]) < lengths[:, None]  # (B, T)
    count = int(lengths.sum())
    characters = inputs.get("characters", np.zeros((1, 1), np.int64))
    sizes = inputs.get("character_lengths", np.ones(1, np.int64))
    written = np.arange(characters.shape[1]) < sizes[:, None]
    columns = {
        name: torch.from_numpy(inputs[name][real] if name in inputs else np.zeros((count, *shape), np.int64))
        for name, shape in (("word_shapes", ()), ("features", (0,)), ("forms", ()))
    }
    sentences = Sentences(
        Ragged(torch.from_numpy(inputs["tokens"][real].astype(np.int32)), torch.from_numpy(lengths)),
        columns["word_shapes"],
        columns["features"],
        columns["forms"],
        Ragged(torch.from_numpy(characters[written].astype(np.int32)), torch.from_numpy(sizes)),
        torch.zeros(int(written.sum()), dtype=torch.int32),  # read by wide parts alone, which are not exported
    ).to(network.device)
    scores = network(sentences)
    tags = network.best(scores, sentences.lengths)
    marginals = network.marginals(scores, sentences.lengths)
    return {
        "scores": _padded(scores, real, np.nan),
        "tags": _padded(tags, real, -1),
        "probabilities": _padded(marginals, real, np.nan),
    }


def certain_tags(outputs: Outputs) -> CertainTags:
    """The best tags of all tokens (N,), with their probabilities, from the outputs of the graph."""
    tags = np.concatenate(list(outputs["tags"]))
    own = np.take_along_axis(np.concatenate(list(outputs["probabilities"])), tags[:, None], axis=1)[:, 0]
    return CertainTags(torch.from_numpy(tags), torch.from_numpy(own))


def _padded(values: torch.Tensor, real: np.ndarray, fill: float) -> np.ndarray:
    """(N, …) -> (B, T, …)."""
    array = values.cpu().numpy()
    padded = np.full((*real.shape, *array.shape[1:]), fill, array.dtype)
    padded[real] = array
    return padded
