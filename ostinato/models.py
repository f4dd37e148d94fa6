"""The classifier as a module, and how a config becomes its layers (here and nowhere else)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ostinato.config import ModelConfig
from ostinato.data.encoder import Encoder
from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.nn import ConvolutionStack, FrontEnd, Layout, Linear, Pooling, PositionEmbedding, RecurrentStack, Stack, TokenEmbedding

TOKENS_IN_A_PREDICTION_BATCH = 16_384
NARROW = 64  # units of a layer that the torch engine runs on one thread


class Classifier(nn.Module):
    """Embedding, a convolution if there is one, recurrent or convolutional stack, pooling, head.

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
        self.front = _build_front(config, size) if config.conv_size is not None else None
        self.stack = _build_stack(config, size if self.front is None else self.front.output_size)
        self.pooling = Pooling(config.pooling, self.stack.output_size, bidirectional=config.bidirectional and config.cell != "cnn")
        self.dropout = nn.Dropout(config.dropout)
        self.head = Linear(self.pooling.output_size, num_classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        return self.classify(*self.states(values, Layout(lengths, values.device)))

    def states(self, values: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """The stack's output at every step, and the steps' layout: fewer than `layout` has, where a front end pools. (N,) or (N, channels) -> (M, H)."""
        if isinstance(self.embed, TokenEmbedding) and isinstance(self.stack, RecurrentStack) and self.position is None and self.front is None:
            return self.stack(values, layout, table=self.embed.weight), layout
        return self._states_of(self.embed(values), layout)

    def stack_input(self, x: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """What the stack reads: the steps' vectors, after positions and front end where the model has such. (N, D) -> (M, D)."""
        placed: Tensor = x if self.position is None else self.position(x, layout)
        return (placed, layout) if self.front is None else self.front(placed, layout)

    def on_tokens(self, weights: Tensor, layout: Layout) -> Tensor:
        """Weights of the stack's steps, each shared evenly among the tokens that its step stands for. (M,) -> (N,)."""
        return weights if self.front is None else self.front.spread(weights, layout)

    def from_vectors(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits of steps given by their vectors, as `embed` gives them. (N, D) -> (B, C)."""
        layout = Layout(lengths, x.device)
        return self.classify(*self._states_of(x, layout))

    def classify(self, h: Tensor, layout: Layout, attention: Tensor | None = None) -> Tensor:
        """Pooling and head; `attention` (N,) takes the place of the weights that attention pooling would give. (N, H) -> (B, C)."""
        pooled = self.pooling(h, layout, attention)  # (N, H) -> (B, P)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def _states_of(self, x: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        inputs, steps = self.stack_input(x, layout)
        return self.stack(inputs, steps), steps  # (M, D) -> (M, H)

    @property
    def engine(self) -> str:
        """The engine that serves the stack where the model is now; convolutions train on PyTorch alone."""
        return self.stack.engine_for(self.head.weight) if isinstance(self.stack, RecurrentStack) else "torch"

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of the logits at the temperature that calibration found. (B, C) -> (B, C)."""
        return torch.softmax(logits.float() / self.temperature.to(logits.device), dim=-1)


def _build_front(config: ModelConfig, input_size: int) -> FrontEnd:
    assert config.conv_size is not None
    return FrontEnd(input_size, config.conv_size, kernel_size=config.kernel_size, centred=config.bidirectional, pool=config.conv_pool)


def _build_stack(config: ModelConfig, input_size: int) -> Stack:
    common = config.model_dump(include={"num_layers", "residual", "layer_norm", "dropout"})
    if config.cell == "cnn":
        return ConvolutionStack(input_size, config.hidden_size, kernel_size=config.kernel_size, centred=config.bidirectional, **common)
    cell = f"rnn_{config.nonlinearity}" if config.cell == "rnn" else config.cell
    return RecurrentStack(input_size, config.hidden_size, cell=cell, bidirectional=config.bidirectional, engine=config.engine, **common)


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
    """Narrow recurrent layers run on one thread of PyTorch's kernels; the process's own number is back after the block.

    Up to 64 units, a second thread of the torch engine took 10 to 25 % off a step on two idle cores, and tripled it
    where another program used one of them: its threads wait for each other at every time step. The native engine's
    threads do not, and have its own measure of what is worth a thread.
    """
    before = torch.get_num_threads()
    if isinstance(model.stack, RecurrentStack) and model.stack.hidden_size <= NARROW and model.engine == "torch":
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
