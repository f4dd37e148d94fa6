"""Length generalisation: a model of a generated set, trained at its own length and tested at others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostinato.config import Config
from ostinato.data.dataset import examples_of
from ostinato.data.named import generated_test
from ostinato.estimators import encode
from ostinato.evaluation.metrics import classification_metrics
from ostinato.models import predict_logits
from ostinato.runs import write_json
from ostinato.scoring import write_predictions
from ostinato.tasks import PreparedClassification


def predictions_file(run: Path, length: int | None) -> Path:
    """Where a run keeps its answers to the test sequences of a length; None: its own test split."""
    return run / ("predictions.parquet" if length is None else f"predictions-length-{length}.parquet")


def test_at_lengths(
    run: Path, config: Config, lengths: Sequence[int], prepared: PreparedClassification
) -> dict[str, dict[str, Any]]:
    """Metrics at each length; the answers are kept in the run's folder.

    The sequences are drawn by the data's seed, the same for every model. Those that training met are left out, so that
    short lengths do not test what was learnt by heart.
    """
    from ostinato.checkpoint import load_model, model_file

    model, _, encoder, _ = load_model(model_file(run))
    met = set(prepared.data.train.sequences)
    found = {}
    for length in lengths:
        examples = examples_of([record for record in generated_test(config.data, length) if record.sequence not in met])
        split = encode(encoder, examples.sequences, examples.labels, examples.places)
        probabilities = model.probabilities(predict_logits(model, split.sequences)).numpy()
        write_predictions(predictions_file(run, length), examples, encoder, probabilities)
        metrics = classification_metrics(split.targets.numpy(), probabilities, labels=encoder.labels)
        found[str(length)] = metrics.to_json()
    write_json(run / "lengths.json", found)
    return found
