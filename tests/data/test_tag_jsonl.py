import json

import pytest

from ostinato.data.examples import Sentence
from ostinato.data.tag_jsonl import read_tag_jsonl
from ostinato.errors import DataError


def write(path, text):
    path.write_bytes(text.encode())
    return path


def write_json(path, *rows):
    return write(path, "".join(f"{json.dumps(row)}\n" for row in rows))


def pairs(sentences):
    return [(sentence.words, sentence.tags) for sentence in sentences]


def test_lists_of_features_are_as_long_as_the_words_and_texts_have_none(tmp_path):
    short = write_json(tmp_path / "a.jsonl", {"tokens": ["a", "b"], "tags": ["O", "O"], "pos": ["X"]})
    with pytest.raises(DataError, match=r"a.jsonl, line 1: 1 features for 2 words. Give one feature for each word"):
        list(read_tag_jsonl(short, feature_columns=["pos"]))
    with pytest.raises(
        DataError,
        match=r"a.jsonl, line 1: no column 'post'. Did you mean 'pos'\? .* Set data.feature_columns to one of them",
    ):
        list(read_tag_jsonl(short, feature_columns=["post"]))
    with pytest.raises(DataError, match=r"b.jsonl, line 1: a text has no feature_columns \(pos\)"):
        list(read_tag_jsonl(write_json(tmp_path / "b.jsonl", {"text": "Hi", "spans": []}), feature_columns=["pos"]))


@pytest.mark.parametrize("field", ["tags", "pos"])
def test_half_a_character_is_refused_wherever_it_stands(tmp_path, field):
    path = write_json(tmp_path / "a.jsonl", {"tokens": ["a"], "tags": ["O"], "pos": ["X"], field: ["\ud800"]})
    with pytest.raises(
        DataError, match=rf"a.jsonl, line 1: {field}, item 1: character 0 is '.ud800', half of a surrogate pair"
    ):
        list(read_tag_jsonl(path, feature_columns=["pos"]))
    with pytest.raises(DataError, match=r"b.jsonl, line 1, span \[0, 1, '.ud800'\]: character 0 is"):
        list(read_tag_jsonl(write_json(tmp_path / "b.jsonl", {"text": "a", "spans": [[0, 1, "\ud800"]]})))


def test_jsonl_reads_lists(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        '{"tokens": ["a", "b"], "tags": ["O", 3]}\n\n{"tokens": ["c"], "tags": ["O"], "text": "c"}\n',
    )
    assert list(read_tag_jsonl(path)) == [
        Sentence(["a", "b"], ["O", "3"], f"{path}, line 1"),
        Sentence(["c"], ["O"], f"{path}, line 3"),
    ]
    path = write_json(tmp_path / "b.jsonl", {"w": ["a"], "t": ["X"]})
    assert pairs(read_tag_jsonl(path, word_column="w", tag_column="t")) == [(["a"], ["X"])]
    assert pairs(read_tag_jsonl(path, word_column="w", labelled=False)) == [(["a"], None)]


def test_jsonl_reads_texts_with_spans(tmp_path):
    path = write_json(
        tmp_path / "a.jsonl",
        {"text": "Ada met Bo.", "spans": [[0, 3, "PER"]]},
        {"text": "in Rome", "spans": [{"start": 3, "end": 7, "label": "LOC", "by": "me"}]},
        {"text": "no one", "spans": []},
    )
    assert pairs(read_tag_jsonl(path)) == [
        (["Ada", "met", "Bo", "."], ["B-PER", "O", "O", "O"]),
        (["in", "Rome"], ["O", "B-LOC"]),
        (["no", "one"], ["O", "O"]),
    ]
    assert pairs(read_tag_jsonl(write_json(tmp_path / "b.jsonl", {"text": "Hi!"}), labelled=False)) == [
        (["Hi", "!"], None)
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a"], "tags": ["O", "O"]}, "line 1: 2 tags for 1 words"),
        ({"tokens": [], "tags": []}, "line 1: the sentence holds no word"),
        ({"text": " ", "spans": []}, "line 1: the sentence holds no word"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, "line 1: tokens, item 2 is ''"),
        ({"tokens": ["a", 5], "tags": ["O", "O"]}, "line 1: tokens, item 2 is 5, expected a text"),
        ({"tokens": ["a"], "tags": [None]}, "line 1: tags, item 1 is None"),
        ({"tokens": "a", "tags": ["O"]}, "line 1: tokens is 'a', expected a list"),
        (
            {"token": ["a"], "tags": ["O"]},
            r"line 1: no column 'tokens'. Did you mean 'token'\? Columns: token, tags. Set data.word_column",
        ),
        ({"tokens": ["a"]}, r"line 1: no column 'tags'. .*Set data.tag_column"),
        ({"text": 5, "spans": []}, "line 1: text is 5"),
        ({"text": "a"}, r"line 1: spans are None, expected a list"),
        ({"text": "abc", "spans": [[0, 2, "X"]]}, r"line 1: span 0 to 2 \(X, 'ab'\) cuts through the token 'abc'"),
        ({"text": "abc", "spans": [[0, 3]]}, r"line 1: \[0, 3\] is no span. Expected \[start, end, label\]"),
        ({"text": "abc", "spans": [{"start": 0, "end": 3}]}, r"line 1: \{'start': 0, 'end': 3\} is no span"),
    ],
)
def test_a_faulty_json_line_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        list(read_tag_jsonl(write_json(tmp_path / "a.jsonl", row)))


def test_a_file_without_json_is_refused(tmp_path):
    with pytest.raises(DataError, match="a.jsonl: holds no sentence"):
        list(read_tag_jsonl(write(tmp_path / "a.jsonl", "\n")))
    with pytest.raises(DataError, match="row 1: not JSON"):
        list(read_tag_jsonl(write(tmp_path / "a.jsonl", "a O\n")))
