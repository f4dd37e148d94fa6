"""Makes the golden files of version 0.1; it runs with the code of version 0.1 alone.

    PYTHONPATH=. python tests/golden/v0_1/make.py

writes, beside this file, the data, the model files, the run folders and `answers.json`. Everything is drawn from fixed
seeds, so a second run writes the same data, weights and answers; only times, dates and the description of the machine
in the run folders differ. The config files (`config-*.toml`) are written by hand, and this script only reads them.
"""

import os

ENVIRONMENT = {  # pins the arithmetic: one thread, and instructions that every x86-64 processor has
    "OMP_NUM_THREADS": "1",
    "OSTINATO_KERNEL": "portable",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
os.environ.update(ENVIRONMENT)  # before torch and the kernel are imported: they read it once

import csv  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from tempfile import TemporaryDirectory  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
import torch  # noqa: E402
from pyarrow import parquet  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from golden_answers import answers_of, hash_weights  # noqa: E402

import ostinato  # noqa: E402
from ostinato import SequenceClassifier, SequenceTagger  # noqa: E402
from ostinato.config import read_config  # noqa: E402
from ostinato.progress import Progress  # noqa: E402
from ostinato.runs import start_run  # noqa: E402

SOURCE = str(Path(ostinato.__file__).parents[1])
PLACEHOLDER = "GOLDEN"  # stands for the absolute path of this folder in all files of a run
RUN_FILES = {
    "config.toml",
    "environment.json",
    "audit.json",
    "vocabulary.json",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "predictions.parquet",
    "predictions.jsonl",
}

GOOD = ["great", "warm", "clever", "moving"]
BAD = ["dull", "cold", "clumsy", "empty"]
FILLER = ["the", "film", "was", "and", "plot", "seemed", "quite", "a", "story", "with", "actors"]
PEOPLE = ["Ada", "Ben Olsen", "Cid", "Dora May Lund"]
PLACES = ["Oslo", "New York", "Rome", "Rio de Janeiro"]
VERBS = ["left", "saw", "likes"]
# Of these words the vectors' file knows more than any training split does.
VECTOR_WORDS = ["great", "dull", "film", "oslo", "rome", "left", "saw", "superb", "awful", "paris", "visited"]


def reviews(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts of 4 to 14 words, and whether a good or a bad word is in the majority; a word in ten occurs once."""
    rng = random.Random(seed)
    texts, labels = [], []
    for row in range(count):
        label = rng.choice(["bad", "good"])
        words = rng.choices(FILLER, k=rng.randint(3, 10)) + rng.choices(GOOD if label == "good" else BAD, k=2)
        words += [f"rare{seed}x{row}"] * (row % 2)
        rng.shuffle(words)
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


def windows(count: int, seed: int) -> tuple[list[str], list[int]]:
    """DNA of 12 to 20 bases, and whether `TATA` is planted in it (1) or not (0)."""
    rng = random.Random(seed)
    sequences, labels = [], []
    for row in range(count):
        bases = rng.choices("ACG", k=rng.randint(12, 20))
        if row % 2:
            start = rng.randrange(len(bases) - 4)
            bases[start : start + 4] = "TATA"
        sequences.append("".join(bases))
        labels.append(row % 2)
    return sequences, labels


def series(count: int, seed: int) -> tuple[list[np.ndarray], list[bool]]:
    """Arrays (T, 2) of 8 to 16 steps, the second channel 1,000 times larger; True where the first rises."""
    rng = np.random.default_rng(seed)
    sequences, labels = [], []
    for row in range(count):
        steps = int(rng.integers(8, 17))
        slope = np.linspace(-1, 1, steps) * (1 if row % 2 else -1)
        noise = rng.normal(size=(steps, 2))
        sequences.append(np.round(np.stack([slope + 0.3 * noise[:, 0], 1000 * noise[:, 1]], axis=1), 3))
        labels.append(bool(row % 2))
    return sequences, labels


def sentences(count: int, seed: int) -> tuple[list[list[tuple[str, str]]], list[list[str]]]:
    """Words with a part of speech beside each, and their tags in scheme iob2."""
    rng = random.Random(seed)
    words, tags = [], []
    for row in range(count):
        parts = [
            (["Yesterday"], "ADV", None),
            (rng.choice(PEOPLE).split(), "PROPN", "PER"),
            ([rng.choice(VERBS)], "VERB", None),
            (rng.choice(PLACES).split(), "PROPN", "LOC"),
            ([f"{row}th" if row % 3 == 0 else rng.choice("!.")], "PUNCT", None),
        ][rng.random() < 0.3 :]
        words.append([(word, speech) for part, speech, _ in parts for word in part])
        tags.append([f"{'BI'[at > 0]}-{kind}" if kind else "O" for part, _, kind in parts for at in range(len(part))])
    return words, tags


def write_data() -> None:
    """Write the files that the estimators and the configs read."""
    rng = random.Random(1)
    lines = [" ".join([word, *(f"{rng.uniform(-1, 1):.3f}" for _ in range(4))]) for word in VECTOR_WORDS]
    (HERE / "vectors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    texts, labels = reviews(120, seed=2)
    with (HERE / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["review", "verdict", "part", "author"])
        for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
            part = "train" if row < 80 else "validation" if row < 100 else "test"
            writer.writerow([text, label if row else "", part, f"{part} author {row % 5}"])

    for split, count, seed in (("train", 30, 3), ("validation", 10, 4), ("test", 10, 5)):
        with (HERE / f"names-{split}.conll").open("w", encoding="utf-8") as file:
            for words, tags in zip(*sentences(count, seed), strict=True):
                file.writelines(f"{word} {speech} {tag}\n" for (word, speech), tag in zip(words, tags, strict=True))
                file.write("\n")

    with (HERE / "windows.fasta").open("w", encoding="utf-8") as file:
        for row, (sequence, label) in enumerate(zip(*windows(40, seed=6), strict=True)):
            file.write(f">window{row} class={'tata' if label else 'none'}\n{sequence}\n")


def fit_models() -> dict[str, tuple[Any, list[Any]]]:
    """Each model file's fitted estimator, and inputs to record its answers for; some hold tokens outside training."""
    texts, labels = reviews(60, seed=10)
    text = SequenceClassifier(
        tokenizer="words",
        min_count=2,
        max_length=8,
        truncate="both",
        embedding_size=6,
        hidden_size=5,
        bidirectional=True,
        pooling="mean+max",
        dropout=0.1,
        class_weight={"bad": 2.0, "good": 1.0},
        batch_size=8,
        lr=0.02,
        max_epochs=5,
    ).fit(texts, labels)

    sequences, classes = windows(60, seed=11)
    dna = SequenceClassifier(
        tokenizer="nucleotides",
        cell="gru",
        embedding_size=4,
        hidden_size=8,
        position="learned",
        pooling="attention",
        batch_size=8,
        lr=0.02,
        max_epochs=8,
    ).fit(sequences, classes)

    curves, rises = series(40, seed=12)
    numeric = SequenceClassifier(
        tokenizer="numeric",
        embedding_size=4,
        hidden_size=6,
        num_layers=2,
        residual=True,
        layer_norm=True,
        conv_size=6,
        kernel_size=3,
        conv_pool=2,
        pooling="last+mean",
        patience=None,
        lr=0.005,
        max_epochs=3,
    ).fit(curves, rises)

    with_vectors = SequenceClassifier(
        tokenizer="words",
        cell="mingru",
        embedding_size=4,
        hidden_size=6,
        vectors="vectors.txt",
        vectors_beyond=100,
        freeze_vectors=1,
        pooling="max",
        ema_decay=0.9,
        lr=0.02,
        max_epochs=3,
    ).fit(texts, labels)

    words, tags = sentences(40, seed=13)
    tagger = SequenceTagger(
        embedding_size=4,
        hidden_size=6,
        character_cell="cnn",
        character_embedding_size=4,
        character_size=5,
        capitals_size=3,
        feature_size=3,
        vectors="vectors.txt",
        vectors_beyond=100,
        head="crf",
        constrained=True,
        scheme="iob2",
        target_scheme="bioes",
        lowercase=True,
        word_dropout=0.2,
        monitor="f1",
        batch_size=8,
        lr=0.03,
        max_epochs=6,
    ).fit(words, tags)

    other_texts = [*reviews(6, seed=20)[0], "an unheard superb film", "the awful story seemed dull to everyone in town"]
    other_words = sentences(6, seed=24)[0]
    other_words.append([("Eve", "PROPN"), ("visited", "VERB"), ("PARIS", "PROPN"), ("2024", "NUM")])
    return {
        "text.safetensors": (text, other_texts),
        "dna.safetensors": (dna, [*windows(6, seed=21)[0], "ACGNNTATAACG", "A"]),
        "series.safetensors": (numeric, [each.tolist() for each in series(6, seed=22)[0]]),
        "vectors.safetensors": (with_vectors, other_texts),
        "tagger.safetensors": (tagger, other_words),
    }


class StopAfter(Progress):
    """Sends Ctrl-C after so many optimizer steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(quiet=True)
        self.steps = steps

    def step(self, share: float, tokens: int, loss: float) -> None:
        self.steps -= 1
        if self.steps == 0:
            signal.raise_signal(signal.SIGINT)


def restored(text: str) -> str:
    """A config's text with the path of this folder in place of the placeholder."""
    return text.replace(f'"{PLACEHOLDER}/', f'"{HERE.as_posix()}/')


def take_run(run: Path, name: str, kept: set[str]) -> None:
    """Copy a run's files here, its absolute paths replaced by the placeholder."""
    shutil.rmtree(HERE / name, ignore_errors=True)
    for path in sorted(run.rglob("*")):
        target = HERE / name / path.relative_to(run)
        if path.is_dir() or path.relative_to(run).parts[0] not in kept:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            table = parquet.read_table(path)
            places = pc.replace_substring(table["place"], str(HERE), PLACEHOLDER)
            parquet.write_table(table.set_column(table.schema.get_field_index("place"), "place", places), target)
        elif path.suffix in (".toml", ".json", ".jsonl"):
            text = path.read_text(encoding="utf-8").replace(str(HERE), PLACEHOLDER)
            target.write_text(text.replace(platform.platform(), "Linux-x86_64"), encoding="utf-8")
        else:
            shutil.copy(path, target)


def train_configs(work: Path) -> dict[str, dict[str, str]]:
    """Train each config by the command line, keep the runs of two; returns the hashes of each one's weights."""
    hashes = {}
    for path in sorted(HERE.glob("config-*.toml")):
        config, run = work / path.name, work / path.stem
        config.write_text(restored(path.read_text(encoding="utf-8")), encoding="utf-8")
        command = [sys.executable, "-m", "ostinato", "train", str(config), "--out", str(run)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": SOURCE})
        hashes[path.name] = hash_weights(run / "model.safetensors")
    for task, steps in (("classification", 23), ("tagging", 9)):
        take_run(work / f"config-{task}", f"run-{task}", RUN_FILES)
        interrupted = work / f"interrupted-{task}"
        try:
            start_run(read_config(work / f"config-{task}.toml"), interrupted, progress=StopAfter(steps))
        except KeyboardInterrupt:
            take_run(interrupted, f"interrupted-{task}", {*RUN_FILES, "checkpoints"})
    return hashes


def main() -> None:
    os.chdir(HERE)  # models and configs name the vectors' file by its relative path
    torch.set_num_threads(1)
    write_data()
    models: dict[str, Any] = {}
    for name, (model, inputs) in fit_models().items():
        model.save(HERE / name)
        models[name] = {"inputs": inputs, "weights": hash_weights(HERE / name)}
    with TemporaryDirectory() as work:
        configs = train_configs(Path(work))
    for task, inputs in (("classification", reviews(6, seed=30)[0]), ("tagging", sentences(6, seed=31)[0])):
        weights = hash_weights(HERE / f"run-{task}" / "model.safetensors")
        models[f"run-{task}"] = {"inputs": inputs, "weights": weights}
    for name, recorded in models.items():
        recorded["answers"] = answers_of(ostinato.load(HERE / name), recorded["inputs"])
    record = {
        "environment": ENVIRONMENT,
        "made_with": {"ostinato": "0.1.0", "torch": torch.__version__, "machine": platform.machine()},
        "models": models,
        "configs": configs,
    }
    (HERE / "answers.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
