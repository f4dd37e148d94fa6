import json

import pyarrow
import pyarrow.parquet
import pytest

from ostinato.data.examples import Sentence
from ostinato.data.rows import Row
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.data import read_labelled
from ostinato.tasks.tagging.reading import read_sentences
from ostinato.tasks.tagging.rows import from_text, to_sentence

COLUMNS = {"word_column": "tokens", "tag_column": "tags"}
NUMBERED = {"word_column": "0", "tag_column": "-1"}


def sentence(values, *, lines=(), labelled=True, **choice):
    source = "a.conll, line 1" if lines else "a.jsonl, row 1"
    return to_sentence(Row(source, values, lines), **{**COLUMNS, **choice}, labelled=labelled)


def conll(*columns, names=(), **choice):
    """A sentence of a CoNLL file: each column under its index, and under its name if it has one."""
    values = {str(index): column for index, column in enumerate(columns)}
    values |= dict(zip(names, columns, strict=False))
    return sentence(values, lines=range(1, 1 + len(columns[0])), **{**NUMBERED, **choice})


def write_json(path, *rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read(path, *, labelled=True, **settings):
    config = TaggingData(path=str(path), **settings)
    return read_labelled(path, config) if labelled else list(read_sentences(path, config, labelled=False))


def test_lists_become_words_tags_and_features():
    assert sentence({"tokens": ["a", "b"], "tags": ["O", 3], "text": "a b"}) == Sentence(
        ["a", "b"], ["O", "3"], "a.jsonl, row 1"
    )
    values = {"w": ["a"], "t": ["X"], "pos": [1]}
    chosen = sentence(values, word_column="w", tag_column="t", feature_columns=["pos"])
    assert (chosen.words, chosen.tags, chosen.features) == (["a"], ["X"], (["1"],))
    assert sentence(values, word_column="w", labelled=False).tags is None


def test_columns_are_chosen_by_index_or_name():
    columns = (["Rome"], ["NNP"], ["B-NP"], ["B-LOC"])
    assert conll(*columns) == Sentence(["Rome"], ["B-LOC"], "a.conll, line 1", lines=range(1, 2))
    assert conll(*columns, word_column="1", tag_column="-2").tags == ["B-NP"]
    assert conll(*columns, word_column="-4", tag_column="3").words == ["Rome"]
    named = conll(*columns, names=("w", "pos", "chunk", "ner"), tag_column="ner", feature_columns=["pos", "2"])
    assert (named.tags, named.features) == (["B-LOC"], (["NNP"], ["B-NP"]))


def test_tagged_rows_of_jsonl_and_parquet_are_the_same_sentences(tmp_path):
    rows = [
        {"tokens": ["Rome", "fell"], "tags": ["B-LOC", "O"], "pos": ["NNP", "VBD"]},
        {"tokens": ["!"], "tags": ["O"], "pos": ["."]},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    write_json(tmp_path / "a.jsonl", *rows)
    for path in (tmp_path / "a.parquet", tmp_path / "a.jsonl"):
        assert read(path, feature_columns=["pos"]) == [
            Sentence(["Rome", "fell"], ["B-LOC", "O"], f"{path}, row 1", features=(["NNP", "VBD"],)),
            Sentence(["!"], ["O"], f"{path}, row 2", features=(["."],)),
        ]
        assert [each.tags for each in read(path, labelled=False)] == [None, None]


def test_spans_of_a_text_become_tags(tmp_path):
    rows = [
        {"text": "Ada met Bo.", "spans": [{"start": 0, "end": 3, "label": "PER"}]},
        {"text": "no one", "spans": []},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    for path in (tmp_path / "a.parquet", write_json(tmp_path / "a.jsonl", *rows)):
        assert [(each.words, each.tags) for each in read(path)] == [
            (["Ada", "met", "Bo", "."], ["B-PER", "O", "O", "O"]),
            (["no", "one"], ["O", "O"]),
        ]
    assert sentence({"text": "in Rome", "spans": [[3, 7, "LOC"]]}).tags == ["O", "B-LOC"]
    assert sentence({"text": "Hi!"}, labelled=False) == from_text("Hi!", "a.jsonl, row 1")
    assert from_text("Hi!", "here") == Sentence(["Hi", "!"], None, "here", "Hi!", [(0, 2), (2, 3)])


@pytest.mark.parametrize("ending", ["csv", "txt", "tsv"])
def test_files_of_other_endings_are_read_as_conll(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text("Rome B-LOC\n", encoding="utf-8")
    assert [(each.words, each.tags) for each in read(path)] == [(["Rome"], ["B-LOC"])]


def test_a_column_cannot_be_chosen_twice(tmp_path):
    conllu = tmp_path / "a.conllu"
    conllu.write_text("1\tRome\tRome\tPROPN\tNNP\t_\t0\troot\t_\t_\n", encoding="utf-8")
    with pytest.raises(DataError, match="tag_column 'upos' and feature_columns 'upos'"):
        read(conllu, feature_columns=["upos"])
    with pytest.raises(DataError, match="word_column 'form' and feature_columns '1'"):
        read(conllu, feature_columns=["1"])
    with pytest.raises(DataError, match="word_column '0' and tag_column '-1'"):
        conll(["a"])
    with pytest.raises(DataError, match="feature_columns '1' and feature_columns 'p'"):
        conll(["a"], ["b"], ["O"], names=("w", "p"), feature_columns=["1", "p"])
    listed = {"tokens": ["a"], "tags": ["O"]}
    with pytest.raises(DataError, match="tag_column 'tags' and feature_columns 'tags'"):
        sentence(listed, feature_columns=["tags"])
    assert sentence(listed, feature_columns=["tags"], labelled=False).features == (["O"],)  # another tagger's answers


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"tag_column": "3"}, "no column 3: .* 3 .*data.tag_column .* 0 to 2"),
        ({"word_column": "-4"}, "no column -4: .* 3 .*data.word_column"),
        ({"feature_columns": ["7"]}, "no column 7: .* 3 .*data.feature_columns"),
        ({"feature_columns": ["-2"]}, "feature_columns '-2' .*: 1"),
        ({"tag_column": "nre"}, r"no column 'nre'. Did you mean 'ner'\? Columns: word, pos, ner.*data.tag_column"),
    ],
)
def test_an_unknown_column_of_a_conll_file_is_named(choice, message):
    with pytest.raises(DataError, match=rf"a.conll, line 1: {message}"):
        conll(["a"], ["b"], ["O"], names=("word", "pos", "ner"), **choice)


