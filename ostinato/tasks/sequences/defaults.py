"""Settings that suit the size and the kind of the data, with a reason for each decision."""

from dataclasses import dataclass
from typing import Any

import numpy as np

TEXT = ("words", "subwords", "events")
MOTIFS = ("nucleotides", "amino-acids")  # a few neighbours together carry the meaning
TRAIN_SHARE = 0.7  # of the rows, with the default sizes of validation and test

STEPS = 4_000  # optimizer steps of a training, about
BATCH_SIZES = ((1_000, 8), (5_000, 16), (20_000, 32))  # up to so many training rows; then 64
LARGEST_BATCH = 64
FEWEST_EPOCHS, MOST_EPOCHS = 4, 60
TOKENS = 60_000_000  # read in a training, at most: minutes on two cores
SHORTEST_CUT = 100  # tokens; shorter rows are not cut
OUTLIER, LONGEST_OUTLIER = 4, 2_000  # times the 95 % quantile, and tokens: longer rows are cut
RARE_FROM = 1_000  # training rows from which a token that occurs once is left out
LARGEST_VOCABULARY = 30_000
KERNEL_SIZE, WIDE_KERNEL_SIZE = 5, 11
LONG = 100  # characters or steps from which a convolution shortens the sequence
VERY_LONG = 400


@dataclass(frozen=True)
class Facts:
    """What the defaults depend on.

    Args:
        train_rows: of the training split.
        tokenizer: its name, or `numeric`.
        lengths: (n,) tokens, words or steps of some rows.
        is_cut: whether longer rows were cut to these lengths.
    """

    train_rows: int
    tokenizer: str
    lengths: np.ndarray
    is_cut: bool = False

    @property
    def is_aligned(self) -> bool:
        """Whether all sequences have the same length, as windows around a site have."""
        if self.is_cut or len(self.lengths) < 2:
            return False
        return int(self.lengths.min()) == int(self.lengths.max()) > 1

    @property
    def median(self) -> float:
        return float(np.median(self.lengths)) if len(self.lengths) else 1.0


@dataclass(frozen=True)
class Defaults:
    """The values of the keys in each table that depend on the data."""

    data: dict[str, Any]
    model: dict[str, Any]
    training: dict[str, Any]


def choose_defaults(facts: Facts, reasons: list[str]) -> Defaults:
    """The settings for data of this kind and size.

    Args:
        reasons: one line per decision is appended.
    """
    model = choose_model(facts, reasons)
    data = choose_data(facts, reasons)
    return Defaults(data, model, choose_training(facts, data["max_length"], reasons))


def choose_data(facts: Facts, reasons: list[str]) -> dict[str, Any]:
    """The bounds of the vocabulary and of the length; see `choose_defaults`."""
    return {
        "min_count": 1,
        "max_size": None,
        "max_length": None,
        "truncate": "head",
        **_vocabulary(facts, reasons),
        **_cut(facts, reasons),
    }


def choose_model(facts: Facts, reasons: list[str]) -> dict[str, Any]:
    """Positions and the convolution before the recurrent layers; see `choose_defaults`.

    For characters, nucleotides, amino acids and numbers, a convolution sees the motif, recurrence its context.
    """
    model: dict[str, Any] = {"position": None, "conv_size": None, "kernel_size": KERNEL_SIZE, "conv_pool": 1}
    if facts.tokenizer in TEXT:
        reasons.append("pooling = mean and max of both directions: the evidence may be anywhere in the text")
        return model
    unit = "steps" if facts.tokenizer == "numeric" else "characters"
    if facts.is_aligned:
        model["position"] = "learned"
        reasons.append(f'position = "learned": all sequences have {facts.median:g} {unit}, so a position has a meaning')
    if facts.is_aligned or facts.median > LONG or facts.tokenizer in MOTIFS:
        pool = 1 if facts.median <= LONG // 4 else 4 if facts.median <= VERY_LONG else 8
        width = WIDE_KERNEL_SIZE if facts.median > LONG // 4 else KERNEL_SIZE
        model |= {"conv_size": 64, "kernel_size": width, "conv_pool": pool}
        reasons.append(
            f"conv_size = 64, kernel_size = {model['kernel_size']}, conv_pool = {pool}: sequences of {facts.median:g} "
            f"{unit} (median); the convolution finds short patterns, the recurrence reads one step in {pool}"
        )
    return model


def _vocabulary(facts: Facts, reasons: list[str]) -> dict[str, Any]:
    if facts.tokenizer not in ("words", "events") or facts.train_rows < RARE_FROM:
        return {}
    reasons.append(f"min_count = 2, max_size = {LARGEST_VOCABULARY:,}: a token that occurs once teaches nothing")
    return {"min_count": 2, "max_size": LARGEST_VOCABULARY}


def _cut(facts: Facts, reasons: list[str]) -> dict[str, Any]:
    """A `max_length` where a few rows are much longer than the others, or even a few epochs read too many tokens."""
    if not len(facts.lengths):
        return {}
    longest = int(facts.lengths.max())
    affordable = max(SHORTEST_CUT, TOKENS // (FEWEST_EPOCHS * facts.train_rows))
    usual = max(LONGEST_OUTLIER, int(OUTLIER * np.percentile(facts.lengths, 95)))
    if longest <= min(affordable, usual):
        return {}
    most, why = usual, "because a batch takes memory for its longest row"
    if affordable < usual:
        if float(np.minimum(facts.lengths, affordable).mean()) > 0.98 * float(facts.lengths.mean()):
            return {}
        most, why = affordable, f"so that {FEWEST_EPOCHS} epochs read about {TOKENS // 10**6} million tokens"
    reasons.append(
        f'max_length = {most:,}, truncate = "both": the longest of the rows read has {longest:,} tokens; half of the '
        f"tokens remain from each end, {why}"
    )
    return {"max_length": most, "truncate": "both"}


def choose_training(facts: Facts, max_length: int | None, reasons: list[str]) -> dict[str, Any]:
    """Batch size and epochs by the number of steps that they give; see `choose_defaults`."""
    rows = facts.train_rows
    batch_size = next((size for most, size in BATCH_SIZES if rows <= most), LARGEST_BATCH)
    lengths = np.minimum(facts.lengths, max_length or np.inf)
    mean = float(lengths.mean()) if len(lengths) else 1.0
    wanted = -(-STEPS * batch_size // rows)
    affordable = int(TOKENS // max(mean * rows, 1))
    epochs = int(np.clip(min(wanted, affordable), FEWEST_EPOCHS, MOST_EPOCHS))
    steps = epochs * -(-rows // batch_size)
    lr = 3e-3 if facts.tokenizer in TEXT else 2e-3
    training: dict[str, Any] = {"batch_size": batch_size, "max_tokens": None, "max_epochs": epochs, "lr": lr}
    training["patience"] = max(5, epochs // 4)
    text = f"batch_size = {batch_size}"
    if not facts.is_aligned and mean > 1:
        training["max_tokens"] = max(int(batch_size * mean), 1)
        text = f"max_tokens = {training['max_tokens']:,}, about {batch_size} rows of {mean:.0f} tokens"
    reasons.append(f"{text}; max_epochs = {epochs}: about {steps:,} steps for about {rows:,} training rows")
    return training
