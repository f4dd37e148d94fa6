"""Explanations as coloured text: nothing of the text is lost, nothing of it is run."""

import re
from html import unescape

import numpy as np
import pytest

from ostinato.explanation import Explanation
from ostinato.explanation.markup import explanation_html, explanation_text, segments

REVIEW = "A  <script>alert('x')</script> film,\n\tnot BAD & “good”  "


def explain_words(text, scores=None):
    offsets = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    tokens = [text[start:end].lower() for start, end in offsets]
    return Explanation(
        "occlusion",
        text,
        tokens,
        offsets,
        np.arange(len(tokens)) - 3.0 if scores is None else np.array(scores),
        "<b>pos</b>",
        0.75,
    )


def kmers(text, scores):
    offsets = [(start, start + 3) for start in range(len(text) - 2)]
    return Explanation(
        "occlusion", text, [text[start:end] for start, end in offsets], offsets, np.array(scores, float), "x", 0.5
    )


def test_the_segments_are_the_text_as_it_was_given():
    parts = segments(explain_words(REVIEW))
    assert "".join(text for text, _ in parts) == REVIEW
    assert [score for text, score in parts if text == "BAD"] == [
        explain_words(REVIEW).scores[explain_words(REVIEW).tokens.index("bad")]
    ]


def test_a_truncated_text_keeps_what_was_not_read():
    whole = explain_words("one two three")
    cut = Explanation(
        whole.method,
        whole.sequence,
        ["one", "three"],
        [whole.offsets[0], whole.offsets[2]],
        np.array([1.0, 2.0]),
        "pos",
        0.5,
    )
    assert segments(cut) == [("one", 1.0), (" two ", None), ("three", 2.0)]


def test_html_escapes_text_and_label():
    html = explanation_html(explain_words(REVIEW))
    assert "<script" not in html and "<b>pos" not in html
    body = html.split("</div>", 1)[1]
    assert REVIEW in unescape(re.sub(r"<[^>]*>", "", body))


def test_the_strongest_token_has_the_full_colour_and_faint_ones_none():
    html = explanation_html(explain_words("strong against faint", [2.0, -1.0, 0.01]))
    assert re.search(r"rgba\(230,97,1,0\.75\)[^>]*>strong<", html)
    assert re.search(r"rgba\(38,120,220,0\.38\)[^>]*>against<", html)
    assert re.search(r"[ >]faint<", html) and "faint</span>" not in html


def test_overlapping_tokens_colour_each_character_by_their_mean():
    assert segments(kmers("ACGT", [1, 3])) == [("A", 1.0), ("C", 2.0), ("G", 2.0), ("T", 3.0)]


def test_a_list_of_events_is_joined_by_spaces():
    given = Explanation(
        "occlusion", ["open", "read"], ["open", "read"], [(0, 4), (5, 9)], np.array([1.0, -1.0]), "x", 0.5
    )
    assert segments(given) == [("open", 1.0), (" ", None), ("read", -1.0)]


def test_a_series_shows_its_numbers():
    given = Explanation(
        "occlusion", np.array([[1.5], [2.0]]), ["1.5", "2"], [(0, 1), (1, 2)], np.array([1.0, -1.0]), "x", 0.5
    )
    assert segments(given) == [("1.5", 1.0), (" ", None), ("2", -1.0)]


def test_a_series_of_several_numbers_a_step_shows_the_steps():
    given = Explanation(
        "occlusion", np.array([[1.5, 0], [2.0, 7]]), ["1.5 0", "2 7"], [(0, 1), (1, 2)], np.array([1.0, -1.0]), "x", 0.5
    )
    assert segments(given) == [("1", 1.0), (" ", None), ("2", -1.0)]


@pytest.mark.parametrize("scores", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_a_terminal_shows_the_text_and_no_control_character(scores):
    text = explanation_text(explain_words("a \x1b[31mred\x07", [*scores, *[0.0] * 2]))
    assert text.plain == "a \\x1b[31mred\\x07"
    assert bool(text.spans) == any(scores)
