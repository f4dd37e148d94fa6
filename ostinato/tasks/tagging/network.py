"""The tagger's network, its construction from a config, and its predictions in batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.data.sampler import BucketSampler
from ostinato.data.vocabulary import UNKNOWN
from ostinato.nn import CharacterFeatures, CRFConstraints, Layout, Linear, LinearChainCRF, TokenEmbedding
from ostinato.nn.embedding import drop_words
from ostinato.nn.network import Network
from ostinato.nn.threads import few_threads
from ostinato.nn.wide_tokens import WideTokens
from ostinato.tasks.network import build_stack
from ostinato.tasks.tagging.codec import UNSEEN, TagCodec
from ostinato.tasks.tagging.config import TaggingModel
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.encoding import WORD_SHAPES
from ostinato.tasks.tagging.schemes import transitions
from ostinato.tasks.tagging.sentences import Sentences
from ostinato.training.predict import refuse_huge_outputs
from ostinato.training.ranks import ALONE, Ranks

TOKENS_IN_A_PREDICTION_BATCH = 8_192


class CertainTags(NamedTuple):
    """The best tag of each token, (N,), and its marginal probability, (N,)."""

    tags: Tensor
    probabilities: Tensor


class Tagger(Network):
    """Concatenated vectors of words, word shapes, characters and features; a recurrent stack; a CRF or softmax head.

    The scores of the tags are the sum of the output layer's and the wide part's. In a linear model, everything but the
    wide part and the CRF has size 0, and the output layer is its bias.

    Args:
        config: kinds and sizes of the layers.
        num_tags: C.
        num_words: V.
        num_characters: size of the character vocabulary.
        feature_sizes: size of the vocabulary of each feature.
        num_extra: number of words with pretrained vectors outside the training vocabulary; these are not trained.
        allowed: the tag sequences that the CRF allows; None: all.

    Shapes:
        N tokens of B sentences -> scores (N, C).

    A feature value that does not occur in training has a vector of zeros.

    Source: Lample et al. (2016), arXiv:1603.01360; Ma & Hovy (2016), arXiv:1603.01354. Here dropout is variational.
    """

    wide: WideTokens | None

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
        self.wide = None if config.wide is None else WideTokens(num_tags, num_columns=len(feature_sizes))
        if config.cell == "none":
            nothing = {"embedding_size": 0, "word_shape_size": None, "character_cell": None}
            config, feature_sizes = config.model_copy(update=nothing), ()
        self.embed = TokenEmbedding(
            num_words, config.embedding_size, num_extra=num_extra, dropout=config.embedding_dropout
        )
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
            nn.init.zeros_(table[UNKNOWN])  # never trained, because all feature values of train are known
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
        scores = self.deep(sentences)
        return scores if self.wide is None else scores + self.wide(sentences.tokens())

    def deep(self, sentences: Sentences) -> Tensor:
        """The scores without those of the wide part. N tokens -> (N, C)."""
        layout = Layout(sentences.lengths, sentences.words.values.device)
        x = self.vectors(sentences)
        return self.score(x if self.change_vectors is None else self.change_vectors(x, layout), layout)

    def vectors(self, sentences: Sentences) -> Tensor:
        """The vector of each token, the input of the stack. N tokens -> (N, D)."""
        words = sentences.words.values
        if self.training and self.word_dropout:
            words = drop_words(words, self.word_dropout)
        parts = [self.embed(words)]
        if self.word_shapes is not None:
            parts.append(self.word_shapes(sentences.shapes))
        if self.characters is not None:
            layout = Layout(sentences.characters.lengths, words.device)
            parts.append(self.characters(sentences.characters.values, layout, sentences.forms))
        parts += [embed(ids) for embed, ids in zip(self.features, sentences.features.unbind(dim=1), strict=False)]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def score(self, x: Tensor, layout: Layout) -> Tensor:
        """The scores of all tags at each token, without those of the wide part. (N, D) -> (N, C)."""
        scores: Tensor = self.head(self.dropout(self.stack(x, layout)))
        return scores

    def loss(self, scores: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """The negative log-likelihood of the targets (N,) for scores (N, C), summed.

        Tags that do not occur in training are ignored; with a CRF, the sentences that contain them are ignored.
        """
        if self.crf is None:
            return F.cross_entropy(scores, targets, reduction="sum", ignore_index=UNSEEN)
        layout = Layout(lengths, scores.device)
        likelihood: Tensor = self.crf.log_likelihood(scores, targets.clamp(min=0), layout)
        if self.training:  # all tags of train are known
            return -likelihood.sum()
        unseen = torch.zeros(layout.batch_size, device=scores.device).index_add_(
            0, layout.sequence, (targets == UNSEEN).float()
        )
        return -likelihood[(unseen == 0) & likelihood.isfinite()].sum()

    def best(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The most probable tag sequence with a CRF, else the most probable tag of each token. (N, C) -> (N,)."""
        return scores.argmax(dim=1) if self.crf is None else self.crf.decode(scores, Layout(lengths, scores.device))

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each token. (N, C) -> (N, C)."""
        return scores.softmax(dim=1) if self.crf is None else self.crf.marginals(scores, Layout(lengths, scores.device))


def build_tagger(config: TaggingModel, encoder: SentenceEncoder, codec: TagCodec) -> Tagger:
    """Build a tagger with fresh weights, drawn from torch's global generator."""
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
def predict_tags(
    model: Tagger, sentences: Sentences, targets: Tensor | None = None, ranks: Ranks = ALONE
) -> tuple[Tensor, float]:
    """Predict the best tags of all tokens, (N,), in order, in eval mode.

    Args:
        ranks: the processes that divide each batch; all have the same network and sentences, and all get the answer.

    Returns:
        The tags, and the mean loss per token of `targets` (N,), which is 0 without targets.
    """
    tags, loss = torch.zeros(sentences.num_tokens, dtype=torch.int64), 0.0
    for tokens, batch, scores in _scored(model, sentences, ranks):
        tags[tokens] = model.best(scores, batch.lengths).cpu()
        if targets is not None:
            loss += model.loss(scores, targets[tokens].to(scores.device), batch.lengths).item()
    (loss,) = ranks.total(loss)
    return ranks.add(tags), loss / max(len(tags), 1)


