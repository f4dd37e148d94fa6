"""Infer a config from the first sentences of a tagged file, with the reason for each decision."""

from itertools import islice
from pathlib import Path

from ostinato.data.columns import count_columns, looks_like_columns
from ostinato.data.examples import Sentence, tags_of
from ostinato.data.files import ending_of
from ostinato.data.formats import endings
from ostinato.errors import DataError
from ostinato.tasks.records import Inferred
from ostinato.tasks.sequences.peek import Peek
from ostinato.tasks.tagging.config import TaggingConfig, TaggingData, TaggingModel, TaggingTraining
from ostinato.tasks.tagging.defaults import choose_data, choose_model, choose_training
from ostinato.tasks.tagging.reading import read_sentences
from ostinato.tasks.tagging.repair import bring_into_scheme
from ostinato.tasks.tagging.scheme_inference import Lookalike, find_lookalike, infer_scheme

PEEKED_SENTENCES = 50_000
TRAIN_SHARE = 0.7  # of the sentences, with the default sizes of validation and test
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
    data, sentences, uneven = _readable(path)
    tags_by_sentence = [tags_of(sentence) for sentence in sentences]
    scheme = infer_scheme(tags_by_sentence)
    lookalike = None if scheme else find_lookalike(tags_by_sentence)
    reasons = [
        f"Inferred from the first {len(sentences):,} sentences of {path.name}. Correct any mistakes, then run: "
        "ostinato train config.toml",
        uneven or _why_tags(path, tags_by_sentence),
        _why_scheme(scheme, lookalike),
        "validation_size, test_size: splits are drawn at random; copies of a sentence stay together",
    ]
    if not uneven:
        reasons += _other_columns(path)
    repairs = _repairs(scheme, sentences, reasons)
    inferred_scheme = scheme or (None if lookalike else "plain")  # with plain, the audit does not mention a lookalike
    inferred = data.model_copy(
        update={
            **choose_data(sentences, scheme, reasons),
            "scheme": inferred_scheme,
            "repair_tags": repairs,
        }
    )
    model = TaggingModel(**choose_model(scheme))
    training = TaggingTraining(**choose_training(max(1, int(TRAIN_SHARE * len(sentences))), scheme, reasons))
    return Inferred(TaggingConfig(data=inferred, model=model, training=training), reasons)


def _readable(path: Path) -> tuple[TaggingData, list[Sentence], str | None]:
    """The data table, the first sentences, and why columns are counted from the start; None if they need not be.

    Raises:
        DataError: a sentence cannot be read, whichever column has the tags.
    """
    data = TaggingData(path=str(path))
    try:
        return data, _first_sentences(path, data), None
    except DataError as error:
        if endings().get(ending_of(path), "conll") != "conll":
            raise
        problem = error
    for column in range(count_columns(path) - 1, 0, -1):  # lines of unequal width: the tags may be at a fixed column
        data = TaggingData(path=str(path), word_column="0", tag_column=str(column))
        try:
            sentences = _first_sentences(path, data)
        except DataError:
            continue
        if infer_scheme([tags_of(sentence) for sentence in sentences]) is not None:
            uneven = str(problem).partition(". ")[0]
            why = (
                f"word_column = 0, tag_column = {column}: counted from the start, because lines differ in their number "
                f"of columns ({uneven}); this is the last column with entity tags that every line has"
            )
            return data, sentences, why
    raise problem


def _first_sentences(path: Path, data: TaggingData) -> list[Sentence]:
    found = []
    for sentence in islice(read_sentences(path, data), PEEKED_SENTENCES):
        if isinstance(sentence, DataError):
            raise sentence
        found.append(sentence)
    return found


def _why_tags(path: Path, tags_by_sentence: list[list[str]]) -> str:
    tags = sorted({tag for tags in tags_by_sentence for tag in tags})
    form = endings().get(ending_of(path), "conll")
    source = {"conllu": "upos, whose tags are", **dict.fromkeys(LIST_FORMATS, "tags, or the spans of a text:")}
    more = ", …" if len(tags) > SHOWN_TAGS else ""
    return f"tag_column: {source.get(form, 'the last one, whose tags are')} {', '.join(tags[:SHOWN_TAGS])}{more}"


def _other_columns(path: Path) -> list[str]:
    is_conll = endings().get(ending_of(path), "conll") == "conll"
    between = range(1, count_columns(path) - 1) if is_conll else ()
    if not between:
        return []
    return [
        f"feature_columns: none. Set [{', '.join(map(str, between))}] to read the columns in between as features; "
        "prediction then needs them too"
    ]


def _repairs(scheme: str | None, sentences: list[Sentence], reasons: list[str]) -> bool:
    """Whether a few tags are ill-formed and can be repaired."""
    if scheme is None:
        return False
    try:
        repairs = bring_into_scheme(scheme, sentences, repair=True).repairs
    except DataError as error:  # beyond repair: training refuses the file
        reasons.append(f"scheme: {error}")
        return False
    if repairs is None or not repairs.tags:
        return False
    total = sum(len(sentence.words) for sentence in sentences)
    reasons.append(
        f"repair_tags = true: {repairs.tags:,} of {total:,} tags are not allowed by {scheme}, such as "
        f"{'; '.join(repairs.examples)}"
    )
    return True


def _why_scheme(scheme: str | None, lookalike: Lookalike | None) -> str:
    if scheme is not None:
        return f"scheme: the tags follow {scheme}, so the head is a CRF that allows only valid sequences"
    if lookalike is None:
        return "scheme: the tags do not mark entities"
    return (
        f"scheme: the tags look like {lookalike.scheme} {lookalike.spelling}, but are read as plain tags; to score "
        f"entities, write {lookalike.respelt} instead of {lookalike.tag}, and so on, in the file"
    )
