import copy
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.encoder import NumberedWords, SequenceEncoder
from ostinato.errors import ConfigError, DataError, RunError

TEXTS = ["Good, good film<br />really", "bad film", "good"]
SERIES = [np.array([[1.0, 7.0], [3.0, 7.0]], np.float32), np.array([[5.0, 7.0]], np.float32)]


def words(**options):
    return SequenceEncoder.fit(TEXTS, tokenizer="words", **options)


def numeric(**options):
    return SequenceEncoder.fit(SERIES, tokenizer="numeric", **options)


def parts(sequences):
    return [part.tolist() for part in sequences.values.split(sequences.lengths.tolist())]


def test_tokens_become_ids_end_to_end_and_unseen_ones_unknown():
    encoder = words()
    assert encoder.vocabulary.tokens == ("<unk>", "good", "film", ",", "bad", "really")
    encoded = encoder.encode(["really GOOD", "", "awful film"])
    assert (encoded.values.tolist(), encoded.lengths.tolist(), encoded.truncated) == ([5, 1, 0, 2], [2, 0, 2], 0)
    assert (encoded.values.dtype, encoded.lengths.dtype) == (torch.int32, torch.int64)
    assert encoder.unknown_share(encoded) == 0.25


def test_vocabulary_is_bounded_by_count_and_size():
    assert words(min_count=2).vocabulary.tokens == ("<unk>", "good", "film")
    assert words(max_size=1).vocabulary.tokens == ("<unk>", "good")


@pytest.mark.parametrize(
    ("truncate", "expected"),
    [("head", ["abc", "abcd"[:3], "ab", ""]), ("tail", ["cde", "bcd", "ab", ""]), ("both", ["abe", "abd", "ab", ""])],
)
def test_truncation_keeps_the_named_part(truncate, expected):
    encoder = SequenceEncoder.fit(["abcde"], tokenizer="characters", max_length=3, truncate=truncate)
    encoded = encoder.encode(["abcde", "abcd", "ab", ""])
    assert ["".join(encoder.vocabulary.tokens[number] for number in part) for part in parts(encoded)] == expected
    assert (encoded.truncated, encoder.longest) == (2, 3)


