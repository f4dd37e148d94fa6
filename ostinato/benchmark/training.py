"""Training of whole models: Ostinato, a tutorial's loop in PyTorch, and Keras on JAX.

A step consists of embedding, recurrent layer, pooling, output layer, cross-entropy, backward pass and optimizer, and
reads the loss. Ostinato also clips gradients and sets the learning rate, as `ostinato train` does.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from ostinato.benchmark import layer_sides, textbook
from ostinato.benchmark.arithmetic import flops_per_token
from ostinato.benchmark.bench import Bench
from ostinato.benchmark.frameworks import keras_step, optional
from ostinato.benchmark.timing import QUICK, Side
from ostinato.benchmark.workload import Workload, training_epoch, training_steps
from ostinato.errors import DataError, MissingExtraError
from ostinato.nn import SequenceNetwork, why_not_bfloat16
from ostinato.nn.kernel import bfloat16_instructions
from ostinato.training.objective import Labelled


def rnn_step(bench: Bench) -> None:
    """The model of the preset `majority`, a vanilla RNN, on 64 strings of 20 bits."""
    workload = Workload.of_preset("majority", train_size=64)
    batch = workload.batch(64)
    ids, targets = padded_ids(batch), batch.targets
    loop = textbook.CellLoop(num_tokens(workload.network), 8, 16)
    rnn = textbook.LastState(num_tokens(workload.network), 8, nn.RNN(8, 16, batch_first=True))
    for model in (loop, rnn):
        textbook.copy_weights(workload.network, model)
    sides = {
        "ours": training_steps(workload, [batch], answer=lambda: our_answer(workload.network, batch)),
        "nn.RNNCell loop": textbook.textbook_step(loop, ids, targets),
        "nn.RNN": textbook.textbook_step(rnn, ids, targets),
    }
    description = "training step, embedding 8, RNN 16, last state, 64 × 20"
    row = bench.compare("rnn-step", description, sides, flops=3 * flops_per_token(1, 8, 16) * ids.numel())
    row.expect_ratio("nn.RNNCell loop", at_least=4)
    row.expect_ratio("nn.RNN", at_least=3)
    bench.add(row)


def bigru_step(bench: Bench) -> None:
    """The model of the preset `dna`, a bidirectional GRU with attention pooling, on 32 windows of 50 nucleotides."""
    workload = Workload.of_preset("dna", train_size=32)
    batch = workload.batch(32)
    ids, targets = padded_ids(batch), batch.targets
    gru = textbook.AttentionGRU(num_tokens(workload.network), 16, 32)
    textbook.copy_weights(workload.network, gru)
    sides = {
        "ours": training_steps(workload, [batch], answer=lambda: our_answer(workload.network, batch)),
        "nn.GRU": textbook.textbook_step(gru, ids, targets),
        "Keras on JAX": optional(lambda: keras_step(gru, ids, targets)),
    }
    description = "training step, embedding 16, BiGRU 32, attention pooling, 32 × 50"
    flops = 3 * flops_per_token(3, 16, 32, num_directions=2) * ids.numel()
    row = bench.compare("bigru-step", description, sides, flops=flops)
    row.expect_ratio("nn.GRU", at_least=6)
    row.expect_ratio("Keras on JAX", at_least=2.5)
    bench.add(row)


def imdb_epoch(bench: Bench, *, full: bool = False, in_bfloat16: bool = False) -> None:
    """An epoch of `ostinato train imdb-classic`, including the making of the batches and the optimizer."""
    name = "imdb-epoch-bfloat16" if in_bfloat16 else "imdb-epoch"
    if in_bfloat16 and why_not_bfloat16() is not None:
        bench.skip(name, f"No products in bfloat16: {why_not_bfloat16()}.")
        return
    try:
        workload = Workload.of_preset("imdb-classic")
    except (DataError, MissingExtraError) as error:
        bench.skip(name, str(error))
        return
    network, examples, first = workload.network, workload.examples, workload.batch(8)
    model = textbook.LastState(num_tokens(network), 64, nn.LSTM(64, 128, 2, batch_first=True))
    textbook.copy_weights(network, model)
    every = 1 if full else 21 if bench.effort is QUICK else 10
    ours = training_epoch(workload, answer=lambda: our_answer(network, first))
    sides = {"ours": layer_sides.in_bfloat16(ours), "ours in float32": ours} if in_bfloat16 else {"ours": ours}
    sides["nn.LSTM packed"] = textbook_epoch(model, examples, every)
    tokens = workload.num_tokens()
    description = (
        f"epoch of imdb-classic, {len(examples.targets):,} reviews, {tokens:,} tokens, batches of 32, "
        "batching and optimizer included"
    )
    if in_bfloat16:
        description += f", products in bfloat16 by {bfloat16_instructions()}"
    flops = 3 * flops_per_token(4, 64, 128, num_layers=2) * tokens
    row = bench.compare(name, description, sides, flops=flops)
    row.expect_ratio("nn.LSTM packed", at_least=80 if in_bfloat16 else 50)
    if every > 1:
        row.notes.append(
            f"nn.LSTM packed runs one batch in {every} of a shuffled epoch, from cheap to expensive, and its time is "
            "scaled up. imdb-epoch-full runs all batches."
        )
    bench.add(row)


def imdb_epoch_full(bench: Bench) -> None:
    """`imdb_epoch` with every batch of the tutorial's epoch: several minutes."""
    imdb_epoch(bench, full=True)


