"""Tiny runs of all tasks, to spoil."""

import random

from ostinato.tasks.config import PRESETS, override, parse_config

SIZES = ["data.train_size=60", "data.validation_size=30", "data.test_size=30"]
SMALL = ["model.hidden_size=4", "training.max_epochs=2", "training.patience=none", "training.device=cpu"]
TASKS = ["classification", "multilabel", "regression", "tagging"]
MANY = {"classification": "majority", "multilabel": "dna-motifs", "regression": "count-ones"}
TAGS = {"Ada": "B-PER", "Oslo": "B-LOC"}


def config_of(task, folder, *settings):
    """A config of a task, on a data file in `folder` for taggers and on a generated set for the others."""
    if task in MANY:
        return override(PRESETS[MANY[task]](), [*SIZES, *SMALL, *settings])
    write_sentences(folder / "tags.conll")
    base = {"task": "tagging", "data": {"path": str(folder / "tags.conll")}, "model": {"embedding_size": 4}}
    return override(parse_config(base), [*SMALL, *settings])


def write_sentences(path, seed=0):
    rng = random.Random(seed)
    sentences = [[rng.choice(["Ada", "left", "Oslo", "today"]) for _ in range(rng.randint(3, 9))] for _ in range(60)]
    path.write_text(
        "\n".join("".join(f"{word} {TAGS.get(word, 'O')}\n" for word in each) for each in sentences), encoding="utf-8"
    )


def write_reviews(path, rows=80, seed=0):
    rng = random.Random(seed)
    lines = [
        f"{rng.choice(['good', 'bad'])} w{number} z{rng.randrange(9)},{rng.choice('ab')}\n" for number in range(rows)
    ]
    path.write_text("text,label\n" + "".join(lines), encoding="utf-8")


def reviews_config(path, *settings):
    return override(parse_config({"data": {"path": str(path)}, "model": {"embedding_size": 4}}), [*SMALL, *settings])
