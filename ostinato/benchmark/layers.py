"""Recurrent layers: Ostinato, torch.nn (on CUDA: cuDNN) and ONNX Runtime.

A training row times the forward and the backward pass with a gradient at every step's output, including the gradients
of inputs and weights; `lstm-last-state` has a gradient at the last step alone. Embedding, loss and optimizer are in
`training.py`.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from ostinato.benchmark import layer_sides
from ostinato.benchmark.arithmetic import flops_per_token
from ostinato.benchmark.bench import Bench
from ostinato.benchmark.frameworks import onnx_session, optional
from ostinato.benchmark.layer_sides import Batch
from ostinato.benchmark.processes import STATUS, in_subprocess, peak_resident_mib, resident_mib, torch_threads
from ostinato.benchmark.rows import Goal, Row
from ostinato.benchmark.textbook import AttentionGRU, copy_weights, inference_side
from ostinato.benchmark.timing import QUICK, Effort, Side
from ostinato.benchmark.workload import Workload
from ostinato.data.sampler import POOL_BATCHES, BucketSampler
from ostinato.nn import why_not_bfloat16
from ostinato.nn.kernel import bfloat16_instructions
from ostinato.nn.threads import few_threads

LSTM = "LSTM 2×128, 64 inputs"
STEPS_IN_MEMORY = {
    "ours": layer_sides.ours,
    "nn.LSTM padded": layer_sides.padded,
    "nn.LSTM packed": layer_sides.packed,
}


def lstm_random(bench: Bench) -> None:
    """A batch of 32 with random lengths, distributed like those of reviews."""
    lstm = large_lstm(bench)
    batches = [Batch.random(lstm, review_lengths(32))]
    sides = {
        "ours": layer_sides.ours(lstm, batches),
        **torch_sides(lstm, batches),
        "nn.LSTM in length buckets": layer_sides.torch_engine(lstm, batches),
    }
    description = f"training, {LSTM}, 32 random lengths, mean 277, longest 1,500"
    row = bench.compare("lstm-random", description, sides, flops=3 * lstm_flops(batches))
    if bench.device.type == "cpu":
        row.expect_ratio("nn.LSTM packed", at_least=40)
    bench.add(row)


def lstm_bucketed(bench: Bench) -> None:
    """Six batches of similar lengths, evenly spread over an epoch from short to long."""
    lstm, lengths = large_lstm(bench), torch.tensor(review_lengths(32 * POOL_BATCHES))
    sampler = BucketSampler(lengths, batch_size=32, shuffle=False)
    by_tokens = sorted(sampler.batches(0), key=lambda indices: int(lengths[indices].sum()))
    batches = [Batch.random(lstm, lengths[indices].tolist()) for indices in by_tokens[4::8]]
    sides = {
        "ours": layer_sides.ours(lstm, batches),
        **torch_sides(lstm, batches, packed=bench.device.type == "cuda"),
    }
    description = f"training, {LSTM}, 6 batches of 32 in length buckets"
    row = bench.compare("lstm-bucketed", description, sides, flops=3 * lstm_flops(batches))
    if bench.device.type == "cpu":
        row.expect_ratio("nn.LSTM padded", at_least=1.6)
        row.goals.append(Goal("share of torch.matmul's rate", row.share_of_matmul("ours"), at_least=0.85))
    bench.add(row)


def lstm_last_state(bench: Bench) -> None:
    """A gradient from each sequence's last state alone, as in many classifiers: it vanishes into denormal numbers."""
    lstm = large_lstm(bench)
    every_step = [Batch.random(lstm, [230] * 32)]
    batches = [batch.last_state_only() for batch in every_step]
    sides = {
        "ours": layer_sides.ours(lstm, batches),
        "ours, gradient at every step": layer_sides.ours(lstm, every_step)._replace(answer=None),
        **torch_sides(lstm, batches, packed=False),
    }
    description = f"training, {LSTM}, 32 × 230, gradient from the last state only"
    row = bench.compare("lstm-last-state", description, sides, flops=3 * lstm_flops(batches))
    row.expect_ratio("nn.LSTM padded", at_least=1.2)  # some 20 on processors that are slow at denormal numbers
    ratio = row.timings["ours"].seconds / row.timings["ours, gradient at every step"].seconds
    row.goals.append(Goal("time, gradient from the last state against every step", ratio, at_most=1.1))
    bench.add(row)


