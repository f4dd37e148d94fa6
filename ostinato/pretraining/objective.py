"""What a pre-training learns: tokens from their neighbours' side, or the values of a series."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.data.sampler import BucketSampler
from ostinato.nn import Linear, RecurrentStack, TokenEmbedding
from ostinato.nn.next_step import LanguageModel, NextStepNetwork
from ostinato.nn.sampled_softmax import softmax_loss, token_losses
from ostinato.nn.threads import few_threads
from ostinato.pretraining.config import PretrainingConfig, PretrainingModel, PretrainingTraining
from ostinato.pretraining.corpus import Corpus, Steps
from ostinato.tasks.network import build_stack
from ostinato.training.device import autocast
from ostinato.training.pretrained import Pretrained, start_from

POWER = 0.75  # of the counts, by which negatives are drawn (Mikolov et al. 2013, arXiv:1310.4546)
TOKENS_IN_A_BATCH = 8192


def samples(num_tokens: int, negatives: int | None) -> bool:
    """Whether training estimates the softmax over a vocabulary from so many drawn tokens."""
    return negatives is not None and num_tokens >= 2 * negatives


class TokenLoss:
    """The mean negative log-likelihood of the next and the previous token, in nats.

    Args:
        counts: (V,) occurrences of each token in train.
        negatives: how many tokens are drawn for each batch; None, or a small vocabulary: the whole softmax.
    """

    def __init__(self, counts: Tensor, negatives: int | None) -> None:
        self.negatives = negatives if samples(len(counts), negatives) else None
        self.drawn = counts.double().clamp(min=0.5).pow(POWER)
        self.drawn /= self.drawn.sum()

    def weight(self, batch: Steps) -> float:
        return float((batch.lengths - 1).sum())

    def loss(self, model: LanguageModel, batch: Steps, config: PretrainingTraining) -> Tensor:
        values = batch.sequences.values
        with autocast(values.device, config.precision):
            vectors, predicted = model.predict(values, batch.lengths)
        sides = len(predicted) / self.weight(batch)  # 2 if both neighbours are predicted
        sample = () if self.negatives is None else self._sample(self.negatives, values.device)
        targets = values[predicted].long()
        return softmax_loss(vectors.float(), model.embed.weight, model.bias, targets, *sample) / sides

    def _sample(self, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Tokens drawn with replacement, and the logarithm of how often each is expected."""
        negatives = torch.multinomial(self.drawn, count, replacement=True)
        log_expected = (self.drawn[negatives] * count).log().float()
        return negatives.to(device), log_expected.to(device)

    def metrics(self, model: LanguageModel, data: Steps) -> dict[str, float]:
        total = predictions = 0.0
        for values, lengths in _batches(model, data):
            vectors, predicted = model.predict(values, lengths)
            losses = token_losses(vectors.float(), model.embed.weight, model.bias, values[predicted].long())
            total, predictions = total + float(losses.double().sum()), predictions + len(losses)
        loss = total / predictions
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


class ValueLoss:
    """The mean squared error of the next and the previous step, in squared standard deviations of a channel."""

    def weight(self, batch: Steps) -> float:
        return float((batch.lengths - 1).sum())

    def loss(self, model: NextStepNetwork, batch: Steps, config: PretrainingTraining) -> Tensor:
        values = batch.sequences.values
        with autocast(values.device, config.precision):
            predictions, predicted = model.predict(values, batch.lengths)
        sides = len(predicted) / self.weight(batch)
        return F.mse_loss(predictions.float(), values[predicted], reduction="sum") / (sides * values.shape[1])

    def metrics(self, model: NextStepNetwork, data: Steps) -> dict[str, float]:
        total = predictions = 0.0
        for values, lengths in _batches(model, data):
            found, predicted = model.predict(values, lengths)
            total += float((found - values[predicted]).double().square().sum())
            predictions += found.numel()
        return {"loss": total / predictions}


def objective_of(config: PretrainingConfig, corpus: Corpus) -> TokenLoss | ValueLoss:
    """Tokens are predicted by their probability, series by their values."""
    return ValueLoss() if corpus.counts is None else TokenLoss(corpus.counts, config.training.negatives)


def baseline_loss(corpus: Corpus) -> float:
    """The held-out loss without context: of each token's frequency in train; of series, of repeating the last step."""
    values, lengths = corpus.validation.sequences.values, corpus.validation.lengths
    if corpus.counts is not None:
        return float(-_log_frequencies(corpus.counts)[values.long()].mean())
    is_first = torch.zeros(len(values), dtype=torch.bool)
    is_first[lengths.cumsum(0) - lengths] = True
    steps = (values[1:] - values[:-1])[~is_first[1:]]
    return float(steps.double().square().mean())


def build_network(
    config: PretrainingModel, corpus: Corpus, pretrained: Pretrained | None = None
) -> LanguageModel | NextStepNetwork:
    """A network with fresh weights from torch's global generator, or those of the pre-training to continue."""
    stack = build_stack(config, config.embedding_size)
    assert isinstance(stack, RecurrentStack)
    network: LanguageModel | NextStepNetwork
    if corpus.counts is None:
        channels = corpus.encoder.channels or 0
        network = NextStepNetwork(
            embed=Linear(channels, config.embedding_size),
            stack=stack,
            bidirectional=config.bidirectional,
            output_size=channels,
        )
    else:
        network = LanguageModel(
            embed=TokenEmbedding(len(corpus.counts), config.embedding_size),
            stack=stack,
            bidirectional=config.bidirectional,
            bias=_log_frequencies(corpus.counts),
            word_dropout=config.word_dropout,
        )
    if pretrained is not None:
        start_from(network, pretrained)
        heads = {name: each for name, each in pretrained.weights.items() if name.startswith(("head.", "reverse_head."))}
        network.load_state_dict(heads, strict=False)
    return network


def _log_frequencies(counts: Tensor) -> Tensor:
    """The logarithm of each token's share, where one more of each is counted. (V,) -> (V,)."""
    return ((counts + 1).double() / (counts.sum() + len(counts))).log().float()


def _batches(model: NextStepNetwork, data: Steps) -> Iterator[tuple[Tensor, Tensor]]:
    """Values and lengths in batches on the model's device; inside the loop, the model is in eval mode."""
    was_training = model.training
    model.eval()
    sampler = BucketSampler(data.lengths, batch_size=1, max_tokens=TOKENS_IN_A_BATCH, shuffle=False)
    with few_threads(model, tokens=TOKENS_IN_A_BATCH), torch.inference_mode():
        for indices in sampler.batches(0):
            batch = data.at(indices, model.device)
            yield batch.sequences.values, batch.lengths
    model.train(was_training)
