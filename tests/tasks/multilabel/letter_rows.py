"""Strings in which each of the letters a, b and c, where it occurs, is a label."""

import numpy as np

LETTERS = "abc"


def draw_rows(n, seed):
    """Distinct strings of 6 to 10 letters, and the sorted labels of each; the other letters are fillers."""
    rng = np.random.default_rng(seed)
    rows = {}
    while len(rows) < n:
        present = [letter for letter in LETTERS if rng.random() < 0.4]
        fillers = list(rng.choice(list("uvwxyz"), size=rng.integers(6, 11) - len(present)))
        text = "".join(rng.permutation(present + fillers))
        rows[text] = tuple(present)
    return list(rows), list(rows.values())


def indicator(labels):
    return np.array([[int(letter in row) for letter in LETTERS] for row in labels])
