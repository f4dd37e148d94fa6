"""Recurrent layers and convolutions on ragged batches: cells, engines, stacks, poolings, conditional random fields.

Works on tensors only, and needs no package but torch; `ostinato.nn.wide_kernels` also needs NumPy.
"""

from ostinato.nn.accelerate import Acceleration, LayerReport, Proof, accelerate
from ostinato.nn.cells import CELLS, Cell, Weights, find_cell, register_cell
from ostinato.nn.characters import CharacterFeatures
from ostinato.nn.convolution import Convolution, ConvolutionStack, ConvStem
from ostinato.nn.crf import CRFConstraints, LinearChainCRF
from ostinato.nn.decay import decays
from ostinato.nn.drop_in import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from ostinato.nn.embedding import PositionEmbedding, TokenEmbedding
from ostinato.nn.engines import ENGINES, use_engine, why_not_native
from ostinato.nn.ensemble import Ensemble
from ostinato.nn.kernel import use_precision, why_not_bfloat16
from ostinato.nn.layers import RecurrentLayer, RecurrentStack, Stack, VariationalDropout
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear
from ostinato.nn.network import Network
from ostinato.nn.patched import patched
from ostinato.nn.pooling import POOLINGS, AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.nn.threads import few_threads
from ostinato.nn.wide import WideNgrams

__all__ = [
    "CELLS",
    "ENGINES",
    "GRU",
    "LSTM",
    "POOLINGS",
    "RNN",
    "Acceleration",
    "AttentionPooling",
    "CRFConstraints",
    "Cell",
    "CharacterFeatures",
    "ConvStem",
    "Convolution",
    "ConvolutionStack",
    "Ensemble",
    "GRUCell",
    "LSTMCell",
    "LastPooling",
    "LayerReport",
    "Layout",
    "Linear",
    "LinearChainCRF",
    "MaxPooling",
    "MeanPooling",
    "Network",
    "Pooling",
    "PositionEmbedding",
    "Proof",
    "RNNCell",
    "RecurrentLayer",
    "RecurrentStack",
    "SequenceNetwork",
    "Stack",
    "TokenEmbedding",
    "VariationalDropout",
    "Weights",
    "WideNgrams",
    "accelerate",
    "decays",
    "few_threads",
    "find_cell",
    "patched",
    "register_cell",
    "use_engine",
    "use_precision",
    "why_not_bfloat16",
    "why_not_native",
]
