"""CSV, JSONL and JSON as strangers write them."""

import gzip
import json
import sys

import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from ostinato.data.formats import read_rows
from ostinato.data.rows import to_text
from ostinato.errors import DataError
from ostinato.tasks.infer import infer_config

ROWS = [{"text": "good, very good", "label": "pos"}, {"text": "bad; dull\tfilm | x", "label": "neg"}]
PLAIN = 'text,label\n"good, very good",pos\nbad; dull\tfilm | x,neg\n'


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(path):
    return [row.values for row in read_rows(path)]


def errors(path):
    return [str(row.error) for row in read_rows(path, keep_errors=True) if row.error is not None]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_the_header(tmp_path, name, delimiter):
    quoted = "".join(f'"{row["text"]}"{delimiter}{row["label"]}\n' for row in ROWS)
    assert values(write(tmp_path / name, f"text{delimiter}label\n{quoted}")) == ROWS
    assert values(write(tmp_path / name, f'\n"text"{delimiter}"label"\n{quoted}')) == ROWS


def test_the_usual_delimiter_comes_first_and_quoted_delimiters_do_not_count(tmp_path):
    assert values(write(tmp_path / "a.csv", "a;b,c\n1,2\n")) == [{"a;b": "1", "c": "2"}]
    assert values(write(tmp_path / "a.csv", '"a;b"\n1\n')) == [{"a;b": "1"}]
    assert values(write(tmp_path / "a.csv", "text\na;b\n")) == [{"text": "a;b"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_encodings_with_a_byte_order_mark_and_all_line_ends_are_read(tmp_path, encoding, ending, is_packed):
    content = PLAIN.replace("\n", ending).encode(encoding)
    path = tmp_path / f"a.csv{'.gz' if is_packed else ''}"
    assert values(write(path, gzip.compress(content) if is_packed else content)) == ROWS
    lines = ending.join(map(json.dumps, ROWS)).encode(encoding)
    path = tmp_path / f"a.jsonl{'.gz' if is_packed else ''}"
    assert values(write(path, gzip.compress(lines) if is_packed else lines)) == ROWS


def test_a_big_endian_file_is_read(tmp_path):
    assert values(write(tmp_path / "a.csv", ("\ufeff" + PLAIN).encode("utf-16-be"))) == ROWS


CYRILLIC = PLAIN.replace("good, very good", "очень хорошо").replace("dull", "скучно")
OTHER_BYTES = {
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "iconv -f utf-16le -t utf-8"),
    "big-endian UTF-16 without a mark": (PLAIN.encode("utf-16-be"), "iconv -f utf-16be -t utf-8"),
    "half a character of UTF-16": (PLAIN.encode("utf-16") + b"a", "damaged UTF-16"),
    "Western European": (PLAIN.replace("film", "filmé").encode("latin1"), "line 3: .*iconv -f windows-1252"),
    "Cyrillic": (CYRILLIC.encode("cp1251"), "line 2: .*windows-1251.*iconv -f ENCODING"),
    "gzip": (gzip.compress(PLAIN.encode()), "gzip.*add|Add .gz"),
    "Excel": (b"PK\x03\x04\x14\0", "Excel.*CSV"),
}


@pytest.mark.parametrize(("content", "message"), OTHER_BYTES.values(), ids=OTHER_BYTES)
def test_other_bytes_are_refused_with_the_way_to_text(tmp_path, content, message):
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        values(write(tmp_path / "a.csv", content))


def test_control_characters_missing_line_ends_and_stray_quotes_are_text(tmp_path):
    assert values(write(tmp_path / "a.csv", 'text,label\na\1b,x\n\u202ec,y\nd"e,z')) == [
        {"text": "a\1b", "label": "x"},
        {"text": "\u202ec", "label": "y"},
        {"text": 'd"e', "label": "z"},
    ]


def test_the_character_0_is_text_where_python_reads_it(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\na\0b,x\n")
    if sys.version_info >= (3, 11):
        assert values(path) == [{"text": "a\0b", "label": "x"}]
    else:
        with pytest.raises(DataError, match=r"a\.csv, row 2: malformed CSV \(line contains NUL\)"):
            values(path)


def test_thousands_of_columns_are_read_and_not_listed(tmp_path):
    names = [f"c{number}" for number in range(5000)]
    path = write(tmp_path / "a.csv", f"{','.join(names)}\n{','.join('x' * 5000)}\nalone\n")
    (row, bad) = read_rows(path, keep_errors=True)
    assert len(row.values) == 5000
    assert "c19 and 4,980 more" in str(bad.error)


def test_a_long_field_is_read(tmp_path):
    path = write(tmp_path / "a.csv", f"text,label\n{'a ' * 2_500_000},x\n")
    assert len(values(path)[0]["text"]) == 5_000_000
    assert len(values(write(tmp_path / "a.jsonl", json.dumps({"text": "a" * 5_000_000})))[0]["text"]) == 5_000_000


BAD_JSON = {
    "5,000 digits": ('{"text": "a", "label": 1' + "0" * 4999 + "}", "5000 digits"),
    "nested objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    "nested arrays": ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    "a key twice": ('{"text": "a", "label": 1, "text": "b"}', "key 'text' occurs twice"),
    "a key twice, inside": ('{"text": [{"x": 1, "x": 2}]}', "key 'x' occurs twice"),
    "cut": ('{"text": "a', "not JSON"),
    "a second value": ('{"text": "a"} {"text": "b"}', "not JSON .*character 15"),
    "an array": ('["a"]', "a JSON list"),
    "a number": ("5", "a JSON int"),
    "a byte-order mark inside": ('\ufeff{"text": "a"}', "not JSON"),
}


@pytest.mark.parametrize(("line", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_cannot_be_read_names_its_row(tmp_path, line, message):
    path = write(tmp_path / "a.jsonl", f'{{"text": "good"}}\n{line}\n{{"text": "bad"}}\n')
    (problem,) = errors(path)
    assert problem.startswith(f"{path}, row 2: ") and "\n" not in problem
    with pytest.raises(DataError, match=message):
        values(path)


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects_is_read_as_rows(tmp_path, indent):
    path = write(tmp_path / "a.json", "\n " + json.dumps(ROWS, indent=indent))
    assert [(row.source, row.values) for row in read_rows(path)] == [
        (f"{path}, row {number}", row) for number, row in enumerate(ROWS, start=1)
    ]
    assert values(write(tmp_path / "b.json", "".join(json.dumps(row) + "\n" for row in ROWS))) == ROWS
    mixed = write(tmp_path / "c.json", json.dumps([ROWS[0], 5, ROWS[1]]))
    assert [error.partition(": ")[0] for error in errors(mixed)] == [f"{mixed}, row 2"]
    for text, message in (("[1, 2", "not JSON"), ("[" * 100_000, "nested"), ('[{"a": 1},\n {"b": }]', "line 2")):
        with pytest.raises(DataError, match=rf"d\.json: .*{message}"):
            values(write(tmp_path / "d.json", text))


def test_a_config_is_inferred_from_an_array(tmp_path):
    rows = [
        {"text": f"the film {number} was {word}", "label": word} for number in range(40) for word in ("good", "bad")
    ]
    config, _ = infer_config(write(tmp_path / "a.json", json.dumps(rows)))
    assert (config.task, config.data.text_column, config.data.label_column) == ("classification", "text", "label")
    rows = [{"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]}] * 5
    assert infer_config(write(tmp_path / "b.json", json.dumps(rows)))[0].task == "tagging"


JSON_VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@example_settings(deadline=None, max_examples=60)
@given(label=JSON_VALUES)
def test_a_label_is_the_same_in_json_and_in_csv(tmp_path_factory, label):
    folder = tmp_path_factory.mktemp("labels")
    written = json.dumps(label)
    listed = values(write(folder / "a.jsonl", f'{{"label": {written}}}\n'))
    table = values(write(folder / "a.csv", f"label,text\n{written},x\n"))
    assert to_text(listed[0]["label"], "label", "") == to_text(table[0]["label"], "label", "") == written


def test_a_label_that_is_not_unicode_is_refused_with_its_row():
    with pytest.raises(DataError, match=r"a\.jsonl, row 3, column label: .*'.ud83d'"):
        to_text("\ud83d", "label", "a.jsonl, row 3")
    assert to_text(float("nan"), "label", "") is to_text(None, "label", "") is to_text(" ", "label", "") is None
    assert to_text(2**70, "label", "") == str(2**70)
