"""The memory that a training needs, estimated before anything is allocated."""

from typing import TYPE_CHECKING, Any

import torch

from ostinato.config.memory import available_bytes, refuse_more_than
from ostinato.training import choose_device

if TYPE_CHECKING:
    from ostinato.config import Config
    from ostinato.nn.network import Network
    from ostinato.tasks.base import Task
    from ostinato.training import Examples

COPIES = 4  # weights, gradients, and AdamW's two moments
REMEDY = "Reduce model.hidden_size, model.num_layers, model.embedding_size or training.batch_size."


def skeleton(task: "Task", config: "Config", encoder: Any, codec: Any) -> "Network":
    """The config's network with the shapes of its weights, but without memory for them."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return task.build(config, encoder, codec)


def refuse_oversized(task: "Task", config: "Config", encoder: Any, codec: Any, train: "Examples") -> None:
    """Refuse a training that needs more memory than is available.

    The estimate is a lower bound: weights with gradients and the optimizer's moments, and the outputs of all layers for
    a batch, in each of the passes that one backward pass goes through.

    Raises:
        ConfigError: with the bytes needed and available.
    """
    network = skeleton(task, config, encoder, codec)
    weights = sum(each.numel() * each.element_size() for each in network.parameters())
    copies = COPIES + (config.training.ema_decay is not None)
    needed = copies * weights + _passes(config) * _steps_of_a_batch(config, train) * _bytes_of_a_step(config)
    device = choose_device(config.training.device)
    available = _free_on_gpu(device) if device.type == "cuda" else available_bytes()
    refuse_more_than(available, needed, "Training this model", REMEDY)


def _passes(config: "Config") -> int:
    """The forward passes of a batch whose outputs are in memory at the same time.

    The clean pass, R-Drop's second one, and the one on perturbed vectors; the pass that finds a virtual perturbation is
    freed before that.
    """
    return 1 + (config.training.r_drop > 0) + (config.training.adversarial is not None)


def _steps_of_a_batch(config: "Config", train: "Examples") -> int:
    """The steps of the largest batch, at least: those of the longest sequence, or of an average batch."""
    lengths, training = train.lengths, config.training
    total, longest = int(lengths.sum()), int(lengths.max())
    average = min(total, training.max_tokens or total * training.batch_size // len(lengths))
    return max(longest, average)


def _bytes_of_a_step(config: "Config") -> int:
    model = config.model
    if model.cell == "none":
        return 0
    directions = 1 + (model.bidirectional and model.cell != "cnn")
    return 4 * (model.embedding_size + model.num_layers * model.hidden_size * directions)


def _free_on_gpu(device: torch.device) -> int:
    """Bytes that are free on a GPU, or reserved by PyTorch and unused."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
