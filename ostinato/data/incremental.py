"""From pieces of one sequence to its tokens or steps; needs NumPy alone, not PyTorch.

A piece may end inside a word and, as bytes, inside a character. Tokens that later text can still change are pending: a
reader holds their text back and reads them again with the next piece. So the complete tokens of all pieces and the
pending ones of the last are always the tokens of the text so far.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ostinato.data.encoding import SequenceEncoding, tokenizable
from ostinato.data.tokenizers import Characters, Events, Kmers, make_tokenizer
from ostinato.data.words import Words
from ostinato.errors import ConfigError, DataError

SOURCE = "the piece"
TAG_BEGINNING = re.compile(r"<([bB]([rR] ?/?)?)?\Z")  # of `<br />`, which `Words` reads as white space


class Tokens(NamedTuple):
    """What a piece added: ids (n,) int32, or a series (n, channels) float64 that is not standardised.

    Args:
        complete: whatever follows, these remain.
        pending: the tokens of the text held back, if nothing follows.
    """

    complete: np.ndarray
    pending: np.ndarray


class TextDecoder:
    """UTF-8 in pieces that may end inside a character.

    Attributes:
        undecoded: the bytes of a character that is not complete yet.
    """

    def __init__(self, undecoded: bytes = b"") -> None:
        self.undecoded = undecoded

    def text(self, piece: str | bytes) -> str:
        """The text of a piece, without a character that is not complete yet.

        Raises:
            DataError: the bytes are not UTF-8, or text follows half a character.
        """
        if isinstance(piece, str):
            self.refuse_half_a_character()
            return piece
        data = self.undecoded + piece
        try:
            text = data.decode()
            self.undecoded = b""
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                raise DataError(
                    f"{SOURCE}: byte {data[error.start]:#04x} is not UTF-8. Expected UTF-8 text. Decode the bytes, and "
                    "push text."
                ) from None
            text, self.undecoded = data[: error.start].decode(), data[error.start :]
        return text

    def refuse_half_a_character(self) -> None:
        """Refuse to end, or to go on with text, inside a character.

        Raises:
            DataError: names its bytes.
        """
        if self.undecoded:
            raise DataError(
                f"{SOURCE}: bytes {self.undecoded.hex(' ')} are the beginning of a character in UTF-8. Push the rest "
                "of the character first."
            )


class Held:
    """What later text can still change, as it is saved with a stream.

    Attributes:
        text: complete characters.
        decoder: holds a character that is not complete.
        has_begun: whether any token was complete.
    """

    def __init__(self) -> None:
        self.text = ""
        self.decoder = TextDecoder()
        self.has_begun = False

    def state(self) -> dict[str, Any]:
        """All attributes as JSON values; bytes in hexadecimal."""
        return {"text": self.text, "undecoded": self.decoder.undecoded.hex(), "has_begun": self.has_begun}

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `state` gave."""
        self.text, self.has_begun = state["text"], state["has_begun"]
        self.decoder = TextDecoder(bytes.fromhex(state["undecoded"]))


class Reader(ABC):
    """Turns the pieces of one sequence into tokens or steps."""

    def __init__(self, encoding: SequenceEncoding) -> None:
        self._encoding = encoding
        self.held = Held()

    @property
    @abstractmethod
    def has_lines(self) -> bool:
        """Whether the end of a line belongs to the sequence, as in text; not in DNA that a file wraps."""

    @abstractmethod
    def push(self, piece: Any) -> Tokens:
        """Read a piece; if it is refused, the reader stays as it was.

        Raises:
            DataError: the piece is of another kind than in training, or is not valid.
        """

    def finish(self) -> Tokens:
        """The pending tokens, now complete.

        Raises:
            DataError: the pieces end inside a character.
        """
        self.held.decoder.refuse_half_a_character()
        complete = self.pending()
        self.held = Held()
        return Tokens(complete, complete[:0])

    @abstractmethod
    def pending(self) -> np.ndarray:
        """The tokens of the text held back, if nothing follows."""


