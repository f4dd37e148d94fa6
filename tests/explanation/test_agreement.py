"""Agreement between methods, by hand."""

import numpy as np
import pytest

from ostinato.errors import ConfigError
from ostinato.explanation import Explanation
from ostinato.explanation.agreement import agreement


def explained(*scores, method="given", label="yes"):
    return Explanation(method, "A" * len(scores), ["A"] * len(scores), [], np.array(scores, float), label, 0.5)


def test_equal_rankings_agree_and_opposite_ones_disagree():
    (found,) = agreement({"one": [explained(1, 2, 3, 9)], "other": [explained(-5, -4, 0, 1)]})
    assert found == ("one", "other", pytest.approx(1), pytest.approx(1), 1, 0)
    (found,) = agreement({"one": [explained(1, 2, 3, 9)], "other": [explained(4, 3, 2, 1)]})
    assert found == ("one", "other", pytest.approx(-1), 0, 1, 0)


def test_a_correlation_is_the_mean_over_the_sequences():
    ones, others = [explained(1, 2, 3, 4), explained(1, 2, 3)], [explained(1, 2, 4, 3), explained(3, 2, 1)]
    (found,) = agreement({"one": ones, "other": others})
    assert found.correlation == pytest.approx(((1 - 6 * 2 / (4 * 15)) - 1) / 2)  # 1 − 6 Σd² / (n (n² − 1)), and −1
    assert found.overlap == 0 and found.n == 2


@pytest.mark.parametrize("swapped", [False, True])
def test_attention_is_compared_with_absolute_scores(swapped):
    methods = {"attention": [explained(0.1, 0.2, 0.7)], "occlusion": [explained(-0.1, 0.2, -0.9)]}
    (found,) = agreement(dict(reversed(methods.items())) if swapped else methods)
    assert found.correlation == pytest.approx(1) and found.overlap == 1
    (signed,) = agreement({"one": methods["attention"], "occlusion": methods["occlusion"]})
    assert signed.correlation == pytest.approx(-0.5)  # ranks 1 2 3 and 2 3 1: 1 − 6 · 6 / 24


def test_sequences_without_a_ranking_are_left_out_and_counted():
    ones = [explained(1, 2), explained(1, 2, 3), explained(2, 2, 2), explained(3, 2, 1)]
    others = [explained(1, 2), explained(0, 0, 0), explained(1, 2, 3), explained(3, 2, 1)]
    (found,) = agreement({"one": ones, "other": others})
    assert found.correlation == pytest.approx(1) and (found.n, found.left_out) == (1, 3)
    (none_left,) = agreement({"one": ones[:3], "other": others[:3]})
    assert none_left == ("one", "other", None, None, 0, 3)


def test_the_overlap_is_the_share_of_the_top_that_both_name():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 35))
    second[np.argmax(first)] = 9.0
    (found,) = agreement({"one": [explained(*first)], "other": [explained(*second)]})
    both = set(np.argsort(first)[-4:]) & set(np.argsort(second)[-4:])  # ⌈3.5⌉ tokens
    assert 0 < found.overlap < 1 and found.overlap == pytest.approx(len(both) / 4)


def test_tokens_that_tie_for_the_top_share_its_places():
    first = [9, 8, *range(-18, 0)]  # the first two of 20 are the top
    second = [1, 0, 1, 1, 1, *[0] * 15]  # four tie for two places: half of one is in both
    (found,) = agreement({"one": [explained(*first)], "other": [explained(*second)]})
    assert found.overlap == pytest.approx(0.5 / 2)


def test_every_pair_is_compared_once():
    found = agreement({name: [explained(1, 2, 3)] for name in ("a", "b", "c")})
    assert [each[:2] for each in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert agreement({"a": [explained(1, 2, 3)]}) == []


@pytest.mark.parametrize("other", [[explained(1, 2)], [explained(1, 2, 3, label="no")], []])
def test_different_sequences_are_refused(other):
    with pytest.raises(ConfigError, match="'one' and 'other'"):
        agreement({"one": [explained(1, 2, 3)], "other": other})
