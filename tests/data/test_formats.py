import csv
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import plugins
from ostinato.data.columns import write_columns
from ostinato.data.examples import Sentence
from ostinato.data.formats import FORMATS, Format, Row, endings, find_format, format_of, read_rows, register_format
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.sequences.reading import read_records


@pytest.fixture(autouse=True)
def no_registered_formats(monkeypatch):
    monkeypatch.setattr(plugins, "_registered", {})


def pipes(path):
    """A format of our own: text|label."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text, label = line.split("|")
        yield Row(f"{path}, row {number}", {"text": text, "label": label})


def write_csv(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


WRITERS = {
    "csv": write_csv,
    "tsv": lambda path, rows: write_csv(path, rows, "\t"),
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}
cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@pytest.mark.parametrize("name", WRITERS)
@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.fixed_dictionaries({"text": cells, "label": cells}), min_size=1, max_size=4))
def test_rows_of_text_survive_writing_and_reading(name, tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / f"a.{name}"
    WRITERS[name](path, rows)
    assert [row.values for row in read_rows(path)] == rows


words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"], exclude_characters="\ufeff"), min_size=1)
sentences = st.lists(st.lists(st.tuples(words, words), min_size=1, max_size=3), min_size=1, max_size=3)


@pytest.mark.parametrize("name", ["jsonl", "parquet", "conll", "conllu"])
@settings(deadline=None, max_examples=40)
@given(tagged=sentences)
def test_rows_of_lists_survive_writing_and_reading(name, tmp_path_factory, tagged):
    path = tmp_path_factory.mktemp("rows") / f"a.{name}"
    rows = [
        {"tokens": [word for word, _ in sentence], "tags": [tag for _, tag in sentence]}
        for sentence in tagged
        if not any(word == "-DOCSTART-" for word, _ in sentence)
    ] or [{"tokens": ["a"], "tags": ["b"]}]
    keys = ("tokens", "tags")
    if name == "conll":
        keys = ("0", "1")
        unlabelled = [Sentence(row["tokens"], None, "here") for row in rows]
        path.write_text("".join(write_columns(unlabelled, [row["tags"] for row in rows])), encoding="utf-8", newline="")
    elif name == "conllu":
        keys = ("form", "upos")
        blocks = (
            "".join(
                "\t".join([str(number), word, "_", tag, *"______"]) + "\n"
                for number, (word, tag) in enumerate(zip(row["tokens"], row["tags"], strict=True), start=1)
            )
            for row in rows
        )
        path.write_text("\n".join(blocks), encoding="utf-8", newline="")
    else:
        WRITERS[name](path, rows)
    read = [(row.values[keys[0]], row.values[keys[1]]) for row in read_rows(path)]
    assert read == [(row["tokens"], row["tags"]) for row in rows]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("ACGTN", min_size=1, max_size=200), min_size=1, max_size=4))
def test_fasta_records_survive_writing_and_reading(tmp_path_factory, sequences):
    path = tmp_path_factory.mktemp("rows") / "a.fasta"
    lines = (f">s{number} a record\n{sequence[:80]}\n{sequence[80:]}\n" for number, sequence in enumerate(sequences))
    path.write_text("".join(lines))
    rows = [row.values for row in read_rows(path)]
    assert [row["sequence"] for row in rows] == sequences
    assert [(row["id"], row["header"]) for row in rows] == [(f"s{i}", f"s{i} a record") for i in range(len(sequences))]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=5), min_size=1, max_size=4))
def test_ts_series_survive_writing_and_reading(tmp_path_factory, series):
    path = tmp_path_factory.mktemp("rows") / "a.ts"
    rows = (",".join(map(repr, values)) + ":x\n" for values in series)
    path.write_text("@classLabel true x\n@data\n" + "".join(rows))
    for row, values in zip(read_rows(path), series, strict=True):
        np.testing.assert_array_equal(row.values["series"], np.array(values)[:, None])
        assert row.values["label"] == "x"


def test_ts_file_with_numbers_as_targets_is_read(tmp_path):
    (tmp_path / "a.ts").write_text("@timeStamps false\n@classLabel false\n@targetLabel true\n@data\n1,2:3.5\n")
    assert [row.values["label"] for row in read_rows(tmp_path / "a.ts")] == ["3.5"]


FIELDS = st.text("abc 1", min_size=1, max_size=4)
GOOD_AND_BAD = {  # for each format: the line of two values, the lines between rows, and lines that are not rows
    "csv": ("{},{}\n", "", ["one\n", "a,b,c\n", ",,\n"]),
    "jsonl": ('{{"text": "{}", "label": "{}"}}\n', "", ["{\n", "[1]\n", "3\n", "not JSON\n", '{"text": "a"\n']),
    "conll": ("{}\t{}\n", "\n", ["one\n", "a\tb\tc\n", "a\tb\nalone\n"]),
}


@pytest.mark.parametrize("name", GOOD_AND_BAD)
@settings(deadline=None, max_examples=60)
@given(
    good=st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=6),
    bad=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 10)), min_size=1, max_size=4),
)
def test_a_reader_goes_on_after_a_row_that_cannot_be_read(name, tmp_path_factory, good, bad):
    line, between, wrong = GOOD_AND_BAD[name]
    good = [(first.strip() or "x", second.strip() or "y") for first, second in good]
    lines = [line.format(*values) for values in good]
    first = 1 if name == "conll" else 0  # the first line of a CoNLL file says how many columns there are
    for at, choice in bad:
        lines.insert(max(at, first), wrong[choice % len(wrong)])
    path = tmp_path_factory.mktemp("rows") / f"a.{name}"
    path.write_text(("text,label\n" if name == "csv" else "") + between.join(lines))
    rows = list(read_rows(path, keep_errors=True))
    read = [row for row in rows if row.error is None]
    keys = ("0", "1") if name == "conll" else ("text", "label")
    values = [tuple(row.values[key] for key in keys) for row in read]
    assert values == [([first], [second]) if name == "conll" else (first, second) for first, second in good]
    refused = [row for row in rows if row.error is not None]
    assert len(refused) == len(bad)
    for row in refused:
        assert row.values == {} and str(row.error).startswith(str(path))
    with pytest.raises(DataError) as raised:
        list(read_rows(path))
    assert str(raised.value) == str(refused[0].error)


def test_the_ending_selects_the_format_unless_it_is_named(tmp_path):
    assert {name: format_of(tmp_path / f"A{each.endings[0].upper()}.gz") for name, each in FORMATS.items()} == {
        name: name for name in FORMATS
    }
    assert format_of(tmp_path / "a.csv", "jsonl") == "jsonl"
    with pytest.raises(DataError, match=r"a\.xls: .*'\.xls'.* \.csv, .*\.conllu"):
        format_of(tmp_path / "a.xls")
    with pytest.raises(ConfigError, match="'parket'.*'parquet'"):
        format_of(tmp_path / "a.csv", "parket")


def test_a_registered_format_is_read_by_its_ending_or_name(tmp_path):
    register_format("pipes", pipes, endings=(".PSV",))
    path, other = tmp_path / "a.psv", tmp_path / "a.txt"
    for each in (path, other):
        each.write_text("good|pos\nbad|neg\n")
    records = read_records(path, ClassificationData(path=str(path)), LabelTarget())
    assert [(record.sequence, record.target) for record in records] == [("good", "pos"), ("bad", "neg")]
    assert [row.source for row in read_rows(other, "pipes")] == [f"{other}, row 1", f"{other}, row 2"]


def test_a_registered_format_is_replaced_and_a_built_in_one_is_not():
    register_format("pipes", pipes, endings=(".psv",))
    register_format("pipes", pipes, endings=(".pipes",))
    for name, ending, message in (
        ("csv", ".x", "'csv'"),
        ("mine", ".csv", "'.csv'.*'csv'"),
        ("mine", ".pipes", "'.pipes'.*'pipes'"),
        ("mine", "x", "'x'.*'.x'"),
    ):
        with pytest.raises(ConfigError, match=message):
            register_format(name, pipes, endings=(ending,))
    assert plugins.names(plugins.FORMATS) == ["pipes"]
    assert endings()[".pipes"] == "pipes" and ".psv" not in endings()


def install(folder, monkeypatch, target):
    """A package on the path that offers `pipes` in the entry point group."""
    code = "from ostinato.data.formats import Format\nPIPES = Format(iter, ('.psv',))\n"
    (folder / "pipes_plugin.py").write_text(code)
    info = folder / "pipes_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pipes-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[ostinato.formats]\npipes = pipes_plugin:{target}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "pipes_plugin", raising=False)


def test_an_installed_package_offers_a_format(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "PIPES")
    assert find_format("pipes") == Format(iter, (".psv",))
    monkeypatch.setattr(plugins, "_registered", {})
    assert format_of(tmp_path / "a.psv") == "pipes"


def test_an_entry_point_that_is_not_a_format_is_named(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "Format")
    with pytest.raises(ConfigError, match="'pipes'.*Format"):
        find_format("pipes")


def test_a_built_in_format_loads_no_plugins(monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", lambda **_: pytest.fail("looked for plugins"))
    assert find_format("csv") is FORMATS["csv"]
    assert format_of(Path("a.csv")) == "csv"
