"""Files of tensors: what was saved comes back bit for bit, and a damaged file is refused."""

import errno
import json
import os
import struct

import pytest
import torch

from ostinato import storage
from ostinato.errors import RunError
from ostinato.storage import load_tensors, save_tensors, write_atomically


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "some.safetensors"
    tensors = {
        "a": torch.randn(3, 4),
        "step": torch.tensor(7.0),
        "rng": torch.arange(9, dtype=torch.uint8),
        "empty": torch.empty(0, 2),
    }
    save_tensors(path, tensors, {"kind": "test", "name": "größer"})
    return path, tensors


def test_tensors_and_facts_come_back_bit_for_bit(saved):
    path, tensors = saved
    loaded, facts, version = load_tensors(path)
    assert version == storage.FORMAT
    assert facts == {"kind": "test", "name": "größer"}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_is_refused(saved, share):
    path, _ = saved
    path.write_bytes(path.read_bytes()[: int(len(path.read_bytes()) * share)])
    with pytest.raises(RunError, match="some.safetensors"):
        load_tensors(path)


def test_a_single_flipped_bit_is_noticed(saved):
    path, _ = saved
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="some.safetensors.*SHA-256"):
        load_tensors(path)


def test_altered_facts_are_noticed(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes().replace(b"test", b"tost"))
    with pytest.raises(RunError, match="some.safetensors.*SHA-256"):
        load_tensors(path)


def rewrite_entry(path, entry):
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["ostinato"] = json.dumps(entry)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


def test_a_newer_format_is_refused(saved):
    path, _ = saved
    rewrite_entry(path, {"format": 99})
    with pytest.raises(RunError, match="format 99"):
        load_tensors(path)


@pytest.mark.parametrize("entry", [[], 3, "text", {"format": "1"}, {"format": [1]}])
def test_metadata_that_we_never_write_are_refused(saved, entry):
    path, _ = saved
    rewrite_entry(path, entry)
    with pytest.raises(RunError, match="some.safetensors"):
        load_tensors(path)


def test_same_tensors_and_facts_give_the_same_bytes(saved):
    path, tensors = saved
    first = path.read_bytes()
    for _ in range(8):
        save_tensors(path, tensors, {"kind": "test", "name": "größer"})
        assert path.read_bytes() == first


def test_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match="no.safetensors"):
        load_tensors(tmp_path / "no.safetensors")


def test_full_disk_leaves_the_previous_file(saved, monkeypatch):
    path, _ = saved
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_atomically(path, b"half")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
