"""Recurrent layers: ours beside torch.nn's, ONNX Runtime's and cuDNN's.

A training row times forward and backward of every step's output, gradients of inputs and weights included; embedding,
loss and optimizer are in `training.py`.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ostinato.benchmark import peers
from ostinato.benchmark.classifier import random_classifier
from ostinato.benchmark.peers import Batch
from ostinato.benchmark.timing import (
    QUICK,
    Bench,
    Effort,
    Goal,
    Row,
    Side,
    in_subprocess,
    optional,
    products,
    torch_threads,
)
from ostinato.config import SequenceModel
from ostinato.data.sampler import POOL_BATCHES, BucketSampler
from ostinato.nn.network import few_threads

LSTM = "LSTM 2×128, 64 inputs"


def lstm_random(bench: Bench) -> None:
    """A batch of 32 with lengths as reviews have them, drawn at random."""
    lstm, lengths = large_lstm(bench), review_lengths(32)
    batches = [Batch.random(lstm, lengths)]
    sides = {
        "ours": peers.ours(lstm, batches),
        **layer_peers(lstm, batches),
        "nn.LSTM in length buckets": peers.torch_engine(lstm, batches),
    }
    row = bench.compare(
        "lstm-random",
        f"training, {LSTM}, 32 random lengths, mean 277, longest 1,500",
        sides,
        flops=3 * lstm_flops(batches),
    )
    if bench.device.type == "cpu":
        row.expect("nn.LSTM packed", at_least=40)
    bench.add(row)


def lstm_bucketed(bench: Bench) -> None:
    """Six batches of similar lengths each, evenly chosen from an epoch."""
    lstm, lengths = large_lstm(bench), torch.tensor(review_lengths(32 * POOL_BATCHES))
    sampled = sorted(
        BucketSampler(lengths, batch_size=32, shuffle=False).batches(0), key=lambda chosen: int(lengths[chosen].sum())
    )
    batches = [Batch.random(lstm, lengths[chosen].tolist()) for chosen in sampled[4::8]]
    sides = {"ours": peers.ours(lstm, batches), **layer_peers(lstm, batches, packed=bench.device.type == "cuda")}
    row = bench.compare(
        "lstm-bucketed", f"training, {LSTM}, 6 batches of 32 in length buckets", sides, flops=3 * lstm_flops(batches)
    )
    if bench.device.type == "cpu":
        row.expect("nn.LSTM padded", at_least=1.6)
        row.goals.append(Goal("share of torch.matmul's rate", row.share_of_matmul("ours"), at_least=0.85))
    bench.add(row)


def lstm_inference_32(bench: Bench) -> None:
    """32 × 230 steps."""
    lstm_inference(bench, 32, at_least=1.15)


def lstm_inference_1(bench: Bench) -> None:
    """1 × 230 steps."""
    lstm_inference(bench, 1, at_least=1.4)


def lstm_inference(bench: Bench, batch_size: int, *, at_least: float) -> None:
    lstm = large_lstm(bench)
    batches = [Batch.random(lstm, [230] * batch_size)]
    row = bench.compare(
        f"lstm-inference-{batch_size}",
        f"inference, {LSTM}, {batch_size} × 230",
        inference_sides(lstm, batches),
        flops=lstm_flops(batches),
    )
    row.expect("nn.LSTM", "ONNX Runtime", at_least=at_least)
    bench.add(row)


def bigru_inference_32(bench: Bench) -> None:
    """A bidirectional GRU, 32 × 50 steps."""
    gru = nn.GRU(16, 32, bidirectional=True)
    batches = [Batch.random(gru, [50] * 32)]
    flops = products(3, 16, 32, directions=2) * 32 * 50
    row = bench.compare(
        "bigru-inference-32", "inference, BiGRU 32, 16 inputs, 32 × 50", inference_sides(gru, batches), flops=flops
    )
    row.expect("nn.GRU", at_least=4)
    row.expect("ONNX Runtime", at_least=1.2)
    bench.add(row)


def bigru_model_1(bench: Bench) -> None:
    """A whole classifier's answer for one sequence of 50: embedding, BiGRU, attention pooling, head."""
    config = SequenceModel(cell="gru", embedding_size=16, hidden_size=32, bidirectional=True, pooling=["attention"])
    model, textbook = random_classifier(config, num_tokens=5).network, peers.AttentionGRU(5, 16, 32)
    peers.copy_weights(textbook, model)
    ids, lengths = torch.randint(5, (1, 50)), torch.tensor([50])
    values = ids[0].int()

    def onnx() -> Side:
        session = peers.onnx_session(textbook, ids)
        return peers.model_inference(textbook, lambda: session(ids), 50)

    sides = {
        "ours": peers.model_inference(model, lambda: model(values, lengths), 50, lambda: few_threads(model)),
        "nn.GRU": peers.model_inference(textbook, lambda: textbook(ids), 50),
        "ONNX Runtime": optional(onnx),
    }
    row = bench.compare(
        "bigru-model-1", "inference, whole model: embedding 16, BiGRU 32, attention pooling, head, 1 × 50", sides
    )
    row.expect("nn.GRU", at_least=6)
    row.expect("ONNX Runtime", at_least=0.5)
    bench.add(row)


