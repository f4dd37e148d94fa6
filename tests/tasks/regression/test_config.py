"""Settings of a regression are checked together, and say what to do."""

import pytest

from ostinato.config import to_toml
from ostinato.errors import ConfigError
from ostinato.tasks.config import override, parse_config, parse_toml
from ostinato.tasks.regression.presets import PRESETS


def config(**training):
    return parse_config({"task": "regression", "data": {"name": "count-ones"}, "training": training})


def test_quantiles_have_a_default_with_loss_quantile_only():
    assert config(loss="quantile").training.levels == (0.1, 0.5, 0.9)
    assert config().training.levels == ()


@pytest.mark.parametrize(
    ("training", "value"),
    [
        ({"loss": "quantile", "quantiles": [0.9, 0.1, 0.5]}, r"\[0.9, 0.1, 0.5\]"),
        ({"loss": "quantile", "quantiles": [0.0, 0.5, 1.0]}, r"\[0.0, 0.5, 1.0\]"),
        ({"loss": "quantile", "quantiles": [0.1, 0.9]}, r"\[0.1, 0.9\]"),
        ({"loss": "squared", "quantiles": [0.5]}, r"\[0.5\]"),
        ({"loss": "mse"}, "'mse'"),
        ({"monitor": "accuracy"}, "'accuracy'"),
    ],
)
def test_unusable_training_is_refused(training, value):
    with pytest.raises(ConfigError, match=value):
        config(**training)


@pytest.mark.parametrize(("monitor", "minimises"), [("loss", True), ("rmse", True), ("mae", True), ("r2", False)])
def test_errors_are_minimised_and_r2_is_maximised(monitor, minimises):
    assert config(monitor=monitor).training.minimises is minimises


def test_one_target_column_may_be_written_without_brackets():
    changed = override(config(), ["data.target_columns=tm"])
    assert changed.data.target_columns == ["tm"]


def test_column_named_twice_is_refused():
    with pytest.raises(ConfigError, match="twice"):
        override(config(), ['data.target_columns=["a", "a"]'])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_same_after_toml(name):
    assert parse_toml(to_toml(PRESETS[name]()), name) == PRESETS[name]()