def lstm_inference(bench: Bench, *, batch_size: int, at_least: float) -> None:
    """Sequences of 230 steps; `at_least` is the expected ratio to the fastest other library."""
    lstm = large_lstm(bench)
    batches = [Batch.random(lstm, [230] * batch_size)]
    name, description = f"lstm-inference-{batch_size}", f"inference, {LSTM}, {batch_size} × 230"
    row = bench.compare(name, description, inference_sides(lstm, batches), flops=lstm_flops(batches))
    row.expect_ratio("nn.LSTM", "ONNX Runtime", at_least=at_least)
    bench.add(row)


def bfloat16(
    bench: Bench,
    *,
    name: str,
    kind: type[nn.LSTM] | type[nn.GRU] = nn.LSTM,
    hidden_size: int,
    num_layers: int = 1,
    batch_size: int = 32,
    trains: bool = True,
    amx: float,
    vectors: float,
) -> None:
    """Products in bfloat16.

    Args:
        amx, vectors: the expected ratio to our own products in float32, by AMX and by AVX512_BF16.
    """
    work = "training" if trains else "inference"
    if why_not_bfloat16() is not None:
        bench.skip(name, f"No products in bfloat16: {why_not_bfloat16()}.")
        return
    layer = kind(64, hidden_size, num_layers=num_layers)
    batches = [Batch.random(layer, [230] * batch_size)]
    peer = f"nn.{kind.__name__}"
    sides = {
        "ours": layer_sides.in_bfloat16(layer_sides.ours(layer, batches, trains=trains)),
        "ours in float32": layer_sides.ours(layer, batches, trains=trains),
        peer: layer_sides.padded(layer, batches, trains=trains),
        f"{peer}, autocast": layer_sides.autocast(layer_sides.padded(layer, batches, trains=trains)),
    }
    size = f"{kind.__name__} {num_layers}×{hidden_size}, 64 inputs, {batch_size} × 230"
    row = bench.compare(name, f"{work}, {size}, products in bfloat16 by {bfloat16_instructions()}", sides)
    row.expect_ratio("ours in float32", at_least=amx if bfloat16_instructions() == "AMX" else vectors)
    row.expect_ratio(f"{peer}, autocast", at_least=2.3 if trains else 1.0)
    bench.add(row)


def one_sequence(bench: Bench, *, hidden_size: int) -> None:
    """A wide layer on one sequence: nothing but its units can be divided among threads."""
    lstm = nn.LSTM(64, hidden_size)
    batches = [Batch.random(lstm, [100])]
    flops = flops_per_token(4, 64, hidden_size) * 100
    description = f"inference, LSTM {hidden_size}, 64 inputs, 1 × 100"
    row = bench.compare(f"lstm-{hidden_size}-1", description, inference_sides(lstm, batches), flops=flops)
    row.expect_ratio("nn.LSTM", "ONNX Runtime", at_least=1.0)
    bench.add(row)


def int8(bench: Bench, *, kind: Callable[[int, int], nn.RNNBase], hidden_size: int, faster: float) -> None:
    """Recurrent weights in int8 on one sequence; `faster` is the expected ratio to our own in float32."""
    layer = kind(64, hidden_size)
    batches = [Batch.random(layer, [200])]
    ours = layer_sides.ours(layer, batches, trains=False)
    cell = type(layer).__name__
    peer = f"nn.{cell}"
    sides: dict[str, Side | None] = {
        "ours": layer_sides.in_int8(ours),
        "ours in float32": ours,
        peer: layer_sides.padded(layer, batches, trains=False),
        f"{peer}, dynamic int8": layer_sides.dynamically_quantized(layer, batches),
        "ONNX Runtime": optional(lambda: layer_sides.onnx_layer(layer, batches)),
    }
    description = f"inference, {cell} {hidden_size}, 64 inputs, 1 × 200, recurrent weights in int8"
    row = bench.compare(f"{cell.lower()}-int8-{hidden_size}", description, sides)
    row.expect_ratio("ours in float32", at_least=faster)
    row.expect_ratio(peer, f"{peer}, dynamic int8", at_least=1.0)
    bench.add(row)


def bigru_inference_32(bench: Bench) -> None:
    """A bidirectional GRU on 32 sequences of 50 steps."""
    gru = nn.GRU(16, 32, bidirectional=True)
    batches = [Batch.random(gru, [50] * 32)]
    flops = flops_per_token(3, 16, 32, num_directions=2) * 32 * 50
    description = "inference, BiGRU 32, 16 inputs, 32 × 50"
    row = bench.compare("bigru-inference-32", description, inference_sides(gru, batches), flops=flops)
    row.expect_ratio("nn.GRU", at_least=4)
    row.expect_ratio("ONNX Runtime", at_least=1.2)
    bench.add(row)


