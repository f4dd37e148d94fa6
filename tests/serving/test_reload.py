"""A model is replaced while requests run: none is lost, and a model that cannot be loaded changes nothing."""

import asyncio
import shutil
import threading

import pytest
from calls import ask, call, service_of
from small_models import DNA, classifier

from ostinato.serving import create_app
from ostinato.tasks.model_file import load_model

LOAD = "/v2/repository/models/dna/load"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another model for the same data."""
    path = tmp_path_factory.mktemp("other") / "other.safetensors"
    classifier(seed=7).save(path)
    return path


@pytest.fixture
def replaceable(files, tmp_path):
    return shutil.copy(files["dna"], tmp_path / "model.safetensors")


def test_load_swaps_the_model_and_its_version(replaceable, other):
    service = service_of({"dna": replaceable})
    before = ask(service, "/predict", {"input": DNA[0]}).json
    version = service.models.entries["dna"].version
    shutil.copy(other, replaceable)
    reply = ask(service, LOAD, {})
    assert reply.json == {"name": "dna", "version": service.models.entries["dna"].version}
    assert reply.json["version"] != version
    after = ask(service, "/predict", {"input": DNA[0]}).json
    assert after == ask(service_of({"dna": other}), "/predict", {"input": DNA[0]}).json != before
    text = service.measured.text().decode()
    assert f'ostinato_model_info{{model="dna",version="{version}"}} 0.0' in text


def test_an_unchanged_file_is_not_loaded_again(replaceable):
    service = service_of({"dna": replaceable})
    entry = service.models.entries["dna"]
    assert ask(service, LOAD, {}).json["version"] == entry.version
    assert service.models.entries["dna"] is entry


@pytest.mark.parametrize("damage", ["truncated", "missing", "altered"])
def test_a_model_that_cannot_be_loaded_leaves_the_old_one(replaceable, damage):
    service = service_of({"dna": replaceable})
    before = ask(service, "/predict", {"input": DNA[0]}).json
    content = replaceable.read_bytes()
    if damage == "missing":
        replaceable.unlink()
    else:
        replaceable.write_bytes(content[:100] if damage == "truncated" else content[:-4] + b"\xff\xff\xff\x7f")
    reply = ask(service, LOAD, {})
    assert reply.status == 400 and "model.safetensors" in reply.error
    assert ask(service, "/predict", {"input": DNA[0]}).json == before


def test_requests_before_during_and_after_a_reload_are_all_answered(replaceable, other):
    service = service_of({"dna": replaceable})
    old = ask(service_of({"dna": replaceable}), "/predict", {"input": DNA[0]}).body
    batcher = service.models.entries["dna"].batcher
    answer, go = batcher._answer, threading.Event()
    batcher._answer = lambda rows: go.wait(10) and answer(rows)
    new = ask(service_of({"dna": other}), "/predict", {"input": DNA[0]}).body

    async def load():
        app = create_app(service)
        waiting = [asyncio.ensure_future(call(app, "POST", "/predict", {"input": DNA[0]})) for _ in range(100)]
        await asyncio.sleep(0.05)
        shutil.copy(other, replaceable)
        reloaded = await call(app, "POST", LOAD, {})
        after = [asyncio.ensure_future(call(app, "POST", "/predict", {"input": DNA[0]})) for _ in range(10)]
        await asyncio.sleep(0)
        go.set()
        return reloaded, await asyncio.gather(*waiting), await asyncio.gather(*after)

    reloaded, waiting, after = asyncio.run(load())
    assert reloaded.status == 200
    assert {reply.body for reply in waiting} == {old}
    assert {reply.body for reply in after} == {new}


def test_a_file_that_changes_while_it_is_loaded_is_loaded_again(replaceable, other, monkeypatch):
    def load_and_replace(path):
        model = load_model(path)
        shutil.copy(other, replaceable)
        return model

    with monkeypatch.context() as patched:
        patched.setattr("ostinato.serving.repository.load_model", load_and_replace)
        service = service_of({"dna": replaceable})
    assert ask(service, LOAD, {}).status == 200
    expected = ask(service_of({"dna": other}), "/predict", {"input": DNA[0]}).json
    assert ask(service, "/predict", {"input": DNA[0]}).json == expected
