"""Several labels in one text, as `Action|Comedy`: whether a column holds them, and what separates them."""

from collections.abc import Iterable, Sequence

SEPARATORS = {"|": 0.1, ";": 0.1, ",": 0.3}  # and the share of the texts that must contain it
LONGEST_LABEL = 40  # characters
MOST_WORDS = 4
RECURRENCES = 3  # occurrences of a label, on average


def split_labels(text: str, separator: str) -> list[str]:
    """The labels in a text, without the blanks around them; empty ones do not count."""
    return [label for part in text.split(separator) if (label := part.strip())]


def find_separator(texts: Iterable[str]) -> str | None:
    """What separates the labels in each text; None where the texts are not lists of labels.

    Many texts must contain it, and what it separates must be short, recur 3 times on average, and be no more diverse
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
