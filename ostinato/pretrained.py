"""Pretrained vectors in a model: read for its vocabulary, put into its table."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ostinato.config import Config, DataConfig
from ostinato.data.vectors import read_vectors
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import ConfigError
from ostinato.nn import TokenEmbedding


class Pretrained(NamedTuple):
    """What a source of vectors knows.

    Args:
        matrix: (V, D) float32, a row for each token of the vocabulary.
        found: (V,) whether the row is the token's.
        beyond_words: K more words.
        beyond: (K, D) float32, their vectors.
        skipped: lines of the file that could not be used and were left out.
        coverage: how many of the vocabulary's tokens are `exact`, `lower_cased` and `missing`, and their shares.
    """

    matrix: Tensor
    found: Tensor
    beyond_words: tuple[str, ...]
    beyond: Tensor
    skipped: int
    coverage: dict[str, float]

    def line(self, source: str) -> str:
        """The coverage in words."""
        exact, lower, missing = (self.coverage[f"{how}_share"] for how in ("exact", "lower_cased", "missing"))
        more = f", {lower:.1%} more in lower case" if lower else ""
        found = f"{exact:.1%} of the vocabulary found{more}, {missing:.1%} not"
        left_out = f" {self.skipped:,} faulty lines left out." if self.skipped else ""
        return f"Vectors of {source}: {found}; {len(self.beyond_words):,} words beyond it.{left_out}"


def pretrained_for(config: DataConfig, vocabulary: Vocabulary | None, tokenizer: str = "words") -> Pretrained | None:
    """The vectors that `vectors` names for the vocabulary of the training split; None where it names none.

    Raises:
        ConfigError: the tokens are no words.
        DataError: the vectors cannot be used (see `read_vectors`).
    """
    if config.vectors is None:
        return None
    if vocabulary is None or tokenizer not in ("words", "events"):
        raise ConfigError(
            f"vectors {config.vectors}: tokenizer {tokenizer} has no words to look up. Remove vectors, or use words or events."
        )
    read = read_vectors(
        config.vectors, vocabulary.tokens, beyond=config.vectors_beyond, on_fault=config.vectors_on_fault
    )
    matrix, found, beyond = (torch.from_numpy(part) for part in (read.matrix, read.found, read.beyond))
    return Pretrained(matrix, found > 0, read.beyond_words, beyond, read.skipped, read.coverage)


def check_size(vectors: Pretrained | None, config: Config) -> None:
    """Refuse a model whose table has another width than the vectors.

    Raises:
        ConfigError: it has.
    """
    size = config.model.embedding_size if vectors is None else vectors.matrix.shape[1]
    if size != config.model.embedding_size:
        source = config.data.vectors
        raise ConfigError(
            f"embedding_size is {config.model.embedding_size}, and the vectors of {source} have {size} numbers. Set embedding_size to {size}."
        )


def fill(embed: nn.Module, vectors: Pretrained) -> None:
    """Put the vectors into a table; tokens that have none keep theirs, drawn at the vectors' own scale."""
    assert isinstance(embed, TokenEmbedding)
    with torch.no_grad():
        known = vectors.matrix[vectors.found]
        embed.weight.mul_(known.std() / embed.weight.std())
        embed.weight[vectors.found] = known
        if embed.extra is not None:
            embed.extra.copy_(vectors.beyond)
