"""Splits of tagged sentences: drawn, cleaned where the user gives them, and audited."""

import json

import numpy as np
import pytest

from ostinato.data.examples import Sentence
from ostinato.data.named import Loaded, NamedSet
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.tagging import data as tagging_data
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.data import load_dataset, prepare, read_labelled
from ostinato.tasks.tagging.reading import read_sentences


def write(path, *sentences):
    """A CoNLL file of sentences such as `Ada/B-PER left/O`."""
    blocks = ("".join(token.replace("/", "\t") + "\n" for token in sentence.split()) for sentence in sentences)
    path.write_text("\n".join(blocks))
    return str(path)


def texts(data):
    return {split: [" ".join(sentence.words) for sentence in rows] for split, rows in data.splits.items()}


def test_splits_of_the_user_lose_sentences_that_a_later_split_holds(tmp_path):
    data = load_dataset(
        TaggingData(
            path=write(tmp_path / "a.conll", "a/O", "b/O", "b/X", "c/O", "d/O"),
            validation_path=write(tmp_path / "b.conll", "b/O", "c/O"),
            test_path=write(tmp_path / "c.conll", "c/X"),
            scheme="plain",
        )
    )
    assert texts(data) == {"train": ["a", "d"], "validation": ["b"], "test": ["c"]}
    assert (data.audit.repeated, data.audit.overlap_dropped) == (
        {"train/validation": 3, "train/test": 1, "validation/test": 1},
        True,
    )
    assert "3 sentences of train are also in validation: removed from train." in data.audit.findings
    assert [data.audit.splits[split]["sentences"] for split in data.splits] == [2, 1, 1]


def test_a_sentence_is_repeated_only_if_every_word_is_the_same(tmp_path):
    train = write(tmp_path / "a.conll", "a/O b/O", "a/O", "A/O b/O", "a/O b/O c/O")
    test = write(tmp_path / "b.conll", "a/O b/O")
    data = load_dataset(TaggingData(path=train, test_path=test, validation_size=0, scheme="plain"))
    assert texts(data)["train"] == ["a", "A b", "a b c"]


def test_a_split_whose_sentences_all_occur_later_is_refused(tmp_path):
    train, test = write(tmp_path / "a.conll", "a/O", "b/O"), write(tmp_path / "b.conll", "b/O", "a/O")
    with pytest.raises(DataError, match="train"):
        load_dataset(TaggingData(path=train, test_path=test))


def test_overlap_of_a_corpus_that_defines_its_splits_is_only_counted(monkeypatch):
    splits = {split: [Sentence(["a"], ["O"], split), Sentence([split], ["O"], split)] for split in ("train", "test")}
    corpus = NamedSet("", "", "", "", lambda config: Loaded("here", splits, (None, 0, 0)))
    monkeypatch.setattr(tagging_data, "DATASETS", {"mine": corpus})
    data = load_dataset(TaggingData(name="mine", validation_size=0))
    assert texts(data) == {"train": ["a", "train"], "test": ["a", "test"]}
    assert (data.audit.repeated, data.audit.overlap_dropped) == ({"train/test": 1}, False)


def test_copies_of_a_sentence_are_drawn_into_one_split(tmp_path):
    path = write(tmp_path / "a.conll", *(f"w{number % 20}/O x/B-X" for number in range(100)))
    data = load_dataset(TaggingData(path=path, validation_size=0.25, test_size=0.25))
    assert data.audit.drawn == ["validation", "test"]
    held = [set(split) for split in texts(data).values()]
    assert [len(split) for split in held] == [10, 5, 5]
    assert len(set.union(*held)) == 20
    assert sum(map(len, texts(data).values())) == 100


def test_a_training_fraction_is_part_of_a_larger_one(tmp_path):
    path = write(tmp_path / "a.conll", *(f"w{number}/O" for number in range(60)))
    whole, half, tenth = (texts(load_dataset(TaggingData(path=path, train_fraction=part))) for part in (None, 0.5, 0.1))
    assert set(tenth["train"]) < set(half["train"]) < set(whole["train"])
    assert whole["test"] == half["test"] == tenth["test"]


def test_the_audit_reports_tags_entities_and_what_train_lacks(tmp_path):
    train = write(tmp_path / "a.conll", "Ada/B-PER May/I-PER left/O Oslo/B-LOC", "Bo/B-PER left/O", "it/O left/O")
    test = write(tmp_path / "b.conll", "Cid/B-ORG left/O")
    task = prepare(TaggingData(path=train, test_path=test, validation_size=0))
    audit = task.audit
    assert audit.scheme == "iob2"
    assert audit.splits == {
        "train": {"sentences": 3, "tokens": 8, "entities": {"LOC": 1, "PER": 2}},
        "test": {"sentences": 1, "tokens": 2, "entities": {"ORG": 1}},
    }
    assert (audit.tags, audit.unseen_tags, audit.unknown) == (4, {"test": ["B-ORG"]}, {"test": 0.5})
    assert any("B-ORG" in finding for finding in audit.findings)
    assert json.loads(json.dumps(audit.to_json()))["unseen_tags"] == {"test": ["B-ORG"]}


def test_sentences_that_cannot_be_read_are_errors_in_their_place(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("a\tO\n\nb\n\nc\tO\nd\tO\tX\n\n\tO\n\ne\tO\n")
    config = TaggingData(path=str(path))
    rows = list(read_sentences(path, config))
    assert [row.words if isinstance(row, Sentence) else type(row) for row in rows] == [
        ["a"],
        DataError,
        DataError,
        DataError,
        ["e"],
    ]
    for row, line in zip(rows[1:4], (3, 6, 8), strict=True):
        assert str(row).startswith(f"{path}, line {line}: ")
    with pytest.raises(DataError, match="line 3: 1 columns"):
        read_labelled(path, config)


def test_encoder_and_codec_are_fitted_on_train_alone(tmp_path):
    train, test = write(tmp_path / "a.conll", "Ada/B-PER left/O"), write(tmp_path / "b.conll", "Bo/B-LOC left/O")
    task = prepare(TaggingData(path=train, test_path=test, validation_size=0, scheme="iob2", target_scheme=None))
    assert set(task.encoder.words.tokens) == {"<unk>", "Ada", "left"}
    assert task.codec.tags == ("B-PER", "I-PER", "O")
    np.testing.assert_array_equal(task.splits["test"].sentences.words.values != 0, [False, True])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "conll2003"}, "'conll2003'.*'conll2003-"),
        ({}, "data.path"),
        ({"path": "a.conll", "test_size": 5}, "test_size 5 of 5|of 5 .*sentences"),
    ],
)
def test_data_that_cannot_be_split_are_refused(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.conll", *(f"w{number}/O" for number in range(5)))
    with pytest.raises(ConfigError, match=message):
        load_dataset(TaggingData(**settings))


def test_a_folder_names_several_files(tmp_path):
    text = "".join(f"w{row} O\nv{row} B-X\n\n" for row in range(60))
    (tmp_path / "all.conll").write_text(text, encoding="utf-8")
    folder = tmp_path / "parts"
    folder.mkdir()
    lines = text.split("\n\n")
    for part in range(3):
        (folder / f"{part}.conll").write_text("\n\n".join(lines[part * 20 : part * 20 + 20]) + "\n", encoding="utf-8")
    settings = {"word_column": "0", "tag_column": "1"}
    splits = [
        prepare(TaggingData(path=str(path), **settings)).splits["train"].digest()
        for path in (tmp_path / "all.conll", folder, f"{folder}/*.conll")
    ]
    assert splits[0] == splits[1] == splits[2]
