"""A linear model of n-grams as ONNX nodes."""

import numpy as np

from ostinato.nn.embedding import UNKNOWN
from ostinato.nn.onnx.graph import END, Graph, Steps, Value
from ostinato.nn.wide import FACTOR, HALF, POSITION, WideNgrams
from ostinato.nn.wide_parts import TokenParts


def wide_ngrams(graph: Graph, module: WideNgrams, ids: Value, steps: Steps) -> Value:
    """Logits that are linear in the TF-IDF of n-grams. (B, T) int64 -> (B, C). See `ostinato.nn.wide.WideNgrams`."""
    batch = graph.op("Shape", steps.lengths)  # (1,)
    empty = _zeros(graph, graph.op("Concat", batch, graph.ints([module.weight.shape[1]]), axis=0), np.float32)
    if not len(module.weight):
        return empty
    distinct, counts = _features(graph, module, ids, steps)
    size = graph.constant(len(module.weight), np.int64)
    rows, columns = graph.op("Div", distinct, size), graph.op("Mod", distinct, size)
    values = graph.cast(_tf_idf(graph, module, rows, columns, counts, batch), "FLOAT")
    weights = graph.op("Gather", graph.constant(module.weight), columns, axis=0)  # (M, C)
    products = graph.op("Mul", graph.unsqueeze(values, 1), weights)
    into = graph.op("Expand", graph.unsqueeze(rows, 1), graph.op("Shape", products))
    return graph.op("ScatterElements", empty, into, products, axis=0, reduction="add")


def _ngrams(graph: Graph, module: WideNgrams, ids: Value, steps: Steps) -> Value:
    """The keys of all n-grams. (B, T) -> (B, M).

    Padding becomes the unknown token. No feature has an unknown token, so n-grams that contain one, or reach beyond
    the end of their sequence, are not found in the table. Products of 64 bits wrap around in ONNX Runtime as they do in
    PyTorch.
    """
    unknown, factor = graph.constant(UNKNOWN, np.int64), graph.constant(FACTOR, np.int64)
    padded = graph.op("Pad", _known(graph, ids, steps), graph.ints([0, 0, 0, module.order - 1]), unknown)
    place = graph.op("Mul", graph.op("Add", steps.time, graph.one), graph.constant(POSITION, np.int64))  # (T,)
    key, keys = "", []
    for n in range(1, module.order + 1):
        token = graph.slice(padded, 1, n - 1, n - module.order if n < module.order else END)  # (B, T)
        digit = graph.op("Add", token, graph.one)
        key = digit if n == 1 else graph.op("Add", graph.op("Mul", key, factor), digit)
        keys += [key, graph.op("Add", key, place)] if n <= int(module.aligned_order) else [key]
        if module.boundary is not None and n < module.order:
            keys += _at_ends(graph, module, key, n, steps)
    return graph.op("Concat", *keys, axis=1)


def _at_ends(graph: Graph, module: WideNgrams, key: Value, n: int, steps: Steps) -> list[Value]:
    """The keys of n-grams with a boundary. (B, T) -> (B, 1), (B, T) and, if both fit, (B, 1).

    An n-gram that does not end its sequence is followed by the unknown token.
    """
    boundary, unknown = (graph.constant(each, np.int64) for each in (module.boundary_key(0), UNKNOWN + 1))
    after = graph.constant(module.boundary_key(n), np.int64)
    stops = graph.unsqueeze(graph.op("Add", steps.time, graph.constant(n, np.int64)), 0)  # (1, T)
    is_last = graph.op("Equal", stops, graph.unsqueeze(steps.lengths, 1))  # (B, T)
    ends = graph.op("Mul", key, graph.constant(FACTOR, np.int64))
    ends = graph.op("Add", ends, graph.op("Where", is_last, boundary, unknown))
    found = [graph.op("Add", graph.slice(key, 1, 0, 1), after), ends]
    if n + 2 <= module.order:
        both = graph.constant(module.boundary_key(n + 1), np.int64)
        found.append(graph.op("Add", graph.slice(ends, 1, 0, 1), both))
    return found


