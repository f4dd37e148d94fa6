"""Versions, machine and threads, which a run depends on besides its config."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ostinato.threads import thread_limit

__version__ = version("ostinato")

PACKAGES = ("torch", "numpy", "pyarrow", "tokenizers", "scikit-learn", "scipy", "safetensors", "pydantic")


def environment() -> dict[str, Any]:
    """Versions and machine as JSON values."""
    import torch

    return {
        "ostinato": installed("ostinato"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": min(torch.get_num_threads(), thread_limit().number),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: installed(name) for name in PACKAGES},
    }


def installed(package: str) -> str | None:
    """The version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, or its architecture if the system does not report a name.

    On Linux with its family and model: some virtual machines name no more than the brand.
    """
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            first = file.read().partition("\n\n")[0]
    except OSError:
        first = ""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    name = fields.get("model name")
    if name is None:
        return platform.processor() or platform.machine()
    has_model = "cpu family" in fields and "model" in fields
    return f"{name} (family {fields['cpu family']}, model {fields['model']})" if has_model else name
