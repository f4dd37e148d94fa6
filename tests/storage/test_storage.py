"""Files of tensors: what was saved comes back bit for bit, and a damaged file is refused."""

import errno
import json
import os
import struct

import pytest
import torch

from ostinato import storage
from ostinato.errors import RunError
from ostinato.storage import (
    append,
    is_unused,
    load_tensors,
    make_subfolder,
    remove_abandoned,
    save_tensors,
    write_atomically,
)


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


def temporary_names(monkeypatch):
    """The names of temporary files, as they are drawn."""
    drawn = []
    real = storage.secrets.token_hex
    monkeypatch.setattr(storage.secrets, "token_hex", lambda size: drawn.append(real(size)) or drawn[-1])
    return drawn


def test_temporary_names_are_never_the_same(tmp_path, monkeypatch):
    drawn = temporary_names(monkeypatch)
    for _ in range(20):
        write_atomically(tmp_path / "some.json", "{}")
    assert len(set(drawn)) == 20
    assert all(len(each) == 16 for each in drawn)


def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    monkeypatch.setattr(storage.secrets, "token_hex", lambda size: "0" * 16)
    (tmp_path / f".ostinato-{'0' * 16}.tmp").symlink_to(victim)
    with pytest.raises(RunError, match="some.json"):
        write_atomically(tmp_path / "some.json", "ours")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", [".some.json.tmp", "some.tmp", "some.json"])
def test_links_that_somebody_planted_are_not_followed(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / name).symlink_to(victim)
    write_atomically(tmp_path / "some.json", "ours")
    assert victim.read_text() == "mine"
    assert (tmp_path / "some.json").read_text() == "ours"
    assert not (tmp_path / "some.json").is_symlink()


def test_text_is_appended_to_files_of_their_own_only(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "hard").hardlink_to(victim)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "hard", "pipe", "folder"):
        with pytest.raises(RunError, match=name):
            append(tmp_path / name, "ours")
    assert victim.read_text() == "mine"
    append(tmp_path / "own.log", "a\n")
    append(tmp_path / "own.log", "b\n")
    assert (tmp_path / "own.log").read_text() == "a\nb\n"


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "figures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="figures"):
        make_subfolder(tmp_path / "figures")


def test_only_our_own_temporary_files_are_removed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    ours = [tmp_path / f".ostinato-{'a' * 16}.tmp", tmp_path / "checkpoints" / f".ostinato-{'0' * 16}.tmp"]
    others = [tmp_path / name for name in (".ostinato-1.tmp", "mine.tmp", f".ostinato-{'g' * 16}.tmp")]
    for path in (*ours, *others):
        path.write_text("x")
    link = tmp_path / f".ostinato-{'b' * 16}.tmp"
    link.symlink_to(others[1])
    remove_abandoned(tmp_path)
    assert {path for path in tmp_path.rglob("*") if not path.is_dir()} == {*others, link}


def test_what_a_kill_leaves_behind_does_not_fill_a_folder(tmp_path):
    assert is_unused(tmp_path / "new")
    (tmp_path / f".ostinato-{'a' * 16}.tmp").write_text("x")
    (tmp_path / storage.LOCK).write_text("x")
    assert is_unused(tmp_path)
    (tmp_path / "mine.txt").write_text("x")
    assert not is_unused(tmp_path)
    assert not is_unused(tmp_path / "mine.txt")
