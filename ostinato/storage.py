"""Files of tensors and facts: written atomically, versioned, verified, without pickle.

A file is a safetensors file. Its metadata contains JSON-able facts and a SHA-256 of tensors and facts, so truncated and
altered files are refused. Equal tensors and facts produce equal bytes. Writing replaces a file in one rename: if the
process is killed or the disk is full, the previous file remains.
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

FORMAT = 2  # of all of Ostinato's files; 1 is version 0.1


class Stored(NamedTuple):
    """The content of a file, and the format in which it was written."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    format: int


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts atomically.

    Raises:
        RunError: the file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts, ensure_ascii=False)
    header = {"format": FORMAT, "facts": text, "sha256": _digest(plain, text)}
    # a single entry, because safetensors writes several entries in any order, and equal content must give equal bytes
    metadata = {"ostinato": json.dumps(header, ensure_ascii=False)}
    write_atomically(path, to_bytes(plain, metadata))


def load_tensors(path: Path) -> Stored:
    """Read and verify a file that `save_tensors` wrote; the tensors are on the CPU.

    Raises:
        RunError: the file is missing, truncated or altered, or has a newer format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("ostinato", "{}"))
            _check_header(path, header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts = json.loads(header["facts"])
        if "\\u" in header["facts"]:  # JSON can express half a surrogate pair, which no file can hold as text
            json.dumps(facts, ensure_ascii=False).encode()
        digest = _digest(tensors, header["facts"])
    except FileNotFoundError:
        raise RunError(f"{path}: file not found. Give a finished run folder or a model file.") from None
    except (SafetensorError, ValueError, OSError, RuntimeError, RecursionError) as error:
        # RuntimeError: torch cannot hold a tensor of this shape; RecursionError: JSON nested thousands deep
        raise RunError(f"{path}: truncated or altered ({error}). Copy the file again, or train again.") from None
    if header["sha256"] != digest:
        raise RunError(
            f"{path}: altered since it was saved: the SHA-256 does not match. Copy the file again, or train again."
        )
    if not isinstance(facts, dict):
        raise RunError(f"{path}: facts: not a JSON object ({facts!r:.60}). Copy the file again, or train again.")
    return Stored(tensors, facts, header["format"])


def _check_header(path: Path, header: Any) -> None:
    """Check the fields that every file has.

    Raises:
        RunError: a newer version wrote the file.
        ValueError: a field is missing or of a wrong type; names it.
    """
    found = header.get("format") if isinstance(header, dict) else None
    if type(found) is not int or found < 1:
        raise ValueError(f"not a file of Ostinato: format {found!r:.60}")
    check_format(path, found)  # a newer format may have other fields
    for field in ("facts", "sha256"):
        if not isinstance(header.get(field), str):
            raise ValueError(f"{field} is missing, or is not a text")


def check_format(path: Path, found: int) -> None:
    """Check that this version can read a file's format.

    Raises:
        RunError: a newer version wrote it.
    """
    if found > FORMAT:
        raise RunError(
            f"{path}: format {found} is newer than this version of Ostinato can read (up to {FORMAT}). "
            "Upgrade with: pip install --upgrade ostinato"
        )


def unusable(path: Path) -> RunError:
    """The error for a missing or invalid file in a run folder."""
    return RunError(f"{path}: missing or altered. Copy the run folder again, or train again.")


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace a file in one step: it has either all of the new content or all of the old.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")  # always the same name: the next write replaces an abandoned one
    try:
        with temporary.open("wb") as file:
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror}. The previous file is unchanged. "
            "Free disk space, or choose another folder."
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
