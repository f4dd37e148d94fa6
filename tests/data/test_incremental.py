"""Tokens of text in pieces against the tokens of the same text whole."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.incremental import incremental_reader
from ostinato.data.tokenizers import register_tokenizer
from ostinato.errors import ConfigError, DataError

TOKENIZERS = ("words", "characters", "nucleotides", "amino-acids", "kmers(1)", "kmers(4)", "events")
KNOWN = "a ab <br /> b.c ı̇stanbul é 語 語<br>d < br straße ΟΔΟΣ οδοσ ACGTN"
# what tokenizers treat in their own way, among letters
PARTS = [*" \n\u2003<>/.,bBrRaİıΣ語é́ſß𝔸ACGTN", "<br />", "<BR/>", "word"]
TEXT = st.lists(st.sampled_from(PARTS), max_size=30).map("".join)


def encoder_of(tokenizer):
    return SequenceEncoder.fit([KNOWN, KNOWN.lower()], tokenizer=tokenizer)


def ids_of(encoder, text):
    return encoder.encode([text]).values.tolist()


def cut(whole, cuts):
    ends = sorted({min(each, len(whole)) for each in cuts})
    return [whole[begin:end] for begin, end in zip([0, *ends], [*ends, len(whole)], strict=True)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(text=TEXT, cuts=st.lists(st.integers(0, 40), max_size=8), as_bytes=st.booleans())
@example(text="a<br /", cuts=[2, 3, 4, 5], as_bytes=False)
@example(text="a<br >b", cuts=[5], as_bytes=False)
@example(text="語é", cuts=[1, 2, 3, 4], as_bytes=True)
def test_complete_and_pending_tokens_are_those_of_the_text_so_far(tokenizer, text, cuts, as_bytes):
    encoder = encoder_of(tokenizer)
    reader, complete, read = incremental_reader(encoder), [], b""
    for piece in cut(text.encode() if as_bytes else text, cuts):
        added = reader.push(piece)
        complete += added.complete.tolist()
        read += piece if as_bytes else piece.encode()
        so_far = read.decode(errors="ignore")  # a character that is not complete is not there yet
        assert [*complete, *added.pending.tolist()] == ids_of(encoder, so_far)
    complete += reader.finish().complete.tolist()
    assert complete == ids_of(encoder, text)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_restored_reader_continues_inside_a_character(tokenizer):
    encoder, data = encoder_of(tokenizer), "ab語<br />ACGTACGT é".encode()
    for at in range(len(data) + 1):
        first, second = incremental_reader(encoder), incremental_reader(encoder)
        complete = first.push(data[:at]).complete.tolist()
        second.held.restore(first.held.state())
        complete += second.push(data[at:]).complete.tolist() + second.finish().complete.tolist()
        assert complete == ids_of(encoder, data.decode())


def test_a_word_without_end_is_not_kept():
    encoder = encoder_of("words")
    reader = incremental_reader(encoder)
    for _ in range(100):
        reader.push("ab" * 50)
        assert len(reader.held.text) < 20
    assert reader.finish().complete.tolist() == [0]


def test_series_come_in_arrays():
    encoder = SequenceEncoder.fit([[[1.0, 2.0], [3.0, 4.0]]], tokenizer="numeric")
    reader = incremental_reader(encoder)
    assert reader.push([[5.0, 6.0]]).complete.tolist() == [[5.0, 6.0]]
    assert reader.push(np.empty((0, 2))).complete.shape == (0, 2)
    with pytest.raises(DataError, match="3 channels"):
        reader.push([[1.0, 2.0, 3.0]])
    assert reader.finish().complete.shape == (0, 2)


def test_a_list_of_events_completes_the_word_before_it():
    encoder = SequenceEncoder.fit([["open", "read", "close"]], tokenizer="events")
    reader = incremental_reader(encoder)
    complete = reader.push("open re").complete.tolist()
    complete += reader.push("ad").complete.tolist() + reader.push(["close", "open"]).complete.tolist()
    assert complete == ids_of(encoder, "open read close open")
    assert reader.held.text == ""


@pytest.mark.parametrize(
    ("before", "piece", "named"),
    [(b"ab \xc3", b"a", "0xc3"), (b"ab", b"a\xffb", "0xff"), (b"", "\ud800", "d800"), (b"a", 7, "7"), (b"a", [1], "1")],
)
def test_what_is_not_text_is_refused_and_changes_nothing(before, piece, named):
    reader = incremental_reader(encoder_of("events"))
    reader.push(before)
    state = reader.held.state()
    with pytest.raises(DataError, match=named):
        reader.push(piece)
    assert reader.held.state() == state


def test_half_a_character_is_refused_at_the_end_and_before_text():
    reader = incremental_reader(encoder_of("words"))
    reader.push("é".encode()[:1])
    for step in (reader.finish, lambda: reader.push("a")):
        with pytest.raises(DataError, match="c3"):
            step()


def test_a_registered_tokenizer_is_refused():
    class Lines:
        vocabulary = None

        def tokens(self, sequence):
            return sequence.splitlines()

    register_tokenizer("lines", Lines)
    with pytest.raises(ConfigError, match="lines"):
        incremental_reader(SequenceEncoder("lines", None, None, None, None, "head", 1))
