import itertools
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.vocabulary import Vocabulary
from ostinato.data.words import Subwords, Words
from ostinato.explanation.model import tokens_and_offsets

# The example of Sennrich et al. (2016), section 3.2
PAPER = ["low " * 5 + "lower " * 2, "newest " * 6 + "widest " * 3]
# Counted by hand: e+s 9 times, es+t 9, l+o 7, then ▁+lo and lo+w 7; of equals, the pair of earlier tokens is first.
MERGED = ["es", "est", "lo", "▁lo", "▁low"]
TEXTS = st.text("aab bc.İß<br>日本 ▁é\t", max_size=30)


def merge_by_hand(text, tokens):
    """Byte-pair encoding as its definition says: merge the pair that is the earliest token, then look again."""
    found = []
    for word in Words().tokens(text):
        parts = list(word if word.startswith("▁") else "▁" + word)
        while pairs := [
            (tokens.index(a + b), at)
            for at, (a, b) in enumerate(itertools.pairwise(parts))
            if a in tokens and b in tokens and a + b in tokens
        ]:
            at = min(pairs)[1]
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        found += [part if part in tokens else "?" for part in parts]
    return found


def test_the_most_frequent_pair_merges_first():
    alphabet = sorted("deilnorstw▁")
    assert Subwords().learn(PAPER, max_size=len(alphabet) + 5).tokens == ("<unk>", *alphabet, *MERGED)


@given(train=st.lists(TEXTS, min_size=1, max_size=5), text=TEXTS)
@settings(max_examples=60, deadline=None)
def test_subwords_are_those_of_the_definition(train, text):
    vocabulary = Subwords().learn(train, max_size=12)
    tokenizer = Subwords(vocabulary)
    ids, lengths = tokenizer.indexer(vocabulary)([text])
    tokens = list(vocabulary.tokens)
    assert ["?" if number == 0 else tokens[number] for number in ids] == merge_by_hand(text, tokens)
    assert lengths.tolist() == [len(tokenizer.tokens(text))] == [len(tokenizer.offsets(text))]
    counts, _ = tokenizer.count([text])
    assert counts == Counter(tokens[number] for number in ids)


def test_learning_twice_gives_the_same_vocabulary():
    texts = [f"{first}{second} {second}{first}" for first in "abcdefgh" for second in "ijklmnop"]
    assert len({Subwords().learn(texts).tokens for _ in range(5)}) == 1


def test_a_new_word_is_made_of_known_parts_and_only_a_new_character_is_unknown():
    encoder = SequenceEncoder.fit(PAPER, tokenizer="subwords")
    text = "Lowest, x"
    tokens, offsets = tokens_and_offsets(encoder, text)
    assert tokens == ["▁low", "est", "▁", ",", "▁", "x"]
    assert [text[start:end] for start, end in offsets] == ["Low", "est", ",", ",", "x", "x"]
    assert encoder.unknown_share(encoder.encode([text])) == 2 / 6
    assert encoder.unknown_share(encoder.encode(["newer Tower"])) == 0


def test_min_count_and_max_size_bound_characters_and_subwords():
    texts = ["aaa aaa aaa b"]
    assert "b" not in Subwords().learn(texts, min_count=2).tokens
    assert Subwords().learn(texts, max_size=1).tokens == ("<unk>", "a")
    assert Subwords().learn([""]).tokens == ("<unk>",)


def test_saved_subwords_encode_alike():
    encoder = SequenceEncoder.fit(PAPER, tokenizer="subwords")
    assert encoder.is_fitted
    restored = SequenceEncoder.from_json(encoder.to_json())
    texts = ["lowest newer", "wider"]
    assert restored.encode(texts).values.tolist() == encoder.encode(texts).values.tolist()
    indexer = pickle.loads(pickle.dumps(Subwords(encoder.vocabulary).indexer(encoder.vocabulary)))
    assert indexer(texts)[0].tolist() == encoder.encode(texts).values.tolist()


@pytest.mark.parametrize("extra", [(), ("west",)])
def test_extra_words_do_not_change_the_subwords(extra):
    learned = Subwords().learn(PAPER)
    vocabulary = Vocabulary(learned.tokens, extra)
    assert Subwords(vocabulary).tokens("newest") == Subwords(learned).tokens("newest")
