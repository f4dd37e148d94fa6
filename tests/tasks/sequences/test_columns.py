"""Data that are read to disk give the same training as data in memory, to the last bit."""

import json
import pickle
import random
import shutil

import pyarrow
import pyarrow.parquet
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato.data.ondisk.sequences import StoredSequences
from ostinato.data.ondisk.tokens import StoredRagged
from ostinato.errors import ConfigError, DataError, OstinatoError, RunError
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_config

WORDS = ["good", "bad", "film", "plot", "Plot", "<br />", "é", "the"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("OSTINATO_CACHE", str(place))
    return place


def prepared(path, task="classification", **data):
    return TASKS[task].prepare_for(parse_config({"task": task, "data": {"path": str(path), **data}}))


def assert_same(path, task="classification", **data):
    in_memory = prepared(path, task, stream=False, **data)
    for _ in range(2):  # read to disk, then found there
        on_disk = prepared(path, task, stream=True, **data)
        assert on_disk.audit.to_json() == in_memory.audit.to_json()
        assert on_disk.encoder == in_memory.encoder and on_disk.codec == in_memory.codec
        assert on_disk.splits.keys() == in_memory.splits.keys()
        for name, split in in_memory.splits.items():
            assert on_disk.splits[name].digest() == split.digest()
            rows, expected = on_disk.rows[name], in_memory.rows[name]
            assert list(rows.sources) == expected.sources and rows.targets == expected.targets
            assert list(map(repr, rows.sequences)) == list(map(repr, expected.sequences))
            assert isinstance(rows.sequences, StoredSequences)
            assert isinstance(on_disk.splits[name].sequences, StoredRagged)
            chosen = torch.randperm(len(rows))
            found, batch = on_disk.splits[name].at(chosen), split.at(chosen)
            assert torch.equal(found.sequences.values, batch.sequences.values)
            assert torch.equal(found.targets, batch.targets)


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def text_rows(count, labels, seed=0):
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(0, 9))) for _ in range(count)]
    return [{"text": text, "label": labels[row % len(labels)]} for row, text in enumerate(texts)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tokenizer": "subwords"},
        {"tokenizer": "characters", "max_length": 4, "truncate": "both"},
        {"tokenizer": "words", "min_count": 3, "train_fraction": 0.5},
        {"folds": 3, "fold": 1, "validation_size": 0.2},
        {"validation_size": 0, "test_size": 7},
    ],
)
def test_texts_are_the_same_on_disk(tmp_path, settings):
    assert_same(write_jsonl(tmp_path / "rows.jsonl", text_rows(120, ["x", "y"])), **settings)


def test_events_series_and_all_kinds_of_targets_are_the_same_on_disk(tmp_path):
    rng = random.Random(1)
    events = [
        {"text": rng.choices(["open", "read é", "\ud83d\ude00"], k=rng.randint(0, 5)), "label": rng.choice("xyz")}
        for _ in range(90)
    ]
    assert_same(write_jsonl(tmp_path / "events.jsonl", events))
    series = [
        {"text": [[rng.gauss(row % 3, 2), rng.random()] for _ in range(rng.randint(0, 6))], "target": rng.gauss(0, 1)}
        for row in range(90)
    ]
    assert_same(write_jsonl(tmp_path / "series.jsonl", series), "regression")
    assert_same(write_jsonl(tmp_path / "series.jsonl", series), "regression", scale="series", folds=3)
    numbers = [[[rng.gauss(row % 3, 2) for _ in range(40)] for _ in range(3)] for row in range(80)]
    channels = [":".join(",".join(map(str, steps)) for steps in each) for each in numbers]
    header = "@timeStamps false\n@univariate false\n@dimensions 3\n@classLabel true x y\n@data\n"
    lines = "".join(f"{values}:{'xy'[row % 2]}\n" for row, values in enumerate(channels))
    (tmp_path / "series.ts").write_text(header + lines, encoding="utf-8")
    for scale in ("channel", "series"):
        assert_same(tmp_path / "series.ts", scale=scale)
    labelled = [row | {"labels": rng.sample(["a", "b", "c"], rng.randint(0, 3))} for row in text_rows(120, "x")]
    assert_same(write_jsonl(tmp_path / "sets.jsonl", labelled), "multilabel")


def problem_of(path, **data):
    """Why the data cannot be used; None if they can."""
    try:
        prepared(path, **data)
    except OstinatoError as error:
        return str(error)
    return None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.text(max_size=8), st.sampled_from("xy"), st.sampled_from("ab")), min_size=40))
def test_any_texts_are_the_same_on_disk(tmp_path, rows):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": a, "label": b, "group": c} for a, b, c in rows])
    problems = [problem_of(path, stream=stream, tokenizer="characters") for stream in (False, True)]
    assert problems[0] == problems[1]
    if problems[0] is None:
        assert_same(path, tokenizer="characters")


