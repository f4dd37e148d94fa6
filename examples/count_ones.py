"""A GRU that counts the ones in a string of bits, with an interval around each count.

The model predicts three quantiles: the median is its prediction, and the outer two enclose 80 % of the counts. Bits are
generated, so the true count is known.
"""

import typer

from ostinato import SequenceRegressor
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_config


def main(train_size: int = 2000, test_size: int = 500, max_epochs: int = 15) -> float:
    sizes = {"train_size": train_size, "validation_size": test_size, "test_size": test_size}
    config = parse_config({"task": "regression", "data": {"name": "count-ones", **sizes}})
    rows = TASKS["regression"].prepare(config.data).rows
    X, y = ({name: getattr(part, what) for name, part in rows.items()} for what in ("sequences", "targets"))
    y = {name: [row["target"] for row in part] for name, part in y.items()}
    model = SequenceRegressor(
        cell="gru", embedding_size=8, hidden_size=32, tokenizer="characters", loss="quantile", lr=1e-2, batch_size=64,
        max_epochs=max_epochs,
    )  # fmt: skip
    model.fit(X["train"], y["train"], validation_data=(X["validation"], y["validation"]))
    r2 = model.score(X["test"], y["test"])
    (low, middle, high) = model.predict_quantiles(["110100111"])[0, 0]
    print(f"test R² {r2:.3f}; 110100111 has {middle:.1f} ones, between {low:.1f} and {high:.1f}")
    return r2


if __name__ == "__main__":
    typer.run(main)
