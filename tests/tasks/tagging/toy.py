"""Sentences about people and places, written for the tests: the words around a name give its type."""

import random

PEOPLE, PLACES = ["Ada", "Ben Olsen", "Cid", "Dora May Lund"], ["Oslo", "New York", "Rome", "Rio de Janeiro"]


def sentences(count, seed=0):
    """Lists of words and of tags in scheme iob2."""
    rng = random.Random(seed)
    words, tags = [], []
    for _ in range(count):
        person, place = rng.choice(PEOPLE).split(), rng.choice(PLACES).split()
        parts = [
            (["Yesterday"], None),
            (person, "PER"),
            ([rng.choice(["left", "saw", "likes"])], None),
            (place, "LOC"),
            ([rng.choice([".", "!"])], None),
        ]
        if rng.random() < 0.3:
            parts = parts[1:]
        words.append([word for part, _ in parts for word in part])
        tags.append([f"{'BI'[at > 0]}-{kind}" if kind else "O" for part, kind in parts for at in range(len(part))])
    return words, tags


def columns(words, tags):
    """The text of a CoNLL file."""
    return "".join(
        "".join(f"{word} {tag}\n" for word, tag in zip(*pair, strict=True)) + "\n"
        for pair in zip(words, tags, strict=True)
    )
