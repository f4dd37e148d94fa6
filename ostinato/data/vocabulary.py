"""The tokens that a model knows, and their ids."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

UNKNOWN = 0  # the id of every token outside the vocabulary
UNKNOWN_TOKEN = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids; id 0 is `<unk>`, and no id stands for padding.

    Args:
        tokens: those of the training split.
        extra: tokens outside the training split that have a pretrained vector; their ids follow.
    """

    tokens: tuple[str, ...]
    extra: tuple[str, ...] = ()

    @classmethod
    def fit(cls, counts: Counter[str], min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """The `max_size` most frequent tokens (besides `<unk>`) with at least `min_count` occurrences.

        Ties are in alphabetical order.
        """
        frequent = sorted(
            (-count, token) for token, count in counts.items() if count >= min_count and token != UNKNOWN_TOKEN
        )
        return cls((UNKNOWN_TOKEN, *(token for _, token in frequent[:max_size])))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: number for number, token in enumerate((*self.tokens, *self.extra))}

    def __len__(self) -> int:
        """The number of tokens of the training split, including `<unk>`."""
        return len(self.tokens)

    def with_extra(self, words: Iterable[str]) -> "Vocabulary":
        """The same vocabulary, with those of `words` that it does not contain as extra tokens."""
        return replace(self, extra=tuple(word for word in words if word not in self.ids))

    def id(self, token: str) -> int:
        """The token's id; 0 if it is unknown."""
        return self.ids.get(token, UNKNOWN)


NUCLEOTIDES = Vocabulary((UNKNOWN_TOKEN, *"ACGTN"))
AMINO_ACIDS = Vocabulary((UNKNOWN_TOKEN, *"ACDEFGHIKLMNPQRSTVWYX"))