@torch.inference_mode()
def predict_certain_tags(model: Tagger, sentences: Sentences, ranks: Ranks = ALONE) -> CertainTags:
    """Predict the best tags of all tokens with their marginal probabilities, in order, in eval mode.

    Args:
        ranks: as in `predict_tags`.
    """
    tags, probabilities = torch.zeros(sentences.num_tokens, dtype=torch.int64), torch.zeros(sentences.num_tokens)
    for tokens, batch, scores in _scored(model, sentences, ranks):
        best = model.best(scores, batch.lengths)
        tags[tokens] = best.cpu()
        own = model.marginals(scores, batch.lengths).gather(1, best.unsqueeze(1))  # (n, C) -> (n, 1)
        probabilities[tokens] = own.squeeze(1).cpu()
    return CertainTags(ranks.add(tags), ranks.add(probabilities))


@torch.inference_mode()
def predict_marginals(model: Tagger, sentences: Sentences) -> Tensor:
    """Predict the probability of each tag at each token, in order, in eval mode: (N, C) float32 on the CPU."""
    probabilities = torch.empty(sentences.num_tokens, model.head.out_features)
    for tokens, batch, scores in _scored(model, sentences):
        probabilities[tokens] = model.marginals(scores, batch.lengths).cpu()
    return probabilities


def _scored(model: Tagger, sentences: Sentences, ranks: Ranks = ALONE) -> Iterator[tuple[Tensor, Sentences, Tensor]]:
    """Score this rank's part of the sentences in batches.

    Yields the indices of a batch's tokens (n,), its sentences, and its scores (n, C).
    """
    was_training = model.training
    model.eval()
    sampler = BucketSampler(sentences.lengths, batch_size=1, max_tokens=TOKENS_IN_A_PREDICTION_BATCH, shuffle=False)
    with few_threads(model, tokens=min(TOKENS_IN_A_PREDICTION_BATCH, sentences.num_tokens)):
        for indices in filter(len, map(ranks.part_of, sampler.batches(0))):
            batch = sentences.select(indices).to(model.device)
            scores = model(batch).float()
            refuse_huge_outputs(scores)
            yield sentences.token_indices(indices), batch, scores
    model.train(was_training)
