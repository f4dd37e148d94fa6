"""Every reader gives rows, or an error of Ostinato, for any file."""

import io
import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import damaged
from fuzzing import ends_cleanly, fuzzing
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.formats import read_rows
from ostinato.data.vectors import read_vectors
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.infer import infer_config
from ostinato.tasks.multilabel.config import MultilabelData
from ostinato.tasks.multilabel.target import LabelSetTarget
from ostinato.tasks.regression.config import RegressionData
from ostinato.tasks.regression.target import NumberTarget
from ostinato.tasks.sequences.reading import read_records
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.reading import read_sentences

TARGETS = (
    (ClassificationData, LabelTarget()),
    (MultilabelData, LabelSetTarget()),
    (RegressionData, NumberTarget()),
)
ROWS = [{"text": f"a film, {number}", "label": ("pos", "neg")[number % 2]} for number in range(8)]
SENTENCES = [{"tokens": ["Ada", "saw", "Rome"], "tags": ["B-PER", "O", "B-LOC"]}] * 3
CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]))


def exhaust(stream, *arguments, **options):
    """Read all of a stream."""
    for _ in stream(*arguments, **options):
        pass


def read_everywhere(path, *, tokens=False):
    """Read a file in every way that a command could read it."""
    ends_cleanly(infer_config, path)
    ends_cleanly(exhaust, read_rows, path)
    ends_cleanly(exhaust, read_rows, path, columns=["text", "0"], keep_errors=True)
    if tokens:
        for choice in ({}, {"tag_column": "1"}, {"word_column": "word", "tag_column": "ner"}):
            ends_cleanly(exhaust, read_sentences, path, TaggingData(path=str(path), **choice))
            ends_cleanly(exhaust, read_sentences, path, TaggingData(path=str(path), **choice), labelled=False)
        return
    for config, kind in TARGETS:
        settings = {"label_pattern": "=(.*)"} if path.suffix == ".fasta" else {}
        ends_cleanly(exhaust, read_records, path, config(path=str(path), **settings), kind)
        ends_cleanly(exhaust, read_records, path, config(path=str(path), **settings), kind, labelled=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def encoded(text, encoding):
    return text.encode(encoding, "surrogatepass")


def csv_text(delimiter):
    header, *rows = "text,label\n", *(f'"{row["text"]}",{row["label"]}\n' for row in ROWS)
    return (header + "".join(rows)).replace(",", delimiter)


CSV = [encoded(csv_text(each), encoding) for each in ",;\t" for encoding in ("utf-8", "utf-16", "utf-32")]


@fuzzing
@given(
    name=st.sampled_from(["a.csv", "a.tsv"]),
    content=damaged(CSV)
    | st.lists(st.lists(st.text(max_size=5), max_size=4).map(",".join)).map(lambda rows: "\n".join(rows).encode()),
)
def test_csv(folder, name, content):
    read_everywhere(written(folder, name, content))


def json_objects():
    values = st.recursive(
        CELLS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner), max_leaves=6
    )
    keys = st.sampled_from(["text", "label", "tokens", "tags", "spans"])
    return st.lists(st.dictionaries(keys, values) | values, min_size=1, max_size=5)


JSON_LINES = ["".join(json.dumps(row) + "\n" for row in rows) for rows in (ROWS, SENTENCES)]
JSON_ARRAYS = [json.dumps(rows, indent=indent) for rows in (ROWS, SENTENCES) for indent in (None, 1)]


@fuzzing
@given(
    content=damaged([text.encode() for text in JSON_LINES])
    | json_objects().map(lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode())
)
def test_jsonl(folder, content):
    path = written(folder, "a.jsonl", content)
    read_everywhere(path)
    read_everywhere(path, tokens=True)


@fuzzing
@given(
    content=damaged([text.encode() for text in JSON_ARRAYS])
    | json_objects().map(lambda rows: json.dumps(rows).encode())
)
def test_json(folder, content):
    path = written(folder, "a.json", content)
    read_everywhere(path)
    read_everywhere(path, tokens=True)


def parquet_bytes(table, **options):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def typed_tables():
    """Tables whose columns have any types that Parquet can store."""
    number = st.integers(0, 2)
    columns = [
        pa.array(["a", None, "b"]),
        pa.array([b"a", b"\xff", None]),
        pa.array([b"ab", b"cd", None], pa.binary(2)),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array(["a", "b", None], pa.large_string()),
        pa.array(["a", "b", None], pa.string_view()),
        pa.array([1.5, float("nan"), float("inf")]),
        pa.array([1, 2**63, None], pa.uint64()),
        pa.array(np.float16([1, 2, 3])),
        pa.array([True, False, None]),
        pa.array([1, -(2**45), None], pa.timestamp("s")),
        pa.array([1, 2**62, None], pa.timestamp("us", tz="Europe/Rome")),
        pa.array([1, 2, None], pa.timestamp("ns", tz="Nowhere/City")),
        pa.array([1, -(2**30), None], pa.date32()),
        pa.array([1, 2, None], pa.duration("ns")),
        pa.array([1, 2, None], pa.time64("ns")),
        pa.array([1, 2, None], pa.decimal128(30, 2)),
        pa.array([["a"], [None], None]),
        pa.array([[1.0], [], None]),
        pa.array([[[1.0, 2.0]], [[1.0], [2.0]], []]),
        pa.array([[b"a"], [b"\xff"], None]),
        pa.array([{"x": 1}, None, {"x": 2}]),
        pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int8())),
        pa.array([None, None, None]),
    ]
    names = st.sampled_from(["text", "label", "split", "tokens", "tags", "a.b"])
    column = st.tuples(names, st.sampled_from(columns))
    return st.builds(
        lambda chosen, first: parquet_bytes(
            pa.table([each.slice(first) for _, each in chosen], names=[name for name, _ in chosen])
        ),
        st.lists(column, min_size=1, max_size=4),
        number,
    )


