"""Infer a config from the first sentences of a tagged file, with the reason for each decision."""

from itertools import islice
from pathlib import Path

from ostinato.data.columns import count_columns, looks_like_columns
from ostinato.data.examples import tags_of
from ostinato.data.files import ending_of
from ostinato.data.formats import endings
from ostinato.errors import DataError
from ostinato.tasks.base import Inferred
from ostinato.tasks.sequences.peek import Peek
from ostinato.tasks.tagging.config import TaggingConfig, TaggingData, TaggingModel, TaggingTraining
from ostinato.tasks.tagging.reading import read_sentences
from ostinato.tasks.tagging.scheme_inference import Lookalike, find_lookalike, infer_scheme

PEEKED_SENTENCES = 1_000
SHOWN_TAGS = 8
TOKEN_FORMATS = ("conll", "conllu")
LIST_FORMATS = ("jsonl", "json", "parquet")  # formats whose values can be lists


def infer_config(path: Path) -> Inferred | None:
    """Infer a config, with a CRF if the tags mark entities; None if the file does not contain tagged sentences.

    Raises:
        DataError: the file cannot be read, or neither its ending nor its lines reveal its format.
    """
    return _infer(path) if _is_tagged(path) else None


def _is_tagged(path: Path) -> bool:
    """Whether the file has one tag per token, judged by its ending, its columns, or the keys of its first JSON line."""
    ending = ending_of(path)
    form = endings().get(ending)
    if form in TOKEN_FORMATS:
        return True
    if form in ("csv", "tsv"):  # a table has no empty lines
        return looks_like_columns(path, require_break=True)
    if form is None:
        if looks_like_columns(path):
            return True
        raise DataError(
            f"{path}: the ending {ending!r} is unknown, and the first lines are not columns of tokens and tags. "
            "Expected two or more columns in every line. Correct the lines, or give the file one of the endings "
            f"{', '.join(endings())}."
        )
    if form not in LIST_FORMATS:
        return False
    columns = set(Peek.of(path, rows=1).columns)
    return {"tokens", "tags"} <= columns or {"text", "spans"} <= columns


def _infer(path: Path) -> Inferred:
    data = TaggingData(path=str(path))
    sentences = []
    for sentence in islice(read_sentences(path, data), PEEKED_SENTENCES):
        if isinstance(sentence, DataError):
            raise sentence
        sentences.append(sentence)
    scheme = infer_scheme([tags_of(sentence) for sentence in sentences])
    tags = sorted({tag for sentence in sentences for tag in tags_of(sentence)})
    more = ", …" if len(tags) > SHOWN_TAGS else ""
    form = endings().get(ending_of(path), "conll")
    source = {"conllu": "upos, whose tags are", **dict.fromkeys(LIST_FORMATS, "tags, or the spans of a text:")}
    lookalike = None if scheme else find_lookalike([tags_of(sentence) for sentence in sentences])
    reasons = [
        f"Inferred from the first {len(sentences):,} sentences of {path.name}. Correct any mistakes, then run: "
        "ostinato train config.toml",
        f"tag_column: {source.get(form, 'the last one, whose tags are')} {', '.join(tags[:SHOWN_TAGS])}{more}",
        _why_scheme(scheme, lookalike),
        "validation_size, test_size: splits are drawn at random; copies of a sentence stay together",
    ]
    between = range(1, count_columns(path) - 1) if form == "conll" else ()
    if between:
        reasons.append(
            f"feature_columns: none. Set [{', '.join(map(str, between))}] to read the columns in between as features; "
            "prediction then needs them too"
        )
    model = TaggingModel(
        head="softmax" if scheme is None else "crf",
        constrained=scheme is not None,
        bidirectional=True,
        hidden_size=100,
        dropout=0.5,
        character_cell="cnn",
        word_shape_size=8,
    )
    target = None if scheme is None else "bioes"
    inferred_scheme = scheme or (None if lookalike else "plain")  # with plain, the audit does not mention a lookalike
    inferred = data.model_copy(update={"lowercase": True, "scheme": inferred_scheme, "target_scheme": target})
    training = TaggingTraining(max_epochs=30, lr=2e-3, monitor="accuracy" if scheme is None else "f1")
    return Inferred(TaggingConfig(data=inferred, model=model, training=training), reasons)


def _why_scheme(scheme: str | None, lookalike: Lookalike | None) -> str:
    if scheme is not None:
        return f"scheme: the tags follow {scheme}, so the head is a CRF that allows only valid sequences"
    if lookalike is None:
        return "scheme: the tags do not mark entities"
    return (
        f"scheme: the tags look like {lookalike.scheme} {lookalike.spelling}, but are read as plain tags; to score "
        f"entities, write {lookalike.respelt} instead of {lookalike.tag}, and so on, in the file"
    )
