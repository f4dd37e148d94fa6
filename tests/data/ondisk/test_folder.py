import threading

import pytest

from ostinato.data.ondisk.folder import cache_folder, kept, name_of
from ostinato.errors import RunError


def test_a_content_is_made_once(tmp_path):
    made = []

    def make(folder):
        made.append(folder)
        (folder / "content").write_text("all of it", encoding="utf-8")
        return {"size": 9}

    assert [kept(tmp_path / "one", make) for _ in range(3)] == [{"size": 9}] * 3
    assert made == [tmp_path / "one"]


def test_of_several_processes_one_makes_the_content_and_the_others_wait(tmp_path):
    made, begun, found = [], threading.Event(), []

    def make(folder):
        begun.set()
        made.append(folder)
        waiting.wait(60)
        return {"made": True}

    waiting = threading.Event()
    first = threading.Thread(target=lambda: found.append(kept(tmp_path / "one", make)))
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=lambda: found.append(kept(tmp_path / "one", make)))
    second.start()
    second.join(0.2)
    assert second.is_alive() and not found
    waiting.set()
    first.join(60)
    second.join(60)
    assert found == [{"made": True}] * 2 and len(made) == 1


def test_what_a_killed_process_left_is_made_anew(tmp_path):
    place = tmp_path / "one"
    (place / "tokens-abc").mkdir(parents=True)
    (place / "sequences.bin").write_bytes(b"half")

    def make(folder):
        assert not (folder / "sequences.bin").exists() and not (folder / "tokens-abc").exists()
        return {}

    assert kept(place, make) == {}


def test_a_content_that_was_cut_off_is_made_again(tmp_path):
    def make(folder):
        (folder / "content").write_bytes(b"all of it")
        return {}

    kept(tmp_path / "one", make)
    (tmp_path / "one" / "content").write_bytes(b"all")
    kept(tmp_path / "one", make)
    assert (tmp_path / "one" / "content").read_bytes() == b"all of it"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_could_not_be_finished_is_removed(tmp_path, error):
    def make(folder):
        (folder / "content").write_bytes(b"half")
        raise error

    with pytest.raises(RunError if isinstance(error, OSError) else KeyboardInterrupt):
        kept(tmp_path / "one", make)
    assert list((tmp_path / "one").iterdir()) == []


def test_a_place_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="--cache DIR"):
        kept(tmp_path / "file" / "one", lambda folder: {})


def test_the_place_is_the_given_one_or_the_user_s(tmp_path, monkeypatch):
    monkeypatch.delenv("OSTINATO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ostinato"
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "given"))
    assert cache_folder() == tmp_path / "given"


def test_names_differ_where_facts_or_the_version_do(monkeypatch):
    first = name_of({"a": 1, "b": [2]})
    assert first == name_of({"b": [2], "a": 1}) != name_of({"a": 1, "b": [3]})
    monkeypatch.setattr("ostinato.data.ondisk.folder.__version__", "999")
    assert name_of({"a": 1, "b": [2]}) != first
