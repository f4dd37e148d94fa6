"""Whole training: ours beside the textbook's loop and Keras on JAX.

A step is embedding, recurrent layer, pooling, head, cross-entropy, backward and optimizer, with the loss read each step.
Ours also clips gradients and sets the learning rate, as `ostinato train` does.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from ostinato.benchmark import peers
from ostinato.benchmark.classifier import batch_of, random_classifier
from ostinato.benchmark.timing import QUICK, Bench, Side, optional, products
from ostinato.config import SequenceModel, TrainingConfig
from ostinato.errors import DataError, MissingExtraError
from ostinato.nn import SequenceNetwork
from ostinato.nn.network import few_threads
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS
from ostinato.training import Objective, train
from ostinato.training.loop import backward, clip
from ostinato.training.objective import Labelled
from ostinato.training.optimizer import make_optimizer, set_learning_rate


def rnn_step(bench: Bench) -> None:
    """The smallest model people train: a vanilla RNN on strings of 20."""
    loop = peers.CellLoop(2, 8, 16)
    rnn = peers.LastState(2, 8, nn.RNN(8, 16, batch_first=True))
    peers.copy_weights(loop, rnn)
    config = SequenceModel(cell="rnn", embedding_size=8, hidden_size=16)
    ids, targets = torch.randint(2, (64, 20)), torch.randint(2, (64,))
    sides = {
        "ours": ours_step(loop, config, ids, targets),
        "nn.RNNCell loop": peers.textbook_step(loop, targets, ids, tokens=ids.numel()),
        "nn.RNN": peers.textbook_step(rnn, targets, ids, tokens=ids.numel()),
    }
    row = bench.compare(
        "rnn-step",
        "training step, embedding 8, RNN 16, last state, 64 × 20",
        sides,
        flops=3 * products(1, 8, 16) * ids.numel(),
    )
    row.expect("nn.RNNCell loop", at_least=2.5)
    row.expect("nn.RNN", at_least=1.5)
    bench.add(row)


def bigru_step(bench: Bench) -> None:
    """A bidirectional GRU with attention pooling on windows of 50 nucleotides."""
    gru = peers.AttentionGRU(5, 16, 32)
    config = SequenceModel(cell="gru", embedding_size=16, hidden_size=32, bidirectional=True, pooling=["attention"])
    ids, targets = torch.randint(5, (32, 50)), torch.randint(2, (32,))
    sides = {
        "ours": ours_step(gru, config, ids, targets),
        "nn.GRU": peers.textbook_step(gru, targets, ids, tokens=ids.numel()),
        "Keras on JAX": optional(lambda: peers.keras_step(gru, ids, targets)),
    }
    flops = 3 * products(3, 16, 32, directions=2) * ids.numel()
    row = bench.compare(
        "bigru-step", "training step, embedding 16, BiGRU 32, attention pooling, 32 × 50", sides, flops=flops
    )
    row.expect("nn.GRU", at_least=6)
    row.expect("Keras on JAX", at_least=2.5)
    bench.add(row)


def imdb_epoch(bench: Bench, *, full: bool = False) -> None:
    """An epoch of `ostinato train imdb-classic`: making the batches, training, optimizer."""
    preset = PRESETS["imdb-classic"]()
    task = TASKS[preset.task]
    try:
        prepared = task.prepare(preset.data)
    except (DataError, MissingExtraError) as error:
        bench.skip("imdb-epoch", str(error))
        return
    data = prepared.splits["train"]
    model: SequenceNetwork = task.build(preset, prepared.encoder, prepared.codec)  # type: ignore[assignment]
    textbook = peers.LastState(model.embed.weight.shape[0], 64, nn.LSTM(64, 128, 2, batch_first=True))
    peers.copy_weights(model, textbook)
    every = 1 if full else 21 if bench.effort is QUICK else 10
    sides = {
        "ours": our_epoch(model, data, preset.training, task.objective(preset, prepared)),
        "nn.LSTM packed": textbook_epoch(textbook, data, every),
    }
    tokens = len(data.sequences.values)
    size = f"{len(data.targets):,} reviews, {tokens:,} tokens"
    work = f"epoch of imdb-classic, {size}, batches of 32, batching and optimizer included"
    row = bench.compare("imdb-epoch", work, sides, flops=3 * products(4, 64, 128, num_layers=2) * tokens)
    row.expect("nn.LSTM packed", at_least=50)
    if every > 1:
        row.notes.append(
            f"nn.LSTM packed: one batch in {every} of a shuffled epoch, evenly over tokens times longest, its time scaled; "
            "--full runs all"
        )
    bench.add(row)


# ---- ours ----------------------------------------------------------------------------------------------------------


def ours_step(reference: nn.Module, config: SequenceModel, ids: Tensor, targets: Tensor) -> Side:
    """The body of the loop in `ostinato.training.train`, for the sizes and weights of a textbook's model."""
    model, objective, whole = random_classifier(config, num_tokens=int(ids.max()) + 1)
    training = whole.training
    peers.copy_weights(reference, model)
    batch = batch_of(ids, targets)
    optimizer, parameters = make_optimizer(model, training), list(model.parameters())

    def run() -> float:
        loss, _ = backward(model, [batch], objective, training)
        clip(parameters, training.max_grad_norm)
        set_learning_rate(optimizer, training, 0.5)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return Side(run, lambda: our_answer(model, batch), ids.numel(), within=lambda: few_threads(model))