def bigru_model_1(bench: Bench) -> None:
    """The whole model of the preset `dna` on one sequence of 50 nucleotides."""
    workload = Workload.of_preset("dna", train_size=32)
    network, sequence = workload.network, workload.batch(1).sequences
    ids = sequence.values.long().unsqueeze(0)  # (N,) -> (1, T)
    textbook = AttentionGRU(network.embed.weight.shape[0], 16, 32)
    copy_weights(network, textbook)

    def onnx() -> Side:
        session = onnx_session(textbook, ids)
        return inference_side(textbook, lambda: session(ids), 50)

    sides = {
        "ours": inference_side(
            network, lambda: network(sequence.values, sequence.lengths), 50, lambda: few_threads(network, tokens=50)
        ),
        "nn.GRU": inference_side(textbook, lambda: textbook(ids), 50),
        "ONNX Runtime": optional(onnx),
    }
    description = "inference, whole model: embedding 16, BiGRU 32, attention pooling, output layer, 1 × 50"
    row = bench.compare("bigru-model-1", description, sides)
    row.expect_ratio("nn.GRU", at_least=6)
    row.expect_ratio("ONNX Runtime", at_least=1)
    bench.add(row)


def cost_of_length(bench: Bench) -> None:
    """The time per token at a longest length of 4,000 and of 250: with linear cost, the ratio is 1."""
    lstm = large_lstm(bench)
    long, short = ([Batch.random(lstm, spread_lengths(longest))] for longest in (4000, 250))
    sides = {
        "ours": layer_sides.ours(lstm, long)._replace(answer=None),
        "ours, longest 250": layer_sides.ours(lstm, short)._replace(answer=None),
    }
    description = f"training, {LSTM}, 32 lengths from an eighth of the longest to the longest, 4,000"
    row = bench.compare("cost-of-length", description, sides)
    ratio = row.timings["ours"].us_per_token / row.timings["ours, longest 250"].us_per_token
    row.goals.append(Goal("µs a token, longest 4,000 against 250", ratio, at_most=1.3))
    bench.add(row)


def one_core(bench: Bench) -> None:
    """Two threads that share one core, as in a container with a CPU quota."""
    if not hasattr(os, "sched_setaffinity"):
        bench.skip("one-core", "This system cannot restrict a process to one core.")
        return
    row = in_subprocess(one_core_row, bench.effort)
    row.expect_ratio("nn.LSTM padded", at_least=20)
    bench.add(row)


def one_core_row(effort: Effort) -> Row:
    """The row of `one_core`, measured in this process."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with torch_threads(2):
        bench = Bench(effort._replace(min_rounds=min(effort.min_rounds, 2), max_rounds=3))
        lstm = large_lstm(bench)
        batches = [Batch.random(lstm, [100] * 32)]
        sides = {"ours": layer_sides.ours(lstm, batches), "nn.LSTM padded": layer_sides.padded(lstm, batches)}
        description = f"training, {LSTM}, 32 × 100, two threads on one core"
        return bench.compare("one-core", description, sides, matmul=False)


def memory(bench: Bench) -> None:
    """The memory that a training step needs at a longest length of 4,000, each side in its own process."""
    if not STATUS.exists():
        bench.skip("memory", f"{STATUS} is missing: this system does not report the peak memory of a process.")
        return
    row = Row(
        "memory",
        "peak resident memory (MiB) of one training step, without inputs and weights, "
        f"{LSTM}, 8 lengths from 500 to 4,000",
    )
    for name in STEPS_IN_MEMORY:
        if name == "nn.LSTM packed" and bench.effort is QUICK:
            row.notes.append("nn.LSTM packed takes almost a minute: a quick benchmark skips it.")
            continue
        row.values[name] = in_subprocess(peak_mib, name)
    bench.add(row)


def peak_mib(name: str) -> float:
    """MiB by which one training step of `STEPS_IN_MEMORY[name]` raises the peak memory of this process."""
    lstm = nn.LSTM(64, 128, 2)
    short, long = [Batch.random(lstm, [8])], [Batch.random(lstm, spread_lengths(4000, count=8))]
    build = STEPS_IN_MEMORY[name]
    build(lstm, short).run()  # a warm-up
    side = build(lstm, long)
    before = resident_mib()
    side.run()
    return peak_resident_mib() - before


# Sizes and sides that rows share


def large_lstm(bench: Bench) -> nn.LSTM:
    """The layer `LSTM`, on the device of the benchmark."""
    return nn.LSTM(64, 128, 2).to(bench.device)


def lstm_flops(batches: Sequence[Batch]) -> float:
    """Multiplications and additions of `LSTM`'s forward pass over all batches."""
    return flops_per_token(4, 64, 128, num_layers=2) * sum(len(batch.x) for batch in batches)


