"""What one client may take, and the answer to one that takes more."""

import asyncio
import json
import threading

import pytest
from calls import ask, call, service_of
from small_models import DNA, SERIES

from ostinato.serving import create_app


def test_a_large_body_is_413(files):
    service = service_of({"dna": files["dna"]}, max_body_bytes=100)
    body = json.dumps({"input": "A" * 60}).encode()
    assert len(body) <= 100 and ask(service, "/predict", body).status == 200
    for chunks in ([b" " * 101], [b" " * 60, b" " * 60], [b" " * 60] * 1000):
        reply = ask(service, "/predict", [*chunks, body])
        assert reply.status == 413 and "100" in reply.error


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1,", b"\xff\xfe", b'{"input": "\xff"}', b"[" * 100_000, b"{'input': 1}"]
)
def test_what_is_not_json_is_400(service, body):
    for path in ("/predict", "/explain", "/trace", "/v2/models/dna/infer"):
        reply = ask(service, path, body or b" ", method="POST")
        assert reply.status == 400 and "JSON" in reply.error


@pytest.mark.parametrize("body", [[], "text", 5, None, {}, {"input": "A", "inputs": ["A"]}, {"inputs": []}])
def test_json_of_other_types_is_422(service, body):
    reply = ask(service, "/predict", json.dumps(body).encode())
    assert reply.status == 422 and reply.error


def test_an_unknown_model_is_404(service):
    for path, body in (
        ("/predict", {"model": "dan", "input": "A"}),
        ("/explain", {"model": "dan", "input": "A"}),
        ("/trace", {"model": "dan", "input": "A"}),
        ("/v2/models/dan/infer", {"inputs": []}),
        ("/v2/repository/models/dan/load", {}),
    ):
        reply = ask(service, path, body)
        assert reply.status == 404 and "'dna'" in reply.error


def test_a_request_without_a_name_is_422_if_several_models_are_served(service):
    reply = ask(service, "/predict", {"input": "A"})
    assert reply.status == 422 and "dna, texts, series, tags" in reply.error


def test_unknown_paths_and_methods_are_errors_in_json(service):
    assert ask(service, "/nothing").status == 404 and ask(service, "/nothing").error
    assert ask(service, "/predict").status == 405 and ask(service, "/predict").error


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("dna", "ACGTACGT", "ACGTACG"),
        ("texts", "a b c d e f g h", "a b c d e f g"),
        ("series", [[number, 1] for number in range(8)], [[number, 1] for number in range(7)]),
        ("tags", list("abcdefgh"), list("abcdefg")),
        ("tags", "a b c d e f g h", "a b c d e f g"),
    ],
)
def test_a_long_sequence_is_422_or_cut_when_asked(files, name, value, unit):
    service = service_of({name: files[name]}, max_length=7)
    assert ask(service, "/predict", {"input": unit}).status == 200
    reply = ask(service, "/predict", {"input": value})
    assert reply.status == 422 and "8 tokens" in reply.error and "input" in reply.error
    cut = ask(service, "/predict", {"input": value, "truncate": True})
    assert cut.json == ask(service, "/predict", {"input": unit}).json


def test_words_are_counted_and_not_characters(files):
    service = service_of({"texts": files["texts"]}, max_length=3)
    assert ask(service, "/predict", {"input": "three long words"}).status == 200
    assert ask(service, "/predict", {"input": "now there are four"}).status == 422


def test_the_protocol_has_the_same_limit(files):
    service = service_of({"dna": files["dna"], "series": files["series"]}, max_length=2)
    tokens = {"name": "tokens", "shape": [1, 3], "datatype": "INT64", "data": [1, 2, 3]}
    path = "/v2/models/dna/infer"
    reply = ask(service, path, {"inputs": [tokens]})
    assert reply.status == 422 and "tokens 0: 3 tokens" in reply.error
    cut = ask(service, path, {"inputs": [tokens], "parameters": {"truncate": True}}).json
    two = {**tokens, "shape": [1, 2], "data": [1, 2]}
    assert cut == ask(service, path, {"inputs": [two]}).json
    assert ask(service, path, {"inputs": [two], "parameters": {"truncate": 1}}).status == 422


