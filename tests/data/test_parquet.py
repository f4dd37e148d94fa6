"""Parquet files of any type, damaged or not: rows, or an error that names the column."""

import datetime
import io
from contextlib import suppress
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ostinato.data.formats import read_rows
from ostinato.errors import DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.infer import infer_config
from ostinato.tasks.multilabel.config import MultilabelData
from ostinato.tasks.multilabel.target import LabelSetTarget
from ostinato.tasks.regression.config import RegressionData
from ostinato.tasks.regression.target import NumberTarget
from ostinato.tasks.sequences.reading import read_labelled, read_records
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.reading import read_sentences

TEXTS = ["good film", "bad film", "dull film", "great film"] * 5


def write(path, names, columns):
    pq.write_table(pa.table(columns, names=names), path)
    return path


def targets(path, **settings):
    records, _ = read_labelled(path, ClassificationData(path=str(path), **settings), LabelTarget())
    return [record.target for record in records]


def bad_zone(length=20):
    return pa.array([0] * length, pa.timestamp("us", tz="Nowhere/City"))


LABELS = [
    (pa.array([b"a", b"b"]), ["a", "b"]),
    (pa.array([b"a", b"b"], pa.large_binary()), ["a", "b"]),
    (pa.array([b"aa", b"bb"], pa.binary(2)), ["aa", "bb"]),
    (pa.array([b"a", b"b"]).dictionary_encode(), ["a", "b"]),
    (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
    (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
    (pa.array([True, False]), ["true", "false"]),
    (pa.array([1, 2**64 - 1], pa.uint64()), ["1", "18446744073709551615"]),
    (pa.array([-(2**63), 2**53 + 1]), ["-9223372036854775808", "9007199254740993"]),
    (pa.array([1.0, 0.5]), ["1.0", "0.5"]),
    (pa.array([Decimal("1.50"), Decimal("-2.00")]), ["1.50", "-2.00"]),
    (pa.array([datetime.date(2020, 1, 2), datetime.date(2021, 1, 2)]), ["2020-01-02", "2021-01-02"]),
    (pa.array([0, 1], pa.timestamp("s", tz="UTC")), ["1970-01-01 00:00:00+00:00", "1970-01-01 00:00:01+00:00"]),
]


@pytest.mark.parametrize(("labels", "expected"), LABELS, ids=[str(labels.type) for labels, _ in LABELS])
def test_labels_of_any_type_become_text(tmp_path, labels, expected):
    try:
        path = write(tmp_path / "a.parquet", ["text", "label"], [TEXTS[:2], labels])
    except pa.ArrowNotImplementedError:
        pytest.skip(f"pyarrow {pa.__version__} cannot write {labels.type}")
    assert targets(path) == expected


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (pa.array([b"\xff"]), r"b'\\xff' \(bytes\)"),
        (pa.array([["a"]]), r"\['a'\] \(list\)"),
        (pa.array([{"x": 1}]), r"\{'x': 1\} \(dict\)"),
        (pa.array([float("inf")]), r"inf \(float\)"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), r"\[\('a', 1\)\] \(list\)"),
    ],
)
def test_labels_that_are_not_text_or_numbers_are_refused_with_their_row(tmp_path, labels, shown):
    path = write(tmp_path / "a.parquet", ["text", "label"], [["x"], labels])
    with pytest.raises(DataError, match=rf"a\.parquet, row 1: label is {shown}"):
        targets(path)


def test_texts_of_bytes_and_lists_of_bytes_are_read_and_other_types_refused(tmp_path):
    for column, expected in (
        (pa.array([b"na\xc3\xafve"]), "naïve"),
        (pa.array([[b"open", b"read"]]), ["open", "read"]),
        (pa.array(["a"]).dictionary_encode(), "a"),
    ):
        path = write(tmp_path / "a.parquet", ["text", "label"], [column, ["x"]])
        assert [row.values["text"] for row in read_rows(path)] == [expected]
    for column, shown in ((pa.array([b"\xff"]), r"b'\\xff'"), (pa.array([5]), "5"), (pa.array([{"x": 1}]), r"\{'x'")):
        path = write(tmp_path / "a.parquet", ["text", "label"], [column, ["x"]])
        with pytest.raises(DataError, match=rf"row 1: the sequence is {shown}"):
            targets(path)


def test_decimals_are_numbers_to_predict(tmp_path):
    path = write(tmp_path / "a.parquet", ["text", "target"], [["x"], pa.array([Decimal("1.50")])])
    records, _ = read_labelled(path, RegressionData(path=str(path)), NumberTarget())
    assert records[0].target == {"target": 1.5}


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([TEXTS, TEXTS, ["a", "b"] * 10], names=["text", "text", "label"]), path)
    for read in (lambda: infer_config(path), lambda: targets(path)):
        with pytest.raises(DataError, match="column 'text' occurs twice"):
            read()


