"""`ostinato export`, and `ostinato predict` with an exported model."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from commands import FORWARDS, REVIEWS, WORDS, answers, run, tiny

from ostinato import load
from ostinato.errors import RunError
from ostinato.export import to_onnx, write

pytest.importorskip("onnxruntime", reason="needs the extra export")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "reviews.csv").write_text(REVIEWS)
    config = folder / "config.toml"
    config.write_text(f'task = "classification"\n[data]\npath = "reviews.csv"\n{WORDS}{FORWARDS}')
    assert run("train", config, *tiny(f'data.path="{folder / "reviews.csv"}"'), "--out", folder / "run") == 0
    assert run("export", folder / "run", "--out", folder / "model.onnx") == 0
    return folder


def test_export_prints_the_certificate(finished, capsys):
    assert run("export", finished / "run", "--out", finished / "again.onnx", "--json") == 0
    (found,) = answers(capsys)
    assert found["holds"] and found["file"].endswith("again.onnx")
    assert max(found["differences"].values()) <= found["tolerance"]


def test_verify_checks_a_file(finished, capsys):
    assert run("export", finished / "run", "--verify", finished / "model.onnx") == 0
    assert "relative difference" in capsys.readouterr().out


def test_an_exported_model_predicts_as_the_run(finished, capsys):
    arguments = [part for text in ("a great film", "", "zzz") for part in ("--text", text)]
    assert run("predict", finished / "run", *arguments) == 1
    ours = answers(capsys)
    assert run("predict", finished / "model.onnx", *arguments) == 1
    theirs = answers(capsys)
    assert [each.get("label") for each in theirs] == [each.get("label") for each in ours]
    assert theirs[1] == ours[1]
    assert theirs[2]["warning"] == ours[2]["warning"]


def test_an_exported_model_reads_files_and_standard_input(finished, capsys):
    assert run("predict", finished / "model.onnx", finished / "reviews.csv") == 0
    assert len(answers(capsys)) == 40
    assert run("predict", finished / "model.onnx", "-", stdin=b"a great film\n\xff\n") == 1
    good, bad = answers(capsys)
    assert good["label"] in ("neg", "pos") and "UTF-8" in bad["error"]


@pytest.mark.parametrize("arguments", [[], ["--out", "a.onnx", "--verify", "b.onnx"]])
def test_export_needs_one_of_out_and_verify(finished, arguments, capsys):
    assert run("export", finished / "run", *arguments) == 2
    assert "--verify" in capsys.readouterr().err


def test_an_unfinished_run_cannot_be_exported(tmp_path, capsys):
    assert run("export", tmp_path, "--out", tmp_path / "model.onnx") == 2
    assert "model.safetensors" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_strict_stops_at_the_first_error(finished, capsys):
    assert run("predict", finished / "model.onnx", "--strict", "--text", "a film", "--text", "") == 2
    assert "--text 2" in capsys.readouterr().err
    assert json.dumps("error") not in capsys.readouterr().out


def test_quantize_judges_the_file_on_the_run_s_validation_split(finished, capsys):
    out = finished / "int8.onnx"
    assert run("export", finished / "run", "--out", out, "--quantize", "int8", "--tolerance", "100", "--json") == 0
    (found,) = answers(capsys)
    held_out = json.loads((finished / "run" / "metrics.json").read_text())["validation"]
    assert found["quantization"]["rows"] == held_out["n"]
    assert found["quantization"]["values"]["float32"] == held_out["accuracy"]
    assert run("export", finished / "run", "--verify", out) == 0
    assert f"on {held_out['n']} labelled rows" in capsys.readouterr().out
    assert run("predict", out, "--text", "a great film") == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "m.onnx", "--quantize", "int4"], "int4"),
        (["--out", "m.onnx", "--tolerance", "1"], "--quantize"),
        (["--out", "m.onnx", "--quantize", "int8", "--tolerance", "-1"], "-1"),
        (["--verify", "m.onnx", "--quantize", "int8"], "--verify"),
    ],
)
def test_options_that_do_not_fit_are_refused(finished, arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("export", finished / "run", *arguments) == 2
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_file_has_no_rows_to_judge_int8_weights_on(finished, capsys, tmp_path):
    model = finished / "run" / "model.safetensors"
    assert run("export", model, "--out", tmp_path / "m.onnx", "--quantize", "int8") == 2
    assert "validation split" in capsys.readouterr().err


def test_a_run_without_a_validation_split_cannot_be_quantized(finished, capsys, tmp_path):
    settings = tiny(f'data.path="{finished / "reviews.csv"}"', "data.validation_size=0")
    assert run("train", finished / "config.toml", *settings, "--out", tmp_path / "run") == 0
    assert run("export", tmp_path / "run", "--out", tmp_path / "m.onnx", "--quantize", "int8") == 2
    assert "validation_size" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


def test_a_validation_split_that_changed_is_refused(finished, capsys, tmp_path):
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    settings = tiny(f'data.path="{tmp_path / "reviews.csv"}"')
    assert run("train", finished / "config.toml", *settings, "--out", tmp_path / "run") == 0
    (tmp_path / "reviews.csv").write_text(REVIEWS.replace("number", "digit"))
    assert run("export", tmp_path / "run", "--out", tmp_path / "m.onnx", "--quantize", "int8") == 2
    assert "validation split has changed" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("out", ["folder", "file/model.onnx", "missing/model.onnx"])
def test_a_path_that_no_file_can_have_is_refused_before_any_work(finished, out, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "certify", None)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    assert run("export", finished / "run", "--out", tmp_path / out) == 2
    assert out.split("/")[0] in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_link_is_replaced_and_its_file_stays_as_it_is(finished, tmp_path):
    (tmp_path / "other").write_text("kept")
    (tmp_path / "link.onnx").symlink_to(tmp_path / "other")
    assert run("export", finished / "run", "--out", tmp_path / "link.onnx") == 0
    assert (tmp_path / "other").read_text() == "kept"
    assert not (tmp_path / "link.onnx").is_symlink()


def test_a_full_disk_leaves_the_previous_file(finished, capsys, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    (tmp_path / "m.onnx").write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    assert run("export", finished / "run", "--out", tmp_path / "m.onnx") == 2
    assert "No space left" in capsys.readouterr().err
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("m.onnx", "before")]


def test_ctrl_c_leaves_the_previous_file(finished, tmp_path, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    (tmp_path / "m.onnx").write_text("before")
    monkeypatch.setattr(os, "fsync", interrupted)
    assert run("export", finished / "run", "--out", tmp_path / "m.onnx") == 130
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("m.onnx", "before")]


@pytest.mark.parametrize("opset", [17, 1000])
def test_an_opset_that_is_not_available_is_refused(finished, opset, capsys, tmp_path):
    assert run("export", finished / "run", "--out", tmp_path / "m.onnx", "--opset", opset) == 2
    assert str(opset) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_cannot_be_exported(finished, capsys, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "run" / "model.safetensors").unlink()
    (tmp_path / "run" / "metrics.json").unlink()
    assert run("export", tmp_path / "run", "--out", tmp_path / "m.onnx") == 2
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()


WITHOUT_TORCH = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "safetensors", "sklearn", "scipy", "onnx"}:
            raise ImportError(f"{name} is not installed")


sys.meta_path.insert(0, Refuse())
from ostinato import cli

cli.main()
"""
CONLL = "Paris B-LOC\nsleeps O\n\nU2 B-ORG\nplay O\n\n"
CONLLU = "1\tParis\tparis\tPROPN\t_\t_\t_\t_\t_\t_\n2\tsleeps\tsleep\tVERB\t_\t_\t_\t_\t_\t_\n\n"
SENTENCES = {
    "sentences.conll": CONLL,
    "sentences.conllu": CONLLU,
    "sentences.jsonl": '{"tokens": ["Paris", "sleeps"]}\n{"text": "U2 play."}\n',
    "sentences.txt": CONLL,
}


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    (folder / "train.conll").write_text("".join(CONLL.replace("sleeps", f"sleeps{row}") for row in range(30)))
    config = folder / "config.toml"
    config.write_text('task = "tagging"\n[data]\npath = "train.conll"\n')
    assert run("train", config, *tiny(f'data.path="{folder / "train.conll"}"'), "--out", folder / "run") == 0
    assert run("export", folder / "run", "--out", folder / "model.onnx") == 0
    return folder