@given(
    st.lists(st.text("abc", max_size=9), min_size=1, max_size=6),
    st.integers(1, 6),
    st.sampled_from(["head", "tail", "both"]),
)
@settings(max_examples=50, deadline=None)
def test_truncation_equals_slicing(sequences, most, truncate):
    heads = {"head": most, "tail": 0, "both": (most + 1) // 2}[truncate]
    encoder = SequenceEncoder.fit(["abc"], tokenizer="characters", max_length=most, truncate=truncate)
    cut = [s if len(s) <= most else s[:heads] + s[len(s) - most + heads :] for s in sequences]
    assert parts(encoder.encode(sequences)) == [["abc".index(letter) + 1 for letter in s] for s in cut]


@pytest.mark.parametrize("make", [lambda: (words(max_length=4), TEXTS), lambda: (numeric(max_length=1), SERIES)])
def test_answer_does_not_depend_on_the_chunk_or_the_batch(monkeypatch, make):
    encoder, sequences = make()
    whole = encoder.encode(sequences * 3)
    monkeypatch.setattr("ostinato.data.chunks.CHUNK_SIZE", 2)
    chunked, refitted = encoder.encode(sequences * 3), make()[0]
    alone = [encoder.encode([sequence]).values for sequence in sequences * 3]
    assert whole.digest() == chunked.digest() and whole.truncated == chunked.truncated
    assert torch.equal(torch.cat(alone), whole.values)
    assert refitted == encoder


def test_longest_is_that_of_the_encoded_training_sequences():
    assert (words().longest, words(max_length=3).longest, numeric().longest) == (5, 3, 2)
    assert words().longest == words().encode(TEXTS).lengths.max()


def test_fixed_alphabet_is_not_fitted():
    encoder = SequenceEncoder.fit(["AAAA", "AC"], tokenizer="nucleotides", min_count=2, max_size=1)
    assert parts(encoder.encode(["acgun?"])) == [[1, 2, 3, 4, 5, 0]]


def test_events_may_be_lists_or_strings():
    encoder = SequenceEncoder.fit([["log in", "out"], "out"], tokenizer="events")
    assert parts(encoder.encode([["out", "log in", "?"], "out out"])) == [[1, 2, 0], [1, 1]]


def test_series_are_standardized_by_channel_and_a_constant_channel_keeps_its_unit():
    encoder = numeric()
    assert (encoder.channels, encoder.is_numeric, encoder.vocabulary) == (2, True, None)
    np.testing.assert_allclose(encoder.mean, [3, 7])
    np.testing.assert_allclose(encoder.std, [np.sqrt(8 / 3), 1])
    encoded = encoder.encode([*SERIES, [[3, 8]], []])
    expected = [[-2 / np.sqrt(8 / 3), 0], [0, 0], [2 / np.sqrt(8 / 3), 0], [0, 1]]
    np.testing.assert_allclose(encoded.values.numpy(), expected, rtol=1e-6)
    assert (encoded.lengths.tolist(), encoded.values.dtype, encoder.unknown_share(encoded)) == (
        [2, 1, 1, 0],
        torch.float32,
        0.0,
    )


@pytest.mark.parametrize("channel", [np.full(70, 0.1), np.array([1e-200, 2e-200])])
def test_constant_channel_has_std_1_in_spite_of_rounding(channel):
    assert SequenceEncoder.fit([channel], tokenizer="numeric").std == (1.0,)


def test_scale_series_standardises_each_series_by_itself_before_the_cut():
    big, small = np.array([[1e8], [3e8], [2e8]]), np.array([[1e-4], [3e-4], [2e-4]])
    encoder = SequenceEncoder.fit([big, small], tokenizer="numeric", scale="series", max_length=2)
    whole = (np.array([1.0, 3.0, 2.0]) - 2) / np.sqrt(2 / 3)
    np.testing.assert_allclose(encoder.encode([big, small]).values.flatten(), [*whole[:2], *whole[:2]], rtol=1e-6)
    assert (encoder.mean, encoder.std) == ((0.0,), (1.0,))
    restored = SequenceEncoder.from_json(encoder.to_json())
    assert torch.equal(restored.encode([big]).values, encoder.encode([big]).values)


@pytest.mark.parametrize("constant", [np.full(70, 0.1), np.full(3, 1e9), np.array([5.0]), np.array([1e-200, 2e-200])])
def test_scale_series_makes_a_constant_series_0(constant):
    encoder = SequenceEncoder.fit([np.arange(3.0)], tokenizer="numeric", scale="series")
    assert not encoder.encode([constant]).values.any()
    assert encoder.encode([[]]).lengths.tolist() == [0]


def test_unknown_scale_is_named():
    with pytest.raises(ConfigError, match="'serie'"):
        SequenceEncoder.fit(SERIES, tokenizer="numeric", scale="serie")


def test_encoder_of_version_0_1_scales_by_channel():
    fields = numeric().to_json()
    del fields["scale"]
    assert SequenceEncoder.from_json(fields) == numeric()


def test_vector_is_a_series_of_one_channel():
    encoder = SequenceEncoder.fit([np.array([1.0, 3.0]), []], tokenizer="numeric")
    assert encoder.encode([np.array([2, 3]), [[1.0]]]).values.tolist() == [[0.0], [1.0], [-1.0]]


def test_nothing_encodes_to_nothing():
    assert words().encode([]).values.dtype == torch.int32
    assert numeric().encode([]).values.shape == (0, 2)
    assert numeric().encode([]).lengths.tolist() == []


@pytest.mark.parametrize(
    ("sequence", "tokenizer", "problem"),
    [
        (float("nan"), "words", r"nan \(float\) is not what tokenizer 'words' reads\. Expected a string\."),
        (["a"], "words", r"\['a'\] \(list\) is not what tokenizer 'words' reads"),
        (["a", 1], "events", r"\['a', 1\] \(list\) .* Expected a string or a list of strings"),
        (None, "nucleotides", r"None \(NoneType\)"),
        ("x\ud83d", "characters", r"character 1 is '\\ud83d', half of a surrogate pair"),
    ],
)
def test_sequence_of_a_wrong_type_is_refused_with_its_source(sequence, tokenizer, problem):
    with pytest.raises(DataError, match=f"^sequence 1: {problem}"):
        SequenceEncoder.fit(["a", sequence], tokenizer=tokenizer)
    with pytest.raises(DataError, match=f"^a.csv, row 2: {problem}"):
        SequenceEncoder.fit(["a"], tokenizer=tokenizer).encode([sequence], ["a.csv, row 2"])


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        ([[1.0, 2.0], [3.0, np.nan]], r"step 1, channel 1 is nan\."),
        ([[-np.inf, 2.0]], r"step 0, channel 0 is -inf\."),
        ([[1.0, 2.0], [3.0, -1e155]], r"step 1, channel 1 is -1e\+155\. Expected a magnitude of at most 3\.4e\+38"),
        ([[1.0, 2.0, 3.0]], r"the series has 3 channels\. Expected 2 as in "),
        ([1.0, 2.0], r"the series has 1 channels\. Expected 2 as in "),
        ("12", r"'12' \(str\) is not a numeric series"),
        ([[1.0, 2.0], [3.0]], r"\[\[1\.0, 2\.0\], \[3\.0\]\] \(list\) is not a numeric series"),
        (np.zeros((2, 2, 2)), r"array.* \(ndarray\) is not a numeric series"),
        (np.zeros((2, 0)), r"array.* \(ndarray\) is not a numeric series"),
        (None, r"None \(NoneType\) is not a numeric series"),
    ],
)
def test_series_that_cannot_be_used_is_refused_with_its_source(series, problem):
    with pytest.raises(DataError, match=f"^sequence 1: {problem}"):
        SequenceEncoder.fit([SERIES[0], series], tokenizer="numeric")
    with pytest.raises(DataError, match=f"^a.ts, row 2: {problem}"):
        numeric().encode([series], ["a.ts, row 2"])


