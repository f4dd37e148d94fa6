"""CoNLL files: one token per line, its columns separated by tabs or blanks, an empty line after each sentence.

Reading streams: memory does not grow with the file.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from ostinato.data.examples import Sentence
from ostinato.data.files import open_text
from ostinato.data.rows import Row, no_rows
from ostinato.errors import DataError

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
PLUS_HEADER = "# global.columns ="
DOCUMENT = "-DOCSTART-"
PROBED_LINES = 200

Line = tuple[int, str]  # counted from 1, without its line end


def conll_rows(path: Path, names: Collection[str] = ()) -> Iterator[Row]:
    """Stream the sentences of a CoNLL file; each column is a list with one text per token.

    A row's keys are the column indices "0", "1", …, and the column names if the first line of the file gives them:
    `# word pos ner`, or `# global.columns = ID FORM …` (CoNLL-U Plus; ranges and empty nodes are skipped).

    A line that contains a tab is split at tabs only. `-DOCSTART-` lines end a sentence and are skipped. So are
    comments: lines before a sentence that start with `# ` and either do not have the columns of a token or read
    `# key = value`.

    Args:
        names: column names that the caller reads. A first line such as `#word pos ner` looks like a token; it is read
            as a header if it contains one of these names.

    Raises:
        DataError: the file is missing, without tokens, or not UTF-8. A sentence with a line that differs from the
            first in its number of columns is a row that carries its error.
    """
    with open_text(path) as file:
        lines = _lines(file)
        opening, width = _up_to_a_token(lines, path)
        header = _column_names(opening[0], width)
        if set(names) & set(header):
            del opening[0]
        has_ranges = header[:1] == ("ID",)
        yield from _rows(chain(opening, lines), width, header, path, has_ranges=has_ranges)


def conllu_rows(path: Path) -> Iterator[Row]:
    """Stream the sentences of a CoNLL-U file; keys are the names of the ten columns, and their indices.

    Multiword ranges (1-2) and empty nodes (1.1) are skipped; the words of a range are read.

    Raises:
        DataError: the file is missing or not UTF-8. A sentence with a line that does not have ten columns is a row
            that carries its error.

    Source: https://universaldependencies.org/format.html
    """
    with open_text(path) as file:
        lines = (line for line in _lines(file) if not line[1].startswith("#"))
        yield from _rows(lines, len(CONLLU), CONLLU, path, has_ranges=True)


def count_columns(path: Path) -> int:
    """The number of columns of a token in a CoNLL file.

    Raises:
        DataError: the file is missing, without tokens, or not UTF-8.
    """
    with open_text(path) as file:
        return _up_to_a_token(_lines(file), path)[1]


def looks_like_columns(path: Path, *, require_break: bool = False) -> bool:
    """Whether the first lines of a file are tokens: two or more columns, the same number in every line.

    Args:
        require_break: require an empty line among them.

    Raises:
        DataError: the file is missing or not UTF-8.
    """
    with open_text(path) as file:
        lines = [line for _, line in islice(_lines(file), PROBED_LINES)]
    widths = {len(_split(line)) for line in lines if not _is_break(line) and not line.startswith("# ")}
    return len(widths) == 1 and widths != {1} and (not require_break or any(map(_is_break, lines)))


def write_columns(sentences: Iterable[Sentence], tags: Iterable[list[str]]) -> Iterator[str]:
    """The lines of a file that `conll_rows` reads: word, features and tag, separated by tabs.

    Raises:
        DataError: a sentence and its tags differ in length; a word or feature contains a tab or a line end; a word
            would be read as a comment or as the start of a document.
    """
    for sentence, its_tags in zip(sentences, tags, strict=True):
        if len(its_tags) != len(sentence.words):
            raise DataError(
                f"{sentence.source}: {len(its_tags)} tags for {len(sentence.words)} words. Give one tag per word."
            )
        for word, *features, tag in zip(sentence.words, *sentence.features, its_tags, strict=True):
            for role, text in (("word", word), *(("feature", value) for value in features)):
                if any(character in text for character in "\t\n\r"):
                    raise DataError(
                        f"{sentence.source}: the {role} {text!r} contains a tab or a line end, "
                        "which CoNLL columns cannot hold. Write JSONL instead."
                    )
            if word == DOCUMENT or word.startswith("# "):
                raise DataError(
                    f"{sentence.source}: the word {word!r} would be read as a document break or a comment. "
                    "Write JSONL instead."
                )
            yield "\t".join([word, *features, tag]) + "\n"
        yield "\n"


def _lines(file: TextIO) -> Iterator[Line]:
    return ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))


def _split(line: str) -> list[str]:
    """Split at tabs, else at ASCII blanks: a no-break space is part of its word."""
    if "\t" in line:
        return [field.strip(" ") for field in line.split("\t")]
    return [field for field in line.split(" ") if field]


def _is_break(line: str) -> bool:
    return not line.strip(" \t") or _split(line)[0] == DOCUMENT


def _is_comment(line: str, width: int) -> bool:
    """Whether a line before a sentence is a comment: `# NN O` is a token in a file of three columns."""
    fields = _split(line)
    return line.startswith("# ") and (
        len(fields) != width or fields[0] != "#" or (len(fields) > 3 and fields[2] == "=")
    )


def _up_to_a_token(lines: Iterator[Line], path: Path) -> tuple[list[Line], int]:
    """The lines up to the first that is certainly a token, and its number of columns."""
    opening = []
    for number, line in lines:
        opening.append((number, line))
        if not _is_break(line) and not line.startswith("# "):
            return opening, len(_split(line))
    raise no_rows(path)


def _column_names(first: Line, width: int) -> tuple[str, ...]:
    """The column names that the first line gives; empty if it does not."""
    line = first[1]
    if not line.startswith("#"):
        return ()
    names = tuple(
        line.removeprefix(PLUS_HEADER).split() if line.startswith(PLUS_HEADER) else _split(line[1:].lstrip(" "))
    )
    return names if len(names) == width else ()


def _rows(lines: Iterable[Line], width: int, names: Sequence[str], path: Path, *, has_ranges: bool) -> Iterator[Row]:
    """One row per sentence.

    Args:
        names: of the columns, or empty.
        has_ranges: the first column is the id of CoNLL-U: skip lines with ids such as 1-2 and 1.1.
    """
    numbers: list[int] = []
    tokens: list[list[str]] = []
    error: DataError | None = None
    for number, line in lines:
        if _is_break(line):
            if tokens:
                yield _row(numbers, tokens, names, path, error)
            numbers, tokens, error = [], [], None
        elif tokens or not _is_comment(line, width):
            fields = _split(line)
            fits = len(fields) == width
            if not fits:
                error = error or DataError(
                    f"{path}, line {number}: {len(fields)} columns, expected {width}. "
                    "Give every token the same columns, with the same separator."
                )
            if not (fits and has_ranges and ("-" in fields[0] or "." in fields[0])):
                numbers.append(number)
                tokens.append(fields)
    if tokens:
        yield _row(numbers, tokens, names, path, error)


def _row(numbers: list[int], tokens: list[list[str]], names: Sequence[str], path: Path, error: DataError | None) -> Row:
    if error is not None:
        return Row(f"{path}, line {numbers[0]}", {}, numbers, error)
    columns = [list(column) for column in zip(*tokens, strict=True)]
    values = {str(index): column for index, column in enumerate(columns)}
    for name, column in zip(names, columns, strict=bool(names)):
        values.setdefault(name, column)  # an index or an earlier column of that name wins
    return Row(f"{path}, line {numbers[0]}", values, numbers)