def torch_sides(lstm: nn.LSTM, batches: Sequence[Batch], *, packed: bool = True) -> dict[str, Side]:
    """Ways to train the layer in a PyTorch program; `packed` includes packed sequences, which are slow on a CPU."""
    sides = {
        "ours, drop-in": layer_sides.drop_in(lstm, batches),
        "nn.LSTM padded": layer_sides.padded(lstm, batches),
    }
    return {**sides, "nn.LSTM packed": layer_sides.packed(lstm, batches)} if packed else sides


def inference_sides(module: nn.RNNBase, batches: Sequence[Batch]) -> dict[str, Side | None]:
    """Inference on batches of equal lengths."""
    return {
        "ours": layer_sides.ours(module, batches, trains=False),
        "ours, drop-in": layer_sides.drop_in(module, batches, trains=False),
        f"nn.{type(module).__name__}": layer_sides.padded(module, batches, trains=False),
        "ONNX Runtime": optional(lambda: layer_sides.onnx_layer(module, batches)),
    }


def review_lengths(count: int) -> list[int]:
    """Lengths distributed like those of the IMDb reviews: log-normal, with a mean of 277 and a maximum of 1,500."""
    lengths = np.sort(np.random.default_rng(0).lognormal(0.0, 0.65, count))
    lengths[:-1] *= (277 * count - 1500) / lengths[:-1].sum()
    lengths[-1] = 1500
    return [int(each) for each in np.random.default_rng(1).permutation(lengths.clip(10, 1500).round())]


def spread_lengths(longest: int, *, count: int = 32) -> list[int]:
    """Evenly spaced lengths from an eighth of the longest to the longest."""
    return [int(each) for each in np.linspace(longest / 8, longest, count).round()]


ROWS: dict[str, Callable[[Bench], None]] = {
    "lstm-random": lstm_random,
    "lstm-bucketed": lstm_bucketed,
    "lstm-last-state": lstm_last_state,
    "lstm-inference-32": partial(lstm_inference, batch_size=32, at_least=1.15),
    "lstm-inference-1": partial(lstm_inference, batch_size=1, at_least=1.4),
    **{f"lstm-{size}-1": partial(one_sequence, hidden_size=size) for size in (64, 256, 512, 1024)},
    "lstm-bfloat16": partial(bfloat16, name="lstm-bfloat16", hidden_size=128, num_layers=2, amx=4, vectors=1.6),
    "lstm-bfloat16-256": partial(bfloat16, name="lstm-bfloat16-256", hidden_size=256, amx=5, vectors=1.6),
    "gru-bfloat16": partial(
        bfloat16, name="gru-bfloat16", kind=nn.GRU, hidden_size=128, num_layers=2, amx=4, vectors=1.5
    ),
    "lstm-bfloat16-inference": partial(
        bfloat16, name="lstm-bfloat16-inference", hidden_size=128, num_layers=2, trains=False, amx=4.5, vectors=1.6
    ),
    "lstm-bfloat16-512-1": partial(
        bfloat16, name="lstm-bfloat16-512-1", hidden_size=512, batch_size=1, trains=False, amx=1.5, vectors=1.5
    ),
    **{
        f"lstm-int8-{size}": partial(int8, kind=nn.LSTM, hidden_size=size, faster=faster)
        for size, faster in ((64, 0.95), (256, 1.3), (512, 2.0), (1024, 2.0))
    },
    "gru-int8-512": partial(int8, kind=nn.GRU, hidden_size=512, faster=2.0),
    "bigru-inference-32": bigru_inference_32,
    "bigru-model-1": bigru_model_1,
    "cost-of-length": cost_of_length,
    "one-core": one_core,
    "memory": memory,
}
ON_CUDA = ("lstm-random", "lstm-bucketed")
