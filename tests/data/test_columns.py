import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.columns import conll_rows, conllu_rows, count_columns, looks_like_columns, write_columns
from ostinato.data.examples import Sentence
from ostinato.data.rows import Row
from ostinato.errors import DataError
from ostinato.tasks.infer import infer_config
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.reading import read_sentences

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


def read(path, *, labelled=True, **settings):
    """All sentences of a file; the first that cannot be read is raised."""
    sentences = []
    for sentence in read_sentences(path, TaggingData(path=str(path), **settings), labelled=labelled):
        if isinstance(sentence, DataError):
            raise sentence
        sentences.append(sentence)
    return sentences


def pairs(sentences):
    return [(sentence.words, sentence.tags) for sentence in sentences]


def test_columns_are_read_with_their_lines(tmp_path):
    path = write(tmp_path / "train.txt", NER)
    assert (read(path)) == [
        Sentence(["EU", "rejects"], ["B-ORG", "O"], f"{path}, line 3", lines=[3, 4]),
        Sentence(["#", "1"], ["O", "O"], f"{path}, line 8", lines=[8, 9]),
    ]


def test_columns_are_chosen_by_index_from_either_end(tmp_path):
    path = write(tmp_path / "train.txt", NER)
    assert pairs(read(path, word_column="1", tag_column="-2"))[0] == (["NNP", "VBZ"], ["B-NP", "B-VP"])
    assert pairs(read(path, word_column="-4", labelled=False)) == [
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
    assert pairs(read(path, word_column="word", tag_column="ner")) == expected
    if not text.startswith("#word"):  # without a chosen name, the header looks like a hashtag
        assert pairs(read(path)) == expected


def test_ranges_and_empty_nodes_of_conllu_plus_are_skipped(tmp_path):
    path = write(tmp_path / "a.conllup", "# global.columns = ID FORM NE\n1-2\tal\t_\n1\ta\tO\n2\tel\tB-X\n2.1\tx\tO\n")
    assert (read(path, word_column="FORM", tag_column="NE")) == [
        Sentence(["a", "el"], ["O", "B-X"], f"{path}, line 3", lines=[3, 4])
    ]


def test_a_line_with_a_tab_is_split_at_tabs_only(tmp_path):
    path = write(tmp_path / "a.tsv", "New York\tLOC\nin\u00a0spe\tO\n")
    assert pairs(read(path)) == [(["New York", "in\u00a0spe"], ["LOC", "O"])]
    path = write(tmp_path / "b.txt", "in\u00a0spe   O\n")
    assert pairs(read(path)) == [(["in\u00a0spe"], ["O"])]


def test_a_token_may_be_a_hash_and_a_comment_is_not_a_token(tmp_path):
    path = write(tmp_path / "a.txt", "# O\n1 O\n\n# a longer comment\n#tag B-X\n# O\n\n## O\n")
    assert pairs(read(path)) == [(["#", "1"], ["O", "O"]), (["#tag", "#"], ["B-X", "O"]), (["##"], ["O"])]
    path = write(tmp_path / "b.txt", "# id = 3\n# = = O\na b c O\n\n#\tb\tc\tO\n")
    assert pairs(read(path)) == [(["a"], ["O"]), (["#"], ["O"])]
    path = write(tmp_path / "c.txt", "# words alone\n#\n1\n")
    assert pairs(read(path, labelled=False)) == [(["#", "1"], None)]


def test_features_stand_beside_the_words_in_every_format(tmp_path):
    text = "# word pos known ner\nRome NNP 1 B-LOC\nfell VBD 0 O\n"
    named, numbered = ({"feature_columns": columns} for columns in (["pos", "known"], ["1", "2"]))
    (first,), (second,) = (read(write(tmp_path / "a.txt", text), **settings) for settings in (named, numbered))
    lists = {"tokens": ["Rome", "fell"], "tags": ["B-LOC", "O"], "pos": ["NNP", "VBD"], "known": [1, 0]}
    (listed,) = read(write(tmp_path / "a.jsonl", json.dumps(lists)), **named)
    for sentence in (first, second, listed):
        assert (sentence.features, sentence.words, sentence.tags) == (
            (["NNP", "VBD"], ["1", "0"]),
            ["Rome", "fell"],
            ["B-LOC", "O"],
        )
    (unlabelled,) = read(write(tmp_path / "b.txt", "Rome NNP\n"), feature_columns=["1"], labelled=False)
    assert (unlabelled.words, unlabelled.features, unlabelled.tags) == (["Rome"], (["NNP"],), None)
    (headed,) = read(write(tmp_path / "d.txt", "#word pos ner\nRome NNP B-LOC\n"), feature_columns=["pos"])
    assert headed.words == ["Rome"]
    assert read(write(tmp_path / "a.conllu", CONLLU), feature_columns=["xpos"])[0].features == (["V", "E", "D", "N"],)
    assert read(write(tmp_path / "c.txt", "Rome O\n"))[0].features == ()


def test_features_are_written_between_word_and_tag(tmp_path):
    sentence = Sentence(["Rome", "fell"], None, "here", features=(["NNP", "VBD"],))
    path = write(tmp_path / "a.txt", "".join(write_columns([sentence], [["B-LOC", "O"]])))
    (found,) = read(path, feature_columns=["1"])
    assert (found.words, found.features, found.tags) == (sentence.words, sentence.features, ["B-LOC", "O"])
    with pytest.raises(DataError, match=r"here: the feature 'a\\tb'"):
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
def test_columns_are_distinguished_from_prose(tmp_path, text, columns):
    assert looks_like_columns(write(tmp_path / "a.txt", text)) is columns
    assert looks_like_columns(write(tmp_path / "a.tsv", text), require_break=True) is (columns and "\n\n" in text)


def test_gzip_is_read(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(NER.encode()))
    assert len(read(path)) == 2


def test_conllu_reads_words_not_ranges(tmp_path):
    path = write(tmp_path / "a.conllu", CONLLU)
    assert (read(path)) == [
        Sentence(
            ["Vamos", "a", "el", "mar de fondo"], ["VERB", "ADP", "DET", "NOUN"], f"{path}, line 3", lines=[3, 5, 6, 8]
        ),
        Sentence(["_"], ["PUNCT"], f"{path}, line 10", lines=[10]),
    ]
    assert [tags for _, tags in pairs(read(path, tag_column="xpos"))] == [["V", "E", "D", "N"], ["P"]]
    assert [tags for _, tags in pairs(read(path, labelled=False))] == [None, None]


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
        assert pairs(read(path)) == list(zip(words, tags, strict=True))


def test_columns_that_cannot_be_written_are_refused():
    for words, tags, message in (
        (["a", "b"], ["O"], "here: 1 tags for 2 words"),
        (["a\tb"], ["O"], r"here: the word 'a\\tb'"),
        (["-DOCSTART-"], ["O"], "here: the word '-DOCSTART-'"),
        (["# x"], ["O"], "here: the word '# x'"),
    ):
        with pytest.raises(DataError, match=message):
            list(write_columns([Sentence(words, None, "here")], [tags]))


@pytest.mark.parametrize("ending", ["txt", "jsonl"])
def test_reading_holds_little_of_a_large_file(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    sentence = '{"tokens": ["word", "word"], "tags": ["O", "O"]}\n' if ending == "jsonl" else "word O\nword O\n\n"
    write(path, sentence * 20_000)  # would take more than 10 MB as sentences
    config = TaggingData(path=str(path))
    tracemalloc.start()
    assert sum(1 for _ in read_sentences(path, config)) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a O\nb\n", {}, r"a.txt, line 2: 1 columns, expected 2"),
        ("a O\n\nb c O\n", {}, r"a.txt, line 3: 3 columns, expected 2"),
        ("a O\n# a comment within\n", {}, r"line 2: 4 columns, expected 2"),
        ("a\tO\n\tO\n", {}, r"a.txt, line 2: the word \(column 0\) is ''"),
        ("a\t\n", {}, r"a.txt, line 1: the tag \(column 1\) is ''"),
        ("a\tb\tO\na\t\tO\n", {"feature_columns": ["1"]}, r"a.txt, line 2: the feature \(column 1\) is ''"),
        ("", {}, r"a.txt: .* no rows"),
        ("\n# nothing but this\n-DOCSTART- O\n", {}, r"a.txt: .* no rows"),
    ],
)
def test_malformed_columns_are_named_with_their_line(tmp_path, text, settings, message):
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(DataError, match=message) as raised:
        read(path, **settings)
    assert str(raised.value).startswith(str(path))