def test_a_column_that_cannot_be_read_matters_only_where_it_is_needed(tmp_path):
    path = write(tmp_path / "a.parquet", ["text", "when", "label"], [TEXTS, bad_zone(), ["a", "b"] * 10])
    assert targets(path) == ["a", "b"] * 10
    assert infer_config(path)[0].data.label_column == "label"
    assert next(read_rows(path)).columns == ["text", "when", "label"]
    with pytest.raises(DataError, match=r"column 'when' \(timestamp.*Nowhere/City"):
        targets(path, label_column="when")
    path = write(tmp_path / "b.parquet", ["text", "label"], [TEXTS, bad_zone()])
    with pytest.raises(DataError, match=r"b\.parquet: column 'label' \(timestamp"):
        infer_config(path)
    path = write(tmp_path / "c.parquet", ["words", "when"], [TEXTS, bad_zone()])
    with pytest.raises(DataError, match=r"c\.parquet: column 'when' \(timestamp"):
        infer_config(path)


def test_a_missing_column_is_answered_with_all_columns_of_the_file(tmp_path):
    path = write(tmp_path / "a.parquet", ["review", "label"], [TEXTS, ["a", "b"] * 10])
    with pytest.raises(DataError, match=r"no column 'text'.*Columns: review, label"):
        targets(path)
    path = write(tmp_path / "b.parquet", ["words", "tags"], [[["a"]], [["O"]]])
    (error,) = read_sentences(path, TaggingData(path=str(path)))
    assert "no column 'tokens'" in str(error) and "Columns: words, tags" in str(error)


def test_every_task_asks_for_the_columns_that_it_reads(tmp_path):
    names = ["text", "a", "b", "part", "patient", "when"]
    columns = [["x", "y"], [1, 0], [0, 1], ["train", "test"], [7, 8], bad_zone(2)]
    path = write(tmp_path / "a.parquet", names, columns)
    config = MultilabelData(path=str(path), label_columns=["a", "b"], split_column="part", group_column="patient")
    records = list(read_records(path, config, LabelSetTarget()))
    assert [(each.target, each.split, each.group) for each in records] == [
        (("a",), "train", "7"),
        (("b",), "test", "8"),
    ]
    config = RegressionData(path=str(path), target_columns=["a", "b"])
    assert [each.target for each in read_records(path, config, NumberTarget())] == [{"a": 1, "b": 0}, {"a": 0, "b": 1}]
    path = write(tmp_path / "b.parquet", ["tokens", "tags", "when"], [[["x"]], [["O"]], bad_zone(1)])
    assert [each.words for each in read_sentences(path, TaggingData(path=str(path)))] == [["x"]]
    path = write(tmp_path / "c.parquet", ["text", "spans", "when"], [["Rome"], [[[0, 4]]], bad_zone(1)])
    (sentence,) = read_sentences(path, TaggingData(path=str(path)), labelled=False)
    assert sentence.words == ["Rome"]


def test_an_index_beyond_a_dictionary_is_refused(tmp_path):
    """As in a file whose dictionary page has fewer values than its data pages refer to."""
    from ostinato.data.parquet import values_of

    broken = pa.DictionaryArray.from_arrays(pa.array([0, 9]), ["a", "b"], safe=False)
    batch = pa.record_batch([broken], names=["text"])
    with pytest.raises(DataError, match=r"a\.parquet: column 'text' \(dictionary.*9"):
        values_of(batch, "text", tmp_path / "a.parquet")
    assert values_of(batch, "text", tmp_path / "a.parquet", needed=False) is None


@pytest.mark.parametrize("position", [0.05, 0.3, 0.6, 0.95])
def test_damaged_files_are_refused_by_name(tmp_path, position):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS, "label": ["a", "b"] * 10}), buffer)
    content = buffer.getvalue()
    place = int(position * len(content))
    path = tmp_path / "a.parquet"
    path.write_bytes(content[:place])
    with pytest.raises(DataError, match=r"a\.parquet: not a complete Parquet file"):
        targets(path)
    path.write_bytes(
        content[:place] + bytes(byte ^ 0x55 for byte in content[place : place + 12]) + content[place + 12 :]
    )
    with suppress(DataError):  # the damage may be in a place that does not matter
        targets(path)


def test_compressed_parquet_and_names_that_are_not_utf8(tmp_path):
    path = write(tmp_path / "a.parquet", ["text", "label"], [["x"], ["y"]])
    with pytest.raises(DataError, match=r"a\.parquet\.gz: .*gunzip"):
        list(read_rows(path.rename(tmp_path / "a.parquet.gz")))
    other = tmp_path / "\udcff.parquet"  # the byte 0xff in a file name
    other.write_bytes((tmp_path / "a.parquet.gz").read_bytes())
    assert [row.values for row in read_rows(other)] == [{"text": "x", "label": "y"}]


def test_series_of_decimals_are_refused_and_of_floats_read(tmp_path):
    path = write(tmp_path / "a.parquet", ["text", "label"], [[[[1.0, 2.0]], [[3.0, 4.0]]], ["a", "b"]])
    records = list(read_records(path, ClassificationData(path=str(path)), LabelTarget()))
    np.testing.assert_array_equal(records[1].sequence, [[3.0, 4.0]])
    path = write(tmp_path / "b.parquet", ["text", "label"], [[[Decimal("1.5")]], ["a"]])
    with pytest.raises(DataError, match="row 1: the series holds missing or non-numeric"):
        targets(path)
