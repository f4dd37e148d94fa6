"""What a terminal or a page shows of text of unknown origin."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ostinato.config.reading import tomllib
from ostinato.printable import json_escapes, plain_repr, shortened, to_json, visible, visible_lines

ANY_TEXT = st.text(st.characters(codec=None))  # halves of surrogate pairs too
HOSTILE = "a\x1b[2J\x07\x00\x9b31m\u202eb\u2066\u2028\ud800"


def test_control_characters_are_shown_as_escapes():
    assert visible(HOSTILE) == r"a\x1b[2J\x07\x00\x9b31m\u202eb\u2066\u2028\ud800"
    assert visible("a\tb\nc\r") == r"a\tb\nc\r"
    assert visible_lines("a\tb\nc\r") == "a\tb\nc\\r"


def test_letters_of_any_script_are_shown_as_they_are():
    text = "naïve, Ελλάδα, 日本\u3000語, می\u200cخواهم, 👩\u200d🚀, 97\u00a0%"
    assert visible(text) == text
    assert to_json(text) == f'"{text}"'


@given(ANY_TEXT)
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = visible(text)
    shown.encode()
    assert not any(
        character < " " or "\x7f" <= character <= "\x9f" or "\u202a" <= character <= "\u202e" for character in shown
    )
    assert visible(shown) == shown


@given(ANY_TEXT)
def test_escaped_json_has_the_same_value(text):
    line = to_json({"text": text})
    assert json.loads(line) == {"text": text}
    assert visible(line) == line


def test_escaped_toml_has_the_same_value():
    assert tomllib.loads(json_escapes('x = "a\u202e\x85"\n')) == {"x": "a\u202e\x85"}


def test_numpy_scalars_are_shown_as_python_values():
    assert plain_repr(np.int64(0)) == "0"
    assert plain_repr(np.str_("a")) == plain_repr("a") == "'a'"
    assert plain_repr(None) == "None"


def test_a_long_text_is_cut_and_its_length_said():
    assert shortened("x" * 100) == "x" * 100
    assert shortened("x" * 1234).endswith("x… (1,234 characters)")
