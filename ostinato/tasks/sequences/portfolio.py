"""The models that `ostinato train FILE` compares, for tasks with one target per sequence."""

from typing import Any

from ostinato.config import Config, SequenceModel
from ostinato.tasks.base import Candidate, TaskData

KERNEL_SIZES = {"words": 3, "characters": 7, "nucleotides": 11, "amino-acids": 7, "numeric": 9}
OTHER_KERNEL_SIZE = 5
TINY = 16
SMALL_DATA = 2_000  # training rows below which a tiny network is tried
LONG, VERY_LONG = 200, 500  # mean tokens of a training sequence

# what another kind of network in the inferred config would bring along
PLAIN: dict[str, Any] = {"cell": "gru", "conv_size": None, "conv_pool": 1, "num_layers": 1, "wide": None}


def portfolio(config: Config, data: TaskData) -> list[Candidate]:
    """Models of different kinds for the data; see `Task.portfolio`."""
    assert isinstance(config.model, SequenceModel)
    train, tokenizer = data.splits["train"], data.encoder.tokenizer
    rows, mean_length = len(train.lengths), float(train.lengths.float().mean())
    widest = max(data.encoder.longest - 1 + data.encoder.longest % 2, 1)  # odd: a window has a middle
    kernel_size = min(KERNEL_SIZES.get(tokenizer, OTHER_KERNEL_SIZE), widest)
    size, width = config.model.hidden_size, config.model.embedding_size
    pooled = [*dict.fromkeys([*(each for each in config.model.pooling if each != "last"), "max"])]
    candidates = []

    def add(name: str, reason: str, *, is_linear: bool = False, **changes: Any) -> None:
        model = config.model.model_copy(update={**PLAIN, **changes})
        candidates.append(Candidate(name, config.model_copy(update={"model": model}), reason, is_linear))

    wide, features = ("kernels", "random kernels") if data.encoder.is_numeric else ("ngrams", "n-grams")
    add("linear", f"a weighted sum of {features}", is_linear=True, cell="none", wide=wide, position=None)
    add("wide-gru", f"{features} and order: starts where the linear model ends", wide=wide)
    if rows < SMALL_DATA:
        reason = f"few weights for {rows:,} training rows"
        add("tiny-gru", reason, hidden_size=min(size, TINY), embedding_size=min(width, TINY))
    convolution = {"cell": "cnn", "kernel_size": kernel_size, "pooling": pooled}
    add("cnn", f"patterns of {kernel_size} steps anywhere in a sequence", hidden_size=2 * size, **convolution)
    if mean_length >= VERY_LONG:
        add("mingru", f"fast on long sequences, here {mean_length:,.0f} steps on average", cell="mingru")
    add("gru", "order, with few weights")
    add("lstm", "order over long distances", cell="lstm")
    stem = {"conv_size": size, "kernel_size": kernel_size, "conv_pool": 4 if mean_length >= LONG else 1}
    add("cnn-gru", f"patterns of {kernel_size} steps, then their order", **stem)
    add("attention-gru", "weighs the steps of a sequence", pooling=[*pooled, "attention"])
    add("large-gru", "more weights, two layers", hidden_size=2 * size, num_layers=2)
    return candidates
