"""Which device a network runs on, and in which precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ostinato.errors import ConfigError


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


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Run the model in bfloat16 on GPUs that support it, or wherever `precision` asks for it."""
    helps = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    wanted = precision == "bfloat16" or (precision == "auto" and helps)
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()
