"""A linear model of n-grams as ONNX nodes."""

import numpy as np

from ostinato.nn.embedding import UNKNOWN
from ostinato.nn.onnx.graph import END, Graph, Steps, Value
from ostinato.nn.wide import FACTOR, POSITION, WideNgrams


def wide_ngrams(graph: Graph, module: WideNgrams, ids: Value, steps: Steps) -> Value:
    """Logits that are linear in the TF-IDF of n-grams. (B, T) int64 -> (B, C). See `ostinato.nn.wide.WideNgrams`."""
    batch = graph.op("Shape", steps.lengths)  # (1,)
    empty = _zeros(graph, graph.op("Concat", batch, graph.ints([module.weight.shape[1]]), axis=0), np.float32)
    if not len(module.keys):
        return empty
    distinct, counts = _features(graph, module, _ngrams(graph, module, ids, steps))
    size = graph.constant(len(module.keys), np.int64)
    rows, columns = graph.op("Div", distinct, size), graph.op("Mod", distinct, size)
    values = graph.cast(_tf_idf(graph, module, rows, columns, counts, batch), "FLOAT")
    weights = graph.op("Gather", graph.constant(module.weight), columns, axis=0)  # (M, C)
    products = graph.op("Mul", graph.unsqueeze(values, 1), weights)
    into = graph.op("Expand", graph.unsqueeze(rows, 1), graph.op("Shape", products))
    return graph.op("ScatterElements", empty, into, products, axis=0, reduction="add")


def _ngrams(graph: Graph, module: WideNgrams, ids: Value, steps: Steps) -> Value:
    """The keys of all n-grams. (B, T) -> (B, n · T).

    Padding becomes the unknown token. No feature has an unknown token, so n-grams that contain one, or reach beyond
    the end of their sequence, are not found in the table. Products of 64 bits wrap around in ONNX Runtime as they do in
    PyTorch.
    """
    unknown, factor = graph.constant(UNKNOWN, np.int64), graph.constant(FACTOR, np.int64)
    mask = graph.transpose(graph.squeeze(steps.mask, 2), 1, 0)  # (T, B, 1) -> (B, T)
    ids = graph.op("Where", mask, ids, unknown)
    padded = graph.op("Pad", ids, graph.ints([0, 0, 0, module.order - 1]), unknown)
    place = graph.op("Mul", graph.op("Add", steps.time, graph.one), graph.constant(POSITION, np.int64))  # (T,)
    key, keys = "", []
    for n in range(1, module.order + 1):
        token = graph.slice(padded, 1, n - 1, n - module.order if n < module.order else END)  # (B, T)
        digit = graph.op("Add", token, graph.one)
        key = digit if n == 1 else graph.op("Add", graph.op("Mul", key, factor), digit)
        keys += [key, graph.op("Add", key, place)] if n <= int(module.aligned_order) else [key]
    return graph.op("Concat", *keys, axis=1)


def _features(graph: Graph, module: WideNgrams, keys: Value) -> tuple[Value, Value]:
    """The features of each sequence, row · F + column (M,), ascending; and how often each occurs, (M,)."""
    size = len(module.keys)
    columns, is_feature = _look_up(graph, module, keys)
    batch = graph.size(keys, 0)
    rows = graph.op("Range", graph.constant(0, np.int64), batch, graph.one)
    starts = graph.unsqueeze(graph.op("Mul", rows, graph.constant(size, np.int64)), 1)  # (B, 1)
    found = graph.op("Compress", graph.op("Add", starts, columns), graph.reshape(is_feature, -1))
    distinct, _, _, counts = graph.ops("Unique", found, outputs=4, sorted=1)
    return distinct, counts


def _look_up(graph: Graph, module: WideNgrams, keys: Value) -> tuple[Value, Value]:
    """The column of each key, and whether the key is there, by binary search."""
    table, last = graph.constant(module.keys), graph.constant(len(module.keys) - 1, np.int64)
    columns = graph.op("Mul", keys, graph.constant(0, np.int64))
    for power in reversed(range((len(module.keys) - 1).bit_length())):
        # the last column whose key is not above is in [columns, columns + 2 · 2^power)
        next_ones = graph.op("Min", graph.op("Add", columns, graph.constant(2**power, np.int64)), last)
        are_above = graph.op("Greater", graph.op("Gather", table, next_ones, axis=0), keys)
        columns = graph.op("Where", are_above, columns, next_ones)
    return columns, graph.op("Equal", graph.op("Gather", table, columns, axis=0), keys)


def _tf_idf(graph: Graph, module: WideNgrams, rows: Value, columns: Value, counts: Value, batch: Value) -> Value:
    """TF-IDF, divided by the norm of the sequence's n-grams, or of those at a position. (M,) -> (M,) float64."""
    idf = graph.cast(graph.op("Gather", graph.constant(module.idf), columns, axis=0), "DOUBLE")
    tf = graph.op("Add", graph.op("Log", graph.cast(counts, "DOUBLE")), graph.constant(np.array(1.0)))
    values = graph.op("Mul", tf, idf)
    groups, number = rows, batch
    if module.is_aligned.any():
        two = graph.constant(2, np.int64)
        is_aligned = graph.cast(graph.op("Gather", graph.constant(module.is_aligned), columns, axis=0), "INT64")
        groups, number = graph.op("Add", graph.op("Mul", rows, two), is_aligned), graph.op("Mul", batch, two)
    empty = _zeros(graph, number, np.float64)
    squares = graph.op("Mul", values, values)
    sums = graph.op("ScatterElements", empty, groups, squares, axis=0, reduction="add")
    return graph.op("Div", values, graph.op("Sqrt", graph.op("Gather", sums, groups, axis=0)))


def _zeros(graph: Graph, shape: Value, dtype: type) -> Value:
    return graph.op("Expand", graph.constant(np.zeros((), dtype)), shape)