def _features(graph: Graph, module: WideNgrams, ids: Value, steps: Steps) -> tuple[Value, Value]:
    """The features of each sequence, row · F + column (M,), ascending; and how often each occurs, (M,)."""
    rows = graph.op("Range", graph.constant(0, np.int64), graph.size(ids, 0), graph.one)
    starts = graph.unsqueeze(graph.op("Mul", rows, graph.constant(len(module.weight), np.int64)), 1)  # (B, 1)
    found = []
    if len(module.keys):
        columns, is_feature = _look_up(graph, module, _ngrams(graph, module, ids, steps))
        found.append(graph.op("Compress", graph.op("Add", starts, columns), graph.reshape(is_feature, -1)))
    if module.parts is not None and len(module.parts.columns):
        found.append(_parts(graph, module.parts, _known(graph, ids, steps), starts))
    distinct, _, _, counts = graph.ops("Unique", graph.op("Concat", *found, axis=0), outputs=4, sorted=1)
    return distinct, counts


def _parts(graph: Graph, parts: TokenParts, ids: Value, starts: Value) -> Value:
    """The features of the parts of all tokens. ids (B, T), starts (B, 1) added to the features -> (M,).

    Each part finds its token by counting how many tokens begin at it or before it.
    """
    ends = parts.ends.cpu()
    sizes = ends.diff(prepend=ends.new_zeros(1))
    zero, flat = graph.ints([0]), graph.reshape(ids, -1)  # (N,)
    stops = graph.op("CumSum", graph.op("Gather", graph.constant(sizes), flat, axis=0), graph.constant(0, np.int64))
    begins = graph.op("Concat", zero, graph.slice(stops, 0, 0, -1), axis=0)  # (N,) of a token among all parts
    total = graph.slice(stops, 0, -1, END)  # (1,)
    ones = graph.op("Expand", graph.ints([1]), graph.op("Shape", begins))
    empty = _zeros(graph, graph.op("Add", total, graph.ints([1])), np.int64)
    counts = graph.op("ScatterElements", empty, begins, ones, axis=0, reduction="add")
    begun = graph.op("CumSum", graph.slice(counts, 0, 0, -1), graph.constant(0, np.int64))
    token = graph.op("Sub", begun, graph.one)  # (M,)
    shift = graph.op("Sub", graph.op("Gather", graph.constant(ends - sizes), flat, axis=0), begins)
    place = graph.op("Range", graph.constant(0, np.int64), graph.squeeze(total, 0), graph.one)
    place = graph.op("Add", place, graph.op("Gather", shift, token, axis=0))
    row_starts = graph.reshape(graph.op("Expand", starts, graph.op("Shape", ids)), -1)  # (N,)
    columns = graph.op("Gather", graph.constant(parts.columns.cpu().long()), place, axis=0)
    return graph.op("Add", columns, graph.op("Gather", row_starts, token, axis=0))


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
    """TF-IDF, divided by the norm of a sequence's features of one kind. (M,) -> (M,) float64."""
    idf = graph.cast(graph.op("Gather", graph.constant(module.idf), columns, axis=0), "DOUBLE")
    tf = graph.op("Add", graph.op("Log", graph.cast(counts, "DOUBLE")), graph.constant(np.array(1.0)))
    values = graph.op("Mul", tf, idf)
    groups, number, shares = rows, batch, None
    if module.parts is not None or module.is_aligned.any():
        kinds = module.is_aligned.long()
        kinds[len(module.keys) :] = 2
        three = graph.constant(3, np.int64)
        kind = graph.op("Gather", graph.constant(kinds), columns, axis=0)
        groups, number = graph.op("Add", graph.op("Mul", rows, three), kind), graph.op("Mul", batch, three)
    if module.parts is not None:
        shares = graph.op("Gather", graph.constant(np.array([HALF, 1.0, HALF])), kind, axis=0)
    empty = _zeros(graph, number, np.float64)
    squares = graph.op("Mul", values, values)
    sums = graph.op("ScatterElements", empty, groups, squares, axis=0, reduction="add")
    found = graph.op("Div", values, graph.op("Sqrt", graph.op("Gather", sums, groups, axis=0)))
    return found if shares is None else graph.op("Mul", found, shares)


def _known(graph: Graph, ids: Value, steps: Steps) -> Value:
    """The ids, with the unknown token in place of padding. (B, T) -> (B, T)."""
    mask = graph.transpose(graph.squeeze(steps.mask, 2), 1, 0)  # (T, B, 1) -> (B, T)
    return graph.op("Where", mask, ids, graph.constant(UNKNOWN, np.int64))


def _zeros(graph: Graph, shape: Value, dtype: type) -> Value:
    return graph.op("Expand", graph.constant(np.zeros((), dtype)), shape)
