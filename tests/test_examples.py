"""The examples run, on small sizes, and stay short."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {
    "majority": {"train_size": 60, "test_size": 20, "max_epochs": 1},
    "imdb": {"train_size": 40, "test_size": 20, "max_epochs": 1},
    "dna": {"train_size": 60, "test_size": 20, "max_epochs": 1},
    "multilabel": {"train_size": 60, "test_size": 20, "max_epochs": 1},
}


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SMALL)
def test_example_trains_and_reports_its_accuracy(name, capsys):
    accuracy = load(name).main(**SMALL[name])
    assert 0 <= accuracy <= 1
    assert f"{accuracy:.3f}" in capsys.readouterr().out


def test_unrolled_recurrence_equals_the_layer(capsys):
    assert load("unrolled").main() < 1e-6
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize("name", SMALL)
def test_example_is_at_most_thirty_lines(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 30
