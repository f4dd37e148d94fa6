"""Pretrained vectors: read for a vocabulary, and copied into an embedding."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ostinato.config import Config, DataConfig
from ostinato.data.vectors import read_vectors
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import ConfigError
from ostinato.nn import TokenEmbedding


class PretrainedVectors(NamedTuple):
    """The vectors that a source has for a vocabulary.

    Args:
        matrix: (V, D) float32, a row for each token of the vocabulary.
        found: (V,) whether the source has the token's vector.
        extra_words: K words outside the vocabulary.
        extra: (K, D) float32, their vectors.
        skipped: malformed lines of the file that were left out.
        coverage: how many of the vocabulary's tokens are `exact`, `lower_cased` and `missing`, and their shares.
    """

    matrix: Tensor
    found: Tensor
    extra_words: tuple[str, ...]
    extra: Tensor
    skipped: int
    coverage: dict[str, float]

    def facts(self, source: str | None) -> dict[str, Any]:
        """The coverage as JSON values, for the audit of the data that `source` was read for."""
        return {"source": source, **self.coverage, "extra_words": len(self.extra_words), "skipped": self.skipped}


def read_for(config: DataConfig, vocabulary: Vocabulary | None, tokenizer: str = "words") -> PretrainedVectors | None:
    """The vectors that `vectors` names, for the vocabulary of the training split; None where it names none.

    Raises:
        ConfigError: the tokens are not words.
        DataError: the vectors cannot be used (see `read_vectors`).
    """
    if config.vectors is None:
        return None
    if vocabulary is None or tokenizer not in ("words", "events"):
        raise ConfigError(
            f"vectors {config.vectors}: tokenizer {tokenizer} has no words to look up. Remove vectors, or use words or "
            "events."
        )
    read = read_vectors(config.vectors, vocabulary.tokens, extra=config.extra_vectors, on_error=config.vectors_on_error)
    matrix, found, extra = (torch.from_numpy(part) for part in (read.matrix, read.found, read.extra))
    return PretrainedVectors(matrix, found > 0, read.extra_words, extra, read.skipped, read.coverage)


def check_size(vectors: PretrainedVectors | None, config: Config) -> None:
    """Refuse a model whose embedding has another width than the vectors.

    Raises:
        ConfigError: names both widths.
    """
    wanted = config.model.embedding_size
    size = wanted if vectors is None else vectors.matrix.shape[1]
    if size != wanted:
        raise ConfigError(
            f"embedding_size is {wanted}, but the vectors of {config.data.vectors} have {size} dimensions. Set "
            f"embedding_size to {size}."
        )


def fill(embed: nn.Module, vectors: PretrainedVectors) -> None:
    """Copy the vectors into an embedding; other tokens keep their own, scaled to the same standard deviation."""
    assert isinstance(embed, TokenEmbedding)
    with torch.no_grad():
        known = vectors.matrix[vectors.found]
        embed.weight.mul_(known.std() / embed.weight.std())
        embed.weight[vectors.found] = known
        if embed.extra is not None:
            embed.extra.copy_(vectors.extra)
