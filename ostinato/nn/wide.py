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
from ostinato.nn.wide_parts import TokenParts

FACTOR = -7_046_029_254_386_353_131  # odd; 2⁶⁴ / golden ratio, modulo 2⁶⁴ (Knuth, TAOCP 3, section 6.4)
INVERSE = pow(FACTOR, -1, 2**64) - 2**64  # FACTOR · INVERSE is 1 modulo 2⁶⁴
POSITION = 6_364_136_223_846_793_005  # odd; the multiplier of Knuth's MMIX generator
ALIGNED_ORDER = 2  # tokens in the longest n-grams at a position
STEPS_AT_A_TIME = 2**18  # how many steps `fit` counts at once
HALF = 0.5**0.5  # times a vector of length 1: half of the square of a norm of 1
BAGS, ALIGNED, PARTS = range(3)  # kinds of features: n-grams, n-grams at a position, parts of tokens


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
    n-gram with an out-of-vocabulary token is not a feature, nor is one that `fit` did not select. With `parts`, the
    letter n-grams within each known token are features too; they and the n-grams of tokens are divided by their own
    norms, and by √2. With `boundary`, a sequence has this token before its first and after its last one.

    A feature is known by a 64-bit key: (…((i₁ + 1) · F + i₂ + 1) · F + …) + iₙ + 1 modulo 2⁶⁴ for the ids i₁ … iₙ, with
    F = `FACTOR`; at position t = 0, 1, … plus (t + 1) · `POSITION`. Among a million keys, the probability that any two
    are equal is below 1e-7.

    Args:
        num_outputs: C.
        order: tokens in the longest n-grams.
        parts: of the tokens, without features yet; None: whole tokens only.
        boundary: the token at both ends of every sequence, which is known or V; None: sequences have no ends.

    Attributes:
        aligned_order: () int64, tokens in the longest n-grams at a position; 0: none.
        keys: (K,) int64, ascending: the first K features. The others are parts of tokens.
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

    def __init__(
        self, num_outputs: int, *, order: int, parts: TokenParts | None = None, boundary: int | None = None
    ) -> None:
        super().__init__()
        self.order = order
        self.parts = parts
        self.boundary = boundary
        self.register_buffer("aligned_order", torch.zeros((), dtype=torch.int64))
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("idf", torch.zeros(0))
        self.register_buffer("is_aligned", torch.zeros(0, dtype=torch.bool))
        self.weight = nn.Parameter(torch.zeros(0, num_outputs), requires_grad=False)

    def forward(self, ids: Tensor, layout: Layout) -> Tensor:
        if not len(self.weight):
            return self.weight.new_zeros(layout.batch_size, self.weight.shape[1])
        entries = self.entries(ids, layout)
        sizes = torch.bincount(entries.rows, minlength=layout.batch_size)
        logits: Tensor = nn.functional.embedding_bag(  # sums a sequence's features in order, whatever its batch
            entries.columns, self.weight, sizes.cumsum(0) - sizes, mode="sum", per_sample_weights=entries.values
        )
        return logits

    def entries(self, ids: Tensor, layout: Layout) -> Entries:
        """The features of each sequence."""
        F, found = len(self.weight), [layout.lengths.new_zeros(0)]
        for starts, columns, _ in self._features(ids, layout):
            found.append(layout.sequence[starts] * F + columns)
        distinct, counts = torch.unique(torch.cat(found), return_counts=True)
        rows, columns = distinct // max(F, 1), distinct % max(F, 1)
        # in float64: a vectorised logarithm in float32 depends on where a number stands in the tensor
        values = (1 + counts.double().log()) * self.idf[columns].double()
        is_part = columns >= len(self.keys)
        group = 3 * rows + self.is_aligned[columns] + 2 * is_part
        squares = values.new_zeros(3 * layout.batch_size).index_add(0, group, values.square())
        values = values / squares.sqrt()[group]
        if self.parts is not None:
            values = torch.where(self.is_aligned[columns], values, values * HALF)
        return Entries(rows, columns, values.to(self.weight.dtype), counts)

    def contributions(self, ids: Tensor, layout: Layout) -> Tensor:
        """What each token adds to the logits: its parts, and a share of each n-gram that it is in. (N,) -> (N, C).

        The contributions of a sequence add up to its logits.
        """
        entries, F = self.entries(ids, layout), len(self.weight)
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
            column: below K.
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
        num_parts = 0 if self.parts is None else self.parts.spell(self._letter_ngrams)
        counted = [each.totals() for each in self._count(ids, lengths)]
        keys, frequencies = (torch.cat(of_kinds) for of_kinds in zip(*counted, strict=True))
        kinds = torch.arange(len(counted)).repeat_interleave(torch.tensor([len(keys) for keys, _ in counted]))
        chosen = frequencies.argsort(descending=True, stable=True)[: min(most, int((frequencies >= fewest).sum()))]
        chosen = chosen[keys[chosen].argsort()]
        is_part = kinds[chosen] == PARTS
        chosen = torch.cat([chosen[~is_part], chosen[is_part]])
        num_keys = int((~is_part).sum())
        self.resize(num_keys, len(chosen))
        self.keys.copy_(keys[chosen[:num_keys]])
        self.is_aligned.copy_(kinds[chosen] == ALIGNED)
        idf = 1 + ((1 + len(lengths)) / (1 + frequencies[chosen].double())).log()
        self.idf.copy_(torch.where(self.is_aligned, 1.0, idf))
        if self.parts is not None:
            self.parts.select(keys[chosen[num_keys:]], num_keys, num_parts)

    def prepare_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for the features of a stored state, by the names that they have here.

        Raises:
            RunError: the keys do not ascend, `aligned_order` is out of range, or the parts do not fit the features.
        """
        keys, aligned = tensors.get("keys"), tensors.get("aligned_order")
        if keys is None or aligned is None or aligned.shape != () or aligned.is_floating_point():
            return  # these are refused as weights that are missing, or of another shape or type
        if not 0 <= int(aligned) <= ALIGNED_ORDER:
            raise RunError(f"aligned_order is {int(aligned)}, expected 0 to {ALIGNED_ORDER}. Train again.")
        if not (keys[1:] > keys[:-1]).all():
            raise RunError("the keys of the n-grams do not ascend. Train again.")
        num_features = keys.numel()
        if self.parts is not None:
            idf, ends, columns = (tensors.get(name) for name in ("idf", "parts.ends", "parts.columns"))
            if idf is None or ends is None or columns is None or ends.dim() != 1 or ends.is_floating_point():
                return
            num_features = max(idf.numel(), num_features)
            self.parts.prepare_for(ends, columns, range(keys.numel(), num_features))
        self.resize(keys.numel(), num_features)

    def resize(self, num_keys: int, num_features: int) -> None:
        """Make room for F features, K of which are n-grams of tokens."""
        self.keys = self.keys.new_zeros(num_keys)
        self.idf = self.idf.new_zeros(num_features)
        self.is_aligned = self.is_aligned.new_zeros(num_features)
        self.weight = nn.Parameter(self.weight.new_zeros(num_features, self.weight.shape[1]), requires_grad=False)

    def _count(self, ids: Tensor, lengths: Tensor) -> "tuple[_DocumentCounts, ...]":
        """Count the sequences of each n-gram, of each n-gram at a position, and of each part of a token."""
        counts = _DocumentCounts(), _DocumentCounts(), _DocumentCounts()
        ends, start = lengths.cumsum(0), 0
        while start < len(lengths):
            begin = int(ends[start] - lengths[start])
            stop = max(start + 1, int(torch.searchsorted(ends, begin + STEPS_AT_A_TIME, right=True)))
            layout, some = Layout(lengths[start:stop]), ids[begin : int(ends[stop - 1])]
            for starts, keys, _, is_aligned in self._ngrams(some, layout):
                counts[ALIGNED if is_aligned else BAGS].add(layout.sequence[starts], keys)
            if self.parts is not None:
                steps, columns = self.parts.of(some)
                counts[PARTS].add(layout.sequence[steps], columns)
            start = stop
        return counts

    def _features(self, ids: Tensor, layout: Layout) -> Iterator[tuple[Tensor, Tensor, int]]:
        """For each n: the first step of each n-gram that is a feature, (M,); the feature, (M,); and n.

        A part of a token is an n-gram of one step.
        """
        for starts, keys, n, _ in self._ngrams(ids, layout):
            columns, is_feature = self._look_up(keys)
            yield starts[is_feature], columns[is_feature], n
        if self.parts is not None:
            yield *self.parts.of(ids), 1

    def _ngrams(self, ids: Tensor, layout: Layout) -> Iterator[tuple[Tensor, Tensor, int, bool]]:
        """The n-grams of tokens, as `_ngrams` finds them; of those with a boundary, n counts the other tokens."""
        ends = layout.ends[layout.sequence]
        for starts, keys, n, is_aligned in _ngrams(ids, layout, self.order, int(self.aligned_order)):
            yield starts, keys, n, is_aligned
            if self.boundary is None or is_aligned or n == self.order:
                continue
            is_first, is_last = layout.time[starts] == 0, starts + n == ends[starts]
            after, before = keys + self.boundary_key(n), keys * FACTOR + self.boundary_key(0)
            yield starts[is_first], after[is_first], n, False
            yield starts[is_last], before[is_last], n, False
            if n + 2 <= self.order:
                yield starts[is_first & is_last], (before + self.boundary_key(n + 1))[is_first & is_last], n, False

    def boundary_key(self, n: int) -> int:
        """What the boundary before n tokens adds to their key, as a signed integer of 64 bits."""
        assert self.boundary is not None
        return ((self.boundary + 1) * pow(FACTOR, n, 2**64) + 2**63) % 2**64 - 2**63

    def _letter_ngrams(self, letters: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """The first step and the key of each n-gram of letters that can be a part. (N,) -> (M,), (M,)."""
        assert self.parts is not None
        starts, keys, *_ = zip(*_ngrams(letters, layout, self.parts.longest, 0), strict=True)
        return torch.cat(starts), torch.cat(keys)

    def _look_up(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The feature of each key, and whether there is one. (M,) -> (M,), (M,)."""
        columns = torch.searchsorted(self.keys, keys).clamp(max=max(len(self.keys) - 1, 0))
        is_feature = self.keys[columns] == keys if len(self.keys) else torch.zeros_like(keys, dtype=torch.bool)
        return columns, is_feature


def _ngrams(ids: Tensor, layout: Layout, order: int, aligned_order: int) -> Iterator[tuple[Tensor, Tensor, int, bool]]:
    """For each n: the first step of each n-gram (M,), its key (M,), n, and whether the key has the position."""
    ids = ids.long()
    last = (layout.ends - 1)[layout.sequence]  # (N,) the last step of the step's sequence
    starts = (ids != UNKNOWN).nonzero().squeeze(1)
    keys = ids[starts] + 1
    for n in range(1, order + 1):
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
