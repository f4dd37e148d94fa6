"""Words, and subwords learnt from words: both split text with the Hugging Face library `tokenizers`.

The library encodes a batch in parallel threads; in a forked child it uses one and warns on stderr.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from ostinato.data.chunks import as_sequence, chunks
from ostinato.data.vocabulary import UNKNOWN, UNKNOWN_TOKEN, Vocabulary

Indexer = Callable[[list[Any]], tuple[np.ndarray, np.ndarray]]

WORD_START = "▁"  # U+2581, as SentencePiece marks the start of a word
WORDS_PER_MERGE = 10  # running words of the training split for each learned subword, by default
FEWEST_MERGES, MOST_MERGES = 200, 8_000


class Words:
    """Lower-cased words and single punctuation marks; HTML line breaks (`<br />`) count as white space."""

    vocabulary: Vocabulary | None = None

    def __init__(self) -> None:
        self._splitter = _word_level({UNKNOWN_TOKEN: UNKNOWN})

    def tokens(self, sequence: str) -> list[str]:
        normalized = self._splitter.normalizer.normalize_str(sequence)
        return [token for token, _ in self._splitter.pre_tokenizer.pre_tokenize_str(normalized)]

    def offsets(self, sequence: str) -> list[tuple[int, int]]:
        return list(self._splitter.encode(sequence).offsets)

    def count(self, sequences: list[str]) -> tuple[Counter[str], np.ndarray]:
        words, ids, lengths = self.number(sequences)
        return occurrences(words, ids), lengths

    def number(self, sequences: list[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
        """All distinct words; which of them the running words are, (N,) int32; and the length of each sequence, (B,).

        Both passes are in Rust, which is faster than a Python string per word.
        """
        from tokenizers.trainers import WordLevelTrainer

        every_word = _word_level({UNKNOWN_TOKEN: UNKNOWN})
        # without special tokens, which a text could contain: "<unk>" is three words
        trainer = WordLevelTrainer(vocab_size=sys.maxsize, special_tokens=[], show_progress=False)
        every_word.train_from_iterator(sequences, trainer)
        numbers = every_word.get_vocab()
        return sorted(numbers, key=numbers.__getitem__), *_index(every_word, sequences)

    def indexer(self, vocabulary: Vocabulary) -> Indexer:
        return partial(_index, _word_level(vocabulary.ids))


def occurrences(words: list[str], ids: np.ndarray) -> Counter[str]:
    """How often each word occurs, by its index in `words`."""
    counts = np.bincount(ids, minlength=len(words)).tolist()
    return Counter({word: count for word, count in zip(words, counts, strict=True) if count})


class Subwords:
    """Parts of the words that `Words` makes, by byte-pair encoding; the first part of each word begins with `▁`.

    Merges are not stored: two neighbours merge if together they are a token, the earliest token of the vocabulary
    first. A character outside the vocabulary is unknown, the rest of its word is not.

    Args:
        learned: the vocabulary that `learn` returned; None: not learned yet, and every character is unknown.

    Source: Sennrich, Haddow and Birch (2016), Neural Machine Translation of Rare Words with Subword Units.
    """

    vocabulary: Vocabulary | None = None

    def __init__(self, learned: Vocabulary | None = None) -> None:
        self._learned = learned
        self._splitter = _byte_pairs(learned or Vocabulary((UNKNOWN_TOKEN,)))

    def learn(self, sequences: Iterable[str], min_count: int = 1, max_size: int | None = None) -> Vocabulary:
        """Learn a vocabulary: the characters first, then each merge of the most frequent pair.

        Args:
            min_count: rarer characters and pairs are left out; pairs that occur once always are.
            max_size: at most so many tokens besides `<unk>`; None: the characters, and a subword for every 10 running
                words, from 200 to 8,000.
        """
        from tokenizers.trainers import BpeTrainer

        texts = as_sequence(sequences)
        characters, running_words = _characters(texts)
        frequent = sorted((-count, character) for character, count in characters.items() if count >= min_count)
        alphabet = [character for _, character in frequent[:max_size]]
        merges = min(max(running_words // WORDS_PER_MERGE, FEWEST_MERGES), MOST_MERGES)
        trainer = BpeTrainer(
            vocab_size=1 + (len(alphabet) + merges if max_size is None else max_size),
            min_frequency=max(min_count, 2),
            special_tokens=[UNKNOWN_TOKEN],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        model = _byte_pairs(Vocabulary((UNKNOWN_TOKEN,)))
        model.train_from_iterator(texts, trainer)
        ids = model.get_vocab()
        return Vocabulary(tuple(sorted(ids, key=ids.__getitem__)))

    def tokens(self, sequence: str) -> list[str]:
        """The tokens; an unknown character stands for itself."""
        found = self._splitter.encode(sequence)
        return [
            sequence[slice(*offsets)] if number == UNKNOWN else token
            for number, token, offsets in zip(found.ids, found.tokens, found.offsets, strict=True)
        ]

    def offsets(self, sequence: str) -> list[tuple[int, int]]:
        return list(self._splitter.encode(sequence).offsets)

    def count(self, sequences: list[str]) -> tuple[Counter[str], np.ndarray]:
        ids, lengths = _index(self._splitter, sequences)
        return _count(self._splitter, ids), lengths

    def indexer(self, vocabulary: Vocabulary) -> Indexer:
        return partial(_index, _byte_pairs(vocabulary))


def _characters(texts: Sequence[str]) -> tuple[Counter[str], int]:
    """The number of occurrences of each character in words, word starts included; and the number of words."""
    words: Counter[str] = Counter()
    for _, chunk in chunks(texts):
        words.update(Words().count(chunk)[0])
    characters = Counter({WORD_START: words.total()} if words else {})
    for word, count in words.items():
        for character in word:
            characters[character] += count
    return characters, words.total()


def _word_level(ids: dict[str, int]) -> Any:
    """The Hugging Face tokenizer for whole words with these ids."""
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN_TOKEN))
    _split_into_words(tokenizer)
    return tokenizer


def _byte_pairs(vocabulary: Vocabulary) -> Any:
    """The Hugging Face tokenizer for these subwords, whose merges follow from the order of the vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    ids = {token: number for number, token in enumerate(vocabulary.tokens)}
    merges = [
        (token[:middle], token[middle:])
        for token in vocabulary.tokens[UNKNOWN + 1 :]
        for middle in range(1, len(token))
        if token[:middle] in ids and token[middle:] in ids
    ]
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token=UNKNOWN_TOKEN))
    start = pre_tokenizers.Metaspace(replacement=WORD_START, prepend_scheme="always", split=False)
    _split_into_words(tokenizer, start)
    return tokenizer


def _split_into_words(tokenizer: Any, *then: Any) -> None:
    """Lower-case text and split it at white space and around punctuation marks."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex("<[bB][rR] ?/?>"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), *then]
    )


def _count(tokenizer: Any, ids: np.ndarray) -> Counter[str]:
    counts = np.bincount(ids, minlength=tokenizer.get_vocab_size()).tolist()
    return Counter({token: counts[number] for token, number in tokenizer.get_vocab().items() if counts[number]})


def _index(tokenizer: Any, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    encodings = tokenizer.encode_batch_fast(texts)
    lengths = np.fromiter(map(len, encodings), np.int64, len(encodings))
    ids = chain.from_iterable(encoding.ids for encoding in encodings)
    return np.fromiter(ids, np.int32, lengths.sum()), lengths
