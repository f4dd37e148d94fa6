import gzip
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from ostinato.data.examples import Record, Records
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.sequences.peek import Peek
from ostinato.tasks.sequences.reading import read_labelled, read_records, typed


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, *, labelled: bool = True, **settings) -> list[Record]:
    """All records of a file; the first row that cannot be read is raised."""
    config = ClassificationData(path=str(path), **settings)
    if labelled:
        return read_labelled(path, config, LabelTarget())[0]
    records = list(read_records(path, config, LabelTarget(), labelled=False))
    assert all(isinstance(record, Record) for record in records)
    return records


def pairs(path: Path, **settings):
    return [(record.sequence, record.target) for record in read(path, **settings)]


def test_csv_keeps_quoted_newlines_and_labels_as_written(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"two\nlines, ""quoted""",01\nplain, 1 \n')
    records = read(path)
    assert [(r.sequence, r.target) for r in records] == [('two\nlines, "quoted"', "01"), ("plain", "1")]
    assert [r.source for r in records] == [f"{path}, row 2", f"{path}, row 3"]


def test_csv_counts_blank_lines_and_leaves_them_out(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\n\na,x\n\n")
    assert [(r.sequence, r.source) for r in read(path)] == [("a", f"{path}, row 3")]


def test_byte_order_mark_and_gzip_change_nothing(tmp_path):
    text = "text\tlabel\nnaïve\tx\n"
    plain = write(tmp_path / "a.tsv", text, "utf-8-sig")
    packed = tmp_path / "a.tsv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert pairs(plain) == pairs(packed) == [("naïve", "x")]


def test_a_field_may_be_longer_than_the_csv_module_allows_by_default(tmp_path):
    path = write(tmp_path / "a.csv", f"text,label\n{'A' * 200_000},x\n")
    assert len(read(path)[0].sequence) == 200_000


def test_jsonl_reads_texts_events_and_series(tmp_path):
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": True}]
    assert pairs(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))) == [("a", "1"), ("b", "true")]
    assert pairs(write(tmp_path / "b.jsonl", '{"text": ["login", "pay"], "label": "x"}\n')) == [(["login", "pay"], "x")]
    ((series, _),) = pairs(write(tmp_path / "c.jsonl", '{"text": [[1, 2.5], [3, 4], [5, 6]], "label": "x"}\n'))
    assert series.dtype == np.float64
    np.testing.assert_array_equal(series, [[1, 2.5], [3, 4], [5, 6]])
    ((series, _),) = pairs(write(tmp_path / "d.jsonl", '{"text": [7, 8], "label": "x"}\n'))
    np.testing.assert_array_equal(series, [[7], [8]])


def test_parquet_reads_texts_events_and_series_of_any_batch(tmp_path):
    for values in (["a"] * 2500, [["x", "y"]] * 2500, [[[1.0, 2.0], [3.0, 4.0]]] * 2500):
        path = tmp_path / "a.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": values, "label": list(range(2500))}), path)
        records = read(path)
        assert [r.target for r in records] == [str(i) for i in range(2500)]
        assert records[-1].source == f"{path}, row 2500"
        np.testing.assert_array_equal(records[-1].sequence, values[-1])


def test_fasta_finds_labels_in_headers_or_in_a_table(tmp_path):
    path = write(tmp_path / "a.fa", ">s1 class=coding\nACGT\nACG\n>s2 class=other\nTT\n")
    write(tmp_path / "labels.csv", "id,label\ns2,b\ns1,a\n")
    assert pairs(path, label_pattern=r"class=(\w+)") == [("ACGTACG", "coding"), ("TT", "other")]
    assert pairs(path, label_table=str(tmp_path / "labels.csv")) == [("ACGTACG", "a"), ("TT", "b")]
    assert pairs(path, labelled=False) == [("ACGTACG", None), ("TT", None)]


