import json

import numpy as np
import pytest
from pydantic import ValidationError

from ostinato.errors import RunError
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS, ClassificationMetrics, classification_metrics
from ostinato.tasks.tagging.metrics import TAGGING_METRICS, TaggingMetrics

FOUND = classification_metrics(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), labels=["a", "b"])


def test_intervals_survive_json():
    metrics = FOUND.model_copy(update={"intervals": {"accuracy": (0.1, 0.9)}, "temperature": 1.5})
    values = json.loads(json.dumps(metrics.to_json()))
    assert values["intervals"] == {"accuracy": [0.1, 0.9]}
    assert ClassificationMetrics.from_json(values) == metrics


def test_undefined_metrics_are_null():
    values = classification_metrics(np.array([0, 0]), np.eye(2)[[0, 0]], labels=["a", "b"]).to_json()
    assert (values["auroc"], values["ece_before_scaling"]) == (None, None)


def test_unknown_keys_are_ignored():
    assert ClassificationMetrics.from_json({**FOUND.to_json(), "unheard_of": 1}) == FOUND


def test_files_that_hold_no_metrics_are_refused():
    values = {**FOUND.to_json(), "accuracy": "high"}
    del values["mcc"]
    with pytest.raises(RunError, match=r"accuracy.*mcc"):
        ClassificationMetrics.from_json(values)


def test_metrics_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        FOUND.accuracy = 1.0


@pytest.mark.parametrize(
    ("table", "metrics"), [(CLASSIFICATION_METRICS, ClassificationMetrics), (TAGGING_METRICS, TaggingMetrics)]
)
def test_every_metric_of_the_table_is_a_field_of_the_metrics(table, metrics):
    assert [metric.name for metric in table.values()] == list(table)
    assert set(table) <= set(metrics.model_fields)
