"""Which device a network runs on, and in which precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ostinato.errors import ConfigError
from ostinato.nn import use_precision, why_not_bfloat16
from ostinato.nn.kernel import bfloat16_instructions


def choose_device(name: str) -> torch.device:
    """The device that `name` means; `auto` takes a CUDA GPU where there is one.

    Raises:
        ConfigError: unknown or unavailable device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"Unknown device {name!r}. Choose from: auto, cpu, cuda, cuda:0, …") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"Device {name!r} is not supported. Choose from: auto, cpu, cuda, cuda:0, …")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"Device {name!r} is not available: PyTorch sees {count} CUDA GPUs. Set the device to cpu.")
    return device


def mixed_precision(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Run a network in bfloat16 where `precision` asks for it: on a GPU by autocast, on a CPU in the kernel's products.

    `auto` asks for it on GPUs that support it, and never on a CPU, so that all CPUs train alike.
    """
    helps = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if not (precision == "bfloat16" or (precision == "auto" and helps)):
        return nullcontext()
    return use_precision("bfloat16") if device.type == "cpu" else torch.autocast(device.type, torch.bfloat16)


def precision_note(device: torch.device, precision: str) -> str | None:
    """The line of a training's log that says in which precision this machine multiplies; None where none is needed."""
    if precision != "bfloat16" or device.type != "cpu":
        return None
    reason = why_not_bfloat16()
    if reason is None:
        return f"Where the kernel runs RNN, LSTM or GRU layers, products are in bfloat16, by {bfloat16_instructions()}."
    return f"All products are in float32, though training.precision is bfloat16: {reason}."
