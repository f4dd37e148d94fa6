"""Exported models next to our own engine: the largest difference over cells, poolings, directions and tasks.

    python benchmarks/export.py                       writes results/export.json
    python benchmarks/export.py --only gru --json out.json
    python benchmarks/export.py --quick --json out.json

Every model is trained for one epoch, exported, and certified as by `ostinato export`; nothing is timed. Then a model of
each cell and of each task is trained for 20 epochs and exported with int8 weights: metric, agreement, size and speed
on 200 new rows, as by `ostinato export --quantize int8`. `--quick` does a few models of each kind.
"""

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger
from ostinato.config.names import CELLS
from ostinato.export import to_onnx
from ostinato.nn.pooling import POOLINGS

RESULTS = Path(__file__).parent / "results" / "export.json"
SHOWN = ("differences", "rounding", "sequences", "runtime")  # of each certificate
ANY = 100  # a tolerance that every model keeps
SIZES = {"max_epochs": 1, "hidden_size": 32, "embedding_size": 16, "validation_fraction": None}
TRAINED = {"max_epochs": 20, "lr": 0.003, "hidden_size": 128, "embedding_size": 64, "bidirectional": True}  # for int8
QUICK = 4  # models of each kind
WORDS = ["Paris", "sat", "U2", "42", "on", "NATO", "the", "cats"]


class Rows:
    """Random sequences of each kind with their targets, `size` of each."""

    def __init__(self, seed: int, size: int) -> None:
        random = np.random.default_rng(seed)
        self.dna = ["".join(random.choice(list("ACGT"), length)) for length in random.integers(20, 120, size)]
        self.labels = [sequence.count("A") > len(sequence) / 4 for sequence in self.dna]
        self.label_sets = [[base for base in "ACG" if dna.count(base) > len(dna) / 4] for dna in self.dna]
        self.series = [random.normal(100, 5, (length, 3)) for length in random.integers(20, 120, size)]
        self.numbers = [each.max() for each in self.series]
        self.sentences = [
            [str(word) for word in random.choice(WORDS, length)] for length in random.integers(2, 30, size)
        ]
        self.tags = [
            ["B-LOC" if word == "Paris" else "B-ORG" if word.isupper() else "O" for word in each]
            for each in self.sentences
        ]


TRAIN, VALIDATION = Rows(0, 100), Rows(1, 200)


def classifier(**options: Any) -> Any:
    return SequenceClassifier(tokenizer="nucleotides", **{**SIZES, **options}).fit(TRAIN.dna, TRAIN.labels)


def multilabel(**options: Any) -> Any:
    model = SequenceMultilabelClassifier(tokenizer="nucleotides", **{**SIZES, **options})
    return model.fit(TRAIN.dna, TRAIN.label_sets)


def regressor(**options: Any) -> Any:
    return SequenceRegressor(loss="quantile", **{**SIZES, **options}).fit(TRAIN.series, TRAIN.numbers)


def tagger(**options: Any) -> Any:
    return SequenceTagger(**{**SIZES, **options}).fit(TRAIN.sentences, TRAIN.tags)


OF_SEQUENCES = {"classification": classifier, "multilabel": multilabel, "regression": regressor}


class Row(NamedTuple):
    """One model: its task, what it consists of, and how to fit it."""

    task: str
    cell: str
    direction: str
    parts: str
    fit: Callable[[], Any]