def test_a_slow_answer_is_504_and_others_go_on(files):
    service = service_of({"dna": files["dna"]}, timeout_s=0.2)
    batcher = service.models.entries["dna"].batcher
    answer, go = batcher._answer, threading.Event()
    batcher._answer = lambda rows: go.wait(10) and answer(rows)

    async def load():
        app = create_app(service)
        slow = await call(app, "POST", "/predict", {"input": DNA[0]})
        go.set()
        return slow, await call(app, "POST", "/predict", {"input": DNA[0]})

    slow, quick = asyncio.run(load())
    assert slow.status == 504 and "0.2 s" in slow.error
    assert quick.status == 200


def test_a_client_that_sends_slowly_is_504(files):
    service = service_of({"dna": files["dna"]}, timeout_s=0.05)

    async def never_ends():
        app = create_app(service)
        return await asyncio.wait_for(call(app, "POST", "/predict", Endless()), 10)

    assert asyncio.run(never_ends()).status == 504


def test_a_client_that_leaves_early_is_no_error_of_ours(service):
    """Its status is only in the log."""
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    reply = ask(service, "/predict", messages)
    assert reply.status == 400 and "connection" in reply.error


class Endless(list):
    """A body whose end never comes."""

    def __iter__(self):
        return iter([])


def test_too_many_explanations_are_429(files, monkeypatch):
    monkeypatch.setattr("ostinato.serving.batching.MOST_OTHERS", 1)
    service = service_of({"series": files["series"]})
    go = threading.Event()

    async def load():
        app = create_app(service)
        blocked = asyncio.ensure_future(service.thread.run(lambda: go.wait(10)))
        body = {"input": SERIES[0].tolist(), "method": "gradient-x-input"}
        first = asyncio.ensure_future(call(app, "POST", "/explain", body))
        await asyncio.sleep(0.05)
        second = await call(app, "POST", "/explain", body)
        go.set()
        await blocked
        return await first, second

    first, second = asyncio.run(load())
    assert first.status == 200
    assert second.status == 429 and second.headers["retry-after"] == "1"


def test_a_trace_with_too_many_numbers_is_refused(files, monkeypatch):
    monkeypatch.setattr("ostinato.serving.people.MOST_NUMBERS", 100)
    reply = ask(service_of({"dna": files["dna"]}), "/trace", {"input": "ACGT"})
    assert reply.status == 422 and "120" in reply.error  # 4 steps × 6 units × (state and 4 gates)


@pytest.mark.parametrize("shape", [[0], [0, 5], [2**40, 0], [2**40]])
def test_a_tensor_without_rows_or_with_rows_out_of_nothing_is_422(service, shape):
    name, datatype = ("text", "BYTES") if len(shape) == 1 else ("tokens", "INT64")
    tensor = {"name": name, "shape": shape, "datatype": datatype, "data": []}
    reply = ask(service, "/v2/models/dna/infer", {"inputs": [tensor]})
    assert reply.status == 422 and "inputs.0" in reply.error


def test_a_file_of_the_page_with_a_long_name_is_404(service):
    assert ask(service, "/page/" + "a" * 5000).status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {f"key {number}": 1 for number in range(2000)}),
        ("/v2/models/dna/infer", {"inputs": [{}] * 2000}),
    ],
)
def test_faults_without_end_are_counted_and_not_listed(service, path, body):
    reply = ask(service, path, body)
    assert reply.status == 422 and "000" in reply.error and len(reply.error) < 200


def test_of_many_inputs_of_a_wrong_type_the_first_is_named(service):
    reply = ask(service, "/predict", {"model": "dna", "inputs": ["A", *[1] * 2000]})
    assert reply.status == 422 and reply.error.startswith("inputs.1:") and len(reply.error) < 200


def test_an_output_is_requested_once(service):
    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A"]}]}
    reply = ask(service, "/v2/models/dna/infer", {**body, "outputs": [{"name": "label"}] * 2})
    assert reply.status == 422 and "outputs" in reply.error


def test_too_many_inputs_are_refused_before_they_are_read(files, monkeypatch):
    service = service_of({"dna": files["dna"]}, max_queue=3)
    monkeypatch.setattr(service, "_within_limit", None)
    reply = ask(service, "/predict", {"inputs": ["A"] * 4})
    assert reply.status == 422 and "4 inputs" in reply.error
