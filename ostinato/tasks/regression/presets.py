"""Named, complete configurations: one plain function each. `ostinato train NAME` runs one."""

from collections.abc import Callable, Mapping

from ostinato.tasks.regression.config import RegressionConfig, RegressionData, RegressionModel, RegressionTraining


def count_ones() -> RegressionConfig:
    """How many ones? A GRU that counts."""
    return RegressionConfig(
        data=RegressionData.with_old_defaults(name="count-ones", train_size=2000, validation_size=500, test_size=500),
        model=RegressionModel.with_old_defaults(cell="gru", embedding_size=8, hidden_size=32),
        training=RegressionTraining.with_old_defaults(max_epochs=15, batch_size=64, lr=1e-2, patience=10),
    )


def motif_position() -> RegressionConfig:
    """Where is the motif? A GRU finds it and counts the bases before it, with quantiles for an interval."""
    return RegressionConfig(
        data=RegressionData.with_old_defaults(
            name="motif-position", train_size=4000, validation_size=500, test_size=1000
        ),
        model=RegressionModel.with_old_defaults(cell="gru", embedding_size=16, hidden_size=48, bidirectional=True),
        training=RegressionTraining.with_old_defaults(
            max_epochs=20, batch_size=64, lr=1e-2, patience=10, loss="quantile"
        ),
    )


PRESETS: Mapping[str, Callable[[], RegressionConfig]] = {
    "count-ones": count_ones,
    "motif-position": motif_position,
}
