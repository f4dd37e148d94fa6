"""`push`, and commands that take a model on the hub; against a stand-in of the hub's API."""

import os
import subprocess
import sys

import pytest
from commands import answers, run
from hub_server import local_hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how huggingface_hub uses httpx
TEXTS = ("--text", "a great film", "--text", "a dull film")


@pytest.fixture
def hub(folder, monkeypatch):
    with local_hub(monkeypatch, folder / "cache") as server:
        yield server


def test_push_names_the_page_and_how_to_load(hub, capsys):
    assert run("push", "run", "hf://owner/model", "--license", "mit") == 0
    shown = capsys.readouterr().out
    assert f"{hub.url}/owner/model" in shown and 'ostinato.load("hf://owner/model")' in shown
    assert b"license: mit" in hub.files("owner/model")["README.md"]


def test_push_answers_in_json(hub, capsys):
    assert run("push", "run", "hf://owner/model", "--private", "--json") == 0
    (answer,) = answers(capsys)
    repository = hub.repositories["owner/model"]
    url = f"{hub.url}/owner/model"
    assert answer == {"address": "hf://owner/model", "url": url, "commit": repository.branches["main"]}
    assert repository.is_private


def test_predict_answers_as_with_the_run(hub, capsys):
    assert run("push", "run", "hf://owner/model") == 0
    capsys.readouterr()
    assert run("predict", "run", *TEXTS) == 0
    expected = answers(capsys)
    assert run("predict", "hf://owner/model", *TEXTS) == 0
    assert answers(capsys) == expected


def test_evaluate_and_explain_read_rows_of_a_file(hub, capsys):
    assert run("push", "run", "hf://owner/model") == 0
    capsys.readouterr()
    assert run("evaluate", "hf://owner/model", "reviews.csv", "--json") == 0
    (scored,) = answers(capsys)
    assert scored["n"] == 40
    assert run("explain", "hf://owner/model", *TEXTS, "--json") == 0
    (explained,) = answers(capsys)
    assert len(explained["explanations"]) == 2


def test_export_writes_the_model_of_the_hub(hub):
    pytest.importorskip("onnx")
    assert run("push", "run", "hf://owner/model") == 0
    assert run("export", "hf://owner/model", "--out", "model.onnx") == 0


def test_a_model_on_the_hub_is_served_under_its_name(hub):
    from ostinato.serving.repository import version_of
    from ostinato.serving.settings import named_models

    assert run("push", "run", "hf://owner/model") == 0
    models = named_models(["hf://owner/model", "other=hf://owner/model@main"])
    assert list(models) == ["model", "other"]
    assert version_of(models["model"]) == version_of(models["other"])


def test_the_variables_of_the_hub_s_library_are_obeyed(hub, folder):
    assert run("push", "run", "hf://owner/model", "--private") == 0
    variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_TOKEN": "owner-token"}
    command = [sys.executable, "-m", "ostinato", "predict", "hf://owner/model", *TEXTS]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    assert list((folder / "home").rglob("model.safetensors"))


@pytest.mark.parametrize("address", ["owner/model", "hf://model", "runs/model"])
def test_an_address_must_be_one_of_the_hub(hub, capsys, address):
    assert run("push", "run", address) == 2
    assert address in capsys.readouterr().err and not hub.requests
