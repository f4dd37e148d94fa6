"""Pre-training on the IMDb reviews: seconds per 50,000 tokens on one and two threads, and where they go.

    python benchmarks/pretraining.py                          28 steps of each, after 4 that are not counted
    python benchmarks/pretraining.py --threads 1 --steps 8 --json out.json

The sizes are the defaults of `ostinato pretrain`. Numbers of threads take turns, step by step, so that other programs
disturb them alike. CPU seconds are those of all threads; a ratio of wall seconds is the gain from the second thread.
`softmax` is its loss and gradient, which are computed together; the backward is that of the layers, and adds up the
gradient of the table of vectors; `optimizer` is clipping and AdamW.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from ostinato.config.memory import peak_bytes
from ostinato.data.sampler import BucketSampler
from ostinato.nn.threads import few_threads, flush_denormals
from ostinato.pretraining.config import PretrainingConfig, parse_config
from ostinato.pretraining.corpus import Corpus, Steps, build_corpus
from ostinato.pretraining.objective import build_network, objective_of
from ostinato.pretraining.reading import read_unlabelled
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.training.loop import clip
from ostinato.training.optimizer import make_optimizer, set_learning_rate
from ostinato.versions import environment

TOKENS, WARM_UP = 50_000, 4
PARTS = ("layers, forward", "softmax", "backward", "optimizer")


def main(
    threads: Annotated[list[int] | None, typer.Option(help="A number of threads; repeat for several.")] = None,
    steps: int = 28,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE")] = None,
) -> None:
    """Print one row for each number of threads."""
    config, corpus = imdb()
    trainings = {number: Training(config, corpus, number) for number in threads or (1, 2)}
    sampler = BucketSampler(corpus.train.lengths, batch_size=1, max_tokens=config.training.max_tokens, seed=0)
    for step, indices in enumerate(islice(cycle(sampler.batches(0)), WARM_UP + steps)):
        batch = corpus.train.at(indices)
        for training in trainings.values():
            training.take_step(batch)
            if step + 1 == WARM_UP:
                training.forget()
    results = [training.result() for training in trainings.values()]
    headings = ("threads", "CPU s", "wall s", *PARTS)
    print_table(headings, [cells(result) for result in results])
    memory_mib = (peak_bytes() or 0) / 2**20
    print(f"Seconds per {TOKENS:,} tokens. Peak memory, reading included: {memory_mib:,.0f} MiB.")
    if out is not None:
        record = {**environment(), "steps": steps, "memory_mib": round(memory_mib), "results": results}
        write_atomically(out, json.dumps(record, indent=2) + "\n")


def imdb() -> tuple[PretrainingConfig, Corpus]:
    """The default config, and the reviews without the rows that the preset scores."""
    config = parse_config({"data": {"name": "imdb", "exclude": "imdb"}})
    read = read_unlabelled(config.data)
    data = config.data.model_copy(update={"tokenizer": read.tokenizer})
    return config, build_corpus(config.model_copy(update={"data": data}), read)


class Training:
    """The steps of a pre-training on so many threads, timed part by part."""

    def __init__(self, config: PretrainingConfig, corpus: Corpus, threads: int) -> None:
        torch.manual_seed(0)
        self.config, self.threads = config.training, threads
        self.network = build_network(config, corpus)
        self.objective = objective_of(config, corpus)
        self.optimizer = make_optimizer(self.network, self.config)
        self.predict = self.network.predict
        self.network.predict = self._timed_predict
        self.network.train()
        self.forget()

    def forget(self) -> None:
        self.tokens, self.wall_s = 0, 0.0
        self.cpu_s = dict.fromkeys(PARTS, 0.0)

    def take_step(self, batch: Steps) -> None:
        """The work of `ostinato.training.loop.take_step`."""
        self.tokens += int(batch.lengths.sum())
        started = time.perf_counter()
        torch.set_num_threads(self.threads)
        with few_threads(self.network, tokens=float(batch.lengths.sum())), flush_denormals():
            with self._part("softmax"):  # and the forward, which is subtracted
                loss = self.objective.loss(self.network, batch, self.config)
            with self._part("backward"):
                (loss / self.objective.weight(batch)).backward()
            with self._part("optimizer"):
                clip(list(self.network.parameters()), self.config.max_grad_norm)
                set_learning_rate(self.optimizer, self.config, 0.5)
                self.optimizer.step()
                self.optimizer.zero_grad()
        self.wall_s += time.perf_counter() - started

    def result(self) -> dict[str, Any]:
        """Seconds per 50,000 tokens."""
        scale = TOKENS / self.tokens
        parts = {part: round(self.cpu_s[part] * scale, 3) for part in PARTS}
        return {
            "threads": self.threads,
            "cpu_s": round(sum(self.cpu_s.values()) * scale, 3),
            "wall_s": round(self.wall_s * scale, 3),
            "parts": parts,
        }

    def _timed_predict(self, values: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        before = self.cpu_s["layers, forward"]
        with self._part("layers, forward"):
            predictions = self.predict(values, lengths)
        self.cpu_s["softmax"] -= self.cpu_s["layers, forward"] - before
        return predictions

    @contextmanager
    def _part(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.cpu_s[name] += time.process_time() - started


def cells(result: dict[str, Any]) -> list[str]:
    parts = [f"{seconds:.2f}" for seconds in result["parts"].values()]
    return [str(result["threads"]), f"{result['cpu_s']:.2f}", f"{result['wall_s']:.2f}", *parts]


if __name__ == "__main__":
    typer.run(main)
