"""Sequences without labels, cleaned, split and encoded for pre-training."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ostinato.data.cleaning import key_of
from ostinato.data.encoder import SequenceEncoder
from ostinato.data.encoding import NUMERIC
from ostinato.data.hashes import row_hashes
from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, DataError, look_up
from ostinato.pretraining.config import NEXT_STEP, PretrainingConfig, PretrainingData
from ostinato.pretraining.reading import Unlabelled
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, read_run_config
from ostinato.tasks.init import hashes_as_read
from ostinato.training.pretrained import Pretrained, read_pretrained, with_new_tokens

MOST_HELD_OUT = 50_000  # tokens: the whole softmax over 20,000 words then takes some ten seconds a core


class Steps(NamedTuple):
    """Encoded pieces of sequences; the steps themselves are what is to be predicted."""

    sequences: Ragged

    @property
    def lengths(self) -> Tensor:
        return self.sequences.lengths

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> "Steps":
        return Steps(self.sequences.select(indices).to(device))

    def digest(self) -> str:
        return hashlib.sha256(self.sequences.digest().encode()).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """What a pre-training reads.

    Args:
        train, validation: pieces of at most `chunk_length` steps.
        encoder: fitted on the training sequences.
        counts: (V,) int64 occurrences of each token in train; None for numeric series.
        rows: (n,) int64 hashes of all sequences that are read.
        lines: what was read, left out and held out, in sentences.
        pretrained: the pre-training that this one continues.
    """

    name: str
    source: str
    train: Steps
    validation: Steps
    encoder: SequenceEncoder
    counts: Tensor | None
    rows: np.ndarray
    lines: list[str]
    pretrained: Pretrained | None = None


def build_corpus(config: PretrainingConfig, read: Unlabelled) -> Corpus:
    """Leave out copies and rows of the task's validation and test splits, hold out sequences, and encode all.

    Raises:
        ConfigError: `exclude` is not a preset or a config, or the objective cannot be learnt from series.
        DataError: a sequence is invalid, or too few remain.
        RunError: the pre-training to continue is damaged.
    """
    _refuse_series(config, read)
    data = config.data
    keys = row_hashes(key_of(sequence, read.tokenizer) for sequence in read.sequences)
    chosen, lines = _clean(keys, data, read)
    pretrained = None if config.model.init is None else read_pretrained(Path(config.model.init))
    held_out, rest = _hold_out(np.random.default_rng(data.seed).permutation(chosen), data, read)
    rows = {"train": np.sort(rest), "validation": np.sort(held_out)}
    given = {
        name: ([read.sequences[row] for row in own], [read.sources[row] for row in own]) for name, own in rows.items()
    }
    encoder = _fit(data, read.tokenizer, *given["train"], pretrained)
    shortest = config.training.shortest
    parts = {name: _pieces(encoder.encode(*each), data.chunk_length, shortest) for name, each in given.items()}
    _refuse_short_pieces(parts, read.source, shortest)
    counts = None
    if encoder.vocabulary is not None:
        counts = torch.bincount(parts["train"].values.long(), minlength=len(encoder.vocabulary))
    steps = {name: Steps(each) for name, each in parts.items()}
    lines += _description(encoder, parts)
    return Corpus(
        read.name,
        read.source,
        **steps,
        encoder=encoder,
        counts=counts,
        rows=keys[chosen],
        lines=lines,
        pretrained=pretrained,
    )


def _refuse_short_pieces(parts: dict[str, Ragged], source: str, shortest: int) -> None:
    for name, part in parts.items():
        if not len(part) or int(part.lengths.max()) < shortest:
            raise DataError(
                f"{source}: no sequence in {name} has {shortest} steps within data.chunk_length, so there is nothing "
                "to predict. Add sequences, reduce training.window, or change data.chunk_length or "
                "data.validation_size."
            )


def _refuse_series(config: PretrainingConfig, read: Unlabelled) -> None:
    if read.tokenizer == NUMERIC and config.training.objective != NEXT_STEP:
        raise ConfigError(
            f"training.objective: {config.training.objective} learns vectors of tokens, but {read.source} has numeric "
            f"series. Set it to {NEXT_STEP}."
        )


def _clean(keys: np.ndarray, data: PretrainingData, read: Unlabelled) -> tuple[np.ndarray, list[str]]:
    """The rows to read, the first of equal ones, and what was left out."""
    _, first = np.unique(keys, return_index=True)
    chosen = np.sort(first)
    lines = [f"Sequences: {len(keys):,}."]
    if len(chosen) < len(keys):
        lines.append(f"Copies of earlier sequences left out: {len(keys) - len(chosen):,}.")
    for what in data.exclude or ():
        excluded = np.isin(keys[chosen], _scored_rows(what, read.tokenizer))
        chosen = chosen[~excluded]
        lines.append(f"Left out as validation or test rows of {what}: {int(excluded.sum()):,}.")
    if len(chosen) < 2:
        raise DataError(
            f"{read.source}: {len(chosen)} different sequences remain. Expected at least 2: one to train on and one to "
            "hold out. Add sequences."
        )
    return chosen, lines


def _scored_rows(what: str, tokenizer: str) -> np.ndarray:
    """The hashes of a task's validation and test rows.

    Raises:
        ConfigError: it is neither a preset nor the config of a task.
    """
    config = read_run_config(Path(what)) if what.endswith(".toml") else look_up(PRESETS, what, "preset")()
    task = TASKS[config.task]
    rows = task.prepare(config.data).rows
    found = [hashes_as_read(task, rows[split], tokenizer) for split in ("validation", "test") if split in rows]
    return np.concatenate([np.empty(0, np.int64), *found])


def _hold_out(order: np.ndarray, data: PretrainingData, read: Unlabelled) -> tuple[np.ndarray, np.ndarray]:
    """The first rows, as many as `validation_size` says and within `MOST_HELD_OUT` tokens, and the others."""
    size = data.validation_size
    wanted = max(1, round(size * len(order)) if isinstance(size, float) else size)
    if wanted >= len(order):
        raise DataError(
            f"data.validation_size {size} of {len(order):,} sequences leaves none to train on. Reduce it, or add "
            "sequences."
        )
    reader = SequenceEncoder.fit([read.sequences[row] for row in order[:wanted]], tokenizer=read.tokenizer)
    tokens = reader.encode([read.sequences[row] for row in order[:wanted]]).lengths.cumsum(0)
    count = max(1, int((tokens <= MOST_HELD_OUT).sum()))
    return order[:count], order[count:]


def _fit(
    data: PretrainingData, tokenizer: str, sequences: list[Any], sources: list[str], pretrained: Pretrained | None
) -> SequenceEncoder:
    settings = data.model_dump(include={"min_count", "max_size", "scale"})
    own = SequenceEncoder.fit(sequences, tokenizer=tokenizer, sources=sources, **settings)
    if pretrained is None:
        return own
    known = pretrained.encoder
    if known.vocabulary is None or own.vocabulary is None or tokenizer == "subwords":
        return replace(known, longest=own.longest)
    return replace(known, vocabulary=with_new_tokens(known.vocabulary, own.vocabulary), longest=own.longest)


def _pieces(encoded: Ragged, longest: int, shortest: int) -> Ragged:
    """Cut each sequence into pieces of about equal length, at most `longest`; those below `shortest` are left out."""
    lengths: list[int] = []
    starts: list[int] = []
    for start, length in zip(encoded.offsets.tolist(), encoded.lengths.tolist(), strict=False):
        if length < shortest:
            continue
        count = -(-length // longest)
        ends = [length * (number + 1) // count for number in range(count)]
        sizes = [end - before for before, end in zip([0, *ends], ends, strict=False)]
        starts += [start + before for before in [0, *ends[:-1]]]
        lengths += sizes
    chosen = [np.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)]
    steps = torch.from_numpy(np.concatenate(chosen)) if chosen else torch.empty(0, dtype=torch.int64)
    return Ragged(encoded.values[steps], torch.tensor(lengths, dtype=torch.int64))


def _description(encoder: SequenceEncoder, parts: dict[str, Ragged]) -> Iterator[str]:
    unit = "steps" if encoder.tokenizer == NUMERIC else "tokens"
    for name, part in parts.items():
        unknown = f", {encoder.unknown_share(part):.1%} out of vocabulary" if not encoder.is_numeric else ""
        yield f"{name}: {len(part.values):,} {unit} in {len(part):,} pieces{unknown}."
    if encoder.vocabulary is not None:
        yield f"Vocabulary: {len(encoder.vocabulary):,} tokens ({encoder.tokenizer})."
