"""`ostinato export`, and `ostinato predict` with an exported model."""

import json

import pytest
from commands import REVIEWS, answers, run, tiny

pytest.importorskip("onnxruntime", reason="needs the extra export")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "reviews.csv").write_text(REVIEWS)
    config = folder / "config.toml"
    config.write_text('task = "classification"\n[data]\npath = "reviews.csv"\n')
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


def test_export_with_states_is_certified_and_verified(finished, capsys):
    assert run("export", finished / "run", "--out", finished / "stateful.onnx", "--stateful") == 0
    assert "next_state_0_h" in capsys.readouterr().out
    assert run("export", finished / "run", "--verify", finished / "stateful.onnx") == 0
    assert run("predict", finished / "stateful.onnx", "--text", "a great film") == 0
    assert run("export", finished / "run", "--verify", finished / "stateful.onnx", "--stateful") == 2
