"""Detect and split lists of labels in one string, such as `Action|Comedy`."""

from collections.abc import Iterable, Sequence

SEPARATORS = {"|": 0.1, ";": 0.1, ",": 0.3}  # separator -> minimum share of the texts that contain it
LONGEST_LABEL = 40  # characters
MOST_WORDS = 4  # in a label
RECURRENCES = 3  # minimum mean number of occurrences of a label


def split_labels(text: str, separator: str) -> list[str]:
    """Split a text into its labels; strips white space and ignores empty labels."""
    return [label for part in text.split(separator) if (label := part.strip())]


def find_separator(texts: Iterable[str]) -> str | None:
    """The separator of the labels in texts; None if the texts are not lists of labels.

    Enough texts must contain it. The labels must be short, occur 3 times on average, and have no more distinct values
    than the texts: `Paris, France` and `Lyon, France` are two labels, not three.
    """
    filled = [text for text in texts if text.strip()]
    return next((separator for separator in SEPARATORS if _separates(separator, filled)), None)


def _separates(separator: str, texts: Sequence[str]) -> bool:
    containing = sum(separator in text for text in texts)
    if not containing or containing < SEPARATORS[separator] * len(texts):
        return False
    found = [label for text in texts for label in split_labels(text, separator)]
    distinct = set(found)
    is_short = all(len(label) <= LONGEST_LABEL and len(label.split()) <= MOST_WORDS for label in distinct)
    return is_short and 2 <= len(distinct) <= len(set(texts)) and len(found) >= RECURRENCES * len(distinct)
