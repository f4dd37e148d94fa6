"""The models that `ostinato train FILE` compares, for tasks with one target per sequence."""

from typing import Any

from ostinato.config import Config, SequenceModel
from ostinato.tasks.records import Candidate, TaskData

KERNEL_SIZES = {"words": 3, "characters": 7, "nucleotides": 11, "amino-acids": 7, "numeric": 9}
OTHER_KERNEL_SIZE = 5
TINY = 16
SMALL_DATA = 2_000  # training rows below which a tiny network is tried
LONG, VERY_LONG = 200, 500  # mean tokens of a training sequence
SHORT = 60  # mean words of a training text up to which parts of words cost seconds
SINGLE = 30  # mean characters up to which rows are a few words, whose beginnings and ends say much
LETTERS = 5  # in the longest parts of words

# whether a motif occurs, wherever it is, is the maximum of one filter, which must not be dropped too often
MOTIFS: dict[str, Any] = {"cell": "cnn", "position": None, "dropout": 0.1, "pooling": ["max"]}
MOTIFS_LR = 0.005  # a lower rate finds the motifs epochs later

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

    def add(name: str, reason: str, *, is_linear: bool = False, lr: float | None = None, **changes: Any) -> None:
        model = config.model.model_copy(update={**PLAIN, **changes})
        training = config.training.model_copy(update={"lr": lr or config.training.lr})
        changed = config.model_copy(update={"model": model, "training": training})
        candidates.append(Candidate(name, changed, reason, is_linear))

    features = "random kernels" if data.encoder.is_numeric else "n-grams"
    wide = _wide(data, mean_length)
    add("linear", f"a weighted sum of {features}", is_linear=True, cell="none", position=None, **wide)
    patterns = f"patterns of {kernel_size} steps anywhere in a sequence"
    # an embedding wider than the alphabet says nothing new, and costs a convolution time
    narrow: dict[str, Any] = (
        {} if data.encoder.vocabulary is None else {"embedding_size": min(width, len(data.encoder.vocabulary))}
    )
    is_dna = tokenizer == "nucleotides"
    if is_dna:
        add("cnn", patterns, lr=MOTIFS_LR, hidden_size=size, kernel_size=kernel_size, **narrow, **MOTIFS)
    embedding = narrow if config.model.position is None else {}  # a position needs room of its own
    add("wide-gru", f"{features} and order: starts where the linear model ends", **wide)
    if rows < SMALL_DATA:
        reason = f"few weights for {rows:,} training rows"
        add("tiny-gru", reason, hidden_size=min(size, TINY), embedding_size=min(width, TINY))
    if not is_dna:
        add("cnn", patterns, cell="cnn", hidden_size=2 * size, kernel_size=kernel_size, pooling=pooled, **embedding)
    if mean_length >= VERY_LONG:
        add("mingru", f"fast on long sequences, here {mean_length:,.0f} steps on average", cell="mingru")
    add("gru", "order, with few weights")
    add("lstm", "order over long distances", cell="lstm")
    stem = {"conv_size": size, "kernel_size": kernel_size, "conv_pool": 4 if mean_length >= LONG else 1}
    add("cnn-gru", f"patterns of {kernel_size} steps, then their order", **stem, **embedding)
    add("attention-gru", "weighs the steps of a sequence", pooling=[*pooled, "attention"])
    add("large-gru", "more weights, two layers", hidden_size=2 * size, num_layers=2)
    return candidates


def _wide(data: TaskData, mean_length: float) -> dict[str, Any]:
    """The settings of a linear model for the data."""
    if data.encoder.is_numeric:
        return {"wide": "kernels"}
    tokenizer = data.encoder.tokenizer
    letters = LETTERS if tokenizer == "words" and mean_length <= SHORT else 0
    return {"wide": "ngrams", "wide_letters": letters, "wide_ends": tokenizer == "characters" and mean_length <= SINGLE}
