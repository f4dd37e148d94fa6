"""Whether a model of DNA or RNA answers alike for both strands."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ostinato.data.cleaning import COMPLEMENT, key_of
from ostinato.errors import ConfigError, DataError
from ostinato.estimators import SequenceClassifier
from ostinato.explanation.attribution import letters_of


class StrandAgreement(NamedTuple):
    """How alike the answers are.

    Args:
        share: of the sequences, whose reverse complement gets the same label.
        difference: mean absolute difference of the probability of the given strand's label.
    """

    share: float
    difference: float


def reverse_complement(sequence: str) -> str:
    """The other strand of DNA, read from its own beginning, in upper case; U is read as T, and N and all else stay."""
    return str(key_of(sequence, "nucleotides")).translate(COMPLEMENT)[::-1]


def strand_agreement(model: SequenceClassifier, sequences: Sequence[str]) -> StrandAgreement:
    """Ask a model for each sequence and for its reverse complement; tells nothing where the task is a strand's own.

    Raises:
        ConfigError: the model is not one of DNA or RNA.
        DataError: there is no sequence.
    """
    if letters_of(model) != "ACGT":
        raise ConfigError(
            f"a model with the tokenizer {model.encoder_.tokenizer!r} has no strands. Expected the tokenizer nucleotides, of DNA and RNA."
        )
    if not len(sequences):
        raise DataError("no sequence: there is nothing to compare. Give at least one.")
    given, turned = (
        model.predict_proba(sequences),
        model.predict_proba([reverse_complement(sequence) for sequence in sequences]),
    )
    labels = given.argmax(axis=1)
    rows = np.arange(len(labels))
    return StrandAgreement(
        float((turned.argmax(axis=1) == labels).mean()),
        float(np.abs(given[rows, labels] - turned[rows, labels]).mean()),
    )
