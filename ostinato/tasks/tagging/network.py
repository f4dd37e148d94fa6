"""The tagger as a module, and how a config becomes its layers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.data.sampler import BucketSampler
from ostinato.data.vocabulary import UNKNOWN
from ostinato.nn import CharacterFeatures, CRFConstraints, Layout, Linear, LinearChainCRF, TokenEmbedding
from ostinato.nn.network import Network, few_threads
from ostinato.tasks.network import build_stack
from ostinato.tasks.tagging.codec import UNSEEN, TagCodec
from ostinato.tasks.tagging.config import TaggingModel
from ostinato.tasks.tagging.encoder import WORD_SHAPES, SentenceEncoder
from ostinato.tasks.tagging.schemes import transitions
from ostinato.tasks.tagging.sentences import Sentences

TOKENS_IN_A_PREDICTION_BATCH = 8_192


class CertainTags(NamedTuple):
    """The best tag of each of N tokens (N,), and its marginal probability (N,)."""

    tags: Tensor
    probabilities: Tensor


class Tagger(Network):
    """Vectors of words, word shapes, characters and features, joined; a recurrent stack; a CRF, or each tag by itself.

    Args:
        config: the layers' sizes and kinds.
        num_tags: C.
        num_words: V.
        num_characters: of the character vocabulary.
        feature_sizes: of the vocabulary of each feature beside the words.
        num_extra: words outside the training vocabulary, whose pretrained vectors are not trained.
        allowed: which tags the CRF may give; None: all.

    Shapes:
        N tokens of B sentences -> scores (N, C).

    A value of a feature that training never met has the vector zero.

    Source: Lample et al. (2016), arXiv:1603.01360; Ma & Hovy (2016), arXiv:1603.01354. Here dropout is variational.
    """

    def __init__(
        self,
        config: TaggingModel,
        *,
        num_tags: int,
        num_words: int,
        num_characters: int,
        feature_sizes: Sequence[int] = (),
        num_extra: int = 0,
        allowed: CRFConstraints | None = None,
    ) -> None:
        super().__init__()
        self.word_dropout = config.word_dropout
        self.embed = TokenEmbedding(num_words, config.embedding_size, num_extra=num_extra)
        self.word_shapes = (
            TokenEmbedding(len(WORD_SHAPES), config.word_shape_size) if config.word_shape_size is not None else None
        )
        self.characters = (
            CharacterFeatures(
                num_characters,
                config.character_embedding_size,
                config.character_size,
                kind=config.character_cell,
                dropout=config.dropout,
            )
            if config.character_cell is not None
            else None
        )
        self.features = nn.ModuleList(TokenEmbedding(size, config.feature_size) for size in feature_sizes)
        for table in self.features.parameters():
            nn.init.zeros_(table[UNKNOWN])  # training meets none
        size = (
            config.embedding_size
            + (config.word_shape_size or 0)
            + (0 if self.characters is None else self.characters.output_size)
        )
        size += config.feature_size * len(feature_sizes)
        self.stack = build_stack(config, size)
        self.dropout = nn.Dropout(config.dropout)
        self.head = Linear(self.stack.output_size, num_tags)
        self.crf = LinearChainCRF(num_tags, allowed=allowed) if config.head == "crf" else None

    def forward(self, sentences: Sentences) -> Tensor:
        layout = Layout(sentences.lengths, sentences.words.values.device)
        return self.score(self.vectors(sentences), layout)

    def vectors(self, sentences: Sentences) -> Tensor:
        """What the stack reads of each token. N tokens -> (N, D)."""
        words = sentences.words.values
        if self.training and self.word_dropout:
            words = words.masked_fill(torch.rand(len(words), device=words.device) < self.word_dropout, UNKNOWN)
        parts = [self.embed(words)]
        if self.word_shapes is not None:
            parts.append(self.word_shapes(sentences.shapes))
        if self.characters is not None:
            layout = Layout(sentences.characters.lengths, words.device)
            parts.append(self.characters(sentences.characters.values, layout, sentences.forms))
        parts += [embed(ids) for embed, ids in zip(self.features, sentences.features.unbind(dim=1), strict=True)]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def score(self, x: Tensor, layout: Layout) -> Tensor:
        """Scores of the tags from the tokens' vectors. (N, D) -> (N, C)."""
        scores: Tensor = self.head(self.dropout(self.stack(x, layout)))
        return scores

    def loss(self, scores: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """The summed negative log-likelihood of tags (N,), given scores (N, C).

        Tags that training never saw are ignored; with a CRF, so are the sentences that contain them.
        """
        if self.crf is None:
            return F.cross_entropy(scores, targets, reduction="sum", ignore_index=UNSEEN)
        layout = Layout(lengths, scores.device)
        likelihood: Tensor = self.crf.log_likelihood(scores, targets.clamp(min=0), layout)
        if self.training:  # all of training's tags are known
            return -likelihood.sum()
        unseen = torch.zeros(layout.batch_size, device=scores.device).index_add_(
            0, layout.sequence, (targets == UNSEEN).float()
        )
        return -likelihood[(unseen == 0) & likelihood.isfinite()].sum()

    def best(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The most probable tags: of the sequence as a whole with a CRF, else one by one. (N, C) -> (N,)."""
        return scores.argmax(dim=1) if self.crf is None else self.crf.decode(scores, Layout(lengths, scores.device))

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each token. (N, C) -> (N, C)."""
        return scores.softmax(dim=1) if self.crf is None else self.crf.marginals(scores, Layout(lengths, scores.device))


def build_tagger(config: TaggingModel, encoder: SentenceEncoder, codec: TagCodec) -> Tagger:
    """A tagger with fresh weights for what `encoder` gives; draws from torch's generator."""
    allowed = None
    if config.constrained and codec.target_scheme is not None:
        allowed = CRFConstraints(*map(torch.from_numpy, transitions(codec.tags, codec.target_scheme)))
    return Tagger(
        config,
        num_tags=len(codec.tags),
        num_words=len(encoder.words),
        num_characters=len(encoder.characters),
        feature_sizes=[len(values) for values in encoder.features],
        num_extra=len(encoder.words.extra),
        allowed=allowed,
    )


@torch.inference_mode()
def predict_tags(model: Tagger, sentences: Sentences, targets: Tensor | None = None) -> tuple[Tensor, float]:
    """The best tags of all tokens (N,), in order, in eval mode, and the mean loss of `targets` (N,): 0 without them."""
    tags, loss = torch.empty(sentences.num_tokens, dtype=torch.int64), 0.0
    for places, batch, scores in _scored(model, sentences):
        tags[places] = model.best(scores, batch.lengths).cpu()
        if targets is not None:
            loss += model.loss(scores, targets[places].to(scores.device), batch.lengths).item()
    return tags, loss / max(len(tags), 1)


@torch.inference_mode()
def predict_certain_tags(model: Tagger, sentences: Sentences) -> CertainTags:
    """The best tags of all tokens, in order, in eval mode, with the marginal probability of each, in one pass."""
    tags, certainty = torch.empty(sentences.num_tokens, dtype=torch.int64), torch.empty(sentences.num_tokens)
    for places, batch, scores in _scored(model, sentences):
        best = model.best(scores, batch.lengths)
        tags[places] = best.cpu()
        own = model.marginals(scores, batch.lengths).gather(1, best.unsqueeze(1))  # (n, C) -> (n, 1)
        certainty[places] = own.squeeze(1).cpu()
    return CertainTags(tags, certainty)


@torch.inference_mode()
def predict_marginals(model: Tagger, sentences: Sentences) -> Tensor:
    """The probability of each tag at each token, in order, in eval mode. Returns (N, C) float32 on the CPU."""
    probabilities = torch.empty(sentences.num_tokens, model.head.out_features)
    for places, batch, scores in _scored(model, sentences):
        probabilities[places] = model.marginals(scores, batch.lengths).cpu()
    return probabilities


def _scored(model: Tagger, sentences: Sentences) -> Iterator[tuple[Tensor, Sentences, Tensor]]:
    """Batch by batch: which tokens (n,) of all, their sentences, and the scores (n, C) of their tags."""
    was_training = model.training
    model.eval()
    sampler = BucketSampler(sentences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_PREDICTION_BATCH, shuffle=False)
    with few_threads(model):
        for indices in sampler.batches(0):
            batch = sentences.select(indices).to(model.device)
            yield sentences.places(indices), batch, model(batch).float()
    model.train(was_training)