def test_empty_training_data_is_refused():
    with pytest.raises(DataError, match="no sequence"):
        SequenceEncoder.fit([], tokenizer="words")
    with pytest.raises(DataError, match="all 1 series have length 0"):
        SequenceEncoder.fit([[]], tokenizer="numeric")


def test_misspelt_names_are_refused():
    with pytest.raises(ConfigError, match="Unknown truncate 'heads'. Did you mean 'head'"):
        words(truncate="heads")
    with pytest.raises(ConfigError, match="Unknown tokenizer 'word'. Did you mean 'words'"):
        SequenceEncoder.fit(["a"], tokenizer="word")


@pytest.mark.parametrize(
    "make",
    [
        lambda: words(max_length=2, truncate="both"),
        numeric,
        lambda: SequenceEncoder.fit([np.array([0.1, 0.2, 1e-300])], tokenizer="numeric"),
        lambda: SequenceEncoder.fit(["é\u2028", "😀"] * 2, tokenizer="characters"),
    ],
)
def test_json_round_trip_is_exact(make):
    encoder = make()
    assert SequenceEncoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


def test_json_is_readable():
    assert words(max_length=9).to_json() == {
        "tokenizer": "words",
        "mean": None,
        "std": None,
        "max_length": 9,
        "truncate": "head",
        "longest": 5,
        "scale": "channel",
        "tokens": ["<unk>", "good", "film", ",", "bad", "really"],
        "extra": [],
    }


def test_json_of_another_version_is_refused():
    fields = words().to_json()
    del fields["longest"]
    with pytest.raises(RunError, match="encoder.longest"):
        SequenceEncoder.from_json(fields)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
def test_encoder_that_was_used_can_be_copied(copied):
    encoder = words()
    used = encoder.encode(TEXTS)
    assert copied(encoder) == encoder
    assert copied(encoder).encode(TEXTS).digest() == used.digest()


def test_the_sequence_whose_channels_differ_from_most_is_named():
    series = [np.ones((3, 1)), *[np.ones((3, 2))] * 4]
    for rows, wrong, other in ((series, 0, 1), (series[::-1], 4, 0)):
        with pytest.raises(DataError, match=rf"^sequence {wrong}: .* 1 channels. Expected 2 as in sequence {other}"):
            SequenceEncoder.fit(rows, tokenizer="numeric")


def test_half_a_surrogate_pair_in_an_event_is_refused():
    with pytest.raises(DataError, match="sequence 1: .*'.ud83d'"):
        SequenceEncoder.fit([["open", "read"], ["open", "\ud83d"]], tokenizer="events")


@pytest.mark.parametrize("settings", [{}, {"min_count": 2}, {"max_size": 3, "max_length": 2, "truncate": "tail"}])
def test_words_that_were_numbered_in_fitting_are_encoded_as_if_split_again(settings, monkeypatch):
    monkeypatch.setattr("ostinato.data.chunks.CHUNK_SIZE", 10)  # several chunks
    texts = ["A good film, good!", "", "the plot<br />the <unk> end", "good end"] * 3
    words = NumberedWords()
    encoder = SequenceEncoder.fit(texts, tokenizer="words", numbered=words, **settings)
    assert encoder == SequenceEncoder.fit(texts, tokenizer="words", **settings)
    expected, found = encoder.encode(texts), encoder.encode_numbered(words)
    assert torch.equal(found.values, expected.values) and torch.equal(found.lengths, expected.lengths)
    assert found.truncated == expected.truncated and found.values.dtype == expected.values.dtype
