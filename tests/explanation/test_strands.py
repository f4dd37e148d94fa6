"""Agreement of both strands, of a model whose answers are known."""

import math

import pytest

from ostinato.errors import ConfigError, DataError
from ostinato.explanation.strands import reverse_complement, strand_agreement


def probability(log_odds):
    return 1 / (1 + math.exp(-log_odds))


@pytest.mark.parametrize(("sequence", "other"), [("AACGT", "ACGTT"), ("acgun", "NACGT"), ("A", "T"), ("", "")])
def test_reverse_complement_reads_the_other_strand(sequence, other):
    assert reverse_complement(sequence) == other


def test_agreement_compares_the_answers_for_both_strands(make_linear):
    model = make_linear()  # log-odds of yes: the mean of A 2, C −1, G 0.5, T 0
    agreement = strand_agreement(
        model, ["AC", "c"]
    )  # against GT, mean 0.25, yes as before; and G, 0.5, which is no more no
    assert agreement.share == 0.5
    changes = [probability(0.5) - probability(0.25), probability(1) - probability(-0.5)]
    assert agreement.difference == pytest.approx(sum(changes) / 2, abs=1e-5)


def test_a_model_blind_to_strands_agrees(make_linear):
    agreement = strand_agreement(make_linear({"A": 1.0, "T": 1.0, "C": -2.0, "G": -2.0}), ["AACT", "CCGA"])
    assert agreement == pytest.approx((1.0, 0.0), abs=1e-5)


def test_what_has_no_strands_is_refused(make_linear):
    with pytest.raises(ConfigError, match="'words'"):
        strand_agreement(make_linear({"good": 1.0}, tokenizer="words"), ["good"])
    with pytest.raises(DataError, match="no sequence"):
        strand_agreement(make_linear(), [])
