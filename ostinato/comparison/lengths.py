"""Length generalisation: a model of a generated set, trained at one length and tested at others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostinato.config import Config
from ostinato.data.examples import Record, Records
from ostinato.data.named import NamedSet
from ostinato.runs.folder import write_json
from ostinato.tasks import TASKS
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import TaskData

LENGTHS = "lengths.json"  # in a run's folder: its metrics at each length


def generated_set(config: Config) -> NamedSet | None:
    """The generated set that the config names, whose sequences can have any length; None for other data."""
    named = TASKS[config.task].datasets.get(config.data.name or "")
    return named if named is not None and named.is_generated else None


def generated_test(config: Config, length: int) -> list[Record]:
    """Test rows of a generated set with another length; drawn with another seed than the training rows.

    Raises:
        ConfigError: the set has too few sequences of that length, or none.
    """
    named = generated_set(config)
    assert named is not None
    changes = {"length": length, "train_size": 0, "validation_size": 0, "seed": config.data.seed + 1}
    return list(named.load(config.data.model_copy(update=changes)).splits["train"])


def predictions_file(run: Path, task: str, length: int | None) -> Path:
    """The file of a run's predictions for test sequences of a length; None: for its own test split."""
    file = run / TASKS[task].predictions_file
    return file if length is None else file.with_stem(f"{file.stem}-length-{length}")


def test_at_lengths(run: Path, config: Config, lengths: Sequence[int], data: TaskData) -> dict[str, dict[str, Any]]:
    """Metrics at each length; also writes them, and the predictions, into the run's folder.

    The sequences depend on the data's seed alone, so they are the same for every model. Sequences that also occur in
    training are removed: at short lengths a model could have memorised them.
    """
    model = load_model(run)
    task, trained = model.task, set(data.rows["train"].sequences)
    metrics = {}
    for length in lengths:
        rows = Records.of(record for record in generated_test(config, length) if record.sequence not in trained)
        examples = task.encode(model, rows)
        outputs = task.outputs(model.network, examples)
        task.write_predictions(predictions_file(run, config.task, length), model, rows, outputs)
        metrics[str(length)] = task.score(model, rows, examples, outputs).to_json()
    write_json(run / LENGTHS, metrics)
    return metrics
