"""Build the layers that the networks of all tasks share."""

from ostinato.config import ModelConfig
from ostinato.nn import ConvolutionStack, RecurrentStack, Stack


def build_stack(config: ModelConfig, input_size: int, *, kernel_size: int = 1) -> Stack:
    """Build the recurrent layers, the convolutional ones for `cell = "cnn"`, or none for `cell = "none"`.

    Args:
        input_size: D, the size of each token's vector.
        kernel_size: of the convolutions.
    """
    if config.cell == "none":
        return Stack([], 0, residual=False, layer_norm=False, dropout=0.0)
    common = config.model_dump(include={"num_layers", "residual", "layer_norm", "dropout"})
    if config.cell == "cnn":
        return ConvolutionStack(
            input_size, config.hidden_size, kernel_size=kernel_size, centred=config.bidirectional, **common
        )
    cell = f"rnn_{config.nonlinearity}" if config.cell == "rnn" else config.cell
    return RecurrentStack(
        input_size,
        config.hidden_size,
        cell=cell,
        bidirectional=config.bidirectional,
        weight_dropout=config.weight_dropout,
        engine=config.engine,
        **common,
    )
