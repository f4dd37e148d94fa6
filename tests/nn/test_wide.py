"""The wide part: its features are those of scikit-learn's TF-IDF, and depend on the sequence alone."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from ostinato.errors import RunError
from ostinato.nn import Layout, WideNgrams
from ostinato.nn.wide_parts import TokenParts

rng = np.random.default_rng(0)
RAGGED = [rng.integers(1, 9, size=length).tolist() for length in (7, 1, 12, 5, 30, 3)]


def flat(sequences):
    ids = torch.tensor([each for sequence in sequences for each in sequence], dtype=torch.int32)
    return ids, torch.tensor([len(sequence) for sequence in sequences])


def fitted(sequences, *, order=3, most=10_000, fewest=1, outputs=4):
    wide = WideNgrams(outputs, order=order)
    wide.fit(*flat(sequences), most=most, fewest=fewest)
    torch.nn.init.normal_(wide.weight)
    return wide


def dense(wide, sequences):
    ids, lengths = flat(sequences)
    entries = wide.entries(ids, Layout(lengths))
    features = torch.zeros(len(lengths), len(wide.weight))
    features[entries.rows, entries.columns] = entries.values
    return features


def sorted_rows(features):
    """Each row's values in order, since the features of two implementations are in different orders."""
    return np.sort(np.asarray(features), axis=1)


def tfidf(documents, min_df=1):
    """scikit-learn's, for documents that are lists of features."""
    return TfidfVectorizer(analyzer=list, sublinear_tf=True, min_df=min_df).fit(documents)


def ngrams(sequence, order=3):
    return [tuple(sequence[i : i + n]) for n in range(1, order + 1) for i in range(len(sequence) - n + 1)]


@pytest.mark.parametrize("fewest", [1, 2])
def test_features_are_scikit_learns_tfidf(fewest):
    documents = [ngrams(each) for each in RAGGED]
    expected = tfidf(documents, fewest).transform(documents).toarray()
    assert expected.shape[1] > 10
    np.testing.assert_allclose(
        sorted_rows(dense(fitted(RAGGED, fewest=fewest), RAGGED)), sorted_rows(expected), atol=1e-6
    )


def test_new_sequences_have_scikit_learns_tfidf():
    new = [[1, 2, 3, 1, 2], [8] * 9]
    expected = tfidf([ngrams(each) for each in RAGGED]).transform([ngrams(each) for each in new]).toarray()
    np.testing.assert_allclose(sorted_rows(dense(fitted(RAGGED), new)), sorted_rows(expected), atol=1e-6)


def test_aligned_sequences_also_have_ngrams_at_their_positions():
    windows = [rng.integers(1, 5, size=8).tolist() for _ in range(20)]
    bags = [ngrams(each, 4) for each in windows]
    aligned = [[(at, *each[at : at + n]) for n in range(1, 3) for at in range(len(each) - n + 1)] for each in windows]
    ones = TfidfVectorizer(analyzer=list, use_idf=False).fit_transform(aligned).toarray()
    expected = np.concatenate([tfidf(bags).transform(bags).toarray(), ones], axis=1)
    np.testing.assert_allclose(sorted_rows(dense(fitted(windows, order=4), windows)), sorted_rows(expected), atol=1e-6)


def test_an_ngram_with_an_unknown_token_is_no_feature():
    wide = fitted(RAGGED)
    np.testing.assert_array_equal(
        dense(wide, [[1, 2, 0, 3]])[0] > 0, dense(wide, [[1, 2]])[0] + dense(wide, [[3]])[0] > 0
    )


def test_outputs_are_the_weighted_features():
    wide = fitted(RAGGED)
    ids, lengths = flat(RAGGED)
    torch.testing.assert_close(wide(ids, Layout(lengths)), dense(wide, RAGGED) @ wide.weight)


@pytest.mark.parametrize("outputs", [1, 2, 3, 17])
def test_outputs_have_the_same_bits_in_any_batch(outputs):
    sequences = [rng.integers(0, 9, size=length).tolist() for length in (400, 1, 90, 33, 0, 200, 7, 8)]
    wide = fitted(sequences, outputs=outputs)
    together = wide(*(lambda ids, lengths: (ids, Layout(lengths)))(*flat(sequences)))
    for each, expected in zip(sequences, together, strict=True):
        ids, lengths = flat([each])
        assert torch.equal(wide(ids, Layout(lengths))[0], expected)
    ids, lengths = flat(sequences[::-1])
    assert torch.equal(wide(ids, Layout(lengths)), together.flip(0))


