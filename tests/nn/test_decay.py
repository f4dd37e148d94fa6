"""Weight decay is decided by what a parameter is: every module type here, with the parameters that decay by name."""

import pytest
import torch
from torch import nn

from ostinato import nn as ours
from ostinato.nn import CELLS, POOLINGS, Cell, Pooling, RecurrentLayer, RecurrentStack, TokenEmbedding, decays
from ostinato.nn.cells import register_cell


def decaying_names(module):
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return [names[id(parameter)] for parameter in decays(module)]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (ours.Linear(3, 4), ["weight"]),
        (ours.Convolution(3, 4, kernel_size=3, centred=True), ["weight"]),
        (ours.ConvStem(3, 4, kernel_size=3, centred=True), ["convolution.weight"]),
        (ours.TokenEmbedding(5, 3, num_extra=2), []),
        (ours.PositionEmbedding(3, kind="learned", num_positions=4), []),
        (ours.PositionEmbedding(3, kind="sinusoidal", num_positions=4), []),
        (ours.LinearChainCRF(3), []),
        (ours.VariationalDropout(0.5), []),
        (ours.AttentionPooling(4), ["project.weight", "score.weight"]),
        (ours.LastPooling(4), []),
        (ours.MeanPooling(4), []),
        (ours.MaxPooling(4), []),
        (
            ours.CharacterFeatures(9, 3, 4, kind="lstm"),
            [f"encoder.weight_{kind}_l0{side}" for side in ("", "_reverse") for kind in ("ih", "hh")],
        ),
        (ours.CharacterFeatures(9, 3, 4, kind="cnn"), ["encoder.weight"]),
        (
            ours.ConvolutionStack(3, 4, kernel_size=3, centred=True, num_layers=2, layer_norm=True),
            ["layers.0.weight", "layers.1.weight"],
        ),
        (ours.LSTM(3, 4), ["weight_ih_l0", "weight_hh_l0"]),
        (ours.LSTM(3, 4, proj_size=2), ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0"]),
        (ours.GRUCell(3, 4), ["weight_ih", "weight_hh"]),
        (nn.LayerNorm((2, 3)), []),
        (nn.BatchNorm1d(3), []),
        (nn.EmbeddingBag(5, 3), []),
        (nn.Conv2d(2, 3, 3), ["weight"]),
        (nn.ConvTranspose1d(2, 3, 3), ["weight"]),
        (nn.MultiheadAttention(4, 2), ["in_proj_weight", "out_proj.weight"]),
        (nn.TransformerEncoderLayer(4, 2, 8), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_weight_matrices_decay_and_nothing_else_does(module, expected):
    if expected is None:  # a tree of linear maps and norms
        expected = [name for name, parameter in module.named_parameters() if parameter.dim() > 1]
    assert decaying_names(module) == expected


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_input_and_recurrent_weights_of_every_cell_decay_but_biases_and_gains_do_not(cell, bidirectional):
    layer = RecurrentLayer(3, 4, cell=cell, bidirectional=bidirectional)
    kinds = [name for name in CELLS[cell].weights._fields if name.startswith("weight")]
    assert decaying_names(layer) == [
        f"{kind}_l0{side}" for side in ("", "_reverse")[: 1 + bidirectional] for kind in kinds
    ]


def test_weights_of_a_registered_cell_decay():
    def step(x, state, weights):
        return (torch.tanh(x @ weights.weight_ih.T + state[0] @ weights.weight_hh.T),)

    register_cell("test_decay", Cell("test_decay", gates=1, states=1, step=step))
    assert decaying_names(RecurrentLayer(3, 4, cell="test_decay")) == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_classifier_of_tokens_decays_in_all_matrices_but_its_embeddings(cell, pooling):
    stack = RecurrentStack(4, 6, cell=cell, num_layers=2, bidirectional=True, layer_norm=True)
    model = nn.ModuleDict(
        {
            "embed": TokenEmbedding(9, 4),
            "position": ours.PositionEmbedding(4, kind="learned", num_positions=5),
            "stack": stack,
            "pooling": Pooling([pooling], stack.output_size, bidirectional=True),
            "head": ours.Linear(stack.output_size, 2),
        }
    )
    matrices = [name for name, parameter in model.named_parameters() if parameter.dim() > 1]
    assert decaying_names(model) == [name for name in matrices if not name.startswith(("embed", "position"))]


def test_the_input_projection_of_a_numeric_series_decays():
    model = nn.ModuleDict({"embed": ours.Linear(3, 4), "head": ours.Linear(4, 2)})
    assert decaying_names(model) == ["embed.weight", "head.weight"]


def test_an_embedding_tied_to_the_output_layer_does_not_decay_in_either_order():
    for order in ("embed", "head"), ("head", "embed"):
        parts = {"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5)}
        parts["head"].weight = parts["embed"].weight
        assert decays(nn.ModuleDict({name: parts[name] for name in order})) == []


def test_a_layer_in_two_places_of_the_tree_is_listed_once():
    layer = nn.Linear(3, 3)
    assert decaying_names(nn.Sequential(layer, nn.ReLU(), layer)) == ["0.weight"]


def test_a_frozen_weight_is_listed_so_that_it_decays_once_it_is_trained():
    layer = nn.Linear(3, 3)
    layer.weight.requires_grad_(False)
    assert decaying_names(layer) == ["weight"]
