"""The command line called in this process, and small data for it; shared by the tests in this folder."""

import io
import json
import random
import sys

from ostinato import cli

rng = random.Random(0)
TEXTS = [
    f"a {rng.choice(['great', 'fine'] if number % 2 else ['dull', 'weak'])} film, number {number}"
    for number in range(40)
]
LABELS = [("neg", "pos")[number % 2] for number in range(40)]
SERIES = [[[number % 2 + rng.random(), rng.random()] for _ in range(rng.randint(2, 5))] for number in range(40)]
REVIEWS = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in zip(TEXTS, LABELS, strict=True))
WORDS = 'tokenizer = "words"\nmin_count = 1\n'  # in [data]: words that training has not seen are unknown
FORWARDS = '[model]\nbidirectional = false\npooling = "last"\ndropout = 0.0\n'  # can answer before the end
TINY = ("model.embedding_size=4", "model.hidden_size=4", "training.max_epochs=1")


def run(*arguments, stdin=b""):
    """Call the command line in this process; returns its exit status."""
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["ostinato", *map(str, arguments)], io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    try:
        cli.main()
    except SystemExit as finished:
        return finished.code
    finally:
        sys.argv, sys.stdin = before
    return 0


def tiny(*settings):
    return [part for setting in (*TINY, *settings) for part in ("--set", setting)]


def jsonl(**columns):
    return "".join(
        json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in zip(*columns.values(), strict=True)
    )


def answers(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