def test_a_column_whose_name_is_a_number_is_not_counted_twice():
    assert conll(["a"], ["b"], ["O"], names=("007", "word", "12")).tags == ["O"]


def test_a_name_needs_a_header():
    with pytest.raises(DataError, match="no column 'pos'.*data.feature_columns"):
        conll(["a"], ["b"], ["O"], feature_columns=["pos"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokens": ["a"], "tags": ["O", "O"]}, "2 tags for 1 words"),
        ({"tokens": [], "tags": []}, "no words"),
        ({"text": " ", "spans": []}, "no words"),
        ({"tokens": ["a", ""], "tags": ["O", "O"]}, r"row 1, token 2: the word \(column tokens\) is ''"),
        ({"tokens": ["a", 5], "tags": ["O", "O"]}, r"row 1, token 2: the word \(column tokens\) is 5"),
        ({"tokens": ["a"], "tags": [None]}, r"row 1, token 1: the tag \(column tags\) is None"),
        ({"tokens": ["a"], "tags": [True]}, r"row 1, token 1: the tag \(column tags\) is True"),
        ({"tokens": "a", "tags": ["O"]}, "tokens is 'a'"),
        ({"tokens": None, "tags": None}, "tokens is None"),
        ({"token": ["a"], "tags": ["O"]}, r"no column 'tokens'. Did you mean 'token'\?.*data.word_column"),
        ({"tokens": ["a"]}, r"no column 'tags'.*data.tag_column"),
        ({"text": 5, "spans": []}, "text is 5"),
        ({"text": "a"}, "spans is None"),
        ({"text": "abc", "spans": [[0, 2, "X"]]}, r"span 0 to 2 \(X, 'ab'\) cuts through the token 'abc'"),
        ({"text": "abc", "spans": [[0, 3]]}, r"\[0, 3\]"),
        ({"text": "abc", "spans": [{"start": 0, "end": 3}]}, r"\{'start': 0, 'end': 3\}"),
        ({"tokens": ["\ud800"], "tags": ["O"]}, r"token 1, column tokens: character 0 is '.ud800'"),
        ({"tokens": ["a"], "tags": ["\ud800"]}, r"token 1, column tags: character 0 is '.ud800'"),
        ({"text": "a", "spans": [[0, 1, "\ud800"]]}, r"span \[0, 1, '.ud800'\]: character 0 is"),
    ],
)
def test_a_row_that_is_not_a_tagged_sentence_is_named(values, message):
    with pytest.raises(DataError, match=rf"a.jsonl, .*{message}"):
        sentence(values)


def test_features_are_as_many_as_the_words_and_texts_have_none():
    with pytest.raises(DataError, match="1 features for 2 words"):
        sentence({"tokens": ["a", "b"], "tags": ["O", "O"], "pos": ["X"]}, feature_columns=["pos"])
    with pytest.raises(DataError, match=r"no column 'post'. Did you mean 'pos'\?.*data.feature_columns"):
        sentence({"tokens": ["a"], "tags": ["O"], "pos": ["X"]}, feature_columns=["post"])
    with pytest.raises(DataError, match=r"row 1: .*\(pos\)"):
        sentence({"text": "Hi", "spans": []}, feature_columns=["pos"])


def test_a_file_that_is_not_jsonl_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a.jsonl: .* no rows"):
        read(write_json(tmp_path / "a.jsonl"))
    (tmp_path / "a.jsonl").write_text("a O\n")
    with pytest.raises(DataError, match="row 1: not JSON"):
        read(tmp_path / "a.jsonl")


def test_an_unknown_format_is_named(tmp_path):
    config = TaggingData(path="a").model_copy(update={"format": "conlu"})
    with pytest.raises(ConfigError, match="'conlu'.*'conllu'"):
        next(read_sentences(tmp_path / "a", config))
