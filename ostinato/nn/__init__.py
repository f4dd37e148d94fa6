"""Recurrent layers on ragged batches: cells, engines, stacks, poolings. Knows tensors only; needs torch alone."""

from ostinato.nn.cells import CELLS, Cell, Weights
from ostinato.nn.embedding import PositionEmbedding, TokenEmbedding
from ostinato.nn.engines import ENGINES, choose_engine
from ostinato.nn.layers import RecurrentLayer, RecurrentStack, VariationalDropout
from ostinato.nn.layout import Layout
from ostinato.nn.pooling import POOLINGS, AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling

__all__ = [
    "CELLS",
    "ENGINES",
    "POOLINGS",
    "AttentionPooling",
    "Cell",
    "LastPooling",
    "Layout",
    "MaxPooling",
    "MeanPooling",
    "Pooling",
    "PositionEmbedding",
    "RecurrentLayer",
    "RecurrentStack",
    "TokenEmbedding",
    "VariationalDropout",
    "Weights",
    "choose_engine",
]