@pytest.mark.parametrize("name", SENTENCES)
def test_a_tagger_s_exported_model_reads_files_without_torch(tagger, name, capsys):
    (tagger / name).write_text(SENTENCES[name])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "predict", str(tagger / "model.onnx"), str(tagger / name)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert run("predict", tagger / "run", tagger / name, "--format", "jsonl") == 0
    for ours, theirs in zip(answers(capsys), found, strict=True):
        assert theirs["tokens"] == ours["tokens"] and theirs["tags"] == ours["tags"]


def test_the_run_of_another_task_cannot_judge_a_model(finished, tagger, tmp_path):
    with pytest.raises(RunError, match="tagging"):
        to_onnx(load(finished / "run"), tmp_path / "m.onnx", quantize="int8", validation=tagger / "run")


def test_an_exported_classifier_reads_files_without_torch(finished):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "predict", str(finished / "model.onnx"), str(finished / "reviews.csv")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 40


def test_export_with_states_is_certified_and_verified(finished, capsys):
    assert run("export", finished / "run", "--out", finished / "stateful.onnx", "--stateful") == 0
    assert "next_state_0_h" in capsys.readouterr().out
    assert run("export", finished / "run", "--verify", finished / "stateful.onnx") == 0
    assert run("predict", finished / "stateful.onnx", "--text", "a great film") == 0
    assert run("export", finished / "run", "--verify", finished / "stateful.onnx", "--stateful") == 2
