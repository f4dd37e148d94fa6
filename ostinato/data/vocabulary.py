"""Which tokens a model knows, and their ids."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

UNKNOWN = 0  # the id of every token outside the vocabulary
UNKNOWN_TOKEN = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids; id 0 is `<unk>`, and no id stands for padding."""

    tokens: tuple[str, ...]

    @classmethod
    def fit(cls, counts: Counter[str], min_count: int = 1, max_size: int | None = None) -> "Vocabulary":
        """Keep the `max_size` commonest tokens (besides `<unk>`) seen at least `min_count` times; ties in alphabetical order."""
        kept = sorted((-count, token) for token, count in counts.items() if count >= min_count and token != UNKNOWN_TOKEN)
        return cls((UNKNOWN_TOKEN, *(token for _, token in kept[:max_size])))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token."""
        return {token: number for number, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        """The token's id, 0 when it is unknown."""
        return self.ids.get(token, UNKNOWN)


NUCLEOTIDES = Vocabulary((UNKNOWN_TOKEN, *"ACGTN"))
AMINO_ACIDS = Vocabulary((UNKNOWN_TOKEN, *"ACDEFGHIKLMNPQRSTVWYX"))
