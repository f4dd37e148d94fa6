"""Files of tensors and facts: written atomically, versioned, verified, without pickle.

A file is a safetensors file. Its metadata contains JSON-able facts and a SHA-256 of tensors and facts, so truncated and
altered files are refused. Equal tensors and facts produce equal bytes. Writing replaces a file in one rename: if the
process is killed or the disk is full, the previous file remains. Nothing is written through a link that somebody else
put into a folder.
"""

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from ostinato.errors import RunError

FORMAT = 2  # of all of Ostinato's files; 1 is version 0.1
METRICS = "metrics.json"  # the results of a run; written last
EXAMPLES = "examples.json"  # inputs of a run's test split to try its model on
LOCK = ".ostinato.lock"  # in a folder that a process is writing to
TEMPORARY = re.compile(r"\.ostinato-[0-9a-f]{16}\.tmp")


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
    header = {"format": FORMAT, "facts": text, "sha256": digest_of(plain, text)}
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
        digest = digest_of(tensors, header["facts"])
    except FileNotFoundError:
        raise RunError(
            f"{path}: file not found. Give a finished run folder or a model file. If a run has lost its model, make it "
            "again with: ostinato train --resume RUN"
        ) from None
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
        RunError: another program or a newer version wrote the file.
        ValueError: a field is missing or of a wrong type; names it.
    """
    if header == {}:
        raise RunError(
            f"{path}: another program wrote this file. Give a finished run folder or a model file of Ostinato."
        )
    found = header.get("format") if isinstance(header, dict) else None
    if type(found) is not int or found < 1:
        raise ValueError(f"not a file of Ostinato: format {found!r:.60}")
    check_format(path, found)  # a newer format may have other fields
    for field in ("facts", "sha256"):
        if not isinstance(header.get(field), str):
            raise ValueError(f"{field} is missing, or is not a text")


def check_format(path: Path, found: Any) -> None:
    """Check that this version can read a file's format.

    Raises:
        RunError: the format is not a number, or a newer version wrote it.
    """
    if type(found) is not int:
        raise RunError(f"{path}: format {found!r:.60}: expected a whole number. Copy the file again, or train again.")
    if found > FORMAT:
        raise RunError(
            f"{path}: format {found} is newer than this version of Ostinato can read (up to {FORMAT}). "
            "Upgrade with: pip install --upgrade ostinato"
        )


def now() -> str:
    """The current time in UTC, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def unusable(path: Path) -> RunError:
    """The error for a missing or invalid file in a run folder."""
    return RunError(f"{path}: missing or altered. Copy the run folder again, or train again.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that Ostinato wrote.

    Raises:
        RunError: it is missing, truncated or altered.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. Copy the folder again, or train again.") from None
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested too deeply
        content = None
    if not isinstance(content, dict):
        raise RunError(
            f"{path}: damaged; it is not the JSON object that was written. Delete it and resume, or train again."
        )
    return content


def refuse_altered(path: Path) -> None:
    """Refuse a file of a finished run that is not the one which the run wrote, such as that of another run.

    `metrics.json` beside it holds the digests; runs of version 0.1 have none.

    Raises:
        RunError: its content is another, or `metrics.json` is damaged.
    """
    metrics = path.with_name(METRICS)
    files = read_json(metrics).get("files") if metrics.exists() else None
    if isinstance(files, dict) and path.name in files and path.exists() and file_digest(path) != files[path.name]:
        raise RunError(
            f"{path}: is not the file that this run wrote: its SHA-256 is not the one in {METRICS}. Copy it again, or "
            "make it again with: ostinato train --resume RUN"
        )


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace a file in one step: it has either all of the new content or all of the old.

    A link at `path` is replaced, and the file it points to stays as it is.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    temporary = path.with_name(f".ostinato-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:  # x: fails if the name exists, even as a link
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


def open_own(path: Path, flags: int) -> int:
    """Open or create a file that is changed in place. Returns its descriptor.

    Args:
        flags: as for `os.open`.

    Raises:
        RunError: it cannot be opened, or is a link, a pipe or a device, which somebody else put there.
    """
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe without a reader would block
    try:
        descriptor = os.open(path, flags | os.O_CREAT | careful, 0o666)
    except OSError as error:
        hint = " It is a symbolic link: remove it." if path.is_symlink() else " Choose another folder."
        raise RunError(f"{path}: cannot be written: {error.strerror}.{hint}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise RunError(f"{path}: is not a file of its own (a link, a pipe or a device). Remove it, then try again.")
    return descriptor


def append(path: Path, text: str) -> None:
    """Add text to the end of a file.

    Raises:
        RunError: it cannot be written, or is a link.
    """
    try:
        with open(open_own(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}. Free disk space, then try again.") from None


def make_folder(path: Path) -> None:
    """Create a folder, unless it exists.

    Raises:
        RunError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path}: cannot be created: {error.strerror}. Choose another folder.") from None


def make_subfolder(path: Path) -> None:
    """Create a folder inside one of Ostinato's folders, unless it exists.

    Raises:
        RunError: it cannot be created, or is a link that leads elsewhere.
    """
    make_folder(path)
    if path.is_symlink():
        raise RunError(f"{path}: is a symbolic link to {os.readlink(path)}. Replace it by a folder.")


def is_unused(folder: Path) -> bool:
    """Whether nothing is in a folder, except what a killed process of ours left before it wrote its first file."""
    if not folder.exists() and not folder.is_symlink():
        return True
    if not folder.is_dir():
        return False
    return all(path.name == LOCK or TEMPORARY.fullmatch(path.name) for path in folder.iterdir())


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder and in the folders inside it."""
    for place in (folder, *(each for each in folder.iterdir() if each.is_dir() and not each.is_symlink())):
        for path in place.iterdir():
            if TEMPORARY.fullmatch(path.name) and stat.S_ISREG(path.lstat().st_mode):
                path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        RunError: it cannot be read, or is a folder, a pipe or a device.
    """
    try:
        if not path.is_file():
            raise RunError(f"{path}: is not a file. Copy it again, or train again.")
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def digest_of(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 of a text and of contiguous tensors on the CPU, in hexadecimal."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