def cost_of_length(bench: Bench) -> None:
    """µs a token at a longest length of 4,000 against 250: linear cost is a ratio of 1."""
    lstm = large_lstm(bench)
    long, short = ([Batch.random(lstm, spread_lengths(longest))] for longest in (4000, 250))
    sides = {
        "ours": peers.ours(lstm, long)._replace(answer=None),
        "ours, longest 250": peers.ours(lstm, short)._replace(answer=None),
    }
    row = bench.compare(
        "cost-of-length", f"training, {LSTM}, 32 lengths from an eighth of the longest to the longest, 4,000", sides
    )
    per_token = {name: timing.us_per_token for name, timing in row.timings.items()}
    row.goals.append(
        Goal("µs a token, longest 4,000 against 250", per_token["ours"] / per_token["ours, longest 250"], at_most=1.3)
    )
    bench.add(row)


def one_core(bench: Bench) -> None:
    """Two threads that share one core, as under a container's quota: who waits for a barrier waits long."""
    if not hasattr(os, "sched_setaffinity"):
        bench.skip("one-core", "this system cannot confine a process to a core")
        return
    row = in_subprocess(confined, bench.effort)
    row.expect("nn.LSTM padded", at_least=20)
    bench.add(row)


def confined(effort: Effort) -> Row:
    """The row of `one_core`, measured in a process of its own."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with torch_threads(2):
        bench = Bench(effort._replace(least=min(effort.least, 2), most=3))
        lstm = large_lstm(bench)
        batches = [Batch.random(lstm, [100] * 32)]
        sides = {"ours": peers.ours(lstm, batches), "nn.LSTM padded": peers.padded(lstm, batches)}
        return bench.compare(
            "one-core", f"training, {LSTM}, 32 × 100, two threads confined to one core", sides, matmul=False
        )


def memory(bench: Bench) -> None:
    """Peak resident memory of training at a longest length of 4,000, each side in a process of its own."""
    if not Path("/proc/self/status").exists():
        bench.skip("memory", "the peak of a process is read from /proc, which this system lacks")
        return
    row = Row(
        "memory",
        f"peak resident memory (MiB) of one training step above that of its inputs and weights, {LSTM}, 8 lengths from 500 to 4,000",
    )
    for name in ("ours", "nn.LSTM padded", "nn.LSTM packed"):
        if name == "nn.LSTM packed" and bench.effort is QUICK:
            row.notes.append("nn.LSTM packed takes most of a minute: left out by --quick")
            continue
        row.figures[name] = in_subprocess(peak_mib, name)
    bench.add(row)


def peak_mib(name: str) -> float:
    """MiB by which one training step raises the peak of this process."""
    lstm = nn.LSTM(64, 128, 2)
    warm, batches = [Batch.random(lstm, [8])], [Batch.random(lstm, spread_lengths(4000, count=8))]
    build = {"ours": peers.ours, "nn.LSTM padded": peers.padded, "nn.LSTM packed": peers.packed}[name]
    build(lstm, warm).run()
    side = build(lstm, batches)
    before = resident_kib("VmRSS")
    side.run()
    return (resident_kib("VmHWM") - before) / 1024


def resident_kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


# ---- what the rows share -------------------------------------------------------------------------------------------


def large_lstm(bench: Bench) -> nn.LSTM:
    return nn.LSTM(64, 128, 2).to(bench.device)


def lstm_flops(batches: Sequence[Batch]) -> float:
    return products(4, 64, 128, num_layers=2) * sum(len(batch.x) for batch in batches)


def layer_peers(lstm: nn.LSTM, batches: Sequence[Batch], *, packed: bool = True) -> dict[str, Side]:
    sides = {"ours, drop-in": peers.drop_in(lstm, batches), "nn.LSTM padded": peers.padded(lstm, batches)}
    return {**sides, "nn.LSTM packed": peers.packed(lstm, batches)} if packed else sides


def inference_sides(module: nn.RNNBase, batches: Sequence[Batch]) -> dict[str, Side | None]:
    return {
        "ours": peers.ours(module, batches, trains=False),
        "ours, drop-in": peers.drop_in(module, batches, trains=False),
        f"nn.{type(module).__name__}": peers.padded(module, batches, trains=False),
        "ONNX Runtime": optional(lambda: peers.onnx_layer(module, batches)),
    }


def review_lengths(count: int) -> list[int]:
    """Lengths as IMDb's reviews have them: log-normal, mean 277, the longest 1,500."""
    lengths = np.sort(np.random.default_rng(0).lognormal(0.0, 0.65, count))
    lengths[:-1] *= (277 * count - 1500) / lengths[:-1].sum()
    lengths[-1] = 1500
    return [int(each) for each in np.random.default_rng(1).permutation(lengths.clip(10, 1500).round())]


def spread_lengths(longest: int, *, count: int = 32) -> list[int]:
    """From an eighth of the longest to the longest, in equal steps."""
    return [int(each) for each in np.linspace(longest / 8, longest, count).round()]


ROWS: dict[str, Callable[[Bench], None]] = {
    "lstm-random": lstm_random,
    "lstm-bucketed": lstm_bucketed,
    "lstm-inference-32": lstm_inference_32,
    "lstm-inference-1": lstm_inference_1,
    "bigru-inference-32": bigru_inference_32,
    "bigru-model-1": bigru_model_1,
    "cost-of-length": cost_of_length,
    "one-core": one_core,
    "memory": memory,
}
ON_CUDA = ("lstm-random", "lstm-bucketed")
