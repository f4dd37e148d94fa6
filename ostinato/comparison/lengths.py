"""Length generalisation: a model of a generated set, trained at its own length and tested at others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostinato.config import Config
from ostinato.data.examples import Record, Records
from ostinato.data.named import NamedSet
from ostinato.runs.folder import write_json
from ostinato.tasks import TASKS
from ostinato.tasks.base import TaskData
from ostinato.tasks.model_file import load_model


def generated_set(config: Config) -> NamedSet | None:
    """The generated set that the config names, whose sequences can have any length; None for other data."""
    named = TASKS[config.task].datasets.get(config.data.name or "")
    return named if named is not None and named.is_generated else None


def generated_test(config: Config, length: int) -> list[Record]:
    """A test split of a generated set, of another length; drawn by another seed than the training rows.

    Raises:
        ConfigError: the set has no sequences of that length, or too few.
    """
    named = generated_set(config)
    assert named is not None
    asked = {"length": length, "train_size": 0, "validation_size": 0, "seed": config.data.seed + 1}
    return list(named.load(config.data.model_copy(update=asked)).splits["train"])


def predictions_file(run: Path, task: str, length: int | None) -> Path:
    """Where a run keeps its answers to the test sequences of a length; None: its own test split."""
    file = run / TASKS[task].predictions_file
    return file if length is None else file.with_stem(f"{file.stem}-length-{length}")


def test_at_lengths(run: Path, config: Config, lengths: Sequence[int], data: TaskData) -> dict[str, dict[str, Any]]:
    """Metrics at each length; the answers are written into the run's folder.

    The sequences are drawn by the data's seed, the same for every model. Those that also occur in training are left
    out, so that short lengths do not test what was learnt by heart.
    """
    model = load_model(run)
    task, trained = model.task, set(data.rows["train"].sequences)
    found = {}
    for length in lengths:
        rows = Records.of(record for record in generated_test(config, length) if record.sequence not in trained)
        examples = task.encode(model, rows)
        outputs = task.outputs(model.network, examples)
        task.write_predictions(predictions_file(run, config.task, length), model, rows, outputs)
        found[str(length)] = task.score(model, rows, examples, outputs).to_json()
    write_json(run / "lengths.json", found)
    return found
