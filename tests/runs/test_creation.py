"""Run folders are created by one process, whole, and without harm to what is there."""

import pytest
from tiny_runs import config_of

from ostinato import runs
from ostinato.errors import RunError
from ostinato.runs import creation
from ostinato.runs.folder import shell_path
from ostinato.storage import LOCK


def test_what_a_killed_creation_leaves_behind_is_taken_over(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOCK).write_text("")
    (folder / f".ostinato-{'a' * 16}.tmp").write_text("[data]")
    runs.start_run(config_of("classification", tmp_path), folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_written_is_not_left_behind(tmp_path, monkeypatch):
    def full(path, content):
        raise RunError(f"{path}: No space left on device")

    monkeypatch.setattr(creation, "write_atomically", full)
    with pytest.raises(RunError, match="No space left"):
        creation.create_run(config_of("classification", tmp_path), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_process_stays(tmp_path, monkeypatch):
    config, real = config_of("classification", tmp_path), creation.make_folder

    def overtaken(path):
        real(path)
        monkeypatch.setattr(creation, "make_folder", real)
        creation.create_run(config, path)

    monkeypatch.setattr(creation, "make_folder", overtaken)
    with pytest.raises(RunError, match="already holds a run"):
        creation.create_run(config, tmp_path / "run")
    assert (tmp_path / "run" / "config.toml").exists()


def test_each_run_has_a_name_of_its_own(tmp_path):
    names = set()
    for name in ("a", "b", "c"):
        creation.create_run(config_of("classification", tmp_path), tmp_path / name)
        names.add((tmp_path / name / "environment.json").read_text().partition('"run"')[2][:22])
    assert len(names) == 3


@pytest.mark.parametrize("name", ["new\nline", "emoji-\N{GRINNING FACE}", "-dash", "a b", "it's", "\x1b[31m"])
def test_runs_with_odd_names_work_and_their_commands_are_for_a_shell(tmp_path, monkeypatch, name):
    import subprocess
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    runs.start_run(config_of("classification", tmp_path), Path(name))
    assert len(runs.test_rows(Path(name))) == 30
    shown = shell_path(Path(name))
    assert shown.isprintable()
    listed = subprocess.run(["bash", "-c", f"ls -d {shown}"], capture_output=True, text=True, env={"LC_ALL": "C.UTF-8"})
    assert listed.stdout.removeprefix("./") == f"{name}\n"
