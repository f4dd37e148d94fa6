"""Folders that are sent between machines."""

import pytest

from ostinato.cluster.folders import pack, probe_in, replace_folder, unpack
from ostinato.errors import RunError
from ostinato.storage import LOCK

FILES = {"config.toml": b"a", "checkpoints/last.safetensors": b"\x00\xff"}


def test_a_folder_arrives_as_it_was_without_locks_temporary_files_and_links(tmp_path):
    unpack(FILES, tmp_path / "run")
    (tmp_path / "run" / LOCK).touch()
    (tmp_path / "run" / "checkpoints" / ".ostinato-0123456789abcdef.tmp").touch()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "run" / "config.toml")
    assert pack(tmp_path / "run") == FILES
    assert pack(tmp_path / "none") == {}


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    run, arriving = tmp_path / "runs" / "gru", tmp_path / ".arriving"
    replace_folder({"old": b"1"}, run, arriving)
    assert pack(run) == {"old": b"1"}
    replace_folder(FILES, run, arriving)
    assert pack(run) == FILES
    assert not arriving.exists()


def test_a_folder_that_cannot_be_written_leaves_the_old_one(tmp_path):
    run, arriving = tmp_path / "run", tmp_path / ".arriving"
    replace_folder(FILES, run, arriving)
    with pytest.raises(RunError):
        replace_folder({"a": b"", "a/b": b""}, run, arriving)  # a file and a folder of one name
    assert pack(run) == FILES


def test_a_probe_is_seen_only_inside_its_block(tmp_path):
    with probe_in(tmp_path) as first, probe_in(tmp_path) as second:
        assert first.is_absolute()
        assert first.exists()
        assert first != second
    assert list(tmp_path.iterdir()) == []
