"""The sections that every report has."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ostinato.errors import RunError
from ostinato.evaluation.results import Metric
from ostinato.report.card import CardSection
from ostinato.report.gallery import Gallery
from ostinato.report.record import RunRecord
from ostinato.report.sections import data_origin, record_sections, training_section
from ostinato.tasks.tagging.audit import TagAudit

HISTORY = [
    {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "validation_accuracy": 0.6},
    {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.4, "validation_accuracy": 0.9},
    {"epoch": 3, "train_loss": 0.3, "validation_loss": 0.6, "validation_accuracy": 0.8},
]
ACCURACY = Metric("accuracy")


def record(history=HISTORY, best=2, name=None, **metrics):
    training = {"epochs": len(history), "best_epoch": best, "seconds": 1.5, "seconds_per_epoch": 0.5}
    return RunRecord(
        folder=Path("runs/my run"),
        config=SimpleNamespace(data=SimpleNamespace(name=name)),
        config_text="task = 'x'",
        environment={"format": 2, "device": "cpu", "gpu": None, "packages": {"torch": "9.9"}},
        history=history,
        metrics={"training": training, "data": {"name": "a.csv", "source": "b"}, **metrics},
        audit={},
        predictions=None,
    )


def body(section):
    return re.sub(r"<[^>]+>", " ", section.body).replace("\u00a0", " ")


def trained(run, metric=ACCURACY):
    return body(training_section(run, Gallery(), description="A GRU.", metric=metric))


def test_training_shows_loss_and_metric_of_the_best_epoch():
    text = trained(record())
    assert "0.400 and accuracy 90.0 % in epoch 2" in text
    assert "3 epochs in 1.5 s" in text and "A GRU." in text


def test_training_says_when_the_model_overfits():
    assert "0.600: the model overfits" in trained(record())
    assert "overfits" not in trained(record(HISTORY[:2]))


def test_training_says_when_more_epochs_may_help_unless_the_metric_is_perfect():
    assert "more epochs" in trained(record(HISTORY[:2]))
    perfect = [*HISTORY[:1], HISTORY[1] | {"validation_accuracy": 1.0}]
    assert "more epochs" not in trained(record(perfect))
    error = Metric("accuracy", higher_is_better=False, scale=1, unit="m", bounds=(0.0, float("inf")))
    assert "more epochs" in trained(record(perfect), error)
    assert "accuracy 1 m in epoch 2" in trained(record(perfect), error)


def test_training_without_validation_uses_the_final_weights():
    assert "final weights" in trained(record([{"epoch": 1, "train_loss": 0.9}], best=1))


def test_training_plots_only_what_the_history_has():
    gallery = Gallery()
    training_section(record(), gallery, description="", metric=Metric("macro_f1"))
    assert list(gallery.figures) == ["loss-by-epoch"]


def test_origin_names_the_drawn_splits():
    assert data_origin(record(), []) == "Data: a.csv. The splits were given."
    assert data_origin(record(name="a.csv"), ["test"], ", by x") == "Data: a.csv (b). Drawn at random, by x: test."


def test_record_shows_card_configuration_environment_and_commands():
    sections = {
        section.id: section for section in record_sections(record(), [CardSection("Limits", ["Few."], "x = 1")])
    }
    assert list(sections) == ["model-card", "configuration", "environment", "reproduce"]
    assert "Few." in body(sections["model-card"]) and "x = 1" in body(sections["model-card"])
    assert "task = &#39;x&#39;" in sections["configuration"].body
    assert re.findall(r"<td>([^<]*)</td>", sections["environment"].body) == [
        *("device", "cpu", "gpu", "none", "torch", "9.9"),
    ]
    assert "&#39;my run&#39;/config.toml --out &#39;my run-again&#39;" in sections["reproduce"].body


def test_commands_evaluate_only_a_run_with_a_test_split():
    assert "ostinato evaluate" not in body(record_sections(record(), [])[-1])
    assert "ostinato evaluate" in body(record_sections(record(test={}), [])[-1])


def test_damaged_audit_is_refused():
    with pytest.raises(RunError, match=r"audit\.json"):
        record().read_audit(TagAudit, {"scheme": "iob2"})
