"""Tokens a second of a tagger, in training and in prediction, and what the CRF takes of a training step.

    python benchmarks/tagging.py            9 and 45 tags; goals: 20,000 in training, 100,000 in prediction
    python benchmarks/tagging.py --quick

The tagger is a bidirectional LSTM of 200 units a direction on word vectors of 50 numbers, with a CRF, on sentences as long
as those of CoNLL-2003 (14.5 tokens on average) in batches of like length; a step is batch, forward, backward, clipping and
optimizer. `with characters` adds a convolution over each distinct word's characters, as the preset conll2003-ner has it.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ostinato.benchmark.record import save
from ostinato.benchmark.timing import FULL, QUICK, Bench, Goal, Side
from ostinato.data.examples import Sentence
from ostinato.data.sampler import BucketSampler
from ostinato.nn import Layout
from ostinato.nn.network import few_threads
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.config import TaggingModel, TaggingTraining
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.examples import Tagged, TaggedRows, encode
from ostinato.tasks.tagging.network import Tagger, build_tagger, predict_tags
from ostinato.tasks.tagging.objective import TagLikelihood
from ostinato.training.loop import backward, clip
from ostinato.training.optimizer import make_optimizer

SENTENCES, MEAN_LENGTH, VOCABULARY = 2_000, 14.5, 20_000
BATCH, STEPS = 32, 10
CONFIG = TaggingTraining(batch_size=BATCH, device="cpu")
WORDS = TaggingModel(cell="lstm", embedding_size=50, hidden_size=200, bidirectional=True, dropout=0.5, head="crf")
CHARACTERS = WORDS.model_copy(
    update={"character_cell": "cnn", "character_embedding_size": 30, "character_size": 50, "word_shape_size": 10}
)


def sentences(num_tags: int) -> tuple[SentenceEncoder, TagCodec, Tagged]:
    """Random words, as frequent as in a language (Zipf), with random tags."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(2.0, MEAN_LENGTH / 2, SENTENCES).round(), 1, 100).astype(int)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), rng.integers(2, 12))) for _ in range(VOCABULARY)]
    weights = 1 / np.arange(1, VOCABULARY + 1)
    words = [[names[at] for at in rng.choice(VOCABULARY, length, p=weights / weights.sum())] for length in lengths]
    tags = [[f"T{at}" for at in rng.integers(0, num_tags, length)] for length in lengths]
    labelled = [Sentence(*pair, "") for pair in zip(words, tags, strict=True)]
    encoder, codec = SentenceEncoder.fit(labelled), TagCodec.fit(labelled, scheme=None)
    return encoder, codec, encode(encoder, codec, TaggedRows(labelled))


def batches(data: Tagged) -> list[Tagged]:
    """As many as are timed, evenly spread over an epoch's."""
    planned = list(BucketSampler(data.lengths, batch_size=BATCH, seed=0).batches(0))
    return [data.at(planned[index]) for index in np.linspace(0, len(planned) - 1, STEPS).astype(int)]


def steps(model: Tagger, codec: TagCodec, data: Tagged) -> Side:
    """So many steps of `ostinato train`."""
    chosen, objective, optimizer, parameters = (
        batches(data),
        TagLikelihood(codec),
        make_optimizer(model, CONFIG),
        list(model.parameters()),
    )
    planned = [torch.arange(len(batch.lengths)) for batch in chosen]

    def run() -> float:
        model.train()
        for batch, rows in zip(chosen, planned, strict=True):
            loss, _ = backward(model, [batch.at(rows)], objective, CONFIG)
            clip(parameters, CONFIG.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return Side(run, None, sum(len(batch.targets) for batch in chosen), within=lambda: few_threads(model))


def crf_alone(model: Tagger, data: Tagged) -> Side:
    """The CRF's part of the same steps, forward and backward."""
    assert model.crf is not None
    work = [
        (torch.randn(len(batch.targets), model.crf.num_tags, requires_grad=True), batch.targets, Layout(batch.lengths))
        for batch in batches(data)
    ]

    def run() -> None:
        for scores, targets, layout in work:
            model.crf.log_likelihood(scores, targets, layout).sum().backward()  # type: ignore[union-attr]

    return Side(run, None, sum(len(targets) for _, targets, _ in work))


def row(bench: Bench, name: str, config: TaggingModel, num_tags: int) -> None:
    encoder, codec, data = sentences(num_tags)
    model = build_tagger(config, encoder, codec)
    prediction = Side(lambda: predict_tags(model, data.sentences), None, data.sentences.num_tokens)
    sides = {
        "training": steps(model, codec, data),
        "the CRF's part": crf_alone(model, data),
        "prediction": prediction,
    }
    found = bench.compare(
        name, f"{num_tags} tags, {STEPS} steps of {BATCH} sentences; prediction of {SENTENCES:,}", sides
    )
    rates = {side: 1e6 / found.timings[side].us_per_token for side in ("training", "prediction")}
    found.figures |= {f"{side}, tokens/s": rate for side, rate in rates.items()}
    share = found.timings["the CRF's part"].seconds / found.timings["training"].seconds
    found.goals.append(Goal("share of the CRF in a step", share, at_most=0.5))
    if config is WORDS and num_tags == 9:
        found.goals += [
            Goal("tokens/s in training", rates["training"], at_least=20_000),
            Goal("tokens/s in prediction", rates["prediction"], at_least=100_000),
        ]
    bench.add(found)


def main(quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: preliminary figures.")] = False) -> None:
    bench = Bench(QUICK if quick else FULL)
    for name, config, num_tags in (
        ("tagger-9", WORDS, 9),
        ("tagger-45", WORDS, 45),
        ("tagger-9 with characters", CHARACTERS, 9),
    ):
        torch.manual_seed(0)
        row(bench, name, config, num_tags)
    if not quick:
        save(bench.rows, Path(__file__).parent / "results" / "tagging.json", quick=False)


if __name__ == "__main__":
    typer.run(main)
