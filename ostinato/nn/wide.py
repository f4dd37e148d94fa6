"""A linear model of n-grams, beside the recurrent layers or alone.

Source: Cheng et al. (2016), Wide & Deep Learning for Recommender Systems, arXiv:1606.07792.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ostinato.errors import RunError
from ostinato.nn.embedding import UNKNOWN
from ostinato.nn.layout import Layout

FACTOR = -7_046_029_254_386_353_131  # odd; 2⁶⁴ / golden ratio, modulo 2⁶⁴ (Knuth, TAOCP 3, section 6.4)
INVERSE = pow(FACTOR, -1, 2**64) - 2**64  # FACTOR · INVERSE is 1 modulo 2⁶⁴
POSITION = 6_364_136_223_846_793_005  # odd; the multiplier of Knuth's MMIX generator
ALIGNED_ORDER = 2  # tokens in the longest n-grams at a position
STEPS_AT_A_TIME = 2**18  # how many steps `fit` counts at once


class Entries(NamedTuple):
    """The nonzero features of several sequences, ordered by sequence, then by feature.

    Args:
        rows: (M,) the sequence.
        columns: (M,) the feature.
        values: (M,) in the precision of the weights.
        counts: (M,) occurrences of the n-gram in the sequence.
    """

    rows: Tensor
    columns: Tensor
    values: Tensor
    counts: Tensor


class WideNgrams(nn.Module):
    """Logits that are linear in the TF-IDF of a sequence's n-grams: Σₓ v(x) · weight[x].

    A feature x is an n-gram of tokens. If x occurs k times in a sequence, v(x) = (1 + log k) · idf(x), with
    idf = 1 + log((1 + B) / (1 + df)) of the B training sequences, df of which contain x; then the v of a sequence are
    divided by their Euclidean norm. This is scikit-learn's `TfidfVectorizer` with `sublinear_tf`. If the sequences are
    aligned, an n-gram at its position is another feature: v(x) = 1, divided by the norm of these features alone. An
    n-gram with an out-of-vocabulary token is not a feature, nor is one that `fit` did not select.

    A feature is known by a 64-bit key: (…((i₁ + 1) · F + i₂ + 1) · F + …) + iₙ + 1 modulo 2⁶⁴ for the ids i₁ … iₙ, with
    F = `FACTOR`; at position t = 0, 1, … plus (t + 1) · `POSITION`. Among a million keys, the probability that any two
    are equal is below 1e-7.

    Args:
        num_outputs: C.
        order: tokens in the longest n-grams.

    Attributes:
        aligned_order: () int64, tokens in the longest n-grams at a position; 0: none.
        keys: (F,) int64, ascending: the features.
        idf: (F,) float32; 1 for n-grams at a position.
        is_aligned: (F,) whether the feature is an n-gram at a position.
        weight: (F, C), not trained by gradients.

    Shapes:
        ids (N,) and a layout of B sequences -> (B, C).
    """

    aligned_order: Tensor
    keys: Tensor
    idf: Tensor
    is_aligned: Tensor

    def __init__(self, num_outputs: int, *, order: int) -> None:
        super().__init__()
        self.order = order
        self.register_buffer("aligned_order", torch.zeros((), dtype=torch.int64))
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("idf", torch.zeros(0))
        self.register_buffer("is_aligned", torch.zeros(0, dtype=torch.bool))
        self.weight = nn.Parameter(torch.zeros(0, num_outputs), requires_grad=False)

    def forward(self, ids: Tensor, layout: Layout) -> Tensor:
        if not len(self.keys):
            return self.weight.new_zeros(layout.batch_size, self.weight.shape[1])
        entries = self.entries(ids, layout)
        sizes = torch.bincount(entries.rows, minlength=layout.batch_size)
        logits: Tensor = nn.functional.embedding_bag(  # sums a sequence's features in order, whatever its batch
            entries.columns, self.weight, sizes.cumsum(0) - sizes, mode="sum", per_sample_weights=entries.values
        )
        return logits

    def entries(self, ids: Tensor, layout: Layout) -> Entries:
        """The features of each sequence."""
        F, found = len(self.keys), [layout.lengths.new_zeros(0)]
        for starts, columns, _ in self._features(ids, layout):
            found.append(layout.sequence[starts] * F + columns)
        distinct, counts = torch.unique(torch.cat(found), return_counts=True)
        rows, columns = distinct // max(F, 1), distinct % max(F, 1)
        # in float64: a vectorised logarithm in float32 depends on where a number stands in the tensor
        values = (1 + counts.double().log()) * self.idf[columns].double()
        group = 2 * rows + self.is_aligned[columns]
        squares = values.new_zeros(2 * layout.batch_size).index_add(0, group, values.square())
        return Entries(rows, columns, (values / squares.sqrt()[group]).to(self.weight.dtype), counts)

    def contributions(self, ids: Tensor, layout: Layout) -> Tensor:
        """What each token adds to the logits: an equal share of each n-gram that it is part of. (N,) -> (N, C).

        The contributions of a sequence add up to its logits.
        """
        entries, F = self.entries(ids, layout), len(self.keys)
        distinct = entries.rows * F + entries.columns
        of_one = self.weight[entries.columns] * (entries.values / entries.counts).unsqueeze(1)  # (M, C)
        shares = self.weight.new_zeros(len(ids), self.weight.shape[1])
        for starts, columns, n in self._features(ids, layout):
            of_token = of_one[torch.searchsorted(distinct, layout.sequence[starts] * F + columns)] / n
            for offset in range(n):
                shares = shares.index_add(0, starts + offset, of_token)
        return shares

    def spelled(self, column: int, num_tokens: int) -> list[int]:
        """The token ids of a feature's n-gram; none if it has a position, or if its beginnings are not features.

        Args:
            num_tokens: V; ids are below it.
        """
        key, last_ids = int(self.keys[column]), list[int]()
        candidates = torch.arange(1, num_tokens, device=self.keys.device)
        for _ in range(self.order):
            if 0 < key - 1 < num_tokens:
                return [key - 1, *reversed(last_ids)]
            beginnings = (key - 1 - candidates) * INVERSE  # the key less its last token, whichever that is
            fits = self._look_up(beginnings)[1].nonzero()
            if not len(fits):
                break
            last_ids.append(int(candidates[fits[0]]))
            key = int(beginnings[fits[0]])
        return []

    @torch.no_grad()
    def fit(self, ids: Tensor, lengths: Tensor, *, most: int, fewest: int) -> None:
        """Select features from training sequences, and measure their idf. The weights become zeros.

        Sequences that all have the same length are taken for aligned: n-grams at a position become features too.

        Args:
            ids: (N,) the sequences end to end.
            lengths: (B,)
            most: number of features; those in the most sequences are selected.
            fewest: number of sequences that must contain a feature.
        """
        are_aligned = len(lengths) > 0 and int(lengths.min()) == int(lengths.max()) > 1
        self.aligned_order.fill_(min(self.order, ALIGNED_ORDER) if are_aligned else 0)
        bags, aligned = self._count(ids, lengths)
        keys, frequencies = (torch.cat(both) for both in zip(bags.totals(), aligned.totals(), strict=True))
        is_aligned = torch.arange(len(keys)) >= len(bags.totals()[0])
        chosen = frequencies.argsort(descending=True, stable=True)[: min(most, int((frequencies >= fewest).sum()))]
        chosen = chosen[keys[chosen].argsort()]
        self.resize(len(chosen))
        self.keys.copy_(keys[chosen])
        self.is_aligned.copy_(is_aligned[chosen])
        idf = 1 + ((1 + len(lengths)) / (1 + frequencies[chosen].double())).log()
        self.idf.copy_(torch.where(self.is_aligned, 1.0, idf))

    def prepare_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for the features of a stored state, by the names that they have here.

        Raises:
            RunError: the keys do not ascend, or `aligned_order` is out of range.
        """
        keys, aligned = tensors.get("keys"), tensors.get("aligned_order")
        if keys is None or aligned is None or aligned.shape != () or aligned.is_floating_point():
            return  # these are refused as weights that are missing, or of another shape or type
        if not 0 <= int(aligned) <= ALIGNED_ORDER:
            raise RunError(f"aligned_order is {int(aligned)}, expected 0 to {ALIGNED_ORDER}. Train again.")
        if not (keys[1:] > keys[:-1]).all():
            raise RunError("the keys of the n-grams do not ascend. Train again.")
        self.resize(keys.numel())

    def resize(self, num_features: int) -> None:
        """Make room for F features."""
        self.keys = self.keys.new_zeros(num_features)
        self.idf = self.idf.new_zeros(num_features)
        self.is_aligned = self.is_aligned.new_zeros(num_features)
        self.weight = nn.Parameter(self.weight.new_zeros(num_features, self.weight.shape[1]), requires_grad=False)

    def _count(self, ids: Tensor, lengths: Tensor) -> "tuple[_DocumentCounts, _DocumentCounts]":
        """Count the sequences of each n-gram, and of each n-gram at a position."""
        bags, aligned = _DocumentCounts(), _DocumentCounts()
        ends, start = lengths.cumsum(0), 0
        while start < len(lengths):
            begin = int(ends[start] - lengths[start])
            stop = max(start + 1, int(torch.searchsorted(ends, begin + STEPS_AT_A_TIME, right=True)))
            layout = Layout(lengths[start:stop])
            for starts, keys, _, is_aligned in self._ngrams(ids[begin : int(ends[stop - 1])], layout):
                (aligned if is_aligned else bags).add(layout.sequence[starts], keys)
            start = stop
        return bags, aligned

    def _features(self, ids: Tensor, layout: Layout) -> Iterator[tuple[Tensor, Tensor, int]]:
        """For each n: the first step of each n-gram that is a feature, (M,); the feature, (M,); and n."""
        for starts, keys, n, _ in self._ngrams(ids, layout):
            columns, is_feature = self._look_up(keys)
            yield starts[is_feature], columns[is_feature], n

    def _look_up(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The feature of each key, and whether there is one. (M,) -> (M,), (M,)."""
        columns = torch.searchsorted(self.keys, keys).clamp(max=max(len(self.keys) - 1, 0))
        is_feature = self.keys[columns] == keys if len(self.keys) else torch.zeros_like(keys, dtype=torch.bool)
        return columns, is_feature

    def _ngrams(self, ids: Tensor, layout: Layout) -> Iterator[tuple[Tensor, Tensor, int, bool]]:
        """For each n: the first step of each n-gram (M,), its key (M,), n, and whether the key has the position."""
        ids, aligned_order = ids.long(), int(self.aligned_order)
        last = (layout.ends - 1)[layout.sequence]  # (N,) the last step of the step's sequence
        starts = (ids != UNKNOWN).nonzero().squeeze(1)
        keys = ids[starts] + 1
        for n in range(1, self.order + 1):
            if n > 1:
                fits = starts + n - 1 <= last[starts]
                starts, keys = starts[fits], keys[fits]
                added = ids[starts + n - 1]
                starts, keys = starts[added != UNKNOWN], keys[added != UNKNOWN] * FACTOR + added[added != UNKNOWN] + 1
            yield starts, keys, n, False
            if n <= aligned_order:
                yield starts, keys + (layout.time[starts] + 1) * POSITION, n, True


class _DocumentCounts:
    """In how many sequences each key occurs."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._merged = self._pending = 0

    def add(self, sequence: Tensor, keys: Tensor) -> None:
        """Count keys (M,) in sequences (M,), ascending, of which no other call sees a part."""
        keys, order = keys.sort(stable=True)
        is_new_key = _differs(keys)
        is_new_pair = is_new_key | _differs(sequence[order])
        self._parts.append((keys[is_new_key], torch.bincount(is_new_key.cumsum(0)[is_new_pair] - 1)))
        self._pending += int(is_new_key.sum())
        if self._pending > self._merged + STEPS_AT_A_TIME:  # so that the merges together cost a few sorts of all keys
            self.totals()

    def totals(self) -> tuple[Tensor, Tensor]:
        """The distinct keys, ascending, and their counts."""
        if not self._parts:
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
        keys, inverse = torch.unique(torch.cat([keys for keys, _ in self._parts]), return_inverse=True)
        counts = torch.zeros_like(keys).index_add_(0, inverse, torch.cat([counts for _, counts in self._parts]))
        self._parts, self._merged, self._pending = [(keys, counts)], len(keys), 0
        return keys, counts


def _differs(values: Tensor) -> Tensor:
    """Whether each value differs from the one before it. (M,) -> (M,)."""
    differs = torch.ones(len(values), dtype=torch.bool)
    differs[1:] = values[1:] != values[:-1]
    return differs
