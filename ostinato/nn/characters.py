"""Word vectors from characters, computed once for each distinct word of a batch."""

import torch
from torch import Tensor, nn

from ostinato.errors import look_up
from ostinato.nn.convolution import Convolution
from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.layers import RecurrentLayer, VariationalDropout
from ostinato.nn.layout import Layout
from ostinato.nn.pooling import LastPooling, MaxPooling

WINDOW = 3  # characters in a convolution's window


class CharacterFeatures(nn.Module):
    """A vector for each token from the characters of its word, computed once for each distinct word.

    `lstm` reads a word in both directions and concatenates the final states; `cnn` takes the maximum over the word of a
    convolution with a window of three characters, padded with zeros (here followed by relu, see `Convolution`).

    Args:
        num_characters: size of the character vocabulary.
        embedding_size: size of a character's vector.
        size: units per direction for `lstm`, channels for `cnn`.
        kind: `lstm` or `cnn`.
        dropout: of the character vectors, with one mask per distinct word.

    Attributes:
        output_size: 2·`size` for `lstm`, `size` for `cnn`.

    Shapes:
        values (M,), the character ids of U distinct words laid end to end, with their layout, and word (N,), the number
        of each token's word from 0 to U − 1 -> (N, output_size). A word without characters gives zeros.

    Raises:
        ConfigError: `kind` is unknown.

    Source: Lample et al. (2016), arXiv:1603.01360, section 4.1; Ma & Hovy (2016), arXiv:1603.01354, section 2.1.
    """

    def __init__(self, num_characters: int, embedding_size: int, size: int, *, kind: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(num_characters, embedding_size)
        self.dropout = VariationalDropout(dropout)
        self.encoder, self.pooling = look_up(KINDS, kind, "kind of character features")(embedding_size, size)
        self.output_size = self.pooling.output_size

    def forward(self, values: Tensor, layout: Layout, word: Tensor) -> Tensor:
        characters = self.dropout(self.embedding(values), layout)  # (M,) -> (M, D)
        features = self.pooling(self.encoder(characters, layout), layout)  # (M, H) -> (U, H)
        return torch.index_select(features, 0, word)  # (U, H) -> (N, H); backward sums over a word's tokens


def _lstm(embedding_size: int, size: int) -> tuple[nn.Module, LastPooling | MaxPooling]:
    return RecurrentLayer(embedding_size, size, cell="lstm", bidirectional=True), LastPooling(
        2 * size, bidirectional=True
    )


def _cnn(embedding_size: int, size: int) -> tuple[nn.Module, LastPooling | MaxPooling]:
    return Convolution(embedding_size, size, kernel_size=WINDOW, centred=True), MaxPooling(size)


KINDS = {"lstm": _lstm, "cnn": _cnn}
