"""A linear-chain CRF and pytorch-crf: training (log-likelihood and its gradients), and decoding.

    python benchmarks/crf.py                              9 and 45 tags; the goal is twice the speed of pytorch-crf
    python benchmarks/crf.py --quick --only crf-9-decode

A batch has 32 sentences with 15 tokens on average, like those of CoNLL-2003. Values and gradients, or the best tags,
are compared before anything is timed.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ostinato.benchmark.bench import Bench
from ostinato.benchmark.frameworks import optional, require
from ostinato.benchmark.program import run_script
from ostinato.benchmark.timing import Side
from ostinato.nn import Layout, LinearChainCRF

NUM_SENTENCES, MEAN_LENGTH = 32, 15


class Batch:
    """Random emissions and tags in Ostinato's layout and, padded with time first, in that of pytorch-crf."""

    def __init__(self, num_tags: int) -> None:
        self.layout = Layout(sentence_lengths())
        self.emissions = torch.randn(self.layout.num_steps, num_tags)
        self.tags = torch.randint(num_tags, (self.layout.num_steps,))
        lengths = self.layout.lengths.tolist()
        self.padded, self.padded_tags = (
            torch.nn.utils.rnn.pad_sequence(part.split(lengths)) for part in (self.emissions, self.tags)
        )
        self.mask = torch.arange(len(self.padded)).unsqueeze(1) < self.layout.lengths  # (T, B)
        self.crf = LinearChainCRF(num_tags)
        with torch.no_grad():
            for parameter in self.crf.parameters():
                parameter.uniform_(-1, 1)

    def our_training(self) -> Side:
        leaf = self.emissions.clone().requires_grad_()

        def run() -> list[Tensor]:
            likelihood = self.crf.log_likelihood(leaf, self.tags, self.layout).sum()
            return with_gradients(likelihood, [leaf, self.crf.start, self.crf.transitions, self.crf.end])

        return Side(run, run, tokens=self.layout.num_steps)

    def our_decoding(self) -> Side:
        def run() -> Tensor:
            return self.crf.decode(self.emissions, self.layout)

        return Side(run, lambda: [run()], tokens=self.layout.num_steps)

    def peer(self) -> torch.nn.Module:
        """The CRF of pytorch-crf with the same weights.

        Raises:
            MissingExtraError: it is not installed.
        """
        require("torchcrf")
        import torchcrf

        peer = torchcrf.CRF(self.crf.num_tags)
        weights = {
            "start_transitions": self.crf.start,
            "transitions": self.crf.transitions,
            "end_transitions": self.crf.end,
        }
        peer.load_state_dict({name: weight.detach() for name, weight in weights.items()})
        return peer

    def peer_training(self) -> Side:
        peer, leaf = self.peer(), self.padded.clone().requires_grad_()
        leaves = [leaf, peer.start_transitions, peer.transitions, peer.end_transitions]

        def run() -> list[Tensor]:
            return with_gradients(peer(leaf, self.padded_tags, self.mask), leaves)

        def answer() -> list[Tensor]:
            likelihood, padded, *others = run()
            return [likelihood, padded.transpose(0, 1)[self.mask.T], *others]  # (T, B, C) -> (N, C)

        return Side(run, answer, tokens=self.layout.num_steps)

    def peer_decoding(self) -> Side:
        peer = self.peer()

        def run() -> list[list[int]]:
            with torch.inference_mode():
                return peer.decode(self.padded, self.mask)

        return Side(run, lambda: [torch.tensor([tag for tags in run() for tag in tags])], tokens=self.layout.num_steps)


def sentence_lengths() -> Tensor:
    """Lengths like those of news sentences: most are short, a few have more than 40 tokens. Returns (B,)."""
    return torch.distributions.Gamma(2.0, 2.0 / MEAN_LENGTH).sample((NUM_SENTENCES,)).round().clamp(1, 60).long()


def with_gradients(likelihood: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """The likelihood and its gradient for each leaf."""
    return [likelihood.detach(), *torch.autograd.grad(likelihood, leaves)]


def compare(bench: Bench, num_tags: int, *, decodes: bool) -> None:
    """Time decoding, or log-likelihood and gradients."""
    batch = Batch(num_tags)
    if decodes:
        name, work = f"crf-{num_tags}-decode", "best tags"
        sides = {"ours": batch.our_decoding(), "pytorch-crf": optional(batch.peer_decoding)}
    else:
        name, work = f"crf-{num_tags}", "log-likelihood and gradients"
        sides = {"ours": batch.our_training(), "pytorch-crf": optional(batch.peer_training)}
    description = f"{work}, {num_tags} tags, {NUM_SENTENCES} sentences, {batch.layout.num_steps} tokens"
    row = bench.compare(name, description, sides, matmul=False)
    row.expect_ratio("pytorch-crf", at_least=2)
    bench.add(row)


ROWS: dict[str, Callable[[Bench], None]] = {
    "crf-9": partial(compare, num_tags=9, decodes=False),
    "crf-9-decode": partial(compare, num_tags=9, decodes=True),
    "crf-45": partial(compare, num_tags=45, decodes=False),
    "crf-45-decode": partial(compare, num_tags=45, decodes=True),
}

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "crf.json")
