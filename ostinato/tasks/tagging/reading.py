"""Stream the sentences of a file. No PyTorch here, so that an exported model can read files without it."""

from collections.abc import Iterator
from pathlib import Path

from ostinato.config import DataConfig
from ostinato.data.examples import Sentence
from ostinato.data.files import ending_of
from ostinato.data.formats import endings, read_rows
from ostinato.errors import DataError
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.rows import TEXT_AND_SPANS, is_index, to_sentence

WORD_AND_TAG = {"conll": ("0", "-1"), "conllu": ("form", "upos")}  # default columns; other formats: tokens and tags


def read_sentences(path: Path, config: TaggingData, *, labelled: bool = True) -> Iterator[Sentence | DataError]:
    """Stream the sentences of a file; yields a `DataError` in place of a sentence that cannot be read.

    Args:
        labelled: False: ignore the tags, which may be missing.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    form = format_of(path, config)
    word, tag = WORD_AND_TAG.get(form, ("tokens", "tags"))
    word = word if form == "conllu" else config.word_column or word  # CoNLL-U words are always in the column `form`
    tag, features = config.tag_column or tag, config.feature_columns or ()
    columns = {word, *features, *(() if form in WORD_AND_TAG else TEXT_AND_SPANS)}
    if labelled or not is_index(tag):  # the name of the tags can reveal that the first line is a header
        columns.add(tag)
    for row in read_rows(path, form, columns=columns, keep_errors=True):
        try:
            if row.error is not None:
                raise row.error
            sentence = to_sentence(
                row,
                word_column=word,
                tag_column=tag,
                feature_columns=features,
                labelled=labelled,
            )
        except DataError as error:
            yield error.at(row.source)
        else:
            yield sentence


def format_of(path: Path, config: DataConfig) -> str:
    """The format that is set, or the one of the ending; `conll` for others, and for tables, which hold no lists."""
    form = endings().get(ending_of(path), "conll")
    return config.format or ("conll" if form in ("csv", "tsv") else form)
