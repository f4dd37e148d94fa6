"""Names, addresses and tokens of the command line."""

from pathlib import Path

import pytest

from ostinato.errors import ConfigError
from ostinato.serving.settings import Settings, named_models, read_token


def test_models_are_named_by_their_path_or_by_a_name(tmp_path):
    (tmp_path / "m.safetensors").touch()
    (tmp_path / "run").mkdir()
    assert named_models([str(tmp_path / "m.safetensors"), f"a-b={tmp_path}/x", str(tmp_path / "run")]) == {
        "m": tmp_path / "m.safetensors",
        "a-b": tmp_path / "x",
        "run": tmp_path / "run",
    }


def test_a_path_with_an_equals_sign_is_a_path(tmp_path):
    path = tmp_path / "lr=0.1.safetensors"
    path.touch()
    with pytest.raises(ConfigError, match="lr=0.1"):  # but its name is not usable
        named_models([str(path)])
    assert named_models([f"a={path}"]) == {"a": path}


@pytest.mark.parametrize("arguments", [["a/b=run"], ["=run"], ["x=run", "x=other"], [".=run"]])
def test_names_that_a_url_cannot_have_are_refused(arguments):
    with pytest.raises(ConfigError, match=r"run|other"):
        named_models(arguments)


def test_an_onnx_file_is_refused():
    with pytest.raises(ConfigError, match=r"a=model\.onnx"):
        named_models(["a=model.onnx"])


@pytest.mark.parametrize(
    ("host", "is_open"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("::", True), ("a.example", True)],
)
def test_a_service_is_open_off_loopback_without_a_token(host, is_open):
    assert Settings({}, host=host).is_open == is_open
    assert not Settings({}, host=host, token="x" * 16).is_open


def test_a_token_is_read_without_white_space(tmp_path):
    path = tmp_path / "token"
    path.write_text("  0123456789abcdef\n")
    assert read_token(path) == "0123456789abcdef"
    for text in ("short", "0123456789 abcdef", "0123456789abcdé" * 2, ""):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="token"):
            read_token(path)
    with pytest.raises(ConfigError, match="missing"):
        read_token(Path(tmp_path / "missing"))
