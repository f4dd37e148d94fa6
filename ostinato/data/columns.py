"""CoNLL files: one token per line, its columns separated by tabs or blanks, an empty line after each sentence.

Reading streams: memory does not grow with the file.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
DOCUMENTS_2012 = ("#begin document", "#end document")
PROBED_LINES = 200
SHOWN_CHARACTERS = 40  # of a line in messages

Line = tuple[int, str]  # counted from 1, without its line end


@dataclass(frozen=True)
class Layout:
    """The columns of a file.

    Args:
        width: the number of columns of a token: of the first one, or of the format.
        fewest: how many columns every token needs; None: exactly `width`.
        names: of the columns, or empty.
        first: the line of the first token; None: the format defines the width.
        has_ranges: the first column is the id of CoNLL-U: skip lines with ids such as 1-2 and 1.1.
    """

    width: int
    fewest: int | None
    names: Sequence[str]
    first: int | None = None
    has_ranges: bool = False

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether a token has the columns that it needs."""
        return len(fields) == self.width if self.fewest is None else len(fields) >= self.fewest

    def problem(self, fields: Sequence[str]) -> str:
        """What is wrong with a token that does not fit."""
        shown = " ".join(fields)[:SHOWN_CHARACTERS]
        if self.first is None:
            expected = f"{self.width}, separated by tabs"
            remedy = "Write the missing columns as _."
        elif self.fewest is None:
            expected = f"{self.width} as in line {self.first}"
            remedy = (
                "Give every token the same columns, with the same separator. If only further columns differ, count "
                "data.word_column and data.tag_column from the start."
            )
        else:
            expected = f"at least {self.fewest}, because column {self.fewest - 1} is needed"
            remedy = "Add the missing columns, or choose other columns."
        return f"{len(fields)} columns, expected {expected}: {shown!r}. {remedy}"


def conll_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """Stream the sentences of a CoNLL file; each column is a list with one text per token.

    A row's keys are the column indices "0", "1", …, and the column names if the first line of the file gives them:
    `# word pos ner`, or `# global.columns = ID FORM …` (CoNLL-U Plus; ranges and empty nodes are skipped).

    A line that contains a tab is split at tabs only. `-DOCSTART-` lines end a sentence and are skipped, and so do
    `#begin document` and `#end document` of CoNLL-2012. Comments are skipped: lines before a sentence that start with
    `# ` and either do not have the columns of a token or read `# key = value`.

    Args:
        columns: the columns that the caller reads, by name or index. If all are counted from the start, tokens may
            differ in the number of columns, as long as each has these. Otherwise every token must have as many columns
            as the first. A first line such as `#word pos ner` looks like a token; it is read as a header if it
            contains one of these names.

    Raises:
        DataError: the file is missing, without tokens, or not UTF-8. A sentence with a line that has too few columns is
            a row that carries its error.
    """
    with open_text(path) as file:
        lines = _lines(file)
        opening, width = _up_to_a_token(lines, path)
        names, first = _column_names(opening[0], width), opening[-1][0]
        if set(columns or ()) & set(names):
            del opening[0]
        layout = Layout(width, _fewest(columns, names, width), names, first, has_ranges=names[:1] == ("ID",))
        yield from _rows(chain(opening, lines), layout, path)


def conllu_rows(path: Path) -> Iterator[Row]:
    """Stream the sentences of a CoNLL-U file; keys are the names of the ten columns, and their indices.

    Multiword ranges (1-2) and empty nodes (1.1) are skipped; the words of a range are read. So are further columns.

    Raises:
        DataError: the file is missing or not UTF-8. A sentence with a line that has fewer than ten columns is a row
            that carries its error.

    Source: https://universaldependencies.org/format.html
    """
    with open_text(path) as file:
        lines = (line for line in _lines(file) if not line[1].startswith("#"))
        yield from _rows(lines, Layout(len(CONLLU), len(CONLLU), CONLLU, has_ranges=True), path)


def count_columns(path: Path) -> int:
    """The number of columns of a token in a CoNLL file.

    Raises:
        DataError: the file is missing, without tokens, or not UTF-8.
    """
    with open_text(path) as file:
        return _up_to_a_token(_lines(file), path)[1]


def looks_like_columns(path: Path, *, require_break: bool = False) -> bool:
    """Whether the first lines of a file are tokens: two or more columns, the same number in every line.

    The number may differ if all lines contain tabs and some are empty.

    Args:
        require_break: require an empty line among them.

    Raises:
        DataError: the file is missing or not UTF-8.
    """
    with open_text(path) as file:
        lines = [line for _, line in islice(_lines(file), PROBED_LINES)]
    tokens = [line for line in lines if not _is_break(line) and not line.startswith("# ")]
    widths = {len(_split(line)) for line in tokens}
    has_breaks = any(map(_is_break, lines))
    is_even = len(widths) == 1 or (has_breaks and all("\t" in line for line in tokens))
    return is_even and min(widths, default=0) > 1 and (has_breaks or not require_break)


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
    return not line.strip(" \t") or _split(line)[0] == DOCUMENT or line.startswith(DOCUMENTS_2012)


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


def _fewest(columns: Collection[str] | None, names: Sequence[str], width: int) -> int | None:
    """How many columns each token needs; None: as many as the first token."""
    if columns is None:
        return None
    wanted = [names.index(column) if column in names else column for column in columns]
    indices = [int(each) for each in wanted if isinstance(each, int) or each.isdecimal()]
    # a column from the end, or of a name that the file does not give; one that the first token lacks is named later
    return None if len(indices) < len(wanted) or max(indices, default=0) >= width else max(indices, default=0) + 1


def _rows(lines: Iterable[Line], layout: Layout, path: Path) -> Iterator[Row]:
    """One row per sentence."""
    numbers: list[int] = []
    tokens: list[list[str]] = []
    error: DataError | None = None
    for number, line in lines:
        if _is_break(line):
            if tokens:
                yield _row(numbers, tokens, layout.names, path, error)
            numbers, tokens, error = [], [], None
        elif tokens or not _is_comment(line, layout.width):
            fields = _split(line)
            fits = layout.fits(fields)
            if not fits:
                error = error or DataError(f"{path}, line {number}: {layout.problem(fields)}")
            if not (fits and layout.has_ranges and ("-" in fields[0] or "." in fields[0])):
                numbers.append(number)
                tokens.append(fields)
    if tokens:
        yield _row(numbers, tokens, layout.names, path, error)


def _row(numbers: list[int], tokens: list[list[str]], names: Sequence[str], path: Path, error: DataError | None) -> Row:
    """A row with the columns that all of its tokens have."""
    if error is not None:
        return Row(f"{path}, line {numbers[0]}", {}, numbers, error)
    columns = [list(column) for column in zip(*tokens, strict=False)]
    values = {str(index): column for index, column in enumerate(columns)}
    for name, column in zip(names, columns, strict=False):
        values.setdefault(name, column)  # an index or an earlier column of that name wins
    return Row(f"{path}, line {numbers[0]}", values, numbers)
