"""A linear model of the features of a token and its neighbours, beside the recurrent layers of a tagger or alone.

Source: Cheng et al. (2016), Wide & Deep Learning for Recommender Systems, arXiv:1606.07792; features as in Ratnaparkhi
(1996), A Maximum Entropy Model for Part-Of-Speech Tagging, and Ratinov & Roth (2009), Design Challenges and
Misconceptions in Named Entity Recognition.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ostinato.errors import RunError
from ostinato.nn.layout import Layout
from ostinato.nn.wide import FACTOR, POSITION

KINDS = 4  # of letters: upper case, lower case or caseless, digit, anything else
OTHER = 3  # the last of them, which a shape shows as it is
LONGEST_AFFIX = 4  # letters
FEWEST_OF_WORDS = 3  # tokens with an n-gram of words: rarer ones mislead, as 5-fold cross-validation on entities showed
REACH = 2  # tokens on each side whose features count
ABSENT, BOUNDARY = 0, 1  # values of an attribute: the token has none; there is no token
SKEW = 2_862_933_555_777_941_757  # odd; Steele and Vigna (2022), Computationally easy, spectrally good multipliers

Part = tuple[str, int]  # an attribute, and the offset of the token that has it


class Tokens(NamedTuple):
    """N tokens of B sentences.

    Args:
        letters: (L,) int32 the letters of F distinct forms, end to end: 4 · code point in lower case + kind.
        letter_layout: of the letters in forms.
        forms: (N,) the form of each token.
        columns: (N, K) the values of K further columns.
        layout: of the tokens in sentences.
    """

    letters: Tensor
    letter_layout: Layout
    forms: Tensor
    columns: Tensor
    layout: Layout

    def repeated(self, count: int) -> "Tokens":
        """Copies of all sentences, end to end."""
        layout = Layout(self.layout.lengths_on_cpu.repeat(count), self.forms.device)
        return self._replace(forms=self.forms.repeat(count), columns=self.columns.repeat(count, 1), layout=layout)


def templates(num_columns: int) -> list[tuple[Part, ...]]:
    """The kinds of features: each joins one or several attributes of tokens at offsets from the tagged token."""
    affixes = [f"{end}{size}" for end in ("prefix", "suffix") for size in range(1, LONGEST_AFFIX + 1)]
    found: list[tuple[Part, ...]] = [()]  # a feature of every token: how frequent a tag is
    found += [((name, 0),) for name in ("shape", *affixes)]
    found += [((name, offset),) for name in ("word", "short shape") for offset in range(-REACH, REACH + 1)]
    found += [((name, offset),) for name in ("suffix2", "suffix3") for offset in (-1, 1)]
    found += [(("word", offset), ("word", offset + 1)) for offset in range(-REACH, REACH)]
    found += [(("word", -1), ("word", 1)), (("word", -1), ("word", 0), ("word", 1))]
    found += [(("short shape", offset), ("short shape", offset + 1)) for offset in (-1, 0)]
    for column in range(num_columns):
        name = f"column {column}"
        found += [((name, offset),) for offset in range(-REACH, REACH + 1)]
        found += [((name, offset), (name, offset + 1)) for offset in range(-REACH, REACH)]
    return found


class WideTokens(nn.Module):
    """Scores of tags that are linear in the features of each token: Σₓ weight[x] over the features x that it has.

    A feature joins attributes of the token and of tokens at most `REACH` away, see `templates`: the word in lower case,
    its first and last letters, its shape, and the values of further columns. The shape of a word is its letters' kinds,
    in which a letter of kind `OTHER` stands for itself; the short shape has each repetition once. Beyond the sentence,
    every attribute is `BOUNDARY`. Only features that `fit` selected count.

    A feature is known by a 64-bit key, as in `WideNgrams`: its attributes' keys a₁ … aₙ give
    (…(a₁ · F + a₂) · F + …) + aₙ + (template + 1) · `POSITION` modulo 2⁶⁴, with F = `FACTOR`.

    Args:
        num_outputs: C.
        num_columns: K.

    Attributes:
        keys: (F,) int64, ascending: the features.
        weight: (F, C), not trained by gradients.
    """

    keys: Tensor

    def __init__(self, num_outputs: int, *, num_columns: int) -> None:
        super().__init__()
        self.templates = templates(num_columns)
        self.register_buffer("keys", torch.zeros(0, dtype=torch.int64))
        self.weight = nn.Parameter(torch.zeros(0, num_outputs), requires_grad=False)

    def forward(self, tokens: Tokens, hidden: Tensor | None = None) -> Tensor:
        """The scores (N, C).

        Args:
            hidden: (N,) True at tokens that are masked: the features of which they are a part are ignored.
        """
        if not len(self.keys):
            return self.weight.new_zeros(len(tokens.forms), self.weight.shape[1])
        rows, columns = self.entries(tokens, hidden)
        sizes = torch.bincount(rows, minlength=len(tokens.forms))
        scores: Tensor = nn.functional.embedding_bag(  # sums a token's features in order, whatever its batch
            columns, self.weight, sizes.cumsum(0) - sizes, mode="sum"
        )
        return scores

    def entries(self, tokens: Tokens, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The token and the feature of each feature that occurs, ordered by token, then by template. (M,), (M,)."""
        found = [torch.where(present, *self._look_up(keys)) for keys, present in self._keys(tokens, hidden)]  # T × (N,)
        columns = torch.stack(found, dim=1)  # (N, T)
        rows, which = (columns >= 0).nonzero(as_tuple=True)
        return rows, columns[rows, which]

    def contributions(self, tokens: Tokens) -> Tensor:
        """What each token adds to the scores of the tokens around it: an equal share of each feature it is part of.

        The scores of a token are the sum over itself and its neighbours, and the weight of the feature that every
        token has.

        Returns:
            (N, 2 · `REACH` + 1, C); [t, o] belongs to the token at t + o − `REACH`, and is 0 beyond the sentence.
        """
        shares = self.weight.new_zeros(len(tokens.forms), 2 * REACH + 1, self.weight.shape[1])
        if not len(self.keys):
            return shares
        for parts, (keys, present) in zip(self.templates, self._keys(tokens, None), strict=True):
            columns = torch.where(present, *self._look_up(keys))
            inside = torch.stack([_neighbour(tokens.layout, offset)[1] for _, offset in parts] or [present], dim=1)
            rows = ((columns >= 0) & inside.any(dim=1)).nonzero().squeeze(1)
            of_feature = self.weight[columns[rows]] / inside[rows].sum(dim=1, keepdim=True)
            for number, (_, offset) in enumerate(parts):
                shares[rows, offset + REACH] += of_feature * inside[rows, number, None]
        return shares

    @torch.no_grad()
    def fit(self, tokens: Tokens, *, most: int, fewest: int) -> None:
        """Select features from training sentences. The weights become zeros.

        Args:
            most: number of features; those of the most tokens are selected.
            fewest: number of tokens that must have a feature; `FEWEST_OF_WORDS` at least for several words in a row.
        """
        keys, counts = [tokens.forms.new_zeros(0)], [tokens.forms.new_zeros(0)]
        for parts, (found, present) in zip(self.templates, self._keys(tokens, None), strict=True):
            distinct, count = torch.unique(found[present], return_counts=True)
            is_frequent = count >= max(fewest, FEWEST_OF_WORDS if _joins_words(parts) else 1)
            keys.append(distinct[is_frequent])
            counts.append(count[is_frequent])
        every, count = torch.cat(keys), torch.cat(counts)
        self.set_keys(every[count.argsort(descending=True, stable=True)[:most]].sort().values)

    def set_keys(self, keys: Tensor) -> None:
        """Use these features, (F,) ascending. The weights become zeros."""
        self.resize(len(keys))
        self.keys.copy_(keys)

    def prepare_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for the features of a stored state, by the names that they have here.

        Raises:
            RunError: the keys do not ascend.
        """
        keys = tensors.get("keys")
        if keys is None or keys.dim() != 1:
            return  # these are refused as weights that are missing, or of another shape
        if not (keys[1:] > keys[:-1]).all():
            raise RunError("the keys of the features do not ascend. Train again.")
        self.resize(len(keys))

    def resize(self, num_features: int) -> None:
        """Make room for F features."""
        self.keys = self.keys.new_zeros(num_features)
        self.weight = nn.Parameter(self.weight.new_zeros(num_features, self.weight.shape[1]), requires_grad=False)

    def _look_up(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The feature of each key, −1 if there is none; and −1 for each. (N,) -> (N,), (N,)."""
        missing = torch.full_like(keys, -1)
        columns = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[columns] == keys, columns, missing), missing

    def _keys(self, tokens: Tokens, hidden: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """For each template: the key of each token's feature, and whether it has this feature. T × ((N,), (N,))."""
        values = {name: each[tokens.forms] for name, each in form_attributes(tokens).items()}
        for column, each in enumerate(tokens.columns.unbind(dim=1)):
            values[f"column {column}"] = each + BOUNDARY + 1
        neighbours = {offset: _neighbour(tokens.layout, offset) for offset in range(-REACH, REACH + 1)}
        for number, parts in enumerate(self.templates):
            keys = torch.zeros_like(tokens.forms)
            present = torch.ones_like(tokens.forms, dtype=torch.bool)
            for name, offset in parts:
                index, inside = neighbours[offset]
                value = values[name][index]
                keys = keys * FACTOR + torch.where(inside, value, BOUNDARY)
                present &= ~inside | ((value != ABSENT) & (True if hidden is None else ~hidden[index]))
            yield keys + _wrapped((number + 1) * POSITION), present


def _joins_words(parts: Sequence[Part]) -> bool:
    return len(parts) > 1 and all(name == "word" for name, _ in parts)


def _wrapped(number: int) -> int:
    """The number modulo 2⁶⁴, as int64 has it."""
    return (number + 2**63) % 2**64 - 2**63


def _neighbour(layout: Layout, offset: int) -> tuple[Tensor, Tensor]:
    """The index of the token at an offset from each token, and whether the sentence has it. (N,), (N,)."""
    at = torch.arange(layout.num_steps, device=layout.sequence.device)
    index = (at + offset).clamp(0, max(layout.num_steps - 1, 0))
    time = layout.time + offset
    return index, (time >= 0) & (time < layout.lengths[layout.sequence])


def form_attributes(tokens: Tokens) -> dict[str, Tensor]:
    """The attributes of each form: keys of the word, its shapes and its affixes, `ABSENT` if too short. Each (F,)."""
    layout = tokens.letter_layout
    letters, kinds = tokens.letters.long() // KINDS, tokens.letters.long() % KINDS
    shape = torch.where(kinds == OTHER, letters + KINDS, kinds)
    starts, lengths = layout.starts, layout.lengths
    found = {"word": _polynomial(letters, layout.time, layout), "shape": _polynomial(shape, layout.time, layout)}
    is_new = torch.ones_like(letters, dtype=torch.bool)
    is_new[1:] = (shape[1:] != shape[:-1]) | (layout.time[1:] == 0)
    ranks = is_new.cumsum(0)
    rank = ranks - ranks[starts[layout.sequence]]
    found["short shape"] = _polynomial(torch.where(is_new, shape + 1, 0) - 1, rank, layout)
    for size in range(1, LONGEST_AFFIX + 1):
        fits = lengths >= size
        for end, first in (("prefix", starts), ("suffix", starts + lengths - size)):
            key = torch.zeros_like(starts)
            for number in range(size):
                key[fits] = key[fits] * SKEW + letters[first[fits] + number] + 1
            found[f"{end}{size}"] = torch.where(fits, key + (BOUNDARY + 1), ABSENT)
    return found


def _polynomial(values: Tensor, powers: Tensor, layout: Layout) -> Tensor:
    """A key for each sequence of values ≥ 0: Σ (value + 1) · SKEW^power modulo 2⁶⁴; values of −1 do not count."""
    longest = int(powers.max()) + 1 if len(powers) else 0
    table = torch.full((longest,), SKEW, dtype=torch.int64, device=values.device)
    if longest:
        table[0] = 1
    terms = (values + 1) * table.cumprod(0)[powers]
    keys = torch.zeros(layout.batch_size, dtype=torch.int64, device=values.device)
    return keys.index_add(0, layout.sequence, terms) + (BOUNDARY + 1)