def num_tokens(network: SequenceNetwork) -> int:
    """V, the number of rows of the embedding."""
    return network.embed.weight.shape[0]


def padded_ids(batch: Labelled) -> Tensor:
    """The token ids of a batch as PyTorch's embedding takes them. (N,) -> (B, T) int64."""
    return pad_sequence(list(batch.sequences.values.long().split(batch.lengths.tolist())), batch_first=True)


def our_answer(network: SequenceNetwork, batch: Labelled) -> list[Tensor]:
    """The logits of Ostinato's network, and the gradient of each parameter."""
    logits = network(batch.sequences.values, batch.lengths)
    return textbook.logits_and_gradients(network, logits, batch.targets)


# The tutorial's loop over reviews


def textbook_epoch(model: textbook.LastState, data: Labelled, every: int) -> Side:
    """Shuffled batches of 32, padded and packed, with Adam; one batch in `every` represents the epoch."""
    reviews = list(zip(data.sequences.values.long().split(data.lengths.tolist()), data.targets, strict=True))
    batches, scale = sample_of_epoch(data.lengths, every)
    loader: DataLoader[Any] = DataLoader(reviews, batch_sampler=batches, collate_fn=pad_batch)  # type: ignore[arg-type]

    def run() -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for ids, lengths, targets in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(ids, lengths), targets)
            loss.backward()
            optimizer.step()
            loss.item()

    def answer() -> list[Tensor]:
        ids, lengths, targets = pad_batch(reviews[:8])
        return textbook.logits_and_gradients(model, model(ids, lengths), targets)

    return Side(run, answer, len(data.sequences.values), scale)


def sample_of_epoch(lengths: Tensor, every: int, batch_size: int = 32) -> tuple[list[list[int]], float]:
    """Every `every`th batch of a shuffled epoch, in order of cost, and the number of batches that each represents.

    The cost of a batch is its tokens times its longest length.
    """
    batches = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0)).split(batch_size)
    by_cost = sorted(batches, key=lambda batch: int(lengths[batch].sum() * lengths[batch].max()))
    chosen = [batch.tolist() for batch in by_cost[every // 2 :: every]]
    return chosen, len(batches) / len(chosen)


def pad_batch(reviews: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids (B, T), lengths (B,) and targets (B,)."""
    ids, targets = zip(*reviews, strict=True)
    lengths = torch.tensor([len(review) for review in ids])
    return pad_sequence(list(ids), batch_first=True), lengths, torch.stack(targets)


ROWS: dict[str, Callable[[Bench], None]] = {
    "rnn-step": rnn_step,
    "bigru-step": bigru_step,
    "imdb-epoch": imdb_epoch,
    "imdb-epoch-bfloat16": partial(imdb_epoch, in_bfloat16=True),
}
