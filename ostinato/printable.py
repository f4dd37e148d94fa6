"""Text of unknown origin as a terminal or a page may safely show it: control characters become visible escapes.

Control characters are the C0 and C1 controls, line separators, the marks that change the direction of text, and halves
of surrogate pairs. A terminal obeys them, or cannot print them.
"""

import json
import re
from typing import Any

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
CONTROLS_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST = 100  # characters of a value in a message


def visible(name: object) -> str:
    r"""A name on one line, with control characters escaped, as `\x1b`."""
    return CONTROLS.sub(_escape, str(name))


def visible_lines(text: str) -> str:
    """A text of several lines: as `visible`, but newlines and tabs stay."""
    return CONTROLS_IN_LINES.sub(_escape, text)


def to_json(value: Any) -> str:
    r"""JSON on one line for people and programs: control characters are escaped, as `\u202e`, other letters are not."""
    return json_escapes(json.dumps(value, ensure_ascii=False, allow_nan=False))


def json_escapes(text: str) -> str:
    r"""Escape control characters as JSON and TOML write them in strings; newlines and tabs stay."""
    return CONTROLS_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """The beginning of a long text, and how long it is."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def plain_repr(value: Any) -> str:
    """`repr`, but of the Python value that a NumPy scalar stands for: `0`, not `np.int64(0)`."""
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "shape", None) == ()
    return repr(value.item() if is_scalar else value)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
