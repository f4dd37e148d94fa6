"""What the golden models of one version answer.

`make.py` records the answers with the code of that version, and `test_golden.py` compares later code with them. The
test runs this file in a process of its own, because the environment variables that pin the arithmetic are read once,
when torch and the kernel start:

    python golden_answers.py v0_1 EMPTY_FOLDER

prints a JSON object: for each model the answers after loading, and the answers after it was saved to EMPTY_FOLDER and
loaded again.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

import ostinato


def read_record(folder: Path) -> dict[str, Any]:
    """The answers and weights that `make.py` recorded for the files in `folder`."""
    record: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return record


def answers_of(model: Any, inputs: list[Any]) -> dict[str, Any]:
    """Classes, predictions and probabilities as JSON values; probabilities as `float.hex`, which loses no bit."""
    is_tagger = isinstance(model, ostinato.SequenceTagger)
    if is_tagger:  # JSON has no tuples: a word with features is a list there
        inputs = [[tuple(word) if isinstance(word, list) else word for word in sentence] for sentence in inputs]
    predictions, probabilities = model.predict(inputs), model.predict_proba(inputs)
    return {
        "classes": np.asarray(model.classes_).tolist(),
        "predict": predictions if is_tagger else predictions.tolist(),
        "predict_proba": [to_hex(each) for each in probabilities],
    }


def to_hex(numbers: np.ndarray) -> Any:
    """`float.hex` of each number, in nested lists of the same shape."""
    if numbers.ndim == 0:
        return float(numbers).hex()
    return [to_hex(each) for each in numbers]


def hash_weights(path: Path) -> dict[str, str]:
    """The SHA-256 of each tensor's bytes in a safetensors file, by name."""
    with safe_open(path, framework="np") as file:
        return {name: hashlib.sha256(file.get_tensor(name).tobytes()).hexdigest() for name in sorted(file.keys())}


def main(folder: Path, work: Path) -> None:
    """Print the answers of all models in `folder`; `work` is an empty folder for the saved copies."""
    found = {}
    for name, recorded in read_record(folder)["models"].items():
        model = ostinato.load(folder / name)
        model.save(work / "again.safetensors")
        again = ostinato.load(work / "again.safetensors")
        found[name] = {
            "loaded": answers_of(model, recorded["inputs"]),
            "saved_and_loaded": answers_of(again, recorded["inputs"]),
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
