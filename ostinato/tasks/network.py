"""How a config becomes the layers that every task's network has."""

from ostinato.config import ModelConfig
from ostinato.nn import ConvolutionStack, RecurrentStack, Stack


def build_stack(config: ModelConfig, input_size: int, *, kernel_size: int = 1) -> Stack:
    """The recurrent or convolutional layers."""
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
        engine=config.engine,
        **common,
    )