def test_malformed_conllu_and_encodings_are_named_with_their_line(tmp_path):
    with pytest.raises(DataError, match=r"a.conllu, line 3: 4 columns, expected 10"):
        read(write(tmp_path / "a.conllu", "# x\n\n1\ta\tb\tc\n"))
    with pytest.raises(DataError, match=r"a.conllu, line 8: .* no upos"):
        read(write(tmp_path / "a.conllu", CONLLU.replace("NOUN", "_")))
    with pytest.raises(DataError, match=r"a.conllu: .* no rows"):
        read(write(tmp_path / "a.conllu", "# text = none\n"))
    with pytest.raises(DataError, match=r"a.txt, line 2: not UTF-8 \(byte 0xef\)"):
        read(write(tmp_path / "a.txt", "a O\nnaïve O\n", "latin1"))
    with pytest.raises(DataError, match=r"nowhere: there is no such file"):
        read(tmp_path / "nowhere")


def test_a_sentence_is_a_row_with_a_list_for_each_index_and_name(tmp_path):
    path = write(tmp_path / "a.conll", "# word pos\nRome NNP\nfell VBD\n\n! .\n")
    words, tags = ["Rome", "fell"], ["NNP", "VBD"]
    assert list(conll_rows(path)) == [
        Row(f"{path}, line 2", {"0": words, "1": tags, "word": words, "pos": tags}, [2, 3]),
        Row(f"{path}, line 5", {"0": ["!"], "1": ["."], "word": ["!"], "pos": ["."]}, [5]),
    ]
    first = next(conllu_rows(write(tmp_path / "a.conllu", CONLLU)))
    assert first.values["form"] == first.values["1"] == ["Vamos", "a", "el", "mar de fondo"]
    assert len(first.values) == 20