def models(only: str | None) -> Iterator[Row]:
    """Every row of the table, or those of one cell."""
    for cell, bidirectional in product((*CELLS, "cnn"), (False, True)):
        if only not in (None, cell):
            continue
        options = {"cell": cell, "bidirectional": bidirectional}
        direction = "both" if bidirectional else "forward"
        poolings = [name for name in POOLINGS if not (cell == "cnn" and name == "last")]
        for pooling, (task, fit) in product(poolings, OF_SEQUENCES.items()):
            yield Row(task, cell, direction, pooling, partial(fit, pooling=pooling, **options))
        deep = options | {"num_layers": 3, "residual": True, "layer_norm": True, "position": "learned"}
        stem = {} if cell == "cnn" else {"conv_size": 16, "conv_pool": 4}
        fit = partial(classifier, pooling=poolings, **deep, **stem)
        yield Row("classification", cell, direction, "three layers, all poolings", fit)
        heads = [] if cell == "cnn" else product(("crf", "softmax"), (None, "lstm", "cnn"))
        for head, characters in heads:
            kinds = options | {"head": head, "character_cell": characters, "constrained": head == "crf"}
            yield Row("tagging", cell, direction, f"{head}, characters {characters}", partial(tagger, **kinds))


def int8_models(only: str | None) -> Iterator[tuple[Row, tuple[Any, Any]]]:
    """A classifier of each cell, and a model of each other task, with rows to judge them on."""
    cells = [cell for cell in (*CELLS, "cnn") if only in (None, cell)]
    for cell in cells:
        fit = partial(classifier, cell=cell, pooling=["mean", "max"], **TRAINED)
        yield Row("classification", cell, "both", "mean, max", fit), (VALIDATION.dna, VALIDATION.labels)
    if "lstm" in cells:
        lstm = {"cell": "lstm", **TRAINED}
        labels, numbers = (VALIDATION.dna, VALIDATION.label_sets), (VALIDATION.series, VALIDATION.numbers)
        yield Row("multilabel", "lstm", "both", "last", partial(multilabel, **lstm)), labels
        yield Row("regression", "lstm", "both", "last", partial(regressor, **lstm)), numbers
        fit = partial(tagger, character_cell="lstm", **lstm)
        yield Row("tagging", "lstm", "both", "crf, characters lstm", fit), (VALIDATION.sentences, VALIDATION.tags)


def facts_of(row: Row) -> dict[str, Any]:
    return dict(zip(Row._fields[:-1], row, strict=False))


def certify_all(rows: Iterable[Row], path: Path) -> Iterator[dict[str, Any]]:
    """The certificate of each float32 file."""
    for row in rows:
        found = to_onnx(row.fit(), path).to_json()
        yield facts_of(row) | {key: found[key] for key in SHOWN}


def quantize_all(rows: Iterable[tuple[Row, tuple[Any, Any]]], path: Path) -> Iterator[dict[str, Any]]:
    """What int8 weights change in each model, whatever they cost."""
    for row, validation in rows:
        found = to_onnx(row.fit(), path, quantize="int8", validation=validation, tolerance=ANY).quantization
        assert found is not None
        print(f"{row.task}, {row.cell}: {' '.join(found.lines())}")
        yield facts_of(row) | {"int8": found.to_json()}


def print_table(rows: list[dict[str, Any]]) -> None:
    """The largest difference of each cell and task."""
    worst = defaultdict[tuple[str, str], float](float)
    for row in rows:
        key = row["cell"], row["task"]
        worst[key] = max(worst[key], *row["differences"].values())
    tasks = list(dict.fromkeys(task for _, task in worst))
    print("cell     " + "".join(f"{task:>16}" for task in tasks))
    for cell in dict.fromkeys(cell for cell, _ in worst):
        shown = [f"{worst[cell, task]:.1e}" if (cell, task) in worst else "" for task in tasks]
        print(f"{cell:9}" + "".join(f"{each:>16}" for each in shown))
    print(f"{len(rows)} models, {rows[0]['runtime']}: the largest relative difference of any output in any batch")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=[*CELLS, "cnn"], help="one cell")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} models of each kind")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the rows")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    most = QUICK if arguments.quick else None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        rows = list(certify_all(islice(models(arguments.only), most), path))
        print_table(rows)
        rows += quantize_all(islice(int8_models(arguments.only), most), path)
    lines = ",\n".join(map(json.dumps, rows))
    arguments.json.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
