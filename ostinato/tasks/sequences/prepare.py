"""Prepare the encoded splits of a config, and encode rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ostinato.config import DataConfig, SequenceData, UnlabelledData
from ostinato.data.audit import Remark
from ostinato.data.encoder import NumberedWords, SequenceEncoder
from ostinato.data.examples import Record, Records
from ostinato.data.ondisk.sequences import StoredSequences
from ostinato.data.ondisk.tokens import keep_encoded, keep_fitted
from ostinato.data.ragged import Ragged
from ostinato.errors import DataError
from ostinato.plugins import TOKENIZERS, code_of
from ostinato.tasks.records import TaskData
from ostinato.tasks.sequences.dataset import load_dataset
from ostinato.tasks.sequences.infer_series import choose_scale
from ostinato.tasks.sequences.settle import settle_data
from ostinato.tasks.sequences.unlabelled import read_unlabelled, select_unlabelled
from ostinato.training.objective import Labelled
from ostinato.training.vectors import read_for

if TYPE_CHECKING:
    from ostinato.tasks.sequences.task import SequenceTask


def prepare(task: "SequenceTask", config: DataConfig) -> TaskData:
    """Load, audit and encode the splits. Vocabulary, scale and codec are fitted on train alone.

    Rows without labels, if the config names any, are text like that of train: the vocabulary is fitted on both.
    """
    assert isinstance(config, SequenceData)
    data = load_dataset(config, task.target_kind, task.datasets)
    train = data.splits["train"]
    config = settle_data(config, train.sequences, data.tokenizer, size_matters=task.size_matters)
    unlabelled, remarks = None, []
    if isinstance(config, UnlabelledData) and config.unlabelled is not None:
        records = read_unlabelled(config, task.target_kind, task.datasets)
        unlabelled, remark = select_unlabelled(records, data.splits, data.tokenizer)
        remarks.append(remark)
    keeps_words = unlabelled is None and not isinstance(train.sequences, StoredSequences)
    words = NumberedWords() if keeps_words else None
    encoder = fit_encoder(train, config, data.tokenizer, unlabelled, words)
    codec = task.fit_codec(config, train)
    vectors = read_for(config, encoder.vocabulary, encoder.tokenizer)
    if vectors is not None:
        encoder = encoder.with_extra(vectors.extra_words)
    splits = {
        name: encode(encoder, codec, rows, words if name == "train" else None) for name, rows in data.splits.items()
    }
    del words
    unknown = None
    if not encoder.is_numeric and "validation" in splits:
        unknown = encoder.unknown_share(splits["validation"].sequences)
    truncated = {name: split.sequences.truncated for name, split in splits.items()}
    coverage = None if vectors is None else vectors.facts(config.vectors)
    audit = data.audit.with_encoding(unknown, truncated, coverage)
    audit = replace(audit, remarks=[*audit.remarks, *remarks, *_series_remarks(encoder, train)])
    unit = _token_unit(encoder.tokenizer)
    if unit != audit.unit and not encoder.is_numeric:
        audit = audit.with_lengths(
            unit, {name: _token_lengths(encoder, data.splits[name], splits[name].sequences) for name in splits}
        )
    return TaskData(
        config,
        data.name,
        data.source,
        data.splits,
        splits,
        encoder,
        codec,
        audit,
        vectors,
        unlabelled,
    )


def _series_remarks(encoder: SequenceEncoder, train: Records) -> Iterator[Remark]:
    """A finding if one scale for all series hides the small ones."""
    if not encoder.is_numeric or encoder.scale == "series":
        return
    suggested, why = choose_scale(train.sequences)
    if suggested == "series":
        text = f'The series of train differ much in size: {why}. Unless their size matters, set data.scale = "series".'
        yield Remark("scales", [], len(train.sequences), text)


def _token_unit(tokenizer: str) -> str:
    """What a tokenizer makes of sequences: the unit of their lengths."""
    if tokenizer.startswith("kmers"):
        return "k-mers"
    if tokenizer in ("words", "subwords", "characters", "events"):
        return tokenizer
    return "characters" if tokenizer in ("nucleotides", "amino-acids") else "tokens"


def _token_lengths(encoder: SequenceEncoder, rows: Records, encoded: Ragged) -> np.ndarray:
    """The lengths of sequences in tokens, before any cut to `max_length`."""
    if not encoded.truncated:
        return encoded.lengths.numpy()
    whole = replace(encoder, max_length=None).chunked_arrays(rows.sequences, rows.sources)
    return np.concatenate([part.lengths for part in whole])


def fit_encoder(
    train: Records,
    config: SequenceData,
    tokenizer: str,
    unlabelled: Records | None = None,
    numbered: NumberedWords | None = None,
) -> SequenceEncoder:
    """Fit an encoder to the training split and rows without labels, with the settings of the config.

    Args:
        numbered: see `SequenceEncoder.fit`.
    """
    settings = config.model_dump(include={"min_count", "max_size", "max_length", "truncate", "scale"})
    sequences, sources = train.sequences, train.sources
    if unlabelled is not None:
        sequences, sources = [*sequences, *unlabelled.sequences], [*sources, *unlabelled.sources]

    def fit() -> SequenceEncoder:
        return SequenceEncoder.fit(sequences, tokenizer=tokenizer, sources=sources, numbered=numbered, **settings)

    if not isinstance(sequences, StoredSequences):
        return fit()
    depends_on = {**settings, "tokenizer": tokenizer, "code": code_of(TOKENIZERS, tokenizer)}
    return SequenceEncoder.from_json(keep_fitted(sequences, depends_on, lambda: fit().to_json()))


def encode_unlabelled(encoder: SequenceEncoder, rows: Records) -> tuple[Records, Ragged]:
    """The rows that have tokens, and their tokens."""
    encoded = encoder.encode(rows.sequences, rows.sources)
    filled = np.flatnonzero(encoded.lengths.numpy())
    return rows.select(filled), encoded.select(filled)


def encode(encoder: SequenceEncoder, codec: Any, rows: Records, numbered: NumberedWords | None = None) -> Labelled:
    """Encode sequences and targets; weights are scaled to a mean of 1.

    Args:
        numbered: the words of the sequences, if they are known.
    """
    weights = None
    if rows.weights is not None:
        weights = torch.tensor(rows.weights, dtype=torch.float64)
        weights = (weights / weights.mean()).float()
    if numbered is not None and numbered.chunks:
        sequences = encoder.encode_numbered(numbered)
    else:
        sequences = _encoded(encoder, rows)
    return Labelled(sequences, codec.encode(rows.targets, rows.sources), weights)


def _encoded(encoder: SequenceEncoder, rows: Records) -> Ragged:
    """The tokens of sequences: on disk if they are."""
    if not isinstance(rows.sequences, StoredSequences):
        return encoder.encode(rows.sequences, rows.sources)
    depends_on = {**encoder.to_json(), "code": code_of(TOKENIZERS, encoder.tokenizer)}
    return keep_encoded(rows.sequences, depends_on, lambda: encoder.encode_chunks(rows.sequences, rows.sources))


def encode_each(encoder: SequenceEncoder, rows: Sequence[Record | DataError]) -> tuple[Ragged, list[DataError | None]]:
    """Encode all valid rows.

    Returns:
        The encoded rows, and for every row its error or None. An empty sequence is an error.
    """
    usable = [row for row in rows if isinstance(row, Record) and len(row.sequence)]
    try:
        encoded = encoder.encode([row.sequence for row in usable], [row.source for row in usable])
        problems: dict[str, DataError] = {}
    except DataError:  # at least one row is invalid: check each of them
        problems = {row.source: error for row in usable if (error := _encoding_error(encoder, row)) is not None}
        usable = [row for row in usable if row.source not in problems]
        encoded = encoder.encode([row.sequence for row in usable], [row.source for row in usable])
    empty = {usable[row].source for row in np.flatnonzero(encoded.lengths.numpy() == 0)}
    filled = [number for number, row in enumerate(usable) if row.source not in empty]
    errors: list[DataError | None] = []
    for row in rows:
        if isinstance(row, DataError):
            errors.append(row)
        elif not len(row.sequence) or row.source in empty:
            errors.append(_empty(row.source))
        else:
            errors.append(problems.get(row.source))
    return (encoded.select(np.array(filled, dtype=np.int64)) if empty else encoded), errors


def _encoding_error(encoder: SequenceEncoder, row: Record) -> DataError | None:
    try:
        encoder.encode([row.sequence], [row.source])
    except DataError as error:
        return error
    return None


def _empty(source: str) -> DataError:
    return DataError(f"{source}: the sequence is empty. Fill it in, or remove the row.")


def refuse_empty(sequences: Ragged, sources: Sequence[str]) -> None:
    """Refuse sequences of length 0.

    Raises:
        DataError: names the first of them.
    """
    for row in np.flatnonzero(sequences.lengths.numpy() == 0)[:1]:
        raise _empty(sources[row])


def rows_without_known_tokens(encoder: SequenceEncoder, sequences: Ragged) -> np.ndarray:
    """The indices of non-empty sequences whose tokens are all out of vocabulary."""
    if encoder.is_numeric:
        return np.array([], dtype=int)
    # NumPy, because PyTorch repeats on all its threads, which a forked process does not have
    lengths = sequences.lengths.numpy()
    row_of = np.repeat(np.arange(len(lengths)), lengths)
    known = np.bincount(row_of, weights=encoder.ids(sequences).numpy() != 0, minlength=len(lengths))
    return np.flatnonzero((known == 0) & (lengths > 0))
