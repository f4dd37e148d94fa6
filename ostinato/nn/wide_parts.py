"""Parts of tokens as features of a linear model: the n-grams of the letters of each word."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ostinato.errors import RunError
from ostinato.nn.layout import Layout

NgramKeys = Callable[[Tensor, Layout], tuple[Tensor, Tensor]]  # letters -> first steps (M,) and keys (M,) of n-grams


class TokenParts(nn.Module):
    """The features that each token has because of its spelling, the same wherever it occurs.

    A part that occurs twice in a token is there twice. The unknown token has no parts.

    Args:
        letters: (N,) code points of all tokens end to end, with one at each end of a token that stands for the end.
        lengths: (V,) of the tokens; 0 for the unknown token.
        longest: letters in the longest parts.

    Attributes:
        ends: (V,) int64, where the parts of each token end in `columns`; they begin where those of the last token end.
        columns: (P,) int32, the feature of each part.
    """

    ends: Tensor
    columns: Tensor

    def __init__(self, letters: Tensor, lengths: Tensor, *, longest: int) -> None:
        super().__init__()
        self.letters, self.lengths = letters, lengths
        self.longest = longest
        self.register_buffer("ends", torch.zeros(len(lengths), dtype=torch.int64))
        self.register_buffer("columns", torch.zeros(0, dtype=torch.int32))

    def of(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The step and the feature of each part, ordered by step. (N,) -> (M,), (M,)."""
        ids = ids.long()
        sizes = self._sizes()[ids]
        steps = torch.arange(len(ids), device=ids.device).repeat_interleave(sizes)
        shift = self.ends[ids] - sizes.cumsum(0)  # where a step's parts end, in `columns` and among all steps' parts
        return steps, self.columns[shift[steps] + torch.arange(len(steps), device=ids.device)].long()

    def spell(self, keys_of: NgramKeys) -> int:
        """Make every n-gram of the letters of the tokens a feature, numbered from 0. Returns their number.

        Args:
            keys_of: finds n-grams and their keys.
        """
        layout = Layout(self.lengths)
        starts, keys = keys_of(self.letters, layout)
        token = layout.sequence[starts]
        distinct, columns = torch.unique(keys[token.argsort(stable=True)], return_inverse=True)
        self.columns = columns.int()
        self.ends.copy_(torch.bincount(token, minlength=len(self.lengths)).cumsum(0))
        return len(distinct)

    def select(self, chosen: Tensor, first: int, num_parts: int) -> None:
        """Leave out the features that are not chosen, and number the others from `first` in the given order.

        Args:
            chosen: (K,) of `num_parts` features.
        """
        numbers = torch.full((num_parts,), -1, dtype=torch.int32)
        numbers[chosen] = torch.arange(first, first + len(chosen), dtype=torch.int32)
        columns = numbers[self.columns.long()]
        kept = torch.cat([torch.zeros(1, dtype=torch.int64), (columns >= 0).cumsum(0)])
        self.ends.copy_(kept[self.ends])
        self.columns = columns[columns >= 0]

    def prepare_for(self, ends: Tensor, columns: Tensor, features: range) -> None:
        """Make room for the parts of a stored state.

        Raises:
            RunError: `ends` do not ascend to the number of parts, or a part is not one of the features.
        """
        is_ascending = len(ends) and int(ends[0]) >= 0 and bool((ends[1:] >= ends[:-1]).all())
        if not is_ascending or int(ends[-1]) != columns.numel():
            raise RunError(f"the ends of the parts of tokens do not ascend to {columns.numel()}. Train again.")
        if columns.numel() and not (columns.min() >= features.start and columns.max() < features.stop):
            raise RunError(
                f"the parts of tokens are features {int(columns.min())} to {int(columns.max())}, expected "
                f"{features.start} to {features.stop - 1}. Train again."
            )
        self.columns = self.columns.new_zeros(columns.numel())

    def _sizes(self) -> Tensor:
        """The number of parts of each token. (V,)."""
        return self.ends.diff(prepend=self.ends.new_zeros(1))
