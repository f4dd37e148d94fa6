"""Whether a model of DNA or RNA gives both strands the same answer."""

from collections.abc import Sequence
from typing import NamedTuple

from ostinato.data.cleaning import COMPLEMENT, key_of
from ostinato.errors import ConfigError, DataError
from ostinato.explanation.attribution import letters_of
from ostinato.explanation.model import ExplainableModel, encode_given, fitted
from ostinato.training.predict import predict_outputs


class StrandAgreement(NamedTuple):
    """How similar the answers for both strands are.

    Args:
        share: of the sequences whose reverse complement gets the same label.
        difference: the mean absolute difference of the answer for the given strand's label.
    """

    share: float
    difference: float


def reverse_complement(sequence: str) -> str:
    """The other strand of DNA, read from its own start, in upper case; U is read as T; N and others stay."""
    return str(key_of(sequence, "nucleotides")).translate(COMPLEMENT)[::-1]


def strand_agreement(model: ExplainableModel, sequences: Sequence[str]) -> StrandAgreement:
    """Compare the answers for each sequence and its reverse complement.

    This is only meaningful if the target does not depend on the strand.

    Raises:
        ConfigError: the model is not one of DNA or RNA.
        DataError: there is no sequence, or an empty one.
        NotFittedError: the estimator is not fitted yet.
    """
    model = fitted(model)
    if letters_of(model) != "ACGT":
        raise ConfigError(
            f"a model with tokenizer {model.encoder.tokenizer!r} has no strands. Expected the tokenizer nucleotides, "
            "for DNA and RNA."
        )
    if not len(sequences):
        raise DataError("no sequence: there is nothing to compare. Give at least one.")
    strands = (sequences, [reverse_complement(sequence) for sequence in sequences])
    given, reverse = (predict_outputs(model.network, encode_given(model, strand)[1]) for strand in strands)
    labels = model.network.chosen(given)
    own = [model.network.answers(outputs).gather(1, labels.unsqueeze(1)) for outputs in (given, reverse)]
    same = (model.network.chosen(reverse) == labels).double().mean()
    return StrandAgreement(float(same), float((own[0] - own[1]).abs().mean()))
