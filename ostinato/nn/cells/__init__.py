"""The cells: one step of each recurrence, written as its equation, one file for each family."""

from ostinato.nn.cells.cell import Cell, Weights, field_names
from ostinato.nn.cells.lnlstm import NormWeights
from ostinato.nn.cells.lru import RingWeights
from ostinato.nn.cells.minimal import ScanWeights, positive
from ostinato.nn.cells.rglru import DecayWeights
from ostinato.nn.cells.slstm import HeadWeights
from ostinato.nn.cells.table import CELLS, find_cell, register_cell

__all__ = [
    "CELLS",
    "Cell",
    "DecayWeights",
    "HeadWeights",
    "NormWeights",
    "RingWeights",
    "ScanWeights",
    "Weights",
    "field_names",
    "find_cell",
    "positive",
    "register_cell",
]
