"""Which tokens a model knows, and their ids."""

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
        beyond: tokens known by their pretrained vectors alone; their ids follow.
    """

    tokens: tuple[str, ...]
    beyond: tuple[str, ...] = ()

    @classmethod
    def fit(cls, counts: Counter[str], min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Keep the `max_size` commonest tokens (besides `<unk>`) seen at least `min_count` times; ties in alphabetical order."""
        kept = sorted(
            (-count, token) for token, count in counts.items() if count >= min_count and token != UNKNOWN_TOKEN
        )
        return cls((UNKNOWN_TOKEN, *(token for _, token in kept[:max_size])))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: number for number, token in enumerate((*self.tokens, *self.beyond))}

    def __len__(self) -> int:
        """The tokens of the training split, `<unk>` included."""
        return len(self.tokens)

    def with_beyond(self, words: Iterable[str]) -> "Vocabulary":
        """The same, and those of `words` that it does not hold yet."""
        return replace(self, beyond=tuple(word for word in words if word not in self.ids))

    def id(self, token: str) -> int:
        """The token's id, 0 when it is unknown."""
        return self.ids.get(token, UNKNOWN)


NUCLEOTIDES = Vocabulary((UNKNOWN_TOKEN, *"ACGTN"))
AMINO_ACIDS = Vocabulary((UNKNOWN_TOKEN, *"ACDEFGHIKLMNPQRSTVWYX"))
