"""Tokens per second of a tagger, in training and in prediction, and the CRF's share of a training step.

    python benchmarks/tagging.py            9 and 45 tags; goals: 20,000 tokens/s in training, 100,000 in prediction
    python benchmarks/tagging.py --quick

The tagger is a bidirectional LSTM with 200 units per direction, word vectors of dimension 50, and a CRF. The sentences
are as long as those of CoNLL-2003 (14.5 tokens on average), in batches of similar lengths. A training step consists of
forward pass, backward pass, clipping and optimizer. `tagger-9-characters` adds a convolution over the characters of
each distinct word, like the preset conll2003-ner. Prediction gives tags and their marginal probabilities.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ostinato.benchmark.bench import Bench
from ostinato.benchmark.program import run_script
from ostinato.benchmark.rows import Goal
from ostinato.benchmark.timing import Side
from ostinato.benchmark.workload import Workload, training_steps
from ostinato.data.examples import Sentence
from ostinato.data.sampler import BucketSampler
from ostinato.nn import Layout
from ostinato.tasks import TASKS
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.config import TaggingModel, TaggingTraining
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.examples import Tagged, TaggedRows, encode
from ostinato.tasks.tagging.network import Tagger, build_tagger
from ostinato.tasks.tagging.objective import TagLikelihood

NUM_SENTENCES, MEAN_LENGTH, NUM_WORDS = 2_000, 14.5, 20_000
BATCH_SIZE, NUM_STEPS = 32, 10
WORDS = TaggingModel.with_old_defaults(cell="lstm", embedding_size=50, hidden_size=200, dropout=0.5)
CHARACTERS = WORDS.model_copy(
    update={"character_cell": "cnn", "character_embedding_size": 30, "character_size": 50, "word_shape_size": 10}
)


def random_sentences(num_tags: int) -> list[Sentence]:
    """Random words, with frequencies like those of a language (Zipf), and random tags."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(2.0, MEAN_LENGTH / 2, NUM_SENTENCES).round(), 1, 100).astype(int)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, rng.integers(2, 12))) for _ in range(NUM_WORDS)]
    weights = 1 / np.arange(1, NUM_WORDS + 1)
    texts = [[words[i] for i in rng.choice(NUM_WORDS, length, p=weights / weights.sum())] for length in lengths]
    tags = [[f"T{i}" for i in rng.integers(0, num_tags, length)] for length in lengths]
    return [Sentence(*pair, "") for pair in zip(texts, tags, strict=True)]


def tagger_workload(config: TaggingModel, num_tags: int) -> Workload:
    """A tagger and random sentences."""
    sentences = random_sentences(num_tags)
    encoder, codec = SentenceEncoder.fit(sentences), TagCodec.fit(sentences, scheme=None)
    examples = encode(encoder, codec, TaggedRows(sentences))
    training = TaggingTraining.with_old_defaults(batch_size=BATCH_SIZE, device="cpu")
    return Workload(build_tagger(config, encoder, codec), TagLikelihood(codec), examples, training)


def batches_of(examples: Tagged) -> list[Tagged]:
    """`NUM_STEPS` batches, evenly spread over an epoch."""
    batches = list(BucketSampler(examples.lengths, batch_size=BATCH_SIZE, seed=0).batches(0))
    return [examples.at(batches[i]) for i in np.linspace(0, len(batches) - 1, NUM_STEPS).astype(int)]


def crf_side(model: Tagger, batches: list[Tagged]) -> Side:
    """The CRF's part of the training steps, forward and backward."""
    crf = model.crf
    assert crf is not None
    work = [
        (torch.randn(len(batch.targets), crf.num_tags, requires_grad=True), batch.targets, Layout(batch.lengths))
        for batch in batches
    ]

    def run() -> None:
        for scores, targets, layout in work:
            crf.log_likelihood(scores, targets, layout).sum().backward()

    return Side(run, tokens=sum(len(targets) for _, targets, _ in work))


def compare(bench: Bench, name: str, *, config: TaggingModel, num_tags: int, has_goals: bool = False) -> None:
    """Time training, its CRF and prediction; `has_goals` expects the tokens per second that the module names."""
    workload = tagger_workload(config, num_tags)
    batches, network, examples = batches_of(workload.examples), workload.network, workload.examples
    predict = partial(TASKS["tagging"].outputs, network, examples)
    sides = {
        "training": training_steps(workload, batches),
        "the CRF's part": crf_side(network, batches),
        "prediction": Side(predict, tokens=workload.num_tokens()),
    }
    description = (
        f"{num_tags} tags, {NUM_STEPS} steps of {BATCH_SIZE} sentences; prediction of {NUM_SENTENCES:,} sentences"
    )
    row = bench.compare(name, description, sides)
    rates = {side: 1e6 / row.timings[side].us_per_token for side in ("training", "prediction")}
    row.values |= {f"{side}, tokens/s": rate for side, rate in rates.items()}
    share = row.timings["the CRF's part"].seconds / row.timings["training"].seconds
    row.goals.append(Goal("share of the CRF in a step", share, at_most=0.5))
    if has_goals:
        row.goals.append(Goal("tokens/s in training", rates["training"], at_least=20_000))
        row.goals.append(Goal("tokens/s in prediction", rates["prediction"], at_least=100_000))
    bench.add(row)


ROWS: dict[str, Callable[[Bench], None]] = {
    "tagger-9": partial(compare, name="tagger-9", config=WORDS, num_tags=9, has_goals=True),
    "tagger-45": partial(compare, name="tagger-45", config=WORDS, num_tags=45),
    "tagger-9-characters": partial(compare, name="tagger-9-characters", config=CHARACTERS, num_tags=9),
}

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "tagging.json")
