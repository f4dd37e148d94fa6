"""Everything fitted on the training data that turns sequences into model input; it knows nothing of targets."""

import dataclasses
from collections import Counter, abc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from ostinato.data.chunks import as_sequence, chunks, raw_lengths
from ostinato.data.encoding import (
    HEADS,
    NUMERIC,
    SCALES,
    Encoded,
    SequenceEncoding,
    tokenizable,
)
from ostinato.data.ragged import Ragged
from ostinato.data.scale import fit_scale
from ostinato.data.stored import HIGHEST_LENGTH, Distinct, StoredFields, Tokens, first_repeated
from ostinato.data.tokenizers import make_tokenizer, refuse_impossible_tokens
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.data.words import Subwords, Words, occurrences
from ostinato.errors import DataError, look_up

if TYPE_CHECKING:
    from ostinato.data.examples import Sequence


class StoredEncoder(StoredFields):
    """What `SequenceEncoder.to_json` writes."""

    tokenizer: str
    tokens: Tokens | None
    extra: Distinct
    mean: list[float] | None
    std: list[Annotated[float, Field(gt=0)]] | None
    max_length: int | None = Field(ge=1, le=HIGHEST_LENGTH)
    truncate: Literal["head", "tail", "both"]
    longest: int = Field(ge=0, le=HIGHEST_LENGTH)
    scale: Literal["channel", "series"] = "channel"  # model files of 0.1 lack it

    @model_validator(mode="after")
    def _knows_each_token_once(self) -> "StoredEncoder":
        twice = first_repeated([*(self.tokens or []), *self.extra])
        if twice is not None:
            raise ValueError(f"the token {twice!r} occurs in both tokens and extra")
        return self

    @model_validator(mode="after")
    def _has_tokens_or_a_scale(self) -> "StoredEncoder":
        if self.tokenizer == NUMERIC:
            fits = self.tokens is None and self.mean and self.std and len(self.mean) == len(self.std)
        else:
            fits = self.tokens is not None and self.mean is None and self.std is None
        if not fits:
            raise ValueError(f"tokenizer {self.tokenizer!r:.60} does not fit its tokens, mean and std")
        if self.tokens is not None:
            refuse_impossible_tokens(self.tokenizer, [*self.tokens[1:], *self.extra])
        return self


