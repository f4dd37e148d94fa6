"""The classifier as a module, and how a config becomes its layers (here and nowhere else)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ostinato.config import ModelConfig
from ostinato.data.encoder import Encoder
from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.nn import Layout, Linear, Pooling, PositionEmbedding, RecurrentStack, TokenEmbedding

TOKENS_IN_A_PREDICTION_BATCH = 16_384
NARROW = 64  # units of a layer that the torch engine runs on one thread


class Classifier(nn.Module):
    """Embedding, recurrent stack, pooling, head.

    Args:
        config: the layers' sizes and kinds.
        num_classes: C.
        num_tokens: V, for token ids; None for numeric series.
        channels: numbers in each step of a series; None for token ids.
        num_positions: rows of the position embedding, when there is one.

    Attributes:
        met_unknown: whether the training data held unknown tokens, so that their vector means something.

    Shapes:
        values (N,) token ids or (N, channels), lengths (B,) -> logits (B, C).
    """

    temperature: Tensor

    def __init__(self, config: ModelConfig, *, num_classes: int, num_tokens: int | None, channels: int | None, num_positions: int) -> None:
        super().__init__()
        size = config.embedding_size
        self.met_unknown = False
        self.channels = channels
        self.embed = Linear(channels, size) if channels is not None else TokenEmbedding(num_tokens or 1, size)
        self.position = PositionEmbedding(size, kind=config.position, num_positions=num_positions) if config.position else None
        self.stack = RecurrentStack(
            size,
            config.hidden_size,
            cell=f"rnn_{config.nonlinearity}" if config.cell == "rnn" else config.cell,
            num_layers=config.num_layers,
            bidirectional=config.bidirectional,
            residual=config.residual,
            layer_norm=config.layer_norm,
            dropout=config.dropout,
            engine=config.engine,
        )
        self.pooling = Pooling(config.pooling, self.stack.output_size, bidirectional=config.bidirectional)
        self.dropout = nn.Dropout(config.dropout)
        self.head = Linear(self.pooling.output_size, num_classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        layout = Layout(lengths, values.device)
        return self.classify(self.states(values, layout), layout)

    def states(self, values: Tensor, layout: Layout) -> Tensor:
        """The stack's output at every step. (N,) or (N, channels) -> (N, H)."""
        if isinstance(self.embed, TokenEmbedding) and self.position is None:
            h: Tensor = self.stack(values, layout, table=self.embed.weight)
            return h
        return self._states_of(self.embed(values), layout)

    def stack_input(self, x: Tensor, layout: Layout) -> Tensor:
        """The vectors of the steps with their positions, where the model has such. (N, D) -> (N, D)."""
        placed: Tensor = x if self.position is None else self.position(x, layout)
        return placed

    def from_vectors(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits of steps given by their vectors, as `embed` gives them. (N, D) -> (B, C)."""
        layout = Layout(lengths, x.device)
        return self.classify(self._states_of(x, layout), layout)

    def classify(self, h: Tensor, layout: Layout, attention: Tensor | None = None) -> Tensor:
        """Pooling and head; `attention` (N,) takes the place of the weights that attention pooling would give. (N, H) -> (B, C)."""
        pooled = self.pooling(h, layout, attention)  # (N, H) -> (B, P)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def _states_of(self, x: Tensor, layout: Layout) -> Tensor:
        h: Tensor = self.stack(self.stack_input(x, layout), layout)  # (N, D) -> (N, H)
        return h

    @property
    def engine(self) -> str:
        """The engine that serves the recurrent layers where the model is now."""
        return self.stack.engine_for(self.head.weight)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of the logits at the temperature that calibration found. (B, C) -> (B, C)."""
        return torch.softmax(logits.float() / self.temperature.to(logits.device), dim=-1)


def build_classifier(config: ModelConfig, encoder: Encoder) -> Classifier:
    """A classifier with fresh weights for what `encoder` gives; draws from torch's generator."""
    return Classifier(
        config,
        num_classes=encoder.num_labels,
        num_tokens=len(encoder.vocabulary) if encoder.vocabulary is not None else None,
        channels=encoder.channels,
        num_positions=max(encoder.longest, 1),
    )


@contextmanager
def few_threads(model: Classifier) -> Iterator[None]:
    """Narrow layers run on one thread of PyTorch's kernels; the process's own number is back after the block.

    Up to 64 units, a second thread of the torch engine took 10 to 25 % off a step on two idle cores, and tripled it
    where another program used one of them: its threads wait for each other at every time step. The native engine's
    threads do not, and have its own measure of what is worth a thread.
    """
    before = torch.get_num_threads()
    if model.stack.hidden_size <= NARROW and model.engine == "torch":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def predict_logits(model: Classifier, sequences: Ragged) -> Tensor:
    """Logits of every sequence, in order, in eval mode. Returns (B, C) float32 on the CPU."""
    device = model.head.weight.device
    logits = torch.empty(len(sequences), model.head.out_features)
    was_training = model.training
    model.eval()
    batches = BucketSampler(sequences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_PREDICTION_BATCH, shuffle=False).batches(0)
    with few_threads(model):
        for indices in batches:
            batch = sequences.select(indices)
            logits[indices] = model(batch.values.to(device), batch.lengths).float().cpu()
    model.train(was_training)
    return logits
