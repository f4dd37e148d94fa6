import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import DataError
from ostinato.tasks.tagging.schemes import SCHEMES
from ostinato.tasks.tagging.spans import spans_to_tags, tags_to_spans, tokenize_text

TEXT = "Ada Lovelace met C. Babbage in London."


@st.composite
def labelled_texts(draw):
    """A text, and spans that begin and end with tokens."""
    text = draw(st.text(st.sampled_from("aZ9é_ \t\n.,-'क\u093f\u200d\u00a0中😀"), max_size=40))
    tokens = tokenize_text(text)
    edges = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return text, [
        (tokens[first][1], tokens[stop - 1][2], draw(st.sampled_from(["PER", "LOC"]))) for first, stop in pairs
    ]


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_every_character_but_blanks_is_in_exactly_one_token(text):
    tokens = tokenize_text(text)
    assert all(text[start:end] == word for word, start, end in tokens)
    covered = [c for _, start, end in tokens for c in range(start, end)]
    assert covered == [c for c, character in enumerate(text) if not character.isspace()]


def test_words_keep_their_marks_and_punctuation_stands_alone():
    assert [word for word, _, _ in tokenize_text("naïve e\u0301tat x_1: 3.5€...")] == [
        "naïve",
        "e\u0301tat",
        "x_1",
        ":",
        "3",
        ".",
        "5",
        "€",
        ".",
        ".",
        ".",
    ]
    assert [word for word, _, _ in tokenize_text("हिन्दी में")] == ["हिन्दी", "में"]
    assert tokenize_text(" \u00a0\n") == []


def test_spans_become_tags_by_hand():
    words, tags, offsets = spans_to_tags(TEXT, [(31, 37, "LOC"), (0, 12, "PER"), (17, 27, "PER")])
    assert words == ["Ada", "Lovelace", "met", "C", ".", "Babbage", "in", "London", "."]
    assert tags == ["B-PER", "I-PER", "O", "B-PER", "I-PER", "I-PER", "O", "B-LOC", "O"]
    assert offsets[:2] == [(0, 3), (4, 12)]
    assert spans_to_tags(TEXT, [(0, 12, "PER")], "bioes")[1][:3] == ["B-PER", "E-PER", "O"]


@settings(max_examples=60, deadline=None)
@given(labelled_texts(), st.sampled_from(list(SCHEMES)))
def test_spans_survive_tags_without_losing_a_character(case, scheme):
    text, spans = case
    words, tags, offsets = spans_to_tags(text, reversed(spans), scheme)
    assert tags_to_spans(words, tags, offsets, scheme) == spans
    assert all(text[start:end] == word for word, (start, end) in zip(words, offsets, strict=True))


def test_blanks_at_the_ends_of_a_span_do_not_count():
    words, tags, offsets = spans_to_tags("go to Rome now", [(5, 11, "LOC")])
    assert tags_to_spans(words, tags, offsets, "iob2") == [(6, 10, "LOC")]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 6, "PER")], r"span 0 to 6 \(PER, 'Ada Lo'\) cuts .*'Lovelace' \(4 to 12\)"),
        ([(1, 12, "PER")], r"span 1 to 12 .* cuts .*'Ada' \(0 to 3\)"),
        ([(5, 7, "PER")], r"\(PER, 'ov'\) cuts .*'Lovelace'"),
        (
            [(0, 12, "PER"), (4, 16, "X")],
            r"span 4 to 16 \(X, 'Lovelace met'\) overlaps span 0 to 12 \(PER, 'Ada Lovelace'\)",
        ),
        ([(0, 3, "PER"), (0, 3, "PER")], "overlaps"),
        ([(3, 4, "PER")], r"span 3 to 4 \(PER, ' '\) contains only"),
        ([(31, 39, "LOC")], "span 31 to 39 .* 38 characters"),
        ([(4, 4, "LOC")], "span 4 to 4 .* does not fit"),
        ([(-1, 3, "LOC")], "span -1 to 3 .* does not fit"),
        ([(0, 3, "")], r"span 0 to 3 \(, 'Ada'\) has no label"),
    ],
)
def test_spans_that_tags_cannot_express_are_refused(spans, message):
    with pytest.raises(DataError, match=message):
        spans_to_tags(TEXT, spans)


def test_unequal_words_and_tags_are_refused():
    with pytest.raises(DataError, match="1 words, 2 tags and 1 offsets"):
        tags_to_spans(["a"], ["O", "O"], [(0, 1)], "iob2")
