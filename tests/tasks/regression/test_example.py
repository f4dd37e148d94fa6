"""The example of regression runs, on small sizes, and stays short."""

import importlib.util
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "count_ones.py"


def test_example_trains_and_reports_its_r2(capsys):
    spec = importlib.util.spec_from_file_location("example_count_ones", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    r2 = module.main(train_size=60, test_size=20, max_epochs=1)
    assert f"{r2:.3f}" in capsys.readouterr().out
