"""Classifiers and training steps as PyTorch tutorials write them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from ostinato.benchmark.timing import Side


class CellLoop(nn.Module):
    """A vanilla RNN with one call of `nn.RNNCell` per step. (B, T) -> (B, 2)."""

    def __init__(self, num_tokens: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.cell = nn.RNNCell(embedding_size, hidden_size)
        self.head = nn.Linear(hidden_size, 2)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        h = x.new_zeros(len(ids), self.cell.hidden_size)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.head(h)


class LastState(nn.Module):
    """The last state of an `nn.RNN` or `nn.LSTM`, and a linear layer. ids (B, T), packed with lengths -> (B, 2)."""

    def __init__(self, num_tokens: int, embedding_size: int, layer: nn.RNNBase) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size, 2)

    def forward(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.embedding(ids)
        steps = x if lengths is None else pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.layer(steps)
        h = state[0] if isinstance(state, tuple) else state  # (L, B, H)
        return self.head(h[-1])


class AttentionGRU(nn.Module):
    """A bidirectional GRU with additive attention, for sequences of one length. (B, T) -> (B, 2)."""

    def __init__(self, num_tokens: int, embedding_size: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, embedding_size)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden_size, 2 * hidden_size)
        self.score = nn.Linear(2 * hidden_size, 1, bias=False)
        self.head = nn.Linear(2 * hidden_size, 2)

    def forward(self, ids: Tensor) -> Tensor:
        h, _ = self.gru(self.embedding(ids))
        weights = self.score(torch.tanh(self.project(h))).softmax(dim=1)  # (B, T, H) -> (B, T, 1)
        return self.head((weights * h).sum(dim=1))


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy all parameters between two modules that list them in the same order."""
    with torch.no_grad():
        for copied, original in zip(target.parameters(), source.parameters(), strict=True):
            copied.copy_(original)


def inference_side(
    model: nn.Module,
    forward: Callable[[], Tensor],
    tokens: int,
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Side:
    """A forward pass of a whole model in eval mode."""
    model.eval()

    def run() -> Tensor:
        with torch.inference_mode():
            return forward()

    return Side(run, lambda: [run()], tokens, context=context)


def textbook_step(model: nn.Module, ids: Tensor, targets: Tensor) -> Side:
    """A training step of a classifier: Adam, cross-entropy, the loss read after each step. ids (B, T), targets (B,)."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def run() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(ids), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Side(run, lambda: logits_and_gradients(model, model(ids), targets), ids.numel())


def logits_and_gradients(model: nn.Module, logits: Tensor, targets: Tensor) -> list[Tensor]:
    """The logits, and the gradient of the cross-entropy for each parameter; the model's gradients are reset."""
    F.cross_entropy(logits, targets).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    return [logits.detach(), *gradients]