def test_a_name_never_hides_an_index(tmp_path):
    (row,) = conll_rows(write(tmp_path / "a.conll", "# 1 0 x x\na b c d\n"))
    assert row.values == {"0": ["a"], "1": ["b"], "2": ["c"], "3": ["d"], "x": ["c"]}


def test_columns_are_counted(tmp_path):
    assert count_columns(write(tmp_path / "a.conll", NER)) == 4
    with pytest.raises(DataError, match=r"b.conll: .* no rows"):
        count_columns(write(tmp_path / "b.conll", "\n"))


def test_a_range_with_too_few_columns_is_an_error(tmp_path):
    path = write(tmp_path / "a.conllu", "1-2\tal\n\n" + CONLLU)
    broken, *others = conllu_rows(path)
    assert (broken.source, broken.values) == (f"{path}, line 1", {})
    assert str(broken.error).startswith(f"{path}, line 1: 2 columns, expected 10")
    assert [row.error for row in others] == [None, None]


RAGGED = "Rome NNP x B-LOC y z\nfell VBD x O\n\nAda NNP x B-PER y\n"


def test_tokens_may_differ_in_columns_that_nobody_reads(tmp_path):
    path = write(tmp_path / "a.conll", RAGGED)
    assert pairs(read(path, tag_column="3")) == [(["Rome", "fell"], ["B-LOC", "O"]), (["Ada"], ["B-PER"])]
    assert pairs(read(path, tag_column="3", feature_columns=["1"])) == pairs(read(path, tag_column="3"))
    assert pairs(read(path, labelled=False)) == [(["Rome", "fell"], None), (["Ada"], None)]
    headed = write(tmp_path / "b.conll", "# word pos chunk ner e f\n" + RAGGED)
    assert pairs(read(headed, word_column="word", tag_column="ner")) == pairs(read(path, tag_column="3"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"line 2: 4 columns, expected 6 as in line 1: 'fell VBD x O'.*data.tag_column from the start"),
        ({"tag_column": "-2"}, "line 2: 4 columns, expected 6"),
        ({"tag_column": "4"}, "line 2: 4 columns, expected at least 5, because column 4 is needed"),
        ({"tag_column": "3", "feature_columns": ["5"]}, "line 2: 4 columns, expected at least 6"),
        ({"tag_column": "9"}, "line 2: 4 columns, expected 6"),
    ],
)
def test_a_missing_column_that_is_read_names_the_line_and_its_columns(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "a.conll", RAGGED), **settings)


def test_further_columns_of_conllu_are_ignored(tmp_path):
    path = write(
        tmp_path / "a.conllu",
        "1\tRome\tRome\tPROPN\t_\t_\t0\troot\t_\t_\tB-LOC\textra\n2\tfell\tfall\tVERB\t_\t_\t1\troot\t_\t_\n",
    )
    assert pairs(read(path)) == [(["Rome", "fell"], ["PROPN", "VERB"])]


def test_documents_of_conll_2012_are_breaks(tmp_path):
    text = "#begin document (bc/x); part 000\nbc 0 0 Ada NNP\nbc 0 1 fell VBD (1)\n\n#end document\n"
    path = write(tmp_path / "a.conll", text)
    assert pairs(read(path, word_column="3", tag_column="4")) == [(["Ada", "fell"], ["NNP", "VBD"])]


def test_a_text_file_of_tagged_lines_is_tagging_and_errors_list_the_endings_once(tmp_path):
    path = write(tmp_path / "a.txt", "Rome\tB-LOC\nfell\tO\n\n" * 5)
    assert infer_config(path)[0].task == "tagging"
    ragged = write(tmp_path / "b.txt", "Rome\tPROPN\tx\nfell\tVERB\n\n" * 5)
    with pytest.raises(DataError, match=r"b\.txt, line 2: 2 columns, expected 3"):
        infer_config(ragged)
    with pytest.raises(DataError) as raised:
        infer_config(write(tmp_path / "c.txt", "some prose.\n\nAnd more of it.\n"))
    assert str(raised.value).count(".conllu") == 1
