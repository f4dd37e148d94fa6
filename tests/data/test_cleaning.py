import numpy as np
import pytest

from ostinato.data.cleaning import clean, count_reverse_complements, key_of, with_keys
from ostinato.data.examples import Record, Records
from ostinato.errors import DataError


def rows(*pairs):
    return Records.of(
        Record(sequence, label, None, None, f"row {number}") for number, (sequence, label) in enumerate(pairs, start=1)
    )


def contents(records):
    return [(record.sequence, record.target) for record in records]


def test_before_a_draw_conflicts_lose_all_copies_and_duplicates_all_but_the_first():
    train = rows(("a", "x"), ("b", "x"), ("a", "x"), ("c", "x"), ("c", "y"), ("c", "x"), ("", "x"), ("  ", "y"))
    splits, cleaning = clean(
        {"train": train}, tokenizer="characters", refuse_empty=False, drops_overlap=True, draws=True
    )
    assert contents(splits["train"]) == [("a", "x"), ("b", "x")]
    assert splits["train"].sources[0] == "row 1"
    assert (cleaning.empty_dropped, cleaning.conflicting_dropped, cleaning.duplicates_dropped) == (2, 3, 1)


def test_given_splits_lose_rows_that_a_later_split_holds():
    given = {
        "train": rows(("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("d", "x")),
        "validation": rows(("b", "x"), ("c", "y")),
        "test": rows(("c", "x")),
    }
    splits, cleaning = clean(given, tokenizer="characters", refuse_empty=False, drops_overlap=True, draws=False)
    assert {split: contents(records) for split, records in splits.items()} == {
        "train": [("a", "x"), ("d", "x")],
        "validation": [("b", "x")],
        "test": [("c", "x")],
    }
    assert cleaning.overlap == {"train/validation": 3, "train/test": 1, "validation/test": 1}


def test_without_a_draw_duplicates_and_conflicts_stay():
    train = rows(("a", "x"), ("a", "x"), ("a", "y"))
    splits, cleaning = clean(
        {"train": train}, tokenizer="characters", refuse_empty=False, drops_overlap=True, draws=False
    )
    assert splits["train"] == train
    assert (cleaning.conflicting_dropped, cleaning.duplicates_dropped) == (0, 0)


def test_overlap_of_a_set_that_defines_its_splits_is_only_counted():
    given = {"train": rows(("a", "x"), ("b", "y")), "test": rows(("a", "x"))}
    splits, cleaning = clean(given, tokenizer="characters", refuse_empty=False, drops_overlap=False, draws=True)
    assert splits == given
    assert (cleaning.overlap, cleaning.overlap_dropped) == ({"train/test": 1}, False)


def test_an_empty_sequence_can_be_refused_with_its_row():
    with pytest.raises(DataError, match="row 2: the sequence is empty"):
        clean(
            {"train": rows(("a", "x"), ("", "y"))},
            tokenizer="characters",
            refuse_empty=True,
            drops_overlap=True,
            draws=True,
        )


def test_rows_that_the_tokenizer_reads_alike_have_one_key():
    def keys(tokenizer, *sequences):
        return with_keys(rows(*((each, "x") for each in sequences)), tokenizer).keys.tolist()

    first, same, other = keys("words", "A  good<br />film", "a good film", "a good films")
    assert first == same != other
    listed, split, joined = keys("events", ["a", "bc"], "a bc", ["ab", "c"])
    assert listed == split != joined
    series = np.arange(6.0)
    first, same, other = keys("numeric", series.reshape(2, 3), series.reshape(2, 3).copy(), series.reshape(3, 2))
    assert first == same != other
    assert len(set(keys("characters", "ab", "AB", "a b"))) == 3


def test_series_are_equal_by_values_and_shape():
    series = np.arange(6, dtype=np.float32)
    assert key_of(series.reshape(2, 3), "characters") == key_of(series.reshape(2, 3).copy(), "characters")
    assert key_of(series.reshape(2, 3), "characters") != key_of(series.reshape(3, 2), "characters")
    assert key_of(["a b"], "characters") != key_of(["a", "b"], "characters")


@pytest.mark.parametrize(
    ("tokenizer", "one", "other"),
    [
        ("nucleotides", "ACGT", "acgu"),
        ("kmers(3)", "ACGT", "acgt"),
        ("amino-acids", "MKV", "mkv"),
        ("words", "Good film!", "good<br />film !"),
        ("events", "open read", ["open", "read"]),
    ],
)
def test_what_a_tokenizer_reads_alike_is_a_duplicate(tokenizer, one, other):
    given = {
        "train": rows((one, "x"), ("GATTACA", "y")),
        "test": rows((other, "x")),
    }
    splits, cleaning = clean(given, tokenizer=tokenizer, refuse_empty=False, drops_overlap=True, draws=False)
    assert splits["train"].sequences == ["GATTACA"]
    assert cleaning.overlap == {"train/test": 1}


def test_characters_differ_where_their_case_does():
    assert key_of("ACGT", "characters") != key_of("acgt", "characters")


def test_reverse_complements_across_splits_are_counted_for_dna_alone():
    splits = {
        "train": with_keys(rows(("AACG", "x"), ("AAAA", "x")), "nucleotides"),
        "test": with_keys(rows(("cguu", "x")), "nucleotides"),
    }
    assert count_reverse_complements(splits, "nucleotides") == {"train/test": 1}
    assert count_reverse_complements(splits, "characters") == {}
