"""Sequences from a source with a known entropy, and small settings to learn it."""

import numpy as np

TRANSITIONS = np.array([[0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [0.9, 0.05, 0.05]])
ENTROPY = float(-(TRANSITIONS[0] * np.log(TRANSITIONS[0])).sum())  # of each next letter, and of each previous one
LETTERS = "abc"
SMALL = {
    "tokenizer": "characters",
    "embedding_size": 8,
    "hidden_size": 12,
    "max_epochs": 2,
    "max_tokens": 256,
    "lr": 1e-2,
    "device": "cpu",
}


def letters(count, seed=0, length=(20, 60)):
    """Sequences of a Markov chain over three letters."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        states = [int(rng.integers(3))]
        while len(states) < rng.integers(*length):
            states.append(int(rng.choice(3, p=TRANSITIONS[states[-1]])))
        found.append("".join(LETTERS[state] for state in states))
    return found


def words(count, seed=0):
    """Short sentences of a small grammar."""
    rng = np.random.default_rng(seed)
    parts = (["the", "a", "one", "my"], ["old", "big", "red", "sad"], ["cat", "dog", "fox"], ["runs", "eats", "naps"])
    return [" ".join(str(rng.choice(part)) for part in parts) + f" {rng.integers(60)}" for _ in range(count)]
