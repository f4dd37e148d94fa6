"""Streams of sequences in, JSON lines of answers out; a few hundred sequences are in memory at a time."""

import json
import reprlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ostinato.data.examples import Record
from ostinato.errors import DataError
from ostinato.estimators import SequenceClassifier, refuse_empty, refuse_unknown

ROWS_AT_A_TIME = 512


def lines(stream: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """The lines of standard input, each with its place."""
    for number, line in enumerate(stream, 1):
        place = f"standard input, line {number}"
        try:
            yield place, line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{place}: not UTF-8 (byte 0x{line[error.start]:02x}). Convert it, for example: iconv -f latin1 -t utf-8"
            ) from None


def typed(texts: Iterable[tuple[str, str]], tokenizer: str) -> Iterator[Record]:
    """Sequences as they are typed, each with its place; series, and lists of events, are JSON arrays."""
    for place, text in texts:
        sequence: Any = text
        if tokenizer == "numeric" or (tokenizer == "events" and text.startswith("[")):
            try:
                sequence = json.loads(text or "[]")
            except json.JSONDecodeError as error:
                example = "[1.5, 2] or [[1.5, 2], [3, 4]]" if tokenizer == "numeric" else '["open", "read"]'
                raise DataError(
                    f"{place}: {reprlib.repr(text)} is not a JSON array ({error.msg}). Write for example: {example}"
                ) from None
        yield Record(sequence, None, None, None, place)


def json_lines(model: SequenceClassifier, records: Iterator[Record]) -> Iterator[str]:
    """A JSON line for each record, in order: label and the probability of every label.

    Raises:
        DataError: a sequence is empty, or holds no token that training saw; names its place.
    """
    labels = model.encoder_.labels
    while batch := list(islice(records, ROWS_AT_A_TIME)):
        places = [record.place for record in batch]
        sequences = model.encoder_.encode([record.sequence for record in batch], places)
        refuse_empty(sequences, places)
        refuse_unknown(model.encoder_, sequences, places)
        for row in model.predict_encoded(sequences):
            probabilities = {str(label): round(float(each), 6) for label, each in zip(labels, row, strict=True)}
            yield json.dumps(
                {"label": labels[int(row.argmax())], "probabilities": probabilities},
                ensure_ascii=False,
                allow_nan=False,
            )
