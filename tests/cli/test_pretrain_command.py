"""`ostinato pretrain`: files in, an encoder out, and a page about it."""

import json
import shutil

from commands import run

from ostinato.config.names import ENCODERS
from ostinato.pretraining.config import override, parse_config, read_own_config
from ostinato.pretraining.presets import PRESETS

TEXTS = [
    f"the {size} {animal} {does}" for size in ("big", "old") for animal in ("cat", "dog") for does in ("eats", "naps")
]
SMALL = ["model.embedding_size=4", "model.hidden_size=4", "training.max_epochs=1", "training.device=cpu"]


def small(*settings):
    return [part for setting in (*SMALL, *settings) for part in ("--set", setting)]


def test_files_become_an_encoder_with_a_report_that_a_task_starts_from(tmp_path, capsys):
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "rows.csv").write_text(
        "text,label\n" + "".join(f"a {text} now,{text[4:7]}\n" for text in TEXTS * 3), encoding="utf-8"
    )
    out = tmp_path / "encoder"
    assert run("pretrain", tmp_path / "raw.txt", "--out", out, "--report", "--json", *small("data.min_count=1")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["validation"]["perplexity"] > 1
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Neighbours of frequent tokens" in page
    assert "perplexity" in page
    assert run("report", out) == 0
    capsys.readouterr()
    assert run("predict", out, "--text", "the big cat") == 2
    assert f"model.init={out}" in capsys.readouterr().err
    config = tmp_path / "task.toml"
    config.write_text(f"[data]\npath = {str(tmp_path / 'rows.csv')!r}\n", encoding="utf-8")
    assert run("train", config, "--out", tmp_path / "run", "--set", f"model.init={out}") == 0
    assert "Training starts from the" in capsys.readouterr().err
    shutil.rmtree(out)
    capsys.readouterr()
    for command in ("predict", "evaluate"):
        assert run(command, tmp_path / "run", tmp_path / "rows.csv") == 0
    assert run("train", "--resume", tmp_path / "run") == 0  # it is finished


def test_models_of_several_kinds_do_not_start_from_one_encoder(tmp_path, capsys):
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"{text},{text[4]}\n" for text in TEXTS), "utf-8")
    assert run("pretrain", tmp_path / "raw.txt", "--out", tmp_path / "encoder", *small()) == 0
    init = ["--set", f"model.init={tmp_path / 'encoder'}"]
    assert run("train", tmp_path / "rows.csv", "--out", tmp_path / "run", *init) == 2
    assert "model.init" in capsys.readouterr().err


def test_the_config_of_a_task_is_refused_with_what_to_type(tmp_path, capsys):
    (tmp_path / "task.toml").write_text('task = "tagging"\n[data]\npath = "rows.conll"\n', encoding="utf-8")
    assert run("pretrain", tmp_path / "task.toml", "--out", tmp_path / "encoder") == 2
    assert f"--set data.exclude={tmp_path / 'task.toml'}" in capsys.readouterr().err


def test_a_config_file_is_completed_by_settings_and_resumed(tmp_path, capsys):
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    config = tmp_path / "config.toml"
    config.write_text(f"[data]\npath = {str(tmp_path / 'raw.txt')!r}\n", encoding="utf-8")
    out = tmp_path / "encoder"
    assert run("pretrain", config, "--out", out, *small()) == 0
    assert "held-out loss" in capsys.readouterr().out
    assert run("pretrain", config, "--out", out, *small()) == 2
    assert "ostinato pretrain --resume" in capsys.readouterr().err
    assert run("pretrain", "--resume", out) == 0
    for command in (["train", "--resume", out], ["evaluate", out], ["predict", out, "--text", "the"]):
        assert run(*command) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_what_cannot_be_used_is_an_error_without_a_traceback(tmp_path, capsys):
    for arguments, named in (
        ([], "--resume FOLDER"),
        (["missing.txt"], "missing.txt"),
        (["a.toml", "b.txt"], "one config file"),
        (["--resume", tmp_path, "--out", tmp_path], "--resume uses"),
        (["--resume", tmp_path], "not a run folder"),
        (["--set", "data.name=nothing"], "nothing"),
        (["a.txt", "--set", "model.head=crf"], "model.head"),
    ):
        assert run("pretrain", *arguments) == 2
        assert named in capsys.readouterr().err


def test_folders_and_named_data_sets_in_place_of_files_are_refused(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    cases = [(tmp_path / "raw", "--resume")]
    cases += [(name, f"data.name={name}") for name in ("majority", "ecoli-upstream")]
    for given, value in cases:
        assert run("pretrain", given, "--out", tmp_path / "encoder") == 2
        assert value in capsys.readouterr().err
    assert not (tmp_path / "encoder").exists()


def test_training_makes_the_encoder_that_its_config_names_and_uses_it_again(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "rows.csv").write_text(
        "text,label\n" + "".join(f"a {text} now,{text[4:7]}\n" for text in TEXTS * 3), encoding="utf-8"
    )
    (tmp_path / "task.toml").write_text(
        '[data]\npath = "rows.csv"\n[model]\ninit = "imdb-encoder"\n[training]\nmax_epochs = 1\n', encoding="utf-8"
    )
    tiny = override(parse_config({"data": {"path": "raw.txt"}}), [*SMALL, "data.min_count=1"])
    monkeypatch.setitem(PRESETS, "imdb-encoder", lambda: tiny)
    assert run("compare", "task.toml", "--vary", "model.dropout=0,0.1", "--out", "comparison") != 0
    assert "ostinato pretrain imdb-encoder" in capsys.readouterr().err
    assert run("train", "task.toml", "--out", "first") == 0
    encoder = (tmp_path / "runs" / "imdb-encoder" / "model.safetensors").read_bytes()
    assert run("train", "task.toml", "--out", "second") == 0
    assert (tmp_path / "runs" / "imdb-encoder" / "model.safetensors").read_bytes() == encoder
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]


def test_a_preset_is_trained_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    tiny = override(parse_config({"data": {"path": "raw.txt"}}), [*SMALL, "data.min_count=1"])
    monkeypatch.setitem(PRESETS, "imdb-encoder", lambda: tiny)
    assert run("pretrain", "imdb-encoder", "--set", "model.hidden_size=5") == 0
    assert read_own_config(tmp_path / "runs" / "imdb-encoder").model.hidden_size == 5


def test_every_preset_has_a_name_that_configs_accept():
    assert tuple(PRESETS) == ENCODERS
