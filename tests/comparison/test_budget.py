"""A comparison in which each combination is tuned first."""

import csv

import pytest

from ostinato.comparison.compare import run_comparison
from ostinato.comparison.options import make_plan
from ostinato.tasks.config import PRESETS, override, read_config

pytest.importorskip("optuna", reason="needs the extra tune")

SMALL = ["data.train_size=100", "data.validation_size=40", "data.test_size=60", "training.max_epochs=1"]


@pytest.mark.slow
def test_each_combination_gets_the_same_search_and_sizes_stay_matched(one_worker, tmp_path):
    plan = make_plan(override(PRESETS["majority"](), SMALL), ["model.cell=rnn,gru"], seeds="1", trials=3)
    comparison = run_comparison(plan, tmp_path / "cells")
    for row in comparison.summary:
        search = tmp_path / "cells" / "tuning" / f"cell={row.name}"
        best = read_config(search / "best.toml")
        trained = read_config(tmp_path / "cells" / "runs" / f"cell={row.name}" / "seed-0" / "config.toml")
        assert trained.training.lr == best.training.lr
        assert trained.model.cell == row.name
        trials = list(csv.DictReader((search / "trials.csv").read_text(encoding="utf-8").splitlines()))
        assert len(trials) == 3
        assert "model.hidden_size" not in trials[0]
        assert row.parameters == pytest.approx(474, rel=0.1)
