"""A linear-chain CRF beside pytorch-crf: training (log-likelihood and its gradients), and decoding.

    python benchmarks/crf.py                              9 and 45 tags, with the goal of twice the peer's speed
    python benchmarks/crf.py --quick --only crf-9-decode

A batch has 32 sentences of 15 tokens on average, as those of CoNLL-2003. Values and gradients, or the best tags, are
compared before anything is timed.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from ostinato.benchmark.record import save
from ostinato.benchmark.timing import FULL, QUICK, Bench, Side, need, optional
from ostinato.errors import look_up
from ostinato.nn import Layout, LinearChainCRF

SENTENCES, MEAN_LENGTH = 32, 15


def sentence_lengths() -> torch.Tensor:
    """Lengths spread about as in news: most short, a few of 40 tokens and more."""
    return torch.distributions.Gamma(2.0, 2.0 / MEAN_LENGTH).sample((SENTENCES,)).round().clamp(1, 60).long()


class Batch:
    """Emissions and tags end to end, and the same padded, time first, as the peer takes them."""

    def __init__(self, num_tags: int) -> None:
        self.layout = Layout(sentence_lengths())
        self.emissions = torch.randn(self.layout.num_steps, num_tags)
        self.tags = torch.randint(num_tags, (self.layout.num_steps,))
        lengths = self.layout.lengths.tolist()
        self.padded, self.padded_tags = (
            torch.nn.utils.rnn.pad_sequence(part.split(lengths)) for part in (self.emissions, self.tags)
        )
        self.mask = torch.arange(len(self.padded)).unsqueeze(1) < self.layout.lengths
        self.crf = LinearChainCRF(num_tags)
        with torch.no_grad():
            for parameter in self.crf.parameters():
                parameter.uniform_(-1, 1)

    def peer(self) -> torch.nn.Module:
        need("torchcrf")
        import torchcrf

        peer = torchcrf.CRF(self.crf.num_tags)
        weights = {
            "start_transitions": self.crf.start,
            "transitions": self.crf.transitions,
            "end_transitions": self.crf.end,
        }
        peer.load_state_dict({name: weight.detach() for name, weight in weights.items()})
        return peer

    def ours(self) -> Side:
        leaf = self.emissions.clone().requires_grad_()

        def run() -> list[torch.Tensor]:
            return gradients(
                self.crf.log_likelihood(leaf, self.tags, self.layout).sum(),
                leaf,
                [self.crf.start, self.crf.transitions, self.crf.end],
            )

        return Side(run, run, tokens=self.layout.num_steps)

    def theirs(self) -> Side:
        peer, leaf = self.peer(), self.padded.clone().requires_grad_()

        def run() -> list[torch.Tensor]:
            return gradients(
                peer(leaf, self.padded_tags, self.mask),
                leaf,
                [peer.start_transitions, peer.transitions, peer.end_transitions],
            )

        def answer() -> list[torch.Tensor]:
            likelihood, padded, *rest = run()
            return [likelihood, padded.transpose(0, 1)[self.mask.T], *rest]  # (T, B, C) -> (N, C)

        return Side(run, answer, tokens=self.layout.num_steps)

    def our_decoding(self) -> Side:
        def run() -> torch.Tensor:
            return self.crf.decode(self.emissions, self.layout)

        return Side(run, lambda: [run()], tokens=self.layout.num_steps)

    def their_decoding(self) -> Side:
        peer = self.peer()

        def run() -> list[list[int]]:
            with torch.inference_mode():
                return peer.decode(self.padded, self.mask)

        return Side(run, lambda: [torch.tensor([tag for tags in run() for tag in tags])], tokens=self.layout.num_steps)


def gradients(likelihood: torch.Tensor, leaf: torch.Tensor, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [likelihood.detach(), *torch.autograd.grad(likelihood, [leaf, *parameters])]


def training(bench: Bench, num_tags: int) -> None:
    batch = Batch(num_tags)
    told = f"log-likelihood and gradients, {num_tags} tags, {SENTENCES} sentences, {batch.layout.num_steps} tokens"
    found = bench.compare(
        f"crf-{num_tags}", told, {"ours": batch.ours(), "pytorch-crf": optional(batch.theirs)}, matmul=False
    )
    found.expect("pytorch-crf", at_least=2)
    bench.add(found)


def decoding(bench: Bench, num_tags: int) -> None:
    batch = Batch(num_tags)
    told = f"best tags, {num_tags} tags, {SENTENCES} sentences, {batch.layout.num_steps} tokens"
    found = bench.compare(
        f"crf-{num_tags}-decode",
        told,
        {"ours": batch.our_decoding(), "pytorch-crf": optional(batch.their_decoding)},
        matmul=False,
    )
    found.expect("pytorch-crf", at_least=2)
    bench.add(found)


ROWS: dict[str, Callable[[Bench], None]] = {
    f"crf-{num_tags}{suffix}": partial(row, num_tags=num_tags)
    for num_tags in (9, 45)
    for suffix, row in (("", training), ("-decode", decoding))
}


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Rows to measure: {', '.join(ROWS)}; repeatable.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: preliminary figures.")] = False,
) -> None:
    rows = [look_up(ROWS, name, "row") for name in only or ROWS]
    bench = Bench(QUICK if quick else FULL)
    for row in rows:
        torch.manual_seed(0)
        row(bench)
    if not quick and not only:
        save(bench.rows, Path(__file__).parent / "results" / "crf.json", quick=False)


if __name__ == "__main__":
    typer.run(main)
