"""What `ostinato pretrain` writes and `model.init` reads: an input encoder, the first layers, and the rows they saw."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import RunError
from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.network import Network
from ostinato.storage import load_tensors, refuse_altered, save_tensors

ENCODER_FILE = "model.safetensors"
HASHES = "hashes"  # of the rows, among the tensors of the file


class Pretrained(NamedTuple):
    """A finished pre-training.

    Args:
        source: its folder.
        encoder: tokenizer and vocabulary, or the scale of series.
        weights: of its network, by name.
        rows: (n,) int64, the sorted hashes of the sequences that it was trained on or validated with.
    """

    source: str
    encoder: SequenceEncoder
    weights: dict[str, Tensor]
    rows: np.ndarray

    @property
    def vectors(self) -> Tensor:
        """(V, E) the vectors of the tokens.

        Raises:
            RunError: they are missing.
        """
        if "embed.weight" not in self.weights:
            raise RunError(f"{self.source}: {ENCODER_FILE} has no vectors. Pre-train again.")
        return self.weights["embed.weight"]

    @property
    def has_layers(self) -> bool:
        """Whether it trained recurrent layers, not the embedding alone."""
        return any(name.startswith("stack.") for name in self.weights)

    def knows(self, hashes: np.ndarray) -> int:
        """How many of these rows it has seen."""
        return int(np.isin(hashes, self.rows).sum())


def save_pretrained(
    path: Path, config: dict[str, Any], encoder: SequenceEncoder, network: nn.Module, rows: np.ndarray
) -> None:
    """Write a pre-training to a file.

    Raises:
        RunError: the file cannot be written.
    """
    facts = {"kind": "encoder", "config": config, "encoder": encoder.to_json()}
    tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    save_tensors(path, {**tensors, HASHES: torch.from_numpy(np.sort(rows))}, facts)


def read_pretrained(folder: Path) -> Pretrained:
    """Read the result of a pre-training.

    Raises:
        RunError: the file is missing, altered, or not that of a pre-training.
    """
    path = folder / ENCODER_FILE
    stored = load_tensors(path)
    refuse_altered(path)
    encoder = stored.facts.get("encoder")
    if stored.facts.get("kind") != "encoder" or HASHES not in stored.tensors or not isinstance(encoder, dict):
        raise RunError(
            f"{path}: holds a {stored.facts.get('kind')!r:.40}, expected an encoder. Name a folder of ostinato "
            "pretrain."
        )
    rows = stored.tensors.pop(HASHES).numpy()
    weights = {name.removeprefix("model."): tensor for name, tensor in stored.tensors.items()}
    return Pretrained(str(folder), SequenceEncoder.from_json(encoder), weights, rows)


def with_new_tokens(pretrained: Vocabulary, own: Vocabulary) -> Vocabulary:
    """The tokens of a pre-training, then those that only the task has."""
    return Vocabulary((*pretrained.tokens, *(token for token in own.tokens if token not in pretrained.ids)))


def start_from(network: Network, pretrained: Pretrained) -> None:
    """Copy the vectors of a pre-training, and its layers if it has any; new tokens start as the unknown one.

    Where the network's first layer reads more than the token's vector, the weights of the other inputs keep their
    fresh values.

    Raises:
        RunError: a weight is missing, or its shape does not fit.
    """
    weights = pretrained.weights
    try:
        with torch.no_grad():
            if isinstance(network.embed, TokenEmbedding):
                table = weights["embed.weight"]
                network.embed.weight[: len(table)] = table
                network.embed.weight[len(table) :] = table[UNKNOWN]
            else:
                network.embed.load_state_dict({name: weights[f"embed.{name}"] for name in ("weight", "bias")})
            for name, parameter in network.stack.named_parameters() if pretrained.has_layers else ():
                source = weights[f"stack.{name}"]
                part = parameter[:, : source.shape[1]] if source.dim() == 2 else parameter
                part.copy_(source.reshape(part.shape))
    except (KeyError, RuntimeError) as error:
        raise RunError(
            f"{pretrained.source}: its weights do not fit its config ({error}). Pre-train again.".replace("\n", " ")
        ) from None
    network.starts_pretrained = True
    network.has_pretrained_layers = pretrained.has_layers
