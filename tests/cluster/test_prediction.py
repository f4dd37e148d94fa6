"""`ostinato predict --on ray`: answers to many files with their columns; bad rows, restarts and losses."""

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from ostinato.cli import app
from ostinato.cluster.files import InputFile, find_inputs
from ostinato.errors import ConfigError, RunError
from ostinato.runs import start_run
from ostinato.tasks.config import parse_config

WORDS = ["good", "bad", "fine", "poor"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny classifier of texts."""
    folder = tmp_path_factory.mktemp("model")
    rows = [f"a {WORDS[n % 4]} film number {n},{'yes' if n % 2 == 0 else 'no'}\n" for n in range(80)]
    (folder / "train.csv").write_text("text,label\n" + "".join(rows), encoding="utf-8")
    data = {"path": str(folder / "train.csv"), "tokenizer": "words"}
    model = {"hidden_size": 4, "embedding_size": 4}
    start_run(
        parse_config({"data": data, "model": model, "training": {"max_epochs": 1, "device": "cpu"}}), folder / "run"
    )
    return folder / "run"


@pytest.fixture
def files(tmp_path):
    """Files of three formats, in two folders, with bad rows."""
    top = tmp_path / "in"
    (top / "deep").mkdir(parents=True)
    numbers = range(700)  # more than are answered at a time
    (top / "a.csv").write_text("id,text\n" + "".join(f"{n},a {WORDS[n % 4]} film\n" for n in numbers), encoding="utf-8")
    lines = [
        {"text": "a good film", "n": 1, "more": {"x": float("nan")}},
        {"text": ["a", "list"], "n": 2},
        {"text": "a poor film", "n": "three", "more": [1]},
    ]
    (top / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "no JSON\n", encoding="utf-8")
    table = pa.table(
        {
            "when": pa.array([1, 2, 3], pa.timestamp("s")),
            "text": ["a bad film", None, "ЖЖЖ"],
            "label": pa.array(["x", "y", "z"]).dictionary_encode(),
        }
    )
    parquet.write_table(table, top / "deep" / "c.parquet")
    return top


def predict(run, files, out, *more):
    return CliRunner().invoke(
        app, ["predict", str(run), f"{files}/**/*.*", "--on", "ray", "--out", str(out), "--device", "cpu", *more]
    )


def local_answers(run, file):
    """What `ostinato predict` prints, line by line."""
    done = CliRunner().invoke(app, ["predict", str(run), str(file), "--device", "cpu"])
    return [json.loads(line) for line in done.stdout.splitlines()]


def answers_of(path, labels=("no", "yes")):
    """The answers of a table, as `ostinato predict` prints them."""
    for row in parquet.read_table(path).to_pylist():
        answer = {
            "label": row["answer_label"],
            "probabilities": {label: row[f"answer_probabilities.{label}"] for label in labels},
        }
        yield (
            row["answer_row"],
            answer if row["answer_warning"] is None else {**answer, "warning": row["answer_warning"]},
        )


def test_remote_files_are_answered_like_local_ones(ray, run, files, tmp_path):
    command = ["predict", str(run), f"file://{files}/a.csv", "--on", "ray", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert done.exit_code == 0, done.stderr
    rows, answers = zip(*answers_of(tmp_path / "out" / "a.csv.parquet"), strict=True)
    assert list(answers) == local_answers(run, files / "a.csv")
    assert rows[0] == f"file://{files}/a.csv, row 2"


def test_answers_are_those_of_a_local_prediction_with_their_columns_in_order(ray, run, files, tmp_path):
    done = predict(run, files, tmp_path / "out")
    assert done.exit_code == 1, done.stderr  # there are bad rows
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.parquet"))
    assert written == [
        "a.csv.parquet",
        "b.jsonl.parquet",
        "deep/c.parquet",
        *(f"errors/{name}" for name in ("b.jsonl.parquet", "deep/c.parquet")),
    ]
    for name in ("a.csv", "b.jsonl", "deep/c"):
        file = files / (name if "." in name else f"{name}.parquet")
        local = local_answers(run, file)
        assert [answer for _, answer in answers_of(tmp_path / "out" / f"{name}.parquet")] == [
            answer for answer in local if "error" not in answer
        ]
    table = parquet.read_table(tmp_path / "out" / "a.csv.parquet")
    with (files / "a.csv").open(encoding="utf-8") as file:
        assert [(row["id"], row["text"]) for row in csv.DictReader(file)] == list(
            zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
        )
    assert table["answer_row"].to_pylist() == [f"{files}/a.csv, row {n}" for n in range(2, 702)]
    assert table["answer_warning"].to_pylist() == [None] * 700
    table = parquet.read_table(tmp_path / "out" / "deep" / "c.parquet")
    assert table.schema.field("when").type == pa.timestamp("ms")  # as Parquet stores seconds
    assert table["label"].to_pylist() == ["x", "z"]  # a column of the file, not the answer
    assert "out of vocabulary" in table["answer_warning"].to_pylist()[1]


def test_bad_rows_go_to_a_table_with_their_reasons_and_no_row_is_lost(ray, run, files, tmp_path):
    done = predict(run, files, tmp_path / "out")
    bad = parquet.read_table(tmp_path / "out" / "errors" / "b.jsonl.parquet").to_pylist()
    local = [answer for answer in local_answers(run, files / "b.jsonl") if "error" in answer]
    assert [(row["answer_row"], row["error"]) for row in bad] == [(each["source"], each["error"]) for each in local]
    good = parquet.read_table(tmp_path / "out" / "b.jsonl.parquet")
    assert sorted([row["answer_row"] for row in bad] + good["answer_row"].to_pylist()) == [
        f"{files}/b.jsonl, row {n}" for n in range(1, 5)
    ]
    assert good["n"].to_pylist() == ["1", "three"]  # no common type, so text
    assert good["more"].to_pylist() == ['{"x": NaN}', "[1]"]
    bad = parquet.read_table(tmp_path / "out" / "errors" / "deep" / "c.parquet").to_pylist()
    assert [row["answer_row"] for row in bad] == [f"{files}/deep/c.parquet, row 2"]
    assert "3 rows could not be read" in done.stderr


def test_a_second_call_predicts_what_is_missing_only(ray, run, files, tmp_path):
    predict(run, files, tmp_path / "out")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "out").rglob("*.parquet")}
    (tmp_path / "out" / "a.csv.parquet").unlink()
    (files / "d.csv").write_text("text\na good film\n", encoding="utf-8")
    (files / "e.parquet").write_bytes(b"damaged")
    done = predict(run, files, tmp_path / "out")
    assert "2 of 5 files are already answered." in done.stderr
    assert "e.parquet: failed: " in done.stderr
    assert str(files / "e.parquet") in done.stderr.partition("failed: ")[2]  # not the path on the node
    assert done.exit_code == 1
    (tmp_path / "out" / "d.csv.parquet").unlink()
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}
    assert [path.name for path in before if before[path][1] != after[path][1]] == ["a.csv.parquet"]
    assert [path.name for path in before if before[path][0] != after[path][0]] == []
    (files / "e.parquet").unlink()
    (files / "d.csv").unlink()
    (files / "b.jsonl").unlink()
    done = predict(run, files, tmp_path / "out")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'out'}: 0 rows of 0 files answered.\n")


def test_answers_of_another_model_or_file_are_not_overwritten(ray, run, files, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.csv.parquet").write_bytes(b"mine")
    refused = predict(run, files, out)
    assert isinstance(refused.exception, RunError)
    assert "a.csv.parquet: holds something else" in str(refused.exception)
    (out / "a.csv.parquet").unlink()
    predict(run, files, out)
    (files / "a.csv").write_text("text\nanother film\n", encoding="utf-8")
    refused = predict(run, files, out)
    assert "a.csv.parquet: holds answers of another input." in str(refused.exception)
    refused = predict(run, files, out, "--set", "data.text_column=other")
    assert "another input and settings" in str(refused.exception)


@pytest.mark.slow
def test_columns_that_would_be_replaced_fail_the_file(ray, run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text,answer_label\na good film,x\n", encoding="utf-8")
    done = predict(run, tmp_path / "in", tmp_path / "out")
    assert done.exit_code == 1
    assert "'answer_label'" in done.stderr


def test_a_tagger_answers_with_lists_as_json(ray, tmp_path):
    words = [("Ada", "B-PER"), ("left", "O"), ("Oslo", "B-LOC"), ("today", "O")]
    blocks = ["".join(f"{word} {tag}\n" for word, tag in words[n % 3 :]) + f"number{n} O\n" for n in range(60)]
    (tmp_path / "tags.conll").write_text("\n".join(blocks), encoding="utf-8")
    config = {
        "task": "tagging",
        "data": {"path": str(tmp_path / "tags.conll")},
        "model": {"hidden_size": 4, "embedding_size": 4},
        "training": {"max_epochs": 1, "device": "cpu"},
    }
    start_run(parse_config(config), tmp_path / "run")
    (tmp_path / "new.csv").write_text("Ada\nleft\n\nOslo\n", encoding="utf-8")  # a table cannot hold sentences: conll
    done = CliRunner().invoke(
        app,
        ["predict", str(tmp_path / "run"), str(tmp_path / "new.csv"), "--on", "ray", "--out", str(tmp_path / "out")],
    )
    assert done.exit_code == 0, done.stderr
    rows = parquet.read_table(tmp_path / "out" / "new.csv.parquet").to_pylist()
    local = local_answers(tmp_path / "run", tmp_path / "new.csv")
    assert [json.loads(row["answer_tokens"]) for row in rows] == [["Ada", "left"], ["Oslo"]]
    assert [json.loads(row["answer_tags"]) for row in rows] == [answer["tags"] for answer in local]
    assert [json.loads(row["0"]) for row in rows] == [["Ada", "left"], ["Oslo"]]


@pytest.mark.slow
def test_series_and_their_answers_are_written_too(ray, tmp_path):
    rows = [f"{n},{n + 1},{n + 2}:{-n},0,0:{'a' if n % 2 else 'b'}\n" for n in range(60)]
    header = "@problemName x\n@timeStamps false\n@missing false\n@univariate false\n@dimensions 2\n@equalLength false\n"
    (tmp_path / "new.ts").write_text(f"{header}@classLabel true a b\n@data\n{''.join(rows)}", encoding="utf-8")
    config = {
        "data": {"path": str(tmp_path / "new.ts"), "tokenizer": "numeric"},
        "model": {"hidden_size": 4},
        "training": {"max_epochs": 1, "device": "cpu"},
    }
    start_run(parse_config(config), tmp_path / "run")
    done = predict(tmp_path / "run", tmp_path, tmp_path / "out")
    found = parquet.read_table(tmp_path / "out" / "new.ts.parquet")
    assert "new.ts: 60 rows" in done.stderr
    assert [answer for _, answer in answers_of(tmp_path / "out" / "new.ts.parquet", ("a", "b"))] == local_answers(
        tmp_path / "run", tmp_path / "new.ts"
    )
    assert found["label"].to_pylist()[:2] == ["b", "a"]
    assert json.loads(found["series"].to_pylist()[3])[:2] == [[3.0, -3.0], [4.0, 0.0]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--on", "ray"],
        ["--out", "x"],
        ["--on", "ray", "--out", "x", "--text", "a"],
        ["--on", "ray", "--out", "x", "--strict", "a.csv"],
        ["--on", "ray", "--out", "x", "-"],
    ],
)
def test_bad_arguments_are_refused(arguments):
    refused = CliRunner().invoke(app, ["predict", "runs/x", *arguments])
    assert isinstance(refused.exception, ConfigError)
    assert "--out FOLDER" in str(refused.exception)


def test_patterns_name_files_below_their_fixed_part(tmp_path):
    for name in ("a.csv", "deep/b.parquet", "deep/er/c.csv", "d[1].csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(pattern):
        return [file.name for file in find_inputs(str(tmp_path / pattern))]

    assert names("a.csv") == ["a.csv.parquet"]
    assert names("*.csv") == ["a.csv.parquet", "d[1].csv.parquet"]
    assert names("deep/*") == ["b.parquet"]
    assert names("**/*.csv") == ["a.csv.parquet", "d[1].csv.parquet", "deep/er/c.csv.parquet"]
    assert names("d*/*.parquet") == ["deep/b.parquet"]
    assert find_inputs(str(tmp_path / "d[1].csv")) == [InputFile(tmp_path / "d[1].csv", "d[1].csv.parquet")]


def test_an_address_names_remote_files(tmp_path):
    (tmp_path / "b.csv").write_bytes(b"text\nb\n")
    (tmp_path / "a.csv").write_bytes(b"text\na\n")
    first, second = find_inputs(f"file://{tmp_path}/*.csv")
    assert (str(first), first.name, first.content()) == (f"file://{tmp_path}/a.csv", "a.csv.parquet", b"text\na\n")
    assert second.name == "b.csv.parquet" and first.path.suffix == ".csv"
    before = first.digest()
    (tmp_path / "a.csv").write_bytes(b"text\nother\n")
    assert find_inputs(f"file://{tmp_path}/a.csv")[0].digest() != before


@pytest.mark.parametrize(("pattern", "named"), [("*.tsv", r"\*\.tsv"), ("deep", r"deep/\*\.csv")])
def test_a_pattern_without_files_is_refused(tmp_path, pattern, named):
    (tmp_path / "deep").mkdir()
    with pytest.raises(ConfigError, match=named):
        find_inputs(str(tmp_path / pattern))


def test_two_files_that_would_share_a_name_are_refused(tmp_path):
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.csv.parquet").touch()
    with pytest.raises(ConfigError, match=r"2 files would be answered in a\.csv\.parquet"):
        find_inputs(str(tmp_path / "a*"))