PARQUET = [
    parquet_bytes(pa.Table.from_pylist(rows), compression=compression, row_group_size=3, use_dictionary=is_indexed)
    for rows in (ROWS, SENTENCES)
    for compression in ("none", "snappy")
    for is_indexed in (True, False)
]


@fuzzing
@given(content=damaged(PARQUET) | typed_tables())
def test_parquet(folder, content):
    path = written(folder, "a.parquet", content)
    read_everywhere(path)
    read_everywhere(path, tokens=True)


FASTA = [
    "".join(f">s{number}|x label={row['label']}\nACGT\nAC\n" for number, row in enumerate(ROWS)).encode(),
    "".join(f"@s{number} label={row['label']}\nACGT\n+\n!!!!\n" for number, row in enumerate(ROWS)).encode(),
]


@fuzzing
@given(
    content=damaged(FASTA)
    | st.lists(st.text(max_size=8), min_size=1).map(lambda ids: "".join(f">{each}\nACGT\n" for each in ids).encode())
)
def test_fasta_and_fastq(folder, content):
    pytest.importorskip("dnaio")
    read_everywhere(written(folder, "a.fasta", content))


@fuzzing
@given(content=damaged([b"id,label\n" + b"".join(b"s%d,pos\n" % number for number in range(8))]))
def test_fasta_with_a_label_table(folder, content):
    pytest.importorskip("dnaio")
    path, table = written(folder, "b.fasta", FASTA[0]), written(folder, "b.csv", content)
    ends_cleanly(infer_config, path)
    config = ClassificationData(path=str(path), label_table=str(table))
    ends_cleanly(exhaust, read_records, path, config, LabelTarget())


TS = [
    "@problemName a\n@univariate true\n@classLabel true pos neg\n@data\n"
    + "".join(f"{number},2.5,-1e3:{row['label']}\n" for number, row in enumerate(ROWS)),
    "@timeStamps false\n@targetLabel\ttrue\n@data\n" + "".join(f"1,2:3,4:{number}.5\n" for number in range(8)),
]


@fuzzing
@given(content=damaged([text.encode() for text in TS]))
def test_ts(folder, content):
    read_everywhere(written(folder, "a.ts", content))


CONLL = [
    b"# word pos ner\nAda NNP B-PER\nsaw VBD O\n\nRome NNP B-LOC\n\n" * 2,
    b"-DOCSTART- -X- O\n\nAda\tNNP\tB-PER\nsaw\tVBD\tO\n\nRome\tNNP\tB-LOC\textra\n",
    b"#begin document (x); part 000\nx 0 0 Ada (1)\nx 0 1 saw - -\n\n#end document\n",
    b"# sent_id = 1\n1-2\tal\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tADP\tE\t_\t2\tcase\t_\t_\n"
    b"2\tel\tel\tDET\tD\t_\t0\tdet\t_\t_\n"
    b"2.1\tx\tx\tADJ\tA\t_\t_\t_\t_\t_\n\n",
]
LINES = st.lists(st.lists(st.text(max_size=4), max_size=4).map(" ".join), max_size=8)


@fuzzing
@given(
    name=st.sampled_from(["a.conll", "a.conllu", "a.txt", "a.csv"]),
    content=damaged(CONLL) | LINES.map(lambda lines: "\n".join(lines).encode()),
)
def test_conll(folder, name, content):
    read_everywhere(written(folder, name, content), tokens=True)


WORDS = ["good", "film", "Rome", "<unk>"]
VECTORS = np.arange(8, dtype=np.float32).reshape(4, 2)


def vectors_text(header):
    lines = (f"{word} {a} {b}\n" for word, (a, b) in zip(WORDS, VECTORS, strict=True))
    return (header + "".join(lines)).encode()


VECTOR_FILES = {
    "a.txt": [vectors_text(""), vectors_text("4 2\n")],
    "a.bin": [
        b"4 2\n" + b"".join(word.encode() + b" " + row.tobytes() for word, row in zip(WORDS, VECTORS, strict=True))
    ],
}


def look_up_everywhere(path):
    for on_error in ("refuse", "skip"):
        ends_cleanly(partial(read_vectors, str(path), WORDS, extra=2, on_error=on_error))


@pytest.mark.parametrize("name", VECTOR_FILES)
@fuzzing
@given(data=st.data())
def test_word_vectors(folder, name, data):
    look_up_everywhere(written(folder, name, data.draw(damaged(VECTOR_FILES[name]))))


def array_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


ARRAYS = [array_bytes(VECTORS), array_bytes(VECTORS.astype(np.float16)), array_bytes(np.asfortranarray(VECTORS))]


@fuzzing
@given(content=damaged(ARRAYS))
def test_stored_arrays(folder, content):
    written(folder, "b.words.txt", "\n".join(WORDS).encode())
    look_up_everywhere(written(folder, "b.npy", content))


@fuzzing
@given(
    content=damaged(["\n".join(WORDS).encode()]).map(lambda text: (".words.txt", text))
    | damaged([parquet_bytes(pa.table({"index": WORDS}))]).map(lambda table: (".parquet", table))
)
def test_word_lists_of_stored_arrays(folder, content):
    ending, words = content
    for other in (".words.txt", ".parquet"):
        (folder / f"c{other}").unlink(missing_ok=True)
    written(folder, f"c{ending}", words)
    look_up_everywhere(written(folder, "c.npy", ARRAYS[0]))
