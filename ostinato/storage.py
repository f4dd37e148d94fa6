"""Files of tensors and facts: atomic, versioned, verified, without pickle.

A file is safetensors: tensors by name, and in its metadata a JSON text of facts and a SHA-256 of tensors and facts
together, so that a truncated or altered file is noticed. The same tensors and facts give the same bytes. A file is replaced in one rename: who is killed while
saving, or fills the disk, keeps the previous one.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ostinato.errors import RunError

FORMAT = 2  # of every file of ours that says its format; 1 is version 0.1


class Stored(NamedTuple):
    """What a file holds, and the format in which it was written."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    format: int


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, ensure_ascii=False)
    # one entry: safetensors writes several in any order, and the same training should give the same bytes
    metadata = {
        "ostinato": json.dumps({"format": FORMAT, "facts": text, "sha256": _digest(plain, text)}, ensure_ascii=False)
    }
    write_atomically(path, to_bytes(plain, metadata))


def load_tensors(path: Path) -> Stored:
    """Read and verify what `save_tensors` wrote; tensors are on the CPU."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("ostinato", "{}"))
            check_format(path, metadata.get("format", 0))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: there is no such file. Name a run folder that finished, or a model file.") from None
    except (
        SafetensorError,
        ValueError,
        OSError,
        TypeError,
        AttributeError,
    ) as error:  # the last two: the entry is no JSON table
        raise RunError(
            f"{path}: truncated or altered, cannot be read ({error}). Copy the file again, or train anew."
        ) from None
    if metadata.get("sha256") != _digest(tensors, metadata.get("facts", "")):
        raise RunError(
            f"{path}: altered since it was saved: its SHA-256 does not match. Copy the file again, or train anew."
        )
    return Stored(tensors, json.loads(metadata["facts"]), metadata["format"])


def check_format(path: Path, found: int) -> None:
    """Refuse what a newer Ostinato wrote."""
    if found > FORMAT:
        raise RunError(
            f"{path}: format {found} is newer than this Ostinato reads (up to {FORMAT}). Upgrade with: pip install --upgrade ostinato"
        )


def unusable(path: Path) -> RunError:
    """The error for a file that a run should hold."""
    return RunError(f"{path}: missing, or not what the run wrote. Copy the folder again, or train again.")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace a file in one step: all of the new content or all of the old.

    Raises:
        RunError: the disk is full or the place cannot be written.
    """
    fresh = path.with_name(
        f".{path.name}.tmp"
    )  # one name, so that who was killed while writing leaves nothing behind for good
    try:
        with fresh.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror}. What was there before is untouched; make room or choose another place."
        ) from None
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
