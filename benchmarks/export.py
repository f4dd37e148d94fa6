"""Exported models next to our own engine: the largest difference over cells, poolings, directions and tasks.

    python benchmarks/export.py                       writes results/export.json
    python benchmarks/export.py --only gru --json out.json

Every model is trained for one epoch, exported, and certified as by `ostinato export`; nothing is timed.
"""

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger
from ostinato.config.names import CELLS
from ostinato.export import Certificate, to_onnx
from ostinato.nn.pooling import POOLINGS

RESULTS = Path(__file__).parent / "results" / "export.json"
SHOWN = ("differences", "rounding", "sequences", "runtime")  # of each certificate
SIZES = {"max_epochs": 1, "hidden_size": 32, "embedding_size": 16, "validation_fraction": None}
random = np.random.default_rng(0)
DNA = ["".join(random.choice(list("ACGT"), length)) for length in random.integers(20, 120, 100)]
LABELS = [sequence.count("A") > len(sequence) / 4 for sequence in DNA]
SERIES = [random.normal(100, 5, (length, 3)) for length in random.integers(20, 120, 100)]
WORDS = ["Paris", "sat", "U2", "42", "on", "NATO", "the", "cats"]
SENTENCES = [[str(word) for word in random.choice(WORDS, length)] for length in random.integers(2, 30, 100)]
TAGS = [["B-LOC" if word == "Paris" else "B-ORG" if word.isupper() else "O" for word in each] for each in SENTENCES]


def classifier(**options: Any) -> Any:
    return SequenceClassifier(tokenizer="nucleotides", **SIZES, **options).fit(DNA, LABELS)


def multilabel(**options: Any) -> Any:
    labels = [[each for each in "ACG" if sequence.count(each) > len(sequence) / 4] for sequence in DNA]
    return SequenceMultilabelClassifier(tokenizer="nucleotides", **SIZES, **options).fit(DNA, labels)


def regressor(**options: Any) -> Any:
    return SequenceRegressor(loss="quantile", **SIZES, **options).fit(SERIES, [each.max() for each in SERIES])


def tagger(**options: Any) -> Any:
    return SequenceTagger(**SIZES, **options).fit(SENTENCES, TAGS)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=[*CELLS, "cnn"], help="one cell")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the rows")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, worst = [], defaultdict[tuple[str, str], float](float)
    with TemporaryDirectory() as folder:
        for row in models(arguments.only):
            found: Certificate = to_onnx(row.fit(), Path(folder) / "model.onnx")
            facts = found.to_json()
            rows.append(dict(zip(Row._fields[:-1], row, strict=False)) | {key: facts[key] for key in SHOWN})
            worst[row.cell, row.task] = max(worst[row.cell, row.task], *found.differences.values())
    tasks = list(dict.fromkeys(task for _, task in worst))
    print("cell     " + "".join(f"{task:>16}" for task in tasks))
    for cell in dict.fromkeys(cell for cell, _ in worst):
        shown = [f"{worst[cell, task]:.1e}" if (cell, task) in worst else "" for task in tasks]
        print(f"{cell:9}" + "".join(f"{each:>16}" for each in shown))
    print(f"{len(rows)} models, {found.runtime}: the largest relative difference of any output in any batch")
    lines = ",\n".join(map(json.dumps, rows))
    arguments.json.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
