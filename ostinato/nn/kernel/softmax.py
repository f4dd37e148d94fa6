"""The softmax loss and its gradient in the kernel: one call for all rows, on several threads."""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import Softmax
from ostinato.nn.kernel.shapes import check_float32
from ostinato.nn.kernel.threads import num_threads


class SoftmaxGradient(NamedTuple):
    """The loss of each row, and the gradient of the losses' sum.

    Args:
        losses: (n,).
        vectors: (n, E).
        positive: (n,) of each row's logit of its own target.
        candidates, shift: (S, E), (S,) of the candidates' vectors and biases, without what comes from own targets.
    """

    losses: Tensor
    vectors: Tensor
    positive: Tensor
    candidates: Tensor
    shift: Tensor


def softmax(
    vectors: Tensor,
    candidates: Tensor,
    shift: Tensor,
    table: Tensor,
    bias: Tensor,
    targets: Tensor,
    left_out: Tensor,
) -> SoftmaxGradient:
    """−log of the softmax of each row's own target, over this target and the candidates; without autograd.

    The bits do not depend on the number of threads.

    Args:
        vectors: (n, E).
        candidates: (S, E), with `shift` (S,): their logits are v·c + shift.
        table: (V, E), with `bias` (V,): the logit of the own target t is v·table[t] + bias[t].
        targets: (n,) int64.
        left_out: (n,) int64, the candidate that a row leaves out, or -1.

    Raises:
        ConfigError: a tensor is not float32, or the shapes do not match.
        IndexError: a target or a candidate is out of range.
    """
    (rows, size), count, tokens = vectors.shape, len(candidates), len(table)
    claims = ("vectors", vectors, (rows, size)), ("candidates", candidates, (count, size)), ("shift", shift, (count,))
    check_float32([*claims, ("table", table, (tokens, size)), ("bias", bias, (tokens,))])
    inputs = (vectors, candidates, shift, table, bias, targets, left_out)
    given = [each.contiguous().resolve_neg() for each in inputs]
    losses, positive = vectors.new_empty(len(vectors)), vectors.new_empty(len(vectors))
    d_vectors, d_candidates, d_shift = (torch.empty_like(each) for each in given[:3])
    made = [losses, positive, d_vectors, d_candidates, d_shift]
    call = Softmax(rows, size, count, tokens, *(each.data_ptr() for each in (*given, *made)))
    binding.check(binding.built_library().ostinato_softmax(ctypes.byref(call), num_threads()))
    return SoftmaxGradient(losses, d_vectors, positive, d_candidates, d_shift)