def test_a_sequence_without_features_has_outputs_of_zero():
    ids, lengths = flat([[], [0, 0], [1]])
    outputs = fitted(RAGGED)(ids, Layout(lengths))
    assert not outputs[:2].any() and outputs[2].all()


def test_the_commonest_features_are_selected():
    wide = fitted([[1, 2], [3, 1], [1, 2, 4]], order=1, most=2)
    assert wide.keys.tolist() == [2, 3]  # the ids + 1
    np.testing.assert_allclose(wide.idf, 1 + np.log([4 / 4, 4 / 3]), rtol=1e-6)


def test_fitting_in_parts_gives_the_same_features(monkeypatch):
    whole = fitted(RAGGED)
    monkeypatch.setattr("ostinato.nn.wide.STEPS_AT_A_TIME", 10)
    parts = fitted(RAGGED)
    assert torch.equal(whole.keys, parts.keys)
    assert torch.equal(whole.idf, parts.idf)


def test_contributions_add_up_to_the_outputs():
    wide = fitted(RAGGED)
    ids, lengths = flat(RAGGED)
    layout = Layout(lengths)
    added = torch.zeros(len(lengths), 4).index_add(0, layout.sequence, wide.contributions(ids, layout))
    torch.testing.assert_close(added, wide(ids, layout))


def test_a_bigram_contributes_half_to_each_of_its_tokens():
    wide = fitted([[1, 2], [3]], order=2)
    wide.weight.data = torch.zeros(len(wide.keys), 1)
    bigram = dense(wide, [[1, 2]])[0].gt(0) & ~(dense(wide, [[1]])[0] + dense(wide, [[2]])[0]).gt(0)
    wide.weight.data[bigram] = 6.0
    ids, lengths = flat([[1, 2]])
    value = float(dense(wide, [[1, 2]])[0][bigram])
    torch.testing.assert_close(wide.contributions(ids, Layout(lengths)), torch.full((2, 1), 3 * value))


@pytest.mark.parametrize(
    ("state", "value"), [({"keys": torch.tensor([3, 3])}, "keys"), ({"aligned_order": torch.tensor(-7)}, "-7")]
)
def test_a_state_that_contradicts_itself_is_refused(state, value):
    with pytest.raises(RunError, match=value):
        WideNgrams(2, order=2).prepare_for({**fitted(RAGGED).state_dict(), **state})


def test_every_feature_is_spelled():
    wide = fitted(RAGGED)
    found = [tuple(wide.spelled(column, num_tokens=9)) for column in range(len(wide.keys))]
    assert sorted(found) == sorted({ngram for each in RAGGED for ngram in ngrams(each)})


def test_an_ngram_whose_beginning_is_not_a_feature_is_not_spelled():
    wide = fitted([[1, 2], [1]], order=2)  # the features are 1, 2 and 1 2
    pair = next(column for column in range(3) if wide.spelled(column, num_tokens=3) == [1, 2])
    wide.keys[wide.keys == 2] = 1  # the key of 1, replaced by one that no token has
    assert wide.spelled(pair, num_tokens=3) == []


WORDS = ["", "an", "banana", "nab", "ban", "x", "xyz", "a", "na"]  # by id; 0 is unknown
BOUNDARY = 9


def with_parts(sequences, *, longest=3, order=2, most=10_000, fewest=1):
    spelled = [f" {word} " if word else "" for word in WORDS]
    letters = torch.tensor([ord(letter) for letter in "".join(spelled)], dtype=torch.int32)
    parts = TokenParts(letters, torch.tensor([len(each) for each in spelled]), longest=longest)
    wide = WideNgrams(3, order=order, parts=parts)
    wide.fit(*flat(sequences), most=most, fewest=fewest)
    torch.nn.init.normal_(wide.weight)
    return wide


