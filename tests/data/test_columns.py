import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.columns import looks_like_columns, read_columns, read_conllu, write_columns
from ostinato.data.examples import Sentence
from ostinato.data.tag_jsonl import read_tag_jsonl
from ostinato.errors import DataError

NER = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

-DOCSTART- -X- -X- O

# NN B-NP O
1 CD I-NP O
"""

CONLLU = """# sent_id = 1
# text = Vamos al mar
1\tVamos\tir\tVERB\tV\t_\t0\troot\t_\t_
2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_
2\ta\ta\tADP\tE\t_\t4\tcase\t_\t_
3\tel\tel\tDET\tD\t_\t4\tdet\t_\t_
3.1\tgran\tgrande\tADJ\tA\t_\t_\t_\t4:amod\t_
4\tmar de fondo\tmar\tNOUN\tN\t_\t1\tobl\t_\t_

1\t_\t_\tPUNCT\tP\t_\t0\troot\t_\t_
"""


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def pairs(sentences):
    return [(sentence.words, sentence.tags) for sentence in sentences]


def test_columns_are_read_with_their_lines(tmp_path):
    path = write(tmp_path / "train.txt", NER)
    assert list(read_columns(path)) == [
        Sentence(["EU", "rejects"], ["B-ORG", "O"], f"{path}, line 3", lines=[3, 4]),
        Sentence(["#", "1"], ["O", "O"], f"{path}, line 8", lines=[8, 9]),
    ]


def test_columns_are_chosen_by_index_from_either_end(tmp_path):
    path = write(tmp_path / "train.txt", NER)
    assert pairs(read_columns(path, word_column="1", tag_column="-2"))[0] == (["NNP", "VBZ"], ["B-NP", "B-VP"])
    assert pairs(read_columns(path, word_column="-4", labelled=False)) == [
        (["EU", "rejects"], None),
        (["#", "1"], None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "# word pos ner\nRome NNP B-LOC\n\n! . O\n",
        "#word pos ner\nRome NNP B-LOC\n\n! . O\n",
        "# word\tpos\tner\nRome\tNNP\tB-LOC\n\n!\t.\tO\n",
        "#word\tpos\tner\n\nRome\tNNP\tB-LOC\n \t\n!\t.\tO",
        "# global.columns = word pos ner\n# about = Rome\nRome\tNNP\tB-LOC\n\n# . = .\n!\t.\tO\n\n\n",
        "\ufeff# word pos ner\r\nRome NNP  B-LOC \r\n\r\n! . O\r\n",
    ],
)
def test_columns_are_chosen_by_name_from_a_header(tmp_path, text):
    path = write(tmp_path / "a.txt", text)
    expected = [(["Rome"], ["B-LOC"]), (["!"], ["O"])]
    assert pairs(read_columns(path, word_column="word", tag_column="ner")) == expected
    if not text.startswith("#word"):  # such a header cannot be told from a hashtag unless its names are asked for
        assert pairs(read_columns(path)) == expected


def test_ranges_and_empty_nodes_of_conllu_plus_are_left_out(tmp_path):
    path = write(tmp_path / "a.conllup", "# global.columns = ID FORM NE\n1-2\tal\t_\n1\ta\tO\n2\tel\tB-X\n2.1\tx\tO\n")
    assert list(read_columns(path, word_column="FORM", tag_column="NE")) == [
        Sentence(["a", "el"], ["O", "B-X"], f"{path}, line 3", lines=[3, 4])
    ]


def test_a_line_with_a_tab_is_split_at_tabs_only(tmp_path):
    path = write(tmp_path / "a.tsv", "New York\tLOC\nin\u00a0spe\tO\n")
    assert pairs(read_columns(path)) == [(["New York", "in\u00a0spe"], ["LOC", "O"])]
    path = write(tmp_path / "b.txt", "in\u00a0spe   O\n")
    assert pairs(read_columns(path)) == [(["in\u00a0spe"], ["O"])]


def test_a_token_may_be_a_hash_and_a_comment_is_not_a_token(tmp_path):
    path = write(tmp_path / "a.txt", "# O\n1 O\n\n# a longer comment\n#tag B-X\n# O\n\n## O\n")
    assert pairs(read_columns(path)) == [(["#", "1"], ["O", "O"]), (["#tag", "#"], ["B-X", "O"]), (["##"], ["O"])]
    path = write(tmp_path / "b.txt", "# id = 3\n# = = O\na b c O\n\n#\tb\tc\tO\n")
    assert pairs(read_columns(path)) == [(["a"], ["O"]), (["#"], ["O"])]
    path = write(tmp_path / "c.txt", "# words alone\n#\n1\n")
    assert pairs(read_columns(path, labelled=False)) == [(["#", "1"], None)]


def test_features_stand_beside_the_words_in_every_format(tmp_path):
    text = "# word pos known ner\nRome NNP 1 B-LOC\nfell VBD 0 O\n"
    named, numbered = ({"feature_columns": columns} for columns in (["pos", "known"], ["1", "2"]))
    (first,), (second,) = (read_columns(write(tmp_path / "a.txt", text), **settings) for settings in (named, numbered))
    lists = {"tokens": ["Rome", "fell"], "tags": ["B-LOC", "O"], "pos": ["NNP", "VBD"], "known": [1, 0]}
    (listed,) = read_tag_jsonl(write(tmp_path / "a.jsonl", json.dumps(lists)), **named)
    for sentence in (first, second, listed):
        assert (sentence.features, sentence.words, sentence.tags) == (
            (["NNP", "VBD"], ["1", "0"]),
            ["Rome", "fell"],
            ["B-LOC", "O"],
        )
    (unlabelled,) = read_columns(write(tmp_path / "b.txt", "Rome NNP\n"), feature_columns=["1"], labelled=False)
    assert (unlabelled.words, unlabelled.features, unlabelled.tags) == (["Rome"], (["NNP"],), None)
    (headed,) = read_columns(write(tmp_path / "d.txt", "#word pos ner\nRome NNP B-LOC\n"), feature_columns=["pos"])
    assert headed.words == ["Rome"]
    assert next(read_conllu(write(tmp_path / "a.conllu", CONLLU), feature_columns=["xpos"])).features == (
        ["V", "E", "D", "N"],
    )
    assert next(read_columns(write(tmp_path / "c.txt", "Rome O\n"))).features == ()


def test_features_are_written_between_word_and_tag(tmp_path):
    sentence = Sentence(["Rome", "fell"], None, "here", features=(["NNP", "VBD"],))
    path = write(tmp_path / "a.txt", "".join(write_columns([sentence], [["B-LOC", "O"]])))
    (read,) = read_columns(path, feature_columns=["1"])
    assert (read.words, read.features, read.tags) == (sentence.words, sentence.features, ["B-LOC", "O"])
    with pytest.raises(DataError, match=r"here: the feature 'a\\tb' holds a tab"):
        list(write_columns([Sentence(["Rome"], None, "here", features=(["a\tb"],))], [["O"]]))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("-DOCSTART- -X- O\n\n# a comment of mine\nEU NNP B-ORG\n. . O\n\nRome NNP B-LOC\n", True),
        ("New York\tLOC\n\nof\tO\n", True),
        ("EU NNP B-ORG\n. . O\n", True),
        ("EU NNP B-ORG\n. O\n\n", False),
        ("A first line of prose.\n\nAnother line.\n", False),
        ("alone\n\nhere\n", False),
        ("", False),
    ],
)
def test_columns_are_told_from_prose(tmp_path, text, columns):
    assert looks_like_columns(write(tmp_path / "a.txt", text)) is columns
    assert looks_like_columns(write(tmp_path / "a.tsv", text), parted=True) is (columns and "\n\n" in text)


def test_an_answer_is_no_feature(tmp_path):
    conllu, listed = (
        write(tmp_path / "a.conllu", CONLLU),
        write(tmp_path / "a.jsonl", json.dumps({"tokens": ["a"], "tags": ["O"]})),
    )
    with pytest.raises(
        DataError, match="tag_column 'upos' and feature_columns 'upos' are one column. Name two, or leave one away"
    ):
        list(read_conllu(conllu, feature_columns=["upos"]))
    with pytest.raises(DataError, match="word_column 'form' and feature_columns '1' are one column"):
        list(read_conllu(conllu, feature_columns=["1"]))
    with pytest.raises(DataError, match="tag_column 'tags' and feature_columns 'tags' are one column"):
        list(read_tag_jsonl(listed, feature_columns=["tags"]))
    (asked,) = read_tag_jsonl(listed, feature_columns=["tags"], labelled=False)  # what another tagger answered
    assert asked.features == (["O"],)


def test_gzip_is_read(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(NER.encode()))
    assert len(list(read_columns(path))) == 2


def test_conllu_reads_words_not_ranges(tmp_path):
    path = write(tmp_path / "a.conllu", CONLLU)
    assert list(read_conllu(path)) == [
        Sentence(
            ["Vamos", "a", "el", "mar de fondo"], ["VERB", "ADP", "DET", "NOUN"], f"{path}, line 3", lines=[3, 5, 6, 8]
        ),
        Sentence(["_"], ["PUNCT"], f"{path}, line 10", lines=[10]),
    ]
    assert [tags for _, tags in pairs(read_conllu(path, tag_column="xpos"))] == [["V", "E", "D", "N"], ["P"]]
    assert [tags for _, tags in pairs(read_conllu(path, labelled=False))] == [None, None]


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1).filter(
    lambda word: word != "-DOCSTART-"
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-X"])), min_size=1), min_size=1))
def test_written_columns_are_read_back(tmp_path_factory, labelled):
    words = [[word for word, _ in sentence] for sentence in labelled]
    tags = [[tag for _, tag in sentence] for sentence in labelled]
    path = tmp_path_factory.getbasetemp() / "written.txt"
    path.write_text("".join(write_columns([Sentence(each, None, "here") for each in words], tags)), encoding="utf-8")
    if not words[0][0].startswith("\ufeff"):  # a byte-order mark at the file's start is none of its words
        assert pairs(read_columns(path)) == list(zip(words, tags, strict=True))


def test_columns_that_cannot_be_written_are_refused():
    for words, tags, message in (
        (["a", "b"], ["O"], "here: 1 tags for 2 words"),
        (["a\tb"], ["O"], r"here: the word 'a\\tb' holds a tab"),
        (["-DOCSTART-"], ["O"], "here: the word '-DOCSTART-' is a break or a comment in columns"),
        (["# x"], ["O"], "here: the word '# x' is a break or a comment in columns"),
    ):
        with pytest.raises(DataError, match=message):
            list(write_columns([Sentence(words, None, "here")], [tags]))


@pytest.mark.parametrize("ending", ["txt", "jsonl"])
def test_reading_holds_little_of_a_large_file(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    sentence = '{"tokens": ["word", "word"], "tags": ["O", "O"]}\n' if ending == "jsonl" else "word O\nword O\n\n"
    write(path, sentence * 5_000)
    tracemalloc.start()
    assert sum(1 for _ in (read_tag_jsonl if ending == "jsonl" else read_columns)(path)) == 5_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a O\nb\n", {}, r"a.txt, line 2: 1 columns, expected 2. Give every token the same columns"),
        ("a O\n\nb c O\n", {}, r"a.txt, line 3: 3 columns, expected 2"),
        ("a O\n# a comment within\n", {}, r"line 2: 4 columns, expected 2"),
        ("a\tO\n\tO\n", {}, r"a.txt, line 2: the word is empty"),
        ("a\t\n", {}, r"a.txt, line 1: the tag is empty"),
        ("a\nb\n", {}, r"word_column '0' and tag_column '-1' are one column, of 1"),
        (
            "a O\n",
            {"feature_columns": ["1"]},
            r"tag_column '-1' and feature_columns '1' are one column, of 2. Name two, or leave one away",
        ),
        (
            "a b O\n",
            {"feature_columns": ["-2"]},
            r"feature_columns '-2' counts from the end, .* Count from the front: 1",
        ),
        (
            "# w p O\na b O\n",
            {"feature_columns": ["1", "p"]},
            r"feature_columns '1' and feature_columns 'p' are one column, of 3",
        ),
        (
            "a b O\n",
            {"feature_columns": ["pos"]},
            r"no column 'pos'. The first line names no columns .* Set data.feature_columns to a name, or to an index",
        ),
        ("a\tb\tO\na\t\tO\n", {"feature_columns": ["1"]}, r"a.txt, line 2: the feature is empty"),
        ("a b O\n", {"tag_column": "3"}, r"no column 3: a token has 3. Set data.tag_column to an index from 0 to 2"),
        ("a b O\n", {"word_column": "-4"}, r"no column -4: a token has 3. Set data.word_column"),
        ("a b O\n", {"tag_column": "ner"}, r"no column 'ner'. The first line names no columns"),
        (
            "# word pos ner\na b O\n",
            {"tag_column": "nre"},
            r"no column 'nre'. Did you mean 'ner'\? Columns: word, pos, ner. Set data.tag_column",
        ),
        ("", {}, r"a.txt: holds no sentence"),
        ("\n# nothing but this\n-DOCSTART- O\n", {}, r"a.txt: holds no sentence"),
    ],
)
def test_a_faulty_column_file_is_named_with_its_line(tmp_path, text, settings, message):
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(DataError, match=message) as raised:
        list(read_columns(path, **settings))
    assert str(raised.value).startswith(str(path))


def test_faulty_conllu_and_encodings_are_named_with_their_line(tmp_path):
    with pytest.raises(DataError, match=r"a.conllu, line 3: 4 columns, expected 10"):
        list(read_conllu(write(tmp_path / "a.conllu", "# x\n\n1\ta\tb\tc\n")))
    with pytest.raises(DataError, match=r"a.conllu, line 3: a word of this sentence has no upos \(_\)"):
        list(read_conllu(write(tmp_path / "a.conllu", CONLLU.replace("NOUN", "_"))))
    with pytest.raises(DataError, match=r"no column 'pos'. Did you mean 'xpos'\? Columns: id, form"):
        list(read_conllu(write(tmp_path / "a.conllu", CONLLU), tag_column="pos"))
    with pytest.raises(DataError, match=r"a.conllu: holds no sentence"):
        list(read_conllu(write(tmp_path / "a.conllu", "# text = none\n")))
    with pytest.raises(DataError, match=r"a.txt, line 2: not UTF-8 \(byte 0xef\)"):
        list(read_columns(write(tmp_path / "a.txt", "a O\nnaïve O\n", "latin1")))
    with pytest.raises(DataError, match=r"nowhere: there is no such file"):
        list(read_columns(tmp_path / "nowhere"))