def test_given_splits_groups_fasta_and_parquet_are_the_same_on_disk(tmp_path):
    rows = text_rows(80, ["x", "y"])
    for row, each in enumerate(rows):
        each |= {"split": ["train", "train", "test", "validation"][row // 20], "group": f"g{row % 13}"}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert_same(tmp_path / "rows.parquet", split_column="split")
    assert_same(tmp_path / "rows.parquet", group_column="group")
    others = write_jsonl(tmp_path / "test.jsonl", text_rows(30, ["x", "y"], seed=1))
    assert_same(tmp_path / "rows.parquet", test_path=str(others), skip_unlabelled=True)
    rng = random.Random(2)
    reads = [f">read{row} {'xy'[row % 2]}\n{''.join(rng.choices('ACGT', k=9))}\n" for row in range(60)]
    (tmp_path / "reads.fasta").write_text("".join(reads), encoding="utf-8")
    assert_same(tmp_path / "reads.fasta", label_pattern=r"read\d+ (\w)")


def test_a_folder_and_a_pattern_name_several_files(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    rows = text_rows(120, ["x", "y"])
    for part in range(3):
        write_jsonl(folder / f"{part}.jsonl", rows[part * 40 : part * 40 + 40])
    (folder / ".hidden").write_text("not a row", encoding="utf-8")
    together = prepared(write_jsonl(tmp_path / "rows.jsonl", rows)).splits["train"].digest()
    assert prepared(folder).splits["train"].digest() == together
    assert prepared(f"{folder}/*.jsonl").splits["train"].digest() == together
    assert_same(folder)
    with pytest.raises(DataError, match="no file is there"):
        prepared(f"{folder}/*.csv")


@pytest.mark.parametrize("stream", [True, False])
def test_remote_files_are_read_like_local_ones_and_named_by_their_address(tmp_path, stream):
    folder = tmp_path / "parts"
    folder.mkdir()
    rows = text_rows(60, ["x", "y"])
    write_jsonl(folder / "0.jsonl", rows[:30])
    write_jsonl(folder / "1.jsonl", rows[30:])
    local = prepared(folder)
    remote = prepared(f"file://{folder}/*.jsonl", stream=stream)
    assert remote.splits["train"].digest() == local.splits["train"].digest()
    assert remote.rows["train"].sources[0] == "file://" + local.rows["train"].sources[0]
    (folder / "1.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=f"^file://{folder}/1.jsonl, row 1: no column 'text'"):
        prepared(f"file://{folder}/*.jsonl", stream=stream)


def test_another_process_gets_paths_and_not_the_data(tmp_path, cache):
    rows = [row | {"text": row["text"] + f" w{number}" * 5000} for number, row in enumerate(text_rows(50, ["x", "y"]))]
    data = prepared(write_jsonl(tmp_path / "rows.jsonl", rows), stream=True)
    sent = pickle.dumps((data.rows["test"].sequences, data.splits["train"].sequences))
    assert len(sent) < 10_000
    sequences, tokens = pickle.loads(sent)
    assert list(sequences) == list(data.rows["test"].sequences)
    assert tokens.digest() == data.splits["train"].sequences.digest()
    shutil.rmtree(cache)
    with pytest.raises(RunError, match="is not there.*--cache DIR"):
        pickle.loads(sent)


def test_another_content_is_read_again(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", text_rows(60, ["x", "y"]))
    before = prepared(path, stream=True).splits["train"].digest()
    write_jsonl(path, text_rows(60, ["x", "y"], seed=1))
    assert prepared(path, stream=True).splits["train"].digest() != before
    assert_same(path)


def test_large_files_are_read_to_disk_by_themselves(tmp_path, monkeypatch):
    path = write_jsonl(tmp_path / "rows.jsonl", text_rows(60, ["x", "y"]))
    assert isinstance(prepared(path).rows["train"].sequences, list)
    monkeypatch.setattr("ostinato.tasks.sequences.columns.STREAMED_BYTES", path.stat().st_size - 1)
    assert isinstance(prepared(path).rows["train"].sequences, StoredSequences)
    assert isinstance(prepared(path, stream=False).rows["train"].sequences, list)


def test_an_error_in_the_data_leaves_nothing_behind(tmp_path, cache):
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,x\nb,y\nc\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 4: 1 fields, expected 2"):
        prepared(path, stream=True)
    assert not [each for each in cache.rglob("*") if each.is_file()]
    with pytest.raises(DataError, match="there is no such file"):
        prepared(tmp_path / "missing.csv", stream=True)


def test_a_full_disk_says_where_and_what_to_do(tmp_path, cache, monkeypatch):
    path = write_jsonl(tmp_path / "rows.jsonl", text_rows(60, ["x", "y"]))

    def full(self, array):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ostinato.data.ondisk.arrays.ArrayWriter.add", full)
        with pytest.raises(RunError, match=r"(?s)cache.*No space left.*--cache DIR"):
            prepared(path, stream=True)
    assert not [each for each in cache.rglob("*") if each.is_file()]
    assert_same(path)


def test_named_sets_are_not_read_to_disk(tmp_path):
    config = parse_config({"task": "classification", "data": {"name": "splice", "stream": True}})
    with pytest.raises(ConfigError, match="data.stream: not used with the named set"):
        TASKS["classification"].prepare_for(config)
