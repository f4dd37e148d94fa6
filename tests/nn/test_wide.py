"""The wide part: its features are those of scikit-learn's TF-IDF, and depend on the sequence alone."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from ostinato.errors import RunError
from ostinato.nn import Layout, WideNgrams

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
    features = torch.zeros(len(lengths), len(wide.keys))
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
