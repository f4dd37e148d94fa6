import pickle
import re
import sys
from collections import Counter
from functools import partial
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ostinato import plugins
from ostinato.data.encoder import SequenceEncoder
from ostinato.data.tokenizers import Characters, Events, Kmers, Words, make_tokenizer, register_tokenizer
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import ConfigError

examples = settings(max_examples=50, deadline=None)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
REVIEW = "Don't miss<br />İstanbul's CAFÉ 😀👍🏽!<BR/>Ünïcode\ttab — “naïve”<br>日本語。"


def numbers(tokenizer, vocabulary, sequences):
    ids, lengths = tokenizer.indexer(vocabulary)(sequences)
    return ids.tolist(), lengths.tolist()


def assert_count_and_index_agree_with_tokens(tokenizer, sequences, known=lambda token: True):
    """The batch paths against the plain one: token by token, in Python."""
    tokens = [tokenizer.tokens(sequence) for sequence in sequences]
    counts, lengths = tokenizer.count(sequences)
    assert counts == Counter(token for part in tokens for token in part if known(token))
    assert lengths.tolist() == [len(part) for part in tokens]
    half = Vocabulary.fit(counts, max_size=max(len(counts) // 2, 1))
    for vocabulary in (Vocabulary.fit(counts), half, Vocabulary.fit(Counter())):
        assert numbers(tokenizer, vocabulary, sequences) == (
            [vocabulary.id(token) for part in tokens for token in part],
            lengths.tolist(),
        )


def test_words_are_lower_cased_and_parted_from_punctuation():
    assert Words().tokens("Don't STOP, it's 5.5!") == ["don", "'", "t", "stop", ",", "it", "'", "s", "5", ".", "5", "!"]


@pytest.mark.parametrize("gap", ["<br />", "<br>", "<br/>", "<BR />", "\t", "\n", "\u00a0", "\u2003", "<br /><br />"])
def test_html_breaks_and_white_space_part_words_and_vanish(gap):
    assert Words().tokens(f"good{gap}bad") == ["good", "bad"]


def test_words_offsets_cut_the_original_text():
    cut = [REVIEW[start:end] for start, end in Words().offsets(REVIEW)]
    before = [
        "Don",
        "'",
        "t",
        "miss",
        "İstanbul",
        "'",
        "s",
        "CAFÉ",
        "😀👍🏽",
        "!",
        "Ünïcode",
        "tab",
        "—",
        "“",
        "naïve",
        "”",
        "日本語",
        "。",
    ]
    assert cut == before
    assert Words().tokens(REVIEW) == ["i̇stanbul" if word == "İstanbul" else word.lower() for word in before]


@given(TEXTS)
@examples
@example("İ<br />İx<br>İ")
@example("<b<br>r />")
@example("\x1c a\x00b \u0345")
def test_words_offsets_are_one_for_each_token_in_order_and_within_the_text(text):
    tokens, offsets = Words().tokens(text), Words().offsets(text)
    assert len(tokens) == len(offsets)
    ends = [0, *(end for _, end in offsets)]
    assert all(end <= start < stop <= len(text) for end, (start, stop) in zip(ends, offsets, strict=False))


@given(st.lists(st.one_of(TEXTS, st.text("aB<br />\n.", max_size=12)), max_size=5))
@examples
def test_words_count_and_index_agree_with_tokens(texts):
    assert_count_and_index_agree_with_tokens(Words(), texts)


def test_characters_are_code_points():
    text = "aÉ😀"
    assert Characters().tokens(text) == ["a", "É", "😀"]
    assert [text[start:end] for start, end in Characters().offsets(text)] == ["a", "É", "😀"]


@given(st.lists(TEXTS, max_size=5))
@examples
@example([chr(sys.maxunicode), "a"])
def test_characters_count_and_index_agree_with_tokens(texts):
    assert_count_and_index_agree_with_tokens(Characters(), texts)


def test_nucleotides_take_lower_case_and_rna_and_keep_n_apart_from_unknown():
    tokenizer = make_tokenizer("nucleotides")
    assert numbers(tokenizer, tokenizer.vocabulary, ["ACGTN", "acgtn", "Uu", "XR-é"]) == (
        [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 4, 4, 0, 0, 0, 0],
        [5, 5, 2, 4],
    )


def test_rare_amino_acids_are_read_as_x_and_other_signs_are_unknown():
    tokenizer = make_tokenizer("amino-acids")
    ids, _ = numbers(
        tokenizer, tokenizer.vocabulary, ["ACDEFGHIKLMNPQRSTVWY", "acdefghiklmnpqrstvwy", "XxBJOUZbjouz", "*-1"]
    )
    assert ids == [*range(1, 21), *range(1, 21), *[21] * 12, 0, 0, 0]
    assert tokenizer.tokens("mBu*") == ["M", "X", "X", "*"]


@pytest.mark.parametrize("name", ["nucleotides", "amino-acids"])
@given(texts=st.lists(st.text("ACGTUNBZacgtunbz*-é", max_size=8), max_size=4))
@examples
def test_fixed_alphabets_count_and_index_agree_with_tokens(name, texts):
    assert_count_and_index_agree_with_tokens(make_tokenizer(name), texts)


def test_kmers_are_all_windows_in_upper_case():
    assert Kmers(3).tokens("acGTa") == ["ACG", "CGT", "GTA"]
    assert Kmers(3).offsets("acGTa") == [(0, 3), (1, 4), (2, 5)]


def test_sequence_shorter_than_k_is_one_short_token():
    kmers = Kmers(4)
    assert [kmers.tokens(sequence) for sequence in ("acg", "a", "")] == [["ACG"], ["A"], []]
    assert kmers.offsets("acg") == [(0, 3)]
    assert numbers(kmers, Vocabulary(("<unk>", "ACGT", "ACG")), ["ACGT", "ACG", "AC", ""]) == ([1, 2, 0], [1, 1, 1, 0])


def test_kmer_that_touches_anything_but_a_letter_is_unknown():
    assert numbers(Kmers(2), Vocabulary(("<unk>", "AC", "CG")), ["AC-CG"]) == ([1, 0, 0, 2], [4])


@pytest.mark.parametrize("k", [1, 2, 5, 13])
@given(sequences=st.lists(st.text("ACGTNYZaz-é\x00", max_size=20), max_size=5))
@examples
def test_kmers_count_and_index_agree_with_tokens(k, sequences):
    assert_count_and_index_agree_with_tokens(Kmers(k), sequences, known=lambda kmer: kmer.isascii() and kmer.isalpha())


def test_longest_kmers_do_not_overflow():
    sequences = ["Z" * 13, "Z" * 12 + "Y", "A" * 13]
    assert numbers(Kmers(13), Vocabulary(("<unk>", *sequences)), sequences)[0] == [1, 2, 3]


def test_events_are_taken_as_they_are_or_split_at_white_space():
    assert Events().tokens(["Log In", "é"]) == ["Log In", "é"]
    assert Events().tokens(" login  LOGOUT\tx\n") == ["login", "LOGOUT", "x"]


@pytest.mark.parametrize("events", [["Log In", "", "é", "x"], []])
def test_offsets_of_a_list_cut_its_joined_text(events):
    assert [" ".join(events)[start:end] for start, end in Events().offsets(events)] == events


@given(TEXTS)
@examples
@example("a\x1cb\x85c\u3000d")
def test_offsets_of_an_event_string_cut_its_tokens(text):
    assert [text[start:end] for start, end in Events().offsets(text)] == Events().tokens(text)


@given(
    st.lists(
        st.one_of(st.text("ab \t", max_size=8), st.lists(st.sampled_from(["a", "b b", ""]), max_size=4)), max_size=4
    )
)
@examples
def test_events_count_and_index_agree_with_tokens(sequences):
    assert_count_and_index_agree_with_tokens(Events(), sequences)


@pytest.mark.parametrize(
    ("name", "text"),
    [("words", REVIEW), ("characters", REVIEW), ("nucleotides", "ACGU"), ("kmers(3)", "ACGT"), ("events", "a b")],
)
def test_indexers_survive_pickling(name, text):
    tokenizer = make_tokenizer(name)
    indexer = tokenizer.indexer(tokenizer.vocabulary or Vocabulary.fit(tokenizer.count([text])[0]))
    restored = pickle.loads(pickle.dumps(indexer))
    assert restored([text])[0].tolist() == indexer([text])[0].tolist() != []


@pytest.mark.parametrize("name", ["word", "numeric", "kmers(0)", "kmers(14)", "kmers(K)"])
def test_unknown_tokenizer_is_named(name):
    with pytest.raises(ConfigError, match=re.escape(f"'{name}'")):
        make_tokenizer(name)


class Codons:
    """A tokenizer of our own: triplets of letters, without a remainder."""

    vocabulary = None

    def tokens(self, sequence):
        return [sequence[start:end] for start, end in self.offsets(sequence)]

    def offsets(self, sequence):
        return [(start, start + 3) for start in range(0, len(sequence) - 2, 3)]

    def count(self, sequences):
        tokens = [self.tokens(sequence) for sequence in sequences]
        return Counter(chain.from_iterable(tokens)), np.array([len(each) for each in tokens], np.int64)

    def indexer(self, vocabulary):
        return partial(self._index, vocabulary)

    def _index(self, vocabulary, sequences):
        tokens = [self.tokens(sequence) for sequence in sequences]
        ids = [vocabulary.id(token) for token in chain.from_iterable(tokens)]
        return np.array(ids, np.int32), np.array([len(each) for each in tokens], np.int64)


@pytest.fixture
def no_registered_tokenizers(monkeypatch):
    monkeypatch.setattr(plugins, "_registered", {})


def test_a_registered_tokenizer_encodes(no_registered_tokenizers):
    register_tokenizer("codons", Codons)
    encoder = SequenceEncoder.fit(["ATGATGTAA", "TAA"], tokenizer="codons")
    encoded = encoder.encode(["TAAATGC", "CCC"])
    assert encoder.vocabulary.tokens == ("<unk>", "ATG", "TAA")
    assert (encoded.values.tolist(), encoded.lengths.tolist()) == ([2, 1, 0], [2, 1])


def test_an_installed_package_offers_a_tokenizer(no_registered_tokenizers, tmp_path, monkeypatch):
    (tmp_path / "letters_plugin.py").write_text("from ostinato.data.tokenizers import Characters as Letters\n")
    info = tmp_path / "letters_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: letters-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ostinato.tokenizers]\nletters = letters_plugin:Letters\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(make_tokenizer("letters"), Characters)


@pytest.mark.parametrize("name", ["words", "numeric", "kmers(3)"])
def test_a_built_in_tokenizer_cannot_be_replaced(no_registered_tokenizers, name):
    with pytest.raises(ConfigError, match=re.escape(f"'{name}'")):
        register_tokenizer(name, Codons)


def test_a_registered_tokenizer_is_replaced(no_registered_tokenizers):
    register_tokenizer("codons", Events)
    register_tokenizer("codons", Codons)
    assert isinstance(make_tokenizer("codons"), Codons)


def test_a_tokenizer_is_registered_as_a_class_or_function(no_registered_tokenizers):
    with pytest.raises(ConfigError, match="'codons'.*Codons object"):
        register_tokenizer("codons", Codons())
