"""Batching is invisible: every answer has the bits that it has alone."""

import asyncio
import json
import threading
import time

import pytest
from calls import ask_together, call, service_of
from small_models import DNA, SENTENCES, SERIES, TEXTS

from ostinato.errors import DataError, TrainingError
from ostinato.serving import Limits, create_app
from ostinato.serving.batching import Batcher, InferenceThread
from ostinato.serving.faults import ServiceError

WORDS = [[word for word, _ in sentence] for sentence in SENTENCES]
INPUTS = {"dna": DNA, "texts": TEXTS, "series": [each.tolist() for each in SERIES], "tags": WORDS}


def values_of(name, value):
    return {"model": name, "input": value}


@pytest.fixture
def alone(files):
    """The answer of each input, asked by itself."""
    service = service_of(files, max_batch_size=1)
    return {
        (name, number): ask_together(service, [("/predict", values_of(name, value))])[0].json
        for name, values in INPUTS.items()
        for number, value in enumerate(values)
    }


def test_answers_under_concurrent_load_have_the_bits_of_answers_alone(files, alone):
    service = service_of(files, max_batch_wait_ms=5)
    sizes = []
    for entry in service.models.entries.values():
        entry.batcher._observe = sizes.append
    replies = ask_together(service, [("/predict", values_of(name, INPUTS[name][number])) for name, number in alone])
    assert [reply.json for reply in replies] == list(alone.values())
    assert max(sizes) > 1 and sum(sizes) == len(alone)


def test_probabilities_of_the_protocol_do_not_depend_on_batch_mates(files):
    def body(text):
        return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}

    path = "/v2/models/dna/infer"
    alone = [ask_together(service_of({"dna": files["dna"]}), [(path, body(each))])[0].body for each in DNA]
    together = ask_together(
        service_of({"dna": files["dna"]}, max_batch_wait_ms=5), [(path, body(each)) for each in DNA]
    )
    assert [reply.body for reply in together] == alone


def test_a_faulty_request_does_not_disturb_its_batch_mates(files):
    service = service_of({"tags": files["tags"]}, max_batch_wait_ms=5)
    good, bad = {"input": ["Paris", "sat"]}, {"input": [["Paris", "noun"], ["sat", "verb"]]}  # features never seen
    replies = ask_together(service, [("/predict", each) for each in (good, bad, good)])
    assert [reply.status for reply in replies] == [200, 422, 200]
    (alone,) = ask_together(service_of({"tags": files["tags"]}), [("/predict", good)])
    assert replies[0].body == replies[2].body == alone.body


def batcher_of(answer, sizes=None, **limits):
    return Batcher(answer, InferenceThread(), Limits(**limits), (sizes if sizes is not None else []).append)


def test_requests_that_arrive_during_a_batch_form_the_next_one():
    started, go = threading.Event(), threading.Event()
    sizes = []

    def answer(rows):
        started.set()
        assert go.wait(10)
        return [row * 10 for row in rows]

    async def load():
        batcher = batcher_of(answer, sizes, max_batch_size=4)
        first = asyncio.create_task(batcher.submit([1]))
        await asyncio.to_thread(started.wait, 10)
        others = [asyncio.create_task(batcher.submit([number, number])) for number in range(2, 5)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(load()) == [[10], [20, 20], [30, 30], [40, 40]]
    assert sizes == [1, 4, 2]


def test_a_batch_that_is_not_full_waits_as_long_as_it_may():
    sizes = []

    async def load():
        batcher = batcher_of(lambda rows: rows, sizes, max_batch_size=3, max_batch_wait_ms=10_000)
        first = asyncio.create_task(batcher.submit([1]))
        await asyncio.sleep(0.01)
        assert not first.done()
        return await asyncio.gather(first, batcher.submit([2, 3]))  # full: no further wait

    start = time.monotonic()
    assert asyncio.run(load()) == [[1], [2, 3]]
    assert sizes == [3] and time.monotonic() - start < 5


def test_an_error_is_answered_to_its_row_alone():
    def answer(rows):
        if 2 in rows:
            raise DataError("two")
        return rows

    async def load():
        batcher = batcher_of(answer)
        return await asyncio.gather(*(batcher.submit([number]) for number in range(4)))

    answers = asyncio.run(load())
    assert [answers[number] for number in (0, 1, 3)] == [[0], [1], [3]]
    assert isinstance(answers[2][0], DataError)


def test_an_unexpected_error_reaches_every_request_and_the_next_batch_is_answered():
    async def load():
        failures = [MemoryError()]

        def answer(rows):
            if failures:
                raise failures.pop()
            return rows

        batcher = batcher_of(answer)
        with pytest.raises(MemoryError):
            await batcher.submit([1])
        return await batcher.submit([2])

    assert asyncio.run(load()) == [2]


def test_a_request_that_is_given_up_is_not_computed():
    go = threading.Event()
    computed = []

    def answer(rows):
        assert go.wait(10)
        computed.extend(rows)
        return rows

    async def load():
        batcher = batcher_of(answer)
        first = asyncio.create_task(batcher.submit([1]))
        await asyncio.sleep(0.05)
        given_up = asyncio.create_task(batcher.submit([2]))
        await asyncio.sleep(0)
        given_up.cancel()
        last = asyncio.create_task(batcher.submit([3]))
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(first, last)

    assert asyncio.run(load()) == [[1], [3]]
    assert computed == [1, 3]


def test_a_full_queue_refuses_with_429():
    go = threading.Event()

    async def load():
        batcher = batcher_of(lambda rows: [go.wait(10) for _ in rows], max_queue=2)
        first = asyncio.create_task(batcher.submit([0]))
        await asyncio.sleep(0.05)  # it is being computed
        waiting = asyncio.create_task(batcher.submit([1, 2]))
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as refused:
            await batcher.submit([3])
        with pytest.raises(ServiceError) as never:
            await batcher.submit([3, 4, 5])
        go.set()
        await asyncio.gather(first, waiting)
        return refused.value, never.value

    refused, never = asyncio.run(load())
    assert refused.status == 429 and refused.headers["Retry-After"] == "1"
    assert never.status == 422 and "3 inputs" in str(never)


def test_a_network_that_fails_is_500_and_says_why(files):
    service = service_of({"dna": files["dna"]})

    def answer(rows):
        raise TrainingError("outputs contain nan")

    service.models.entries["dna"].batcher._answer = answer
    (reply,) = ask_together(service, [("/predict", {"input": DNA[0]})])
    assert reply.status == 500 and reply.error == "outputs contain nan"


def test_an_unexpected_error_is_500_without_its_text(files, caplog):
    service = service_of({"dna": files["dna"]})

    def answer(rows):
        raise RuntimeError("secret text")

    service.models.entries["dna"].batcher._answer = answer
    app = create_app(service)
    body = json.dumps({"input": DNA[0]}).encode()
    with pytest.raises(RuntimeError):  # for the log of uvicorn
        asyncio.run(call(app, "POST", "/predict", body))
    text = service.measured.text().decode()
    assert 'ostinato_requests_total{route="/predict",status="500"} 1.0' in text
