"""Which parameters should have weight decay."""

from torch import nn
from torch.nn.modules.conv import _ConvNd

from ostinato.nn.convolution import Convolution
from ostinato.nn.layers import RecurrentLayer

# Modules whose own parameters of two or more dimensions are weights of a linear map.
LINEAR_MAPS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Bilinear,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RNNCellBase,
    _ConvNd,
    RecurrentLayer,
    Convolution,
)


def decays(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a module tree that should have weight decay, in the order of `module.parameters()`.

    These are the weight matrices of linear, recurrent and convolution layers. Embeddings, position tables, biases, norm
    gains and the scores of a CRF do not decay, nor do parameters that a module of another class holds itself. A
    parameter that several modules share decays when it is a weight matrix in each of them: an embedding tied to an
    output layer does not.
    """
    decaying: dict[nn.Parameter, bool] = {}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            is_matrix = isinstance(part, LINEAR_MAPS) and parameter.dim() > 1
            decaying[parameter] = decaying.get(parameter, True) and is_matrix
    return [parameter for parameter, wanted in decaying.items() if wanted]
