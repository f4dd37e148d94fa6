"""The classifier as a module, and how a config becomes its layers."""

import torch
from torch import Tensor, nn

from ostinato.config import ModelConfig
from ostinato.data.encoder import Encoder
from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.models.network import Network, build_stack, few_threads
from ostinato.nn import ConvStem, Layout, Linear, Pooling, PositionEmbedding, RecurrentStack, TokenEmbedding

TOKENS_IN_A_PREDICTION_BATCH = 16_384


class Classifier(Network):
    """Embedding, a convolution if there is one, recurrent or convolutional stack, pooling, head.

    Args:
        config: the layers' sizes and kinds.
        num_classes: C.
        num_tokens: V, for token ids; None for numeric series.
        channels: numbers in each step of a series; None for token ids.
        num_positions: rows of the position embedding, when there is one.
        num_beyond: token ids from V on, whose pretrained vectors are not trained.

    Attributes:
        met_unknown: whether the training data held unknown tokens, so that their vector means something.

    Shapes:
        values (N,) token ids or (N, channels), lengths (B,) -> logits (B, C).
    """

    temperature: Tensor

    def __init__(
        self,
        config: ModelConfig,
        *,
        num_classes: int,
        num_tokens: int | None,
        channels: int | None,
        num_positions: int,
        num_beyond: int = 0,
    ) -> None:
        super().__init__()
        size = config.embedding_size
        self.met_unknown = False
        self.channels = channels
        self.embed = (
            Linear(channels, size)
            if channels is not None
            else TokenEmbedding(num_tokens or 1, size, num_extra=num_beyond)
        )
        self.position = (
            PositionEmbedding(size, kind=config.position, num_positions=num_positions) if config.position else None
        )
        self.front = _build_front(config, size) if config.conv_size is not None else None
        self.stack = build_stack(config, size if self.front is None else self.front.output_size)
        self.pooling = Pooling(
            config.pooling, self.stack.output_size, bidirectional=config.bidirectional and config.cell != "cnn"
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = Linear(self.pooling.output_size, num_classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        return self.classify(*self.states(values, Layout(lengths, values.device)))

    def states(self, values: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        """The stack's output at every step, and the steps' layout: fewer than `layout` has, where a front end pools. (N,) or (N, channels) -> (M, H)."""
        if (
            self._is_one_table
            and isinstance(self.stack, RecurrentStack)
            and self.position is None
            and self.front is None
        ):
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

    @property
    def _is_one_table(self) -> bool:
        """Whether all tokens' vectors are rows of one table, which the kernel can read."""
        return isinstance(self.embed, TokenEmbedding) and self.embed.extra is None

    def _states_of(self, x: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        inputs, steps = self.stack_input(x, layout)
        return self.stack(inputs, steps), steps  # (M, D) -> (M, H)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of the logits at the temperature that calibration found. (B, C) -> (B, C)."""
        return torch.softmax(logits.float() / self.temperature.to(logits.device), dim=-1)


def _build_front(config: ModelConfig, input_size: int) -> ConvStem:
    assert config.conv_size is not None
    return ConvStem(
        input_size,
        config.conv_size,
        kernel_size=config.kernel_size,
        centred=config.bidirectional,
        pool=config.conv_pool,
    )


def build_classifier(config: ModelConfig, encoder: Encoder) -> Classifier:
    """A classifier with fresh weights for what `encoder` gives; draws from torch's generator."""
    return Classifier(
        config,
        num_classes=encoder.num_labels,
        num_tokens=len(encoder.vocabulary) if encoder.vocabulary is not None else None,
        channels=encoder.channels,
        num_positions=max(encoder.longest, 1),
        num_beyond=len(encoder.vocabulary.beyond) if encoder.vocabulary is not None else 0,
    )


@torch.inference_mode()
def predict_logits(model: Classifier, sequences: Ragged) -> Tensor:
    """Logits of every sequence, in order, in eval mode. Returns (B, C) float32 on the CPU."""
    device = model.device
    logits = torch.empty(len(sequences), model.head.out_features)
    was_training = model.training
    model.eval()
    batches = BucketSampler(
        sequences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_PREDICTION_BATCH, shuffle=False
    ).batches(0)
    with few_threads(model):
        for indices in batches:
            batch = sequences.select(indices)
            logits[indices] = model(batch.values.to(device), batch.lengths).float().cpu()
    model.train(was_training)
    return logits
