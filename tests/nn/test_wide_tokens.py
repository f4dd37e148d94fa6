"""The features of tokens against features spelt out as strings."""

import itertools
from collections import Counter

import pytest
import torch

from ostinato.errors import RunError
from ostinato.nn import Layout
from ostinato.nn.wide_tokens import REACH, Tokens, WideTokens
from ostinato.tasks.tagging.encoding import letter_code

SENTENCES = [
    ["The", "the", "THE", "U.S.", "a-b", "2026"],
    ["Ostinato", "ostinatos", "2026", "20", "x"],
    ["x"],
    [],
    ["the", "The", "the", "The", "the"],
]
COLUMNS = [[number % 3 for number, _ in enumerate(words)] for words in SENTENCES]


def tokens_of(sentences, columns=None):
    forms = list(dict.fromkeys(itertools.chain.from_iterable(sentences)))
    letters = torch.tensor([letter_code(letter) for form in forms for letter in form], dtype=torch.int32)
    values = [[] for words in sentences for _ in words] if columns is None else [[v] for each in columns for v in each]
    return Tokens(
        letters,
        Layout(torch.tensor([len(form) for form in forms], dtype=torch.int64)),
        torch.tensor([forms.index(word) for words in sentences for word in words], dtype=torch.int64),
        torch.tensor(values, dtype=torch.int64).view(len(values), 0 if columns is None else 1),
        Layout(torch.tensor([len(words) for words in sentences])),
    )


def attribute(name, word, column):
    """An attribute as a string; None if the word is too short for it."""
    if name.startswith("column"):
        return str(column)
    lower = word.lower()
    shape = [
        "X" if each.isupper() else "x" if each.isalpha() else "d" if each.isdigit() else f"[{each}]" for each in word
    ]
    if name == "word":
        return lower
    if name == "shape":
        return "".join(shape)
    if name == "short shape":
        return "".join(symbol for symbol, _ in itertools.groupby(shape))
    size = int(name[-1])
    if len(word) < size:
        return None
    return lower[:size] if name.startswith("prefix") else lower[-size:]


def spelt(parts, words, columns, t):
    """A feature as a tuple of strings; None if the token does not have it."""
    found = []
    for name, offset in parts:
        at = t + offset
        found.append(attribute(name, words[at], columns[at]) if 0 <= at < len(words) else "outside")
    return None if None in found else tuple(found)


def features(model, sentences, columns):
    """For each token, its features by template."""
    return [
        {
            number: found
            for number, parts in enumerate(model.templates)
            if (found := spelt(parts, words, own, t)) is not None
        }
        for words, own in zip(sentences, columns, strict=True)
        for t in range(len(words))
    ]


def fitted(sentences=SENTENCES * 3, columns=COLUMNS * 3, num_outputs=3, **bounds):
    model = WideTokens(num_outputs, num_columns=0 if columns is None else 1)
    model.fit(tokens_of(sentences, columns), **{"most": 10_000, "fewest": 1, **bounds})
    torch.manual_seed(0)
    model.weight.data.normal_()
    return model


def test_two_tokens_share_a_key_exactly_where_their_features_are_spelt_alike():
    model = fitted()
    expected = features(model, SENTENCES, COLUMNS)
    rows, columns = model.entries(tokens_of(SENTENCES, COLUMNS))
    found = [[] for _ in expected]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        found[row].append(column)
    by_key: dict[int, set] = {}
    for own, spelt_out in zip(found, expected, strict=True):
        assert len(own) == len(spelt_out)
        for column, feature in zip(own, spelt_out.items(), strict=True):
            by_key.setdefault(column, set()).add(feature)
    assert all(len(each) == 1 for each in by_key.values())
    distinct = {feature for own in expected for feature in own.items()}
    assert len(by_key) == len(model.keys) == len(distinct)


def test_scores_are_the_sums_of_the_features_weights():
    model, tokens = fitted(), tokens_of(SENTENCES, COLUMNS)
    rows, columns = model.entries(tokens)
    expected = torch.zeros(len(tokens.forms), 3).index_add(0, rows, model.weight[columns])
    torch.testing.assert_close(model(tokens), expected)


def test_scores_of_a_sentence_have_the_same_bits_in_any_batch():
    model = fitted()
    together = model(tokens_of(SENTENCES, COLUMNS)).split([len(words) for words in SENTENCES])
    for words, columns, expected in zip(SENTENCES, COLUMNS, together, strict=True):
        assert torch.equal(model(tokens_of([words], [columns])), expected)


def test_a_sentence_that_was_not_in_training_has_only_the_features_that_were():
    model = fitted(columns=None)
    words = ["the", "zebra"]
    known = {each for own in features(model, SENTENCES, COLUMNS) for each in own.items()}
    expected = [set(own.items()) & known for own in features(model, [words], [[0, 0]])]
    rows, _ = model.entries(tokens_of([words]))
    assert torch.bincount(rows).tolist() == [len(each) for each in expected]
    assert 0 < len(expected[1]) < len(model.templates)


def test_features_of_hidden_tokens_are_ignored():
    model, words, columns = fitted(), SENTENCES[0], COLUMNS[0]
    hidden = torch.tensor([False, False, True, False, False, False])
    rows, _ = model.entries(tokens_of([words], [columns]), hidden)
    expected = [
        sum(
            1
            for parts in model.templates
            if spelt(parts, words, columns, t) is not None and all(t + offset != 2 for _, offset in parts)
        )
        for t in range(len(words))
    ]
    assert torch.bincount(rows, minlength=len(words)).tolist() == expected


def test_contributions_add_up_to_the_scores():
    model, tokens = fitted(), tokens_of(SENTENCES, COLUMNS)
    shares = model.contributions(tokens)
    everywhere = model(tokens, torch.ones(len(tokens.forms), dtype=torch.bool))  # what no token contributes
    torch.testing.assert_close(shares.sum(1) + everywhere, model(tokens))
    first = tokens.layout.time == 0
    assert not shares[first, REACH - 1].any() and shares[~first, REACH - 1].any()


def occurrences(model):
    """How often each feature occurs in SENTENCES, as (template, strings)."""
    return Counter(each for own in features(model, SENTENCES, COLUMNS) for each in own.items())


def test_rare_features_and_those_beyond_the_bound_are_not_selected():
    model = fitted(SENTENCES, COLUMNS, fewest=3)
    assert len(model.keys) == sum(count >= 3 for count in occurrences(model).values())
    (only,) = fitted(most=1).keys
    assert only in model.keys and len(fitted(most=7).keys) == 7


def test_words_in_a_row_must_occur_more_often_than_other_features():
    model, rare = fitted(SENTENCES, COLUMNS), 0
    for (number, _), count in occurrences(model).items():
        parts = model.templates[number]
        rare += count < 3 and len(parts) > 1 and {name for name, _ in parts} == {"word"}
    assert rare and len(model.keys) == len(occurrences(model)) - rare


def test_keys_that_do_not_ascend_are_refused():
    with pytest.raises(RunError, match="ascend"):
        WideTokens(3, num_columns=0).prepare_for({"keys": torch.tensor([2, 1])})


def test_without_features_all_scores_are_0():
    assert not WideTokens(3, num_columns=0)(tokens_of(SENTENCES)).any()