class SeriesReader(Reader):
    """Numeric series: every piece is an array (t,) or (t, channels)."""

    has_lines = False

    def push(self, piece: Any) -> Tokens:
        return Tokens(self._encoding.arrays([piece], [SOURCE]).values, self.pending())

    def pending(self) -> np.ndarray:
        return np.empty((0, self._encoding.channels or 0))


class TextReader(Reader):
    """Text or UTF-8 bytes; for events also lists of tokens."""

    def __init__(self, encoding: SequenceEncoding) -> None:
        super().__init__(encoding)
        assert encoding.vocabulary is not None
        self._tokenizer: Any = make_tokenizer(encoding.tokenizer)
        # a word that is longer than all known words is out of vocabulary however it ends
        self._longest_word = max(map(len, encoding.vocabulary.ids))

    @property
    def has_lines(self) -> bool:
        return self._tokenizer.vocabulary is None and not isinstance(self._tokenizer, Kmers)

    def push(self, piece: Any) -> Tokens:
        held = self.held
        if isinstance(piece, list | tuple):
            return self._push_list(list(piece))
        before = held.decoder.undecoded
        text = held.decoder.text(piece) if isinstance(piece, str | bytes) else piece
        try:
            (checked,) = tokenizable([text], self._encoding.tokenizer, [SOURCE])
        except DataError:
            held.decoder.undecoded = before
            raise
        complete, held.text = self._split(held.text + checked)
        return self._tokens(complete)

    def pending(self) -> np.ndarray:
        if isinstance(self._tokenizer, Kmers) and self.held.has_begun:
            return self._ids("")  # the last letters belong to windows that are complete
        return self._ids(self.held.text)

    def _push_list(self, piece: list[Any]) -> Tokens:
        """A list of whole tokens, which completes a word before it."""
        complete = self._encoding.arrays([piece], [SOURCE]).values
        self.held.decoder.refuse_half_a_character()
        if piece:
            complete = np.concatenate([self._ids(self.held.text), complete])
            self.held.text = ""
        return self._tokens(complete)

    def _tokens(self, complete: np.ndarray) -> Tokens:
        self.held.has_begun = self.held.has_begun or len(complete) > 0
        return Tokens(complete, self.pending())

    def _ids(self, text: str) -> np.ndarray:
        return self._encoding.arrays([text]).values

    def _split(self, text: str) -> tuple[np.ndarray, str]:
        """The ids of the tokens that later text cannot change, and the text to hold back."""
        if isinstance(self._tokenizer, Characters):
            return self._ids(text), ""
        if isinstance(self._tokenizer, Kmers):
            k = self._tokenizer.k
            return (self._ids(text), text[len(text) - k + 1 :]) if len(text) >= k else (self._ids(""), text)
        beginning = TAG_BEGINNING.search(text) if isinstance(self._tokenizer, Words) else None
        settled = text if beginning is None else text[: beginning.start()]
        offsets = self._tokenizer.offsets(settled)
        ids = self._ids(settled)
        if not offsets or offsets[-1][1] < len(settled):
            return ids, text[len(settled) :]
        word = settled[offsets[-1][0] :][: self._longest_word + 1]
        return ids[:-1], word + text[len(settled) :]


def incremental_reader(encoding: SequenceEncoding) -> Reader:
    """A reader for the pieces of one sequence; it does not cut to `max_length`.

    Raises:
        ConfigError: the tokenizer has no incremental form, such as subwords, or one of yours.
    """
    whole = encoding if encoding.max_length is None else replace(encoding, max_length=None)
    if encoding.is_numeric:
        return SeriesReader(whole)
    if not isinstance(make_tokenizer(encoding.tokenizer), Words | Characters | Kmers | Events):
        raise ConfigError(
            f"Tokenizer {encoding.tokenizer!r} cannot read text in pieces. Pass whole sequences to predict, or train "
            "again with data.tokenizer words, characters, nucleotides, amino-acids, kmers(K) or events."
        )
    return TextReader(whole)
