"""A config for a file of tagged sentences, from its first sentences; every decision comes with its reason."""

from itertools import islice
from pathlib import Path

from ostinato.data.columns import count_columns, looks_like_columns
from ostinato.data.examples import tags_of
from ostinato.data.files import ending_of
from ostinato.data.formats import endings
from ostinato.errors import DataError
from ostinato.tasks.base import Inferred
from ostinato.tasks.sequences.infer import Peek
from ostinato.tasks.tagging.config import TaggingConfig, TaggingData, TaggingModel, TaggingTraining
from ostinato.tasks.tagging.data import read_sentences
from ostinato.tasks.tagging.schemes import infer_scheme

LOOKED_AT = 1_000  # sentences
SHOWN_TAGS = 8
TOKEN_FORMATS = ("conll", "conllu")


def infer_config(path: Path) -> Inferred | None:
    """A tagger's config, with a CRF where the tags mark entities; None where the file holds no tagged sentences.

    Raises:
        DataError: the file cannot be read, or its ending and its lines say nothing.
    """
    return _infer(path) if _is_tagged(path) else None


def _is_tagged(path: Path) -> bool:
    """Whether the file has a tag for each token: by its ending, the lists in its first JSON line, or its columns."""
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
            f"{path}: the ending {ending!r} is unknown, and the first lines are not columns of tokens: "
            "every line would "
            f"have two or more. Correct the lines, or give the file one of the endings {', '.join(endings())}."
        )
    if form != "jsonl":
        return False
    columns = set(Peek.of(path, rows=1).columns)
    return {"tokens", "tags"} <= columns or {"text", "spans"} <= columns


def _infer(path: Path) -> Inferred:
    data = TaggingData(path=str(path))
    sentences = []
    for sentence in islice(read_sentences(path, data), LOOKED_AT):
        if isinstance(sentence, DataError):
            raise sentence
        sentences.append(sentence)
    scheme = infer_scheme([tags_of(sentence) for sentence in sentences])
    tags = sorted({tag for sentence in sentences for tag in tags_of(sentence)})
    more = ", …" if len(tags) > SHOWN_TAGS else ""
    form = endings().get(ending_of(path), "conll")
    where = {"conllu": "upos, whose tags are", "jsonl": "tags, or the spans of a text:"}
    reasons = [
        f"Inferred from the first {len(sentences):,} sentences of {path.name}; correct what is wrong, then: ostinato "
        "train config.toml",
        f"tag_column: {where.get(form, 'the last one, whose tags are')} {', '.join(tags[:SHOWN_TAGS])}{more}",
        "scheme: the tags mark no entities"
        if scheme is None
        else f"scheme: the tags follow {scheme}, so the head is a CRF that allows only such sequences",
        "validation_size, test_size: splits are drawn at random; copies of a sentence stay together",
    ]
    between = range(1, count_columns(path) - 1) if form == "conll" else ()
    if between:
        reasons.append(
            f"feature_columns: none; [{', '.join(map(str, between))}] would read the columns in between as features, "
            "which prediction then needs too"
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
    inferred = data.model_copy(update={"lowercase": True, "scheme": scheme or "plain", "target_scheme": target})
    training = TaggingTraining(max_epochs=30, lr=2e-3, monitor="accuracy" if scheme is None else "f1")
    return Inferred(TaggingConfig(data=inferred, model=model, training=training), reasons)
