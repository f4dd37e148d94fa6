"""Labelled sentences from files with a token a line (CoNLL), and back; memory does not grow with the file."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, islice
from pathlib import Path
from typing import NamedTuple, TextIO

from ostinato.data.examples import Sentence
from ostinato.data.files import open_text
from ostinato.errors import DataError, suggest

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
PLUS_HEADER = "# global.columns ="
DOCUMENT = "-DOCSTART-"
LINES_LOOKED_AT = 200

Line = tuple[int, str]  # counted from 1, without its line end


def read_columns(
    path: Path,
    *,
    word_column: str = "0",
    tag_column: str = "-1",
    feature_columns: Sequence[str] = (),
    labelled: bool = True,
) -> Iterator[Sentence]:
    """Stream the sentences of a CoNLL file: a token a line, its columns parted by tabs or blanks, an empty line after a sentence.

    A line that holds a tab is split at tabs only. `-DOCSTART-` lines end a sentence and are left out, and so are
    comments: lines before a sentence that begin with `# ` and do not have the columns of a token, or read `# key = value`.

    Args:
        word_column: an index (0 is the first column, -1 the last), or a name from the file's first lines:
            `# word pos ner`, or `# global.columns = ID FORM …` (CoNLL-U Plus; its ranges and empty nodes are left out).
        tag_column: likewise.
        feature_columns: likewise, of what stands beside the words to be read with them.
        labelled: False: no tags are read (a file to predict).

    Raises:
        DataError: the file is missing, empty or not UTF-8; a line has another number of columns than the first, or an
            empty word or tag; a column is not there.
    """
    with open_text(path) as file:
        lines = _lines(file)
        opening, width = _up_to_a_token(lines, path)
        names = _column_names(opening[0], width)
        word = _column_index(word_column, "word_column", names, width, path)
        tag = _column_index(tag_column, "tag_column", names, width, path) if labelled else None
        features = [_column_index(column, "feature_columns", names, width, path) for column in feature_columns]
        refuse_one_column_twice(
            path, f", of {width}", (word_column, word), (tag_column, tag), zip(feature_columns, features, strict=True)
        )
        if {word_column, tag_column, *feature_columns} & set(names):
            del opening[0]  # `#word pos ner` has as many columns as a token
        has_ranges = names[:1] == ("ID",)
        for rows in _grouped(chain(opening, lines), width, has_ranges, path):
            yield _sentence(rows, word, tag, features, path)


def count_columns(path: Path) -> int:
    """How many columns a token of a CoNLL file has.

    Raises:
        DataError: the file is missing, empty or not UTF-8.
    """
    with open_text(path) as file:
        return _up_to_a_token(_lines(file), path)[1]


def looks_like_columns(path: Path, *, parted: bool = False) -> bool:
    """Whether a file's first lines are a token each: of two or more columns, as many in every line.

    Args:
        parted: an empty line must be among them too.

    Raises:
        DataError: the file is missing or not UTF-8.
    """
    with open_text(path) as file:
        lines = [line for _, line in islice(_lines(file), LINES_LOOKED_AT)]
    widths = {len(_split(line)) for line in lines if not _is_break(line) and not line.startswith("# ")}
    return len(widths) == 1 and widths != {1} and (not parted or any(map(_is_break, lines)))


def read_conllu(
    path: Path, *, tag_column: str = "upos", feature_columns: Sequence[str] = (), labelled: bool = True
) -> Iterator[Sentence]:
    """Stream the sentences of a CoNLL-U file; multiword ranges (1-2) and empty nodes (1.1) are left out, their words are not.

    Args:
        tag_column: `upos`, `xpos`, or another of the format's columns.
        feature_columns: likewise, of what stands beside the words to be read with them.
        labelled: False: no tags are read (a file to predict).

    Raises:
        DataError: see `read_columns`; a line has not ten columns, or its `upos` or `xpos` is `_`.

    Source: https://universaldependencies.org/format.html
    """
    word, width = CONLLU.index("form"), len(CONLLU)
    tag = _column_index(tag_column, "tag_column", CONLLU, width, path) if labelled else None
    features = [_column_index(column, "feature_columns", CONLLU, width, path) for column in feature_columns]
    refuse_one_column_twice(path, "", ("form", word), (tag_column, tag), zip(feature_columns, features, strict=True))
    empty = True
    with open_text(path) as file:
        lines = ((number, line) for number, line in _lines(file) if not line.startswith("#"))
        for rows in _grouped(lines, width, True, path):
            empty = False
            sentence = _sentence(rows, word, tag, features, path)
            if tag_column in ("upos", "xpos") and "_" in (sentence.tags or ()):
                raise DataError(
                    f"{sentence.place}: a word of this sentence has no {tag_column} (_). Fill it in, or choose another tag_column."
                )
            yield sentence
    if empty:
        raise no_sentence(path)


def write_columns(sentences: Iterable[Sentence], tags: Iterable[list[str]]) -> Iterator[str]:
    """The lines of a file that `read_columns` reads: word, its features if any, and tag, parted by tabs; an empty line after each sentence.

    Raises:
        DataError: a sentence has not one tag for each word; a word or feature holds a tab or a line end, or a word would be
            read as a comment or the start of a document.
    """
    for sentence, its_tags in zip(sentences, tags, strict=True):
        if len(its_tags) != len(sentence.words):
            raise DataError(
                f"{sentence.place}: {len(its_tags)} tags for {len(sentence.words)} words. Give one tag for each word."
            )
        for word, *features, tag in zip(sentence.words, *sentence.features, its_tags, strict=True):
            for what, held in (("word", word), *(("feature", value) for value in features)):
                if any(character in held for character in "\t\n\r"):
                    raise DataError(
                        f"{sentence.place}: the {what} {held!r} holds a tab or a line end, which columns cannot. Write JSONL instead."
                    )
            if word == DOCUMENT or word.startswith("# "):
                raise DataError(
                    f"{sentence.place}: the word {word!r} is a break or a comment in columns. Write JSONL instead."
                )
            yield "\t".join([word, *features, tag]) + "\n"
        yield "\n"


class Row(NamedTuple):
    """The columns of a token."""

    number: int
    fields: list[str]


def _lines(file: TextIO) -> Iterator[Line]:
    return ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))


def _split(line: str) -> list[str]:
    """Blanks are ASCII ones only: a no-break space belongs to its word."""
    if "\t" in line:
        return [field.strip(" ") for field in line.split("\t")]
    return [field for field in line.split(" ") if field]


def _is_break(line: str) -> bool:
    return not line.strip(" \t") or _split(line)[0] == DOCUMENT


def _is_comment(line: str, width: int) -> bool:
    """Whether a line before a sentence is a comment: a token can be `#`, so `# NN O` is none where tokens have three columns."""
    fields = _split(line)
    return line.startswith("# ") and (
        len(fields) != width or fields[0] != "#" or (len(fields) > 3 and fields[2] == "=")
    )


def _up_to_a_token(lines: Iterator[Line], path: Path) -> tuple[list[Line], int]:
    """The lines up to the first that is surely a token, and how many columns it has."""
    opening = []
    for number, line in lines:
        opening.append((number, line))
        if not _is_break(line) and not line.startswith("# "):
            return opening, len(_split(line))
    raise no_sentence(path)


def _column_names(first: Line, width: int) -> tuple[str, ...]:
    """The names that the file's first line gives its columns, if it does."""
    line = first[1]
    if not line.startswith("#"):
        return ()
    names = tuple(
        line.removeprefix(PLUS_HEADER).split() if line.startswith(PLUS_HEADER) else _split(line[1:].lstrip(" "))
    )
    return names if len(names) == width else ()