@dataclass(frozen=True)
class SequenceEncoder(SequenceEncoding):
    """A `SequenceEncoding` that can be fitted, saved and read, and that gives tensors."""

    @classmethod
    def fit(
        cls,
        sequences: Iterable["Sequence"],
        *,
        tokenizer: str,
        min_count: int = 1,
        max_size: int | None = None,
        max_length: int | None = None,
        truncate: str = "head",
        scale: str = "channel",
        sources: abc.Sequence[str] | None = None,
        numbered: "NumberedWords | None" = None,
    ) -> "SequenceEncoder":
        """Learn the vocabulary or the scale from the training split.

        Args:
            sequences: strings; for `events` also lists of strings; for `numeric` arrays of shape (T, channels) or (T,).
            tokenizer: a name that `make_tokenizer` knows, or `numeric`.
            min_count: tokens seen less often are unknown; fixed alphabets stay whole.
            max_size: at most so many tokens besides `<unk>`, the commonest first; fixed alphabets stay whole.
            max_length: see the class; the vocabulary and the scale are fitted on whole sequences.
            truncate: see the class.
            scale: `channel`: standardise series by the mean and deviation of each channel over the training split;
                `series`: each series by its own.
            sources: names for error messages, as `train.csv, row 17`; `sequence 3` (counted from 0) without them.
            numbered: is given the words of the sequences, so that `encode_numbered` need not split them again.

        Raises:
            ConfigError: the tokenizer, `truncate` or `scale` is unknown.
            DataError: there is no sequence; a sequence is of a wrong type, holds a value that is not finite, or
                differs in channels.
        """
        look_up(HEADS, truncate, "truncate")
        look_up(dict.fromkeys(SCALES), scale, "scale")
        given = as_sequence(sequences)
        if not len(given):
            raise DataError("There is no sequence. Give at least one.")
        vocabulary = mean = std = None
        if tokenizer == NUMERIC:
            mean, std = fit_scale(given, sources)
            longest = int(raw_lengths(given).max())
            if scale == "series":
                mean, std = (0.0,) * len(mean), (1.0,) * len(std)
        else:
            vocabulary, longest = _fit_vocabulary(given, tokenizer, sources, min_count, max_size, numbered)
        longest = min(longest, max_length or longest)
        return cls(tokenizer, vocabulary, mean, std, max_length, truncate, longest, scale)

    @property
    def is_fitted(self) -> bool:
        """Whether the vocabulary was found in training, rather than being an alphabet."""
        return self.vocabulary is not None and make_tokenizer(self.tokenizer).vocabulary is None

    def encode(self, sequences: Iterable["Sequence"], sources: abc.Sequence[str] | None = None) -> Ragged:
        """Turn sequences into ids or standardized series, cut to `max_length`; length 0 is let through.

        Raises:
            DataError: a sequence is of a wrong type, holds a value that is not finite, or has other
                channels than the training data.
        """
        values, lengths, truncated = zip(*self.encode_chunks(sequences, sources), strict=True)
        return Ragged(
            torch.from_numpy(np.concatenate(values)), torch.from_numpy(np.concatenate(lengths)), sum(truncated)
        )

    def encode_chunks(
        self, sequences: Iterable["Sequence"], sources: abc.Sequence[str] | None = None
    ) -> Iterator[Encoded]:
        """The same as `encode`, in parts; see `chunked_arrays`."""
        for part in self.chunked_arrays(sequences, sources):
            yield part._replace(values=self.standardized(part.values)) if self.is_numeric else part

    def encode_numbered(self, words: "NumberedWords") -> Ragged:
        """As `encode` for the sequences that were split into these words."""
        assert self.vocabulary is not None
        known = self.vocabulary.ids
        table = np.array([known.get(word, UNKNOWN) for word in words.numbers] or [UNKNOWN], dtype=np.int32)
        parts = [self._cut(table[ids], lengths) for ids, lengths in words.chunks]
        values, lengths, truncated = zip(*parts, strict=True)
        return Ragged(
            torch.from_numpy(np.concatenate(values)), torch.from_numpy(np.concatenate(lengths)), sum(truncated)
        )

    def unknown_share(self, sequences: Ragged) -> float:
        """The share of tokens that are not in the vocabulary; 0 for numeric series."""
        if self.is_numeric or not len(sequences.values):
            return 0.0
        return int((self.ids(sequences) == UNKNOWN).sum()) / len(sequences.values)

    def ids(self, sequences: Ragged) -> torch.Tensor:
        """The token id of each step of encoded sequences, (N,); not for numeric series."""
        return sequences.values

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, from which `from_json` makes an equal encoder."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        vocabulary = fields.pop("vocabulary")
        fields["tokens"] = None if vocabulary is None else vocabulary.tokens
        fields["extra"] = [] if vocabulary is None else vocabulary.extra
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "SequenceEncoder":
        """The encoder that `to_json` described.

        Raises:
            RunError: a field is missing, unknown, or not what `to_json` writes; names it.
        """
        stored = StoredEncoder.read(fields, "encoder")
        tokens = stored.tokens
        return cls(
            stored.tokenizer,
            None if tokens is None else Vocabulary(tuple(tokens), tuple(stored.extra)),
            None if stored.mean is None else tuple(stored.mean),
            None if stored.std is None else tuple(stored.std),
            stored.max_length,
            stored.truncate,
            stored.longest,
            stored.scale,
        )

    def with_extra(self, words: Iterable[str]) -> "SequenceEncoder":
        """The same encoder, which also knows those of `words` that it lacks; see `Vocabulary`."""
        assert self.vocabulary is not None
        return dataclasses.replace(self, vocabulary=self.vocabulary.with_extra(words))


class NumberedWords:
    """Sequences as the numbers of their words, from 0 in the order of first use.

    Attributes:
        numbers: of each word.
        chunks: the words of some sequences end to end, (N,) int32, and the lengths of these sequences, (B,) int64.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.chunks: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, words: list[str], ids: np.ndarray, lengths: np.ndarray) -> None:
        """Add sequences whose words are numbered in another way: by their index in `words`."""
        table = np.array([self.numbers.setdefault(word, len(self.numbers)) for word in words], dtype=np.int32)
        self.chunks.append((table[ids], lengths))


def _fit_vocabulary(
    sequences: abc.Sequence[Any],
    tokenizer_name: str,
    sources: abc.Sequence[str] | None,
    min_count: int,
    max_size: int | None,
    numbered: NumberedWords | None,
) -> tuple[Vocabulary, int]:
    """The vocabulary, and the length of the longest sequence in tokens."""
    tokenizer = make_tokenizer(tokenizer_name)
    learned = tokenizer.vocabulary
    if isinstance(tokenizer, Subwords):
        for first, chunk in chunks(sequences):
            tokenizable(chunk, tokenizer_name, sources, first)
        learned = tokenizer.learn(sequences, min_count, max_size)
        tokenizer = Subwords(learned)
    counts: Counter[str] = Counter()
    longest = 0
    for first, chunk in chunks(sequences):
        tokenizable(chunk, tokenizer_name, sources, first)
        if numbered is not None and isinstance(tokenizer, Words):
            words, ids, lengths = tokenizer.number(chunk)
            numbered.add(words, ids, lengths)
            found = occurrences(words, ids)
        else:
            found, lengths = tokenizer.count(chunk)
        counts.update(found)
        longest = max(longest, int(lengths.max(initial=0)))
    return learned or Vocabulary.fit(counts, min_count, max_size), longest
