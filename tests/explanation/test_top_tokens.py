"""The tokens that speak most for a class."""

import numpy as np

from ostinato.explanation import Explanation
from ostinato.explanation.top_tokens import TokenScore, top_tokens


def explanation(text, scores):
    tokens = text.split()
    return Explanation("occlusion", text, tokens, [(0, 0)] * len(tokens), np.array(scores, float), "yes", 0.9)


def test_tokens_are_ranked_by_their_mean_score():
    given = [explanation("good bad fine", [3, -2, 1]), explanation("good fine fine", [1, 2, 3])]
    assert top_tokens(given, least=2) == [TokenScore("fine", 2.0, 3), TokenScore("good", 2.0, 2)]


def test_rare_tokens_and_those_against_the_label_are_left_out():
    given = [explanation("once bad bad", [9, -1, -1])]
    assert top_tokens(given, least=2) == []
    assert top_tokens(given, least=1) == [TokenScore("once", 9.0, 1)]


def test_at_most_so_many_are_named():
    given = [explanation("a b c d", [4, 3, 2, 1])]
    assert [each.token for each in top_tokens(given, least=1, most=2)] == ["a", "b"]