def _column_index(column: str, key: str, names: Sequence[str], width: int, path: Path) -> int:
    if column in names:
        return names.index(column)
    last = "" if key == "feature_columns" else " (-1 is the last)"
    try:
        index = int(column)
    except ValueError:
        known = (
            f"{suggest(column, names)}Columns: {', '.join(names)}."
            if names
            else "The first line names no columns (as '# word pos ner' does)."
        )
        raise DataError(
            f"{path}: no column {column!r}. {known} Set data.{key} to a name, or to an index from 0 to {width - 1}{last}."
        ) from None
    if key == "feature_columns" and index < 0:
        front = index % width
        raise DataError(
            f"{path}: feature_columns {column!r} counts from the end, which is elsewhere in a file without tags. Count from the front: {front}."
        )
    if not -width <= index < width:
        if key == "feature_columns":
            raise DataError(
                f"{path}: no column {index} to read beside the words: a token has {width}. Give a file that has it."
            )
        raise DataError(
            f"{path}: no column {index}: a token has {width}. Set data.{key} to an index from 0 to {width - 1}{last}."
        )
    return index % width


def refuse_one_column_twice(
    path: Path, of: str, word: tuple[str, object], tag: tuple[str, object], features: Iterable[tuple[str, object]]
) -> None:
    """Of each the column as it is named, and which it is; a file's answers are no features of it."""
    named = [("word_column", *word), ("tag_column", *tag), *(("feature_columns", *feature) for feature in features)]
    for (first, one, which), (second, other, same) in combinations(named, 2):
        if which == same:
            raise DataError(
                f"{path}: {first} {one!r} and {second} {other!r} are one column{of}. Name two, or leave one away."
            )


def _grouped(lines: Iterable[Line], width: int, has_ranges: bool, path: Path) -> Iterator[list[Row]]:
    """The tokens of each sentence, all of one width; where the first column is CoNLL-U's id, without those such as 1-2 and 1.1."""
    rows: list[Row] = []
    for number, line in lines:
        if _is_break(line):
            if rows:
                yield rows
            rows = []
        elif rows or not _is_comment(line, width):
            fields = _split(line)
            if len(fields) != width:
                raise DataError(
                    f"{path}, line {number}: {len(fields)} columns, expected {width}. Give every token the same columns, parted alike."
                )
            if not (has_ranges and ("-" in fields[0] or "." in fields[0])):
                rows.append(Row(number, fields))
    if rows:
        yield rows


def _sentence(rows: list[Row], word: int, tag: int | None, features: Sequence[int], path: Path) -> Sentence:
    read = [(word, "word"), *([] if tag is None else [(tag, "tag")]), *((feature, "feature") for feature in features)]
    for number, fields in rows:
        for column, what in read:
            if not fields[column]:
                raise DataError(f"{path}, line {number}: the {what} is empty. Fill it in, or remove the line.")
    words, *beside = ([row.fields[column] for row in rows] for column in (word, *features))
    tags = None if tag is None else [row.fields[tag] for row in rows]
    return Sentence(
        words, tags, f"{path}, line {rows[0].number}", lines=[row.number for row in rows], features=tuple(beside)
    )


def no_sentence(path: Path) -> DataError:
    return DataError(
        f"{path}: holds no sentence. Expected at least one token; check that the file was written to its end."
    )