def our_epoch(model: SequenceNetwork, data: Labelled, config: TrainingConfig, objective: Objective[Any, Any]) -> Side:
    """One epoch as `ostinato train` runs it, without the validation that the textbook's loop lacks too."""
    config = config.model_copy(update={"max_epochs": 1, "device": "cpu", "patience": None})
    first = data.at(torch.arange(8))
    return Side(
        lambda: train(model, data, None, config, objective=objective),
        lambda: our_answer(model, first),
        len(data.sequences.values),
    )


def our_answer(model: SequenceNetwork, batch: Labelled) -> list[Tensor]:
    return peers.logits_and_gradients(model, model(batch.sequences.values, batch.sequences.lengths), batch.targets)


# ---- the textbook's loop over reviews ------------------------------------------------------------------------------


def textbook_epoch(model: peers.LastState, data: Labelled, every: int) -> Side:
    """Shuffled batches of 32, padded, packed, Adam; every `every`th batch in order of cost stands for the epoch."""
    reviews = list(zip(data.sequences.values.long().split(data.sequences.lengths.tolist()), data.targets, strict=True))
    chosen, scale = fair_share(data.sequences.lengths, every)
    loader: DataLoader[Any] = DataLoader(reviews, batch_sampler=chosen, collate_fn=pad_batch)  # type: ignore[arg-type]

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
        return peers.logits_and_gradients(model, model(ids, lengths), targets)

    return Side(run, answer, len(data.sequences.values), scale)


def fair_share(lengths: Tensor, every: int, batch_size: int = 32) -> tuple[list[list[int]], float]:
    """The batches of a shuffled epoch, of those every `every`th in order of cost, and how many each stands for."""
    batches = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0)).split(batch_size)
    by_cost = sorted(batches, key=lambda batch: int(lengths[batch].sum() * lengths[batch].max()))
    chosen = [batch.tolist() for batch in by_cost[every // 2 :: every]]
    return chosen, len(batches) / len(chosen)


def pad_batch(reviews: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    ids, targets = zip(*reviews, strict=True)
    return (
        pad_sequence(list(ids), batch_first=True),
        torch.tensor([len(review) for review in ids]),
        torch.stack(targets),
    )


def imdb_epoch_full(bench: Bench) -> None:
    """The same with every batch of the textbook's epoch, several minutes."""
    imdb_epoch(bench, full=True)


ROWS: dict[str, Callable[[Bench], None]] = {"rnn-step": rnn_step, "bigru-step": bigru_step, "imdb-epoch": imdb_epoch}
