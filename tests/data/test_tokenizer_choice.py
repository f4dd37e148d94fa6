import random

import pytest

from ostinato.data.tokenizer_choice import TextEvidence

rng = random.Random(0)
COMMON = [f"{first}{second}" for first in "bcdfghklmnprst" for second in ("a", "e", "i", "o")]


def stem():
    return "".join(rng.choice("bdfgklmnprstv") + rng.choice("aeiou") for _ in range(3))


def sentences(word, rows=400, words=12):
    return [" ".join(word() for _ in range(words)) for _ in range(rows)]


def test_the_shares_are_those_counted_by_hand():
    texts = ["a x b", "a b", "a b", "a b", "a b", "a y b", "a b"]  # rows 0 and 5 are held out
    evidence = TextEvidence.of(texts)
    assert (evidence.words_per_row, evidence.unspaced) == (2, 0)
    assert evidence.spaces == 9 / sum(map(len, texts))
    assert evidence.unknown["words"] == 2 / 6
    assert evidence.unknown["characters"] == 2 / (5 + 5)


@pytest.mark.parametrize(
    ("texts", "tokenizer"),
    [
        (sentences(lambda: rng.choice(COMMON)), "words"),
        (sentences(lambda: stem() + rng.choice(COMMON)), "subwords"),
        (sentences(stem, words=1), "characters"),
        (sentences(lambda: stem() + stem(), words=3), "characters"),
        (["这部小说太好看了，我很喜欢", "书的质量不好 很失望"] * 20, "characters"),
        (["この本はとてもおもしろい", "カメラがすぐに壊れた"] * 20, "characters"),
        (["หนังเรื่องนี้สนุกมาก", "อาหารไม่อร่อยเลย"] * 20, "characters"),
        (["이 영화는 정말 재미있다", "음식이 맛이 없다"] * 20, "words"),
        (["фильм был очень скучным и длинным", "прекрасная книга для всей семьи"] * 20, "words"),
    ],
    ids=["common words", "rare words", "names", "three rare words", "chinese", "japanese", "thai", "korean", "russian"],
)
def test_the_tokenizer_follows_script_and_words(texts, tokenizer):
    assert TextEvidence.of(texts).choose()[0] == tokenizer


def test_the_reason_has_the_evidence():
    _, reason = TextEvidence.of(sentences(stem, words=1)).choose()
    assert "1 words per row" in reason
    assert "words 9" in reason or "words 100.0%" in reason
    assert "characters 0.0%" in reason


@pytest.mark.parametrize("texts", [[], [""], ["a"]])
def test_few_rows_have_no_unknown_tokens_to_count(texts):
    assert TextEvidence.of(texts).choose()[0] == "characters"