def parts_of(sequence, longest=3):
    """The letter n-grams of the words of a sequence, as negative numbers, which no n-gram of tokens has."""
    spelled = [tuple(-ord(letter) for letter in f" {WORDS[number]} ") for number in sequence if number]
    return [each[i : i + n] for each in spelled for n in range(1, longest + 1) for i in range(len(each) - n + 1)]


@pytest.mark.parametrize("fewest", [1, 3])
def test_parts_of_tokens_are_features_with_half_of_the_squared_norm(fewest):
    new = [[2, 2, 1], [0, 5, 0], [3, 0, 4, 2, 8]]
    expected = []
    for features in (lambda each: ngrams(each, 2), parts_of):
        documents, unseen = ([features(each) for each in some] for some in (RAGGED, new))
        expected.append(tfidf(documents, fewest).transform(unseen).toarray() / np.sqrt(2))
    expected = np.concatenate(expected, axis=1)
    wide = with_parts(RAGGED, fewest=fewest)
    assert len(wide.keys) < len(wide.weight)
    np.testing.assert_allclose(sorted_rows(dense(wide, new)), sorted_rows(expected), atol=1e-6)


def test_the_most_frequent_parts_and_ngrams_are_selected_together():
    documents = [set(ngrams(each, 2) + parts_of(each)) for each in RAGGED]
    counts = sorted((sum(each in document for document in documents) for each in set().union(*documents)), reverse=True)
    wide = with_parts(RAGGED, most=20)
    frequencies = (1 + len(RAGGED)) / (wide.idf - 1).exp() - 1  # the idf solved for the number of sequences
    np.testing.assert_allclose(sorted(frequencies.tolist(), reverse=True), counts[:20], rtol=1e-4)


def test_contributions_of_parts_add_up_and_belong_to_their_token():
    wide, (ids, lengths) = with_parts(RAGGED), flat(RAGGED)
    layout = Layout(lengths)
    shares = wide.contributions(ids, layout)
    sums = torch.zeros(len(lengths), 3).index_add(0, layout.sequence, shares)
    torch.testing.assert_close(sums, wide(ids, layout), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        wide.weight[: len(wide.keys)] = 0  # parts alone: a token without any contributes nothing
    assert (wide.contributions(torch.tensor([0, 2, 0]), Layout(torch.tensor([3])))[[0, 2]] == 0).all()


@pytest.mark.parametrize("name", ["parts.ends", "parts.columns"])
def test_parts_that_do_not_fit_are_refused(name):
    wide = with_parts(RAGGED)
    state = {key: value.clone() for key, value in wide.state_dict().items()}
    with_parts(RAGGED[:1]).prepare_for(state)  # fits
    state[name][-1] += 1000
    with pytest.raises(RunError, match="parts"):
        wide.prepare_for(state)


def with_ends(sequences, order=3):
    wide = WideNgrams(4, order=order, boundary=BOUNDARY)
    wide.fit(*flat(sequences), most=10_000, fewest=1)
    torch.nn.init.normal_(wide.weight)
    return wide


def ngrams_with_ends(sequence, order=3):
    return [each for each in ngrams([BOUNDARY, *sequence, BOUNDARY], order) if set(each) != {BOUNDARY}]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ends_are_as_a_token_on_both_sides(order):
    new = [[1, 2, 3, 1, 2], [8] * 9, [4], [5, 6], [7, 2, 7]]
    documents, unseen = ([ngrams_with_ends(each, order) for each in some] for some in (RAGGED, new))
    if order == 1:  # a boundary is not a feature by itself
        documents, unseen = ([ngrams(each, 1) for each in some] for some in (RAGGED, new))
    expected = tfidf(documents).transform(unseen).toarray()
    np.testing.assert_allclose(sorted_rows(dense(with_ends(RAGGED, order), new)), sorted_rows(expected), atol=1e-6)


def test_contributions_with_ends_add_up():
    wide, (ids, lengths) = with_ends(RAGGED), flat(RAGGED)
    layout = Layout(lengths)
    sums = torch.zeros(len(lengths), 4).index_add(0, layout.sequence, wide.contributions(ids, layout))
    torch.testing.assert_close(sums, wide(ids, layout), atol=1e-5, rtol=1e-4)