def test_ts_reads_channels_of_unequal_lengths(tmp_path):
    path = write(tmp_path / "a.ts", "#note\n@univariate false\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n\n7:8:b\n")
    records = read(path)
    np.testing.assert_array_equal(records[0].sequence, [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(records[1].sequence, [[7, 8]])
    assert [r.target for r in records] == ["a", "b"]
    assert records[1].source.endswith("row 7")


def test_prediction_needs_no_labels_but_reads_those_there_are(tmp_path):
    assert pairs(write(tmp_path / "a.csv", "text\nhello\n"), labelled=False, split_column="split") == [("hello", None)]
    assert pairs(write(tmp_path / "b.csv", "text,label\nhello,\nbye,x\n"), labelled=False) == [
        ("hello", None),
        ("bye", "x"),
    ]


def test_skip_unlabelled_skips_rows_and_counts_them(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,x\nb,\nc, \nd,y\n")
    assert pairs(path, skip_unlabelled=True) == [("a", "x"), ("d", "y")]
    records, skipped = read_labelled(path, ClassificationData(path=str(path), skip_unlabelled=True), LabelTarget())
    assert ([r.sequence for r in records], skipped) == (["a", "d"], 2)


def test_split_and_group_come_from_their_columns(tmp_path):
    path = write(tmp_path / "a.csv", "text,label,fold,patient\na,x,train,7\n")
    (record,) = read(path, split_column="fold", group_column="patient")
    assert (record.split, record.group) == ("train", "7")


def test_reading_holds_little_of_a_large_file(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("text,label\n")
        file.writelines(f"{'word ' * 1000},{i % 2}\n" for i in range(2000))  # 10 MB
    tracemalloc.start()
    assert sum(1 for _ in read_records(path, ClassificationData(path=str(path)), LabelTarget())) == 2000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_peek_shows_columns_and_first_rows(tmp_path):
    peek = Peek.of(write(tmp_path / "a.csv", "id,body\n1,x\n2,y\n"), rows=1)
    assert (peek.form, peek.columns, peek.rows) == ("csv", ["id", "body"], [{"id": "1", "body": "x"}])
    assert Peek.of(write(tmp_path / "a.jsonl", '{"a": 1}\n{"b": 2}\n')).columns == ["a", "b"]
    fasta = Peek.of(write(tmp_path / "a.fasta", ">s1 x\nAC\n"))
    assert (fasta.rows, fasta.fixed_columns) == (
        [{"id": "s1", "header": "s1 x", "sequence": "AC"}],
        ("sequence", "label"),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xls", "x", r"a\.xls: .*'\.xls'.*\.csv, "),
        ("a.csv", "", r"a\.csv: .* no rows"),
        ("a.csv", "text,label\n", r"a\.csv: .* no rows"),
        ("a.csv", "text,lable\na,x\n", r"row 2: .*'label'.*'lable'.*text, lable"),
        ("a.csv", "words,label\na,x\n", r"'text'.*words, label.*data.text_column"),
        ("a.csv", "text,label\na,x\nb,\n", r"a\.csv, row 3: no target.*data\.skip_unlabelled = true"),
        ("a.csv", "text,label\na,x,y\n", r"row 2: 3 fields, expected 2 \(text, label\)"),
        ("a.csv", "text,label\na\n", r"row 2: 1 fields, expected 2"),
        ("a.csv", 'text,label\na,x\n"b,y\n', r"row 3: .*unexpected end of data"),
        ("a.csv", "text,text\na,b\n", r"column 'text'.*twice"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', r"a\.jsonl, row 2: not JSON"),
        ("a.jsonl", "[1]\n", r"row 1: a JSON list, expected an object"),
        ("a.jsonl", '{"text": [1, NaN], "label": 1}\n', r"row 1: the series holds nan"),
        ("a.jsonl", '{"text": [1, 1e300], "label": 1}\n', r"row 1: the series holds 1e\+300"),
        ("a.jsonl", '{"text": [1, null], "label": 1}\n', r"row 1: the series holds missing"),
        ("a.jsonl", '{"text": [[1], [2, 3]], "label": 1}\n', r"row 1: the steps of the series differ"),
        ("a.jsonl", '{"text": ["a", 1], "label": 1}\n', r"row 1: not a series: 1 dimensions of <U"),
        ("a.jsonl", '{"text": 5, "label": 1}\n', r"row 1: the sequence is 5"),
        ("a.jsonl", '{"text": "a", "label": [1]}\n', r"row 1: label is \[1\]"),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": ["a"], "label": 1}\n',
            r"row 2: the sequence is a list of events, .* a string",
        ),
        ("a.parquet", "text", r"a\.parquet: not a .* Parquet file"),
        ("a.fasta", "ACGT\n", r"a\.fasta: not FASTA"),
        ("a.fasta", ">s1 label=x\nAC\n>s2\nAC\n", r"row 2 \(s2\): .*header 's2'.*'label=\(\.\)'"),
        ("a.ts", "@data\n1,x\n", r"row 2: 'x' is not a number"),
        ("a.ts", "@classLabel true x\n@data\n1,2:x\n1,?:x\n", r"row 4: '\?' is a missing value"),
        ("a.ts", "@classLabel true x\n@data\n1,NaN:x\n", r"row 3: the series holds nan"),
        ("a.ts", "@classLabel true x\n@data\n1,2:1:x\n", r"row 3: channels of 2, 1 steps"),
        (
            "a.ts",
            "@classLabel true x\n@data\n1,2:x\n1,2:3,4:x\n",
            r"row 4: the sequence is a series of 2 channels, .* a series of 1",
        ),
        ("a.ts", "@timeStamps true\n@data\n", r"row 1: '@timeStamps true' is not supported"),
        ("a.ts", "1,2:x\n", r"row 1: '1,2:x' before @data"),
    ],
)
def test_a_malformed_file_is_named_with_its_row(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    settings = {"label_pattern": "label=(.)"} if name.endswith("fasta") else {}
    with pytest.raises(DataError, match=message) as raised:
        read(path, **settings)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\nfine,x\nnaïve,y\n", "latin1")
    with pytest.raises(DataError, match=r"a\.csv, line 3: .*0xef.*iconv -f windows-1252"):
        read(path)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: there is no such file"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match=r"nowhere\.parquet: there is no such file"):
        read(tmp_path / "nowhere.parquet")
    with pytest.raises(DataError, match=r"nowhere\.fasta: there is no such file"):
        read(tmp_path / "nowhere.fasta", label_pattern="(x)")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: cannot be read"):
        read(tmp_path / "folder.csv")
    with pytest.raises(DataError, match="not a .* gzip file"):
        read(write(tmp_path / "a.csv.gz", "text,label\na,b\n"))
    packed = bytearray(gzip.compress(b"text,label\n" + bytes(range(32, 127)) * 40))
    packed[len(packed) // 2 : len(packed) // 2 + 8] = b"\xff" * 8
    (tmp_path / "b.csv.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"b\.csv\.gz: not a .* gzip file"):
        read(tmp_path / "b.csv.gz")


def test_fasta_settings_that_cannot_work_are_refused(tmp_path):
    path = write(tmp_path / "a.fasta", ">s1\nAC\n")
    for settings, message in (
        ({}, "neither .*label_pattern and data.label_table"),
        ({"label_pattern": "(s)", "label_table": "a.csv"}, "both .*label_pattern and data.label_table"),
        ({"label_pattern": "("}, r"label_pattern '\('"),
        ({"label_pattern": "s"}, "label_pattern 's'.*group"),
        ({"label_pattern": "(s)", "group_column": "g"}, "fasta .*'g'.*data.group_column"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(path, **settings)
    write(tmp_path / "labels.csv", "id,label\ns9,a\n")
    with pytest.raises(DataError, match=r"header 's1'.*labels.csv"):
        read(path, label_table=str(tmp_path / "labels.csv"))


def test_select_keeps_sequence_target_and_source_together():
    records = Records(["a", "b", "c"], ["x", "y", "z"], ["r1", "r2", "r3"])
    assert records.select(np.array([2, 0])) == Records(["c", "a"], ["z", "x"], ["r3", "r1"])


def test_a_row_that_cannot_be_read_is_an_error_in_its_place(tmp_path):
    path = write(
        tmp_path / "a.jsonl", '{"text": "a"}\n{"text": 5}\nnot JSON\n{"text": ["b"]}\n{"txt": "c"}\n{"text": "d"}\n'
    )
    rows = list(read_records(path, ClassificationData(path=str(path)), LabelTarget(), labelled=False))
    assert [row.sequence for row in rows if isinstance(row, Record)] == ["a", "d"]
    errors = [str(row) for row in rows if isinstance(row, DataError)]
    assert [isinstance(row, DataError) for row in rows] == [False, True, True, True, True, False]
    for number, (error, value) in enumerate(zip(errors, ("5", "JSON", "list of events", "'text'"), strict=True), 2):
        assert error.startswith(f"{path}, row {number}: ") and value in error


def test_typed_series_and_events_are_json_and_texts_are_themselves():
    assert list(typed([("1", "[1, 2]")], "words")) == [Record("[1, 2]", None, None, None, "1")]
    assert [row.sequence for row in typed([("1", "[[1, 2]]"), ("2", "")], "numeric")] == [[[1, 2]], []]
    assert [row.sequence for row in typed([("1", '["a b"]'), ("2", "a b")], "events")] == [["a b"], "a b"]
    wrong, right = typed([("--text 1", "1 2"), ("--text 2", "[1]")], "numeric")
    assert isinstance(wrong, DataError) and str(wrong).startswith("--text 1: '1 2'")
    assert right.sequence == [1]


@pytest.mark.parametrize("key", ["label", "split", "group"])
def test_half_a_surrogate_pair_is_refused_before_training(tmp_path, key):
    row = {"text": "a", "label": "x", "split": "train", "group": "g"}
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n" + json.dumps({**row, key: "\ud83d"}) + "\n")
    with pytest.raises(DataError, match=rf"a\.jsonl, row 2, column {key}: .*'.ud83d'"):
        read(path, split_column="split", group_column="group")


TS_HEADER = "@problemName a\n@classLabel\ttrue Up down\n@data\n"


@pytest.mark.parametrize(
    "header",
    [
        "@classLabel\ttrue Up down\n@data\n",
        "@classLabel  true   Up down\n@data\n",
        "%comment\n@CLASSLABEL TRUE Up down\n@DATA\n",
        "\n# note\n@missing false\n@timeStamps\tfalse\n@classLabel true Up down\n @data \n# note\n",
    ],
)
def test_ts_headers_are_read_as_aeon_reads_them(tmp_path, header):
    path = write(tmp_path / "a.ts", header + "1,2:Up\n3,4 : DOWN\n")
    assert [target for _, target in pairs(path)] == ["Up", "DOWN"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2", "row 5: no label"),
        ("1,2:left", r"row 5: 'left' is not a class of the header \(Up, down\)"),
        ("1,2:3,4", "row 5: '3,4' is not a class"),
        ("1,2:", "row 5: no target"),
        ("1,2:?", "row 5: no target"),
    ],
)
def test_ts_rows_have_a_label_that_the_header_declares(tmp_path, row, message):
    path = write(tmp_path / "a.ts", f"{TS_HEADER}1,2:up\n{row}\n")
    with pytest.raises(DataError, match=message):
        read(path)


def test_ts_rows_that_cannot_be_read_do_not_hide_the_others(tmp_path):
    path = write(tmp_path / "a.ts", f"{TS_HEADER}1,2:up\n1,2\n1,x:up\n3:down\n")
    rows = list(read_records(path, ClassificationData(path=str(path)), LabelTarget(), labelled=False))
    assert [isinstance(row, DataError) for row in rows] == [False, True, True, False]


def test_ts_header_that_says_neither_true_nor_false_is_refused(tmp_path):
    for line in ("@classLabel", "@classLabel yes a b", "@targetLabel 1"):
        with pytest.raises(DataError, match=rf"row 1: '{line}'.*true"):
            read(write(tmp_path / "a.ts", f"{line}\n@data\n1:a\n"))


def test_a_missing_label_names_the_key_and_the_command_line(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na,\n")
    with pytest.raises(DataError, match=r"row 2: no target.*--set data\.skip_unlabelled=true"):
        read(path)
