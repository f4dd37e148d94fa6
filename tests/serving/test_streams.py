"""/stream answers after each piece as /predict does for the text so far, within limits."""

import asyncio
import json
import shutil
import signal
import threading
from itertools import accumulate

import pytest
from calls import ask, service_of
from processes import serving
from small_models import DNA, SERIES, classifier, tagger, words_only
from sockets import Client, converse, ending, replies
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ostinato.nn import kernel
from ostinato.serving import create_app

TOKEN = "0123456789abcdef0123456789abcdef"
PIECE = 4_000_000  # letters that take about a second to read
needs_kernel = pytest.mark.skipif(not kernel.is_built(), reason="the kernel was not compiled")


@pytest.fixture(scope="module")
def streaming_tagger(tmp_path_factory):
    path = tmp_path_factory.mktemp("tagger") / "tags.safetensors"
    tagger(words_only(), bidirectional=False, head="softmax").save(path)
    return path


def predicted(service, name, value):
    return ask(service, "/predict", {"model": name, "input": value}).json["answer"]


def pushes(pieces):
    return [{"push": piece} for piece in pieces]


@needs_kernel
@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("dna", [DNA[1][:2], DNA[1][2:3], DNA[1][3:]]),
        ("texts", ["gr", "eat fi", "lm", " number", " 1", "7"]),
        ("series", [SERIES[0][:1].tolist(), SERIES[0][1:].tolist()]),
    ],
)
def test_every_answer_is_that_of_predict_for_all_pieces_so_far(service, name, pieces):
    found = replies(service, [*pushes(pieces), {"finish": True}], f"model={name}")
    expected = [predicted(service, name, so_far) for so_far in accumulate(pieces)]
    expected = [{key: value for key, value in each.items() if key != "warning"} for each in expected]
    assert [each["answer"] for each in found] == [*expected, expected[-1]]


@needs_kernel
def test_a_tagger_answers_for_the_words_that_are_complete(streaming_tagger):
    service = service_of({"tags": streaming_tagger})
    found = replies(service, [*pushes(["Par", "is sat", " on U"]), {"finish": True}])
    assert [each["answer"]["tokens"] for each in found] == [[], ["Paris"], ["sat", "on"], ["U"]]
    whole = predicted(service, "tags", "Paris sat on U")
    for key in ("tags", "probabilities"):
        assert [each for reply in found for each in reply["answer"][key]] == whole[key]
    assert [each["steps"] for each in found] == [0, 1, 3, 4] and found[0]["decided"] is None


def test_models_say_whether_they_stream(service):
    streams = {each["name"]: each["streams"] for each in ask(service, "/models").json["models"]}
    assert streams == {"dna": True, "texts": True, "series": True, "tags": False}


def test_a_model_that_reads_backwards_says_what_to_train_instead(service):
    error, code = ending(service, [], "model=tags")
    assert code == 1008 and "model.bidirectional = false" in error


def test_finish_ends_the_stream(service):
    async def talk(client):
        await client.ask({"push": "A"})
        answer = await client.ask({"finish": True})
        return answer["steps"], await client.end()

    assert converse(service, talk, "model=dna") == (1, (None, 1000))


def test_decided_compares_with_the_threshold(service):
    (answer,) = replies(service, [{"push": DNA[0]}], "model=dna")
    highest = max(answer["answer"]["probabilities"].values())
    assert highest < 0.9 and answer["decided"] is False
    for threshold, expected in ((highest - 0.01, True), (highest + 0.01, False)):
        (answer,) = replies(service, [{"push": DNA[0]}], f"model=dna&threshold={threshold}")
        assert answer["decided"] is expected
    assert replies(service, pushes(["", "A"]), "model=dna&threshold=0.01")[0]["decided"] is False  # nothing read
    (answer,) = replies(service, [{"push": SERIES[0].tolist()}], "model=series")
    assert answer["decided"] is None


def test_a_state_continues_in_another_connection(service):
    first = replies(service, [{"push": "great fi"}, {"state": True}], "model=texts")
    restored, answer = replies(service, [{"state": first[1]["state"]}, {"push": "lm"}], "model=texts")
    assert restored == {"steps": first[1]["state"]["steps"]}
    assert answer["answer"] == replies(service, [{"push": "great film"}], "model=texts")[0]["answer"]


def test_a_refused_message_leaves_the_stream_as_it_was(service):
    state = replies(service, [{"state": True}], "model=dna")[0]["state"]
    refused = [
        ({"push": ["A", "C"]}, "['A', 'C']"),
        ({"push": 5}, "push"),
        ({"push": None}, "push"),
        ({}, "one of"),
        ({"push": "A", "finish": True}, "one of"),
        ({"finish": False}, "finish"),
        ({"pull": "A"}, "pull"),
        ({"token": "x"}, "token"),
        ({"state": {**state, "model": "other"}}, "model"),
        ({"state": {**state, "steps": -1}}, "steps"),
        ({"state": {}}, "state.kind"),
        ([], "object"),
    ]
    messages = [{"push": "AC"}, *(message for message, _ in refused), {"push": "GT"}]
    found = replies(service, messages, "model=dna")
    for (_, shown), reply in zip(refused, found[1:-1], strict=True):
        assert list(reply) == ["error"] and shown in reply["error"]
    assert found[-1] == replies(service, [{"push": "ACGT"}], "model=dna")[0]


@pytest.mark.parametrize(
    "piece", [[[float("nan"), 1]], [[1]], [["a", 1]], "1, 2" * 9000, [[[1, 2]]], [[2**70, 1]], [[True, None]]]
)
def test_steps_that_are_not_numbers_are_refused(service, piece):
    (reply, answer) = replies(service, [{"push": piece}, {"push": [[1, 2]]}], "model=series")
    assert list(reply) == ["error"] and answer["steps"] == 1


@pytest.mark.parametrize("message", ["", "{", "{'push': 'A'}", "[" * 100_000, b'{"push": "A"}', '{"push": "\\ud800"}'])
def test_what_is_not_json_closes_with_1003(service, message):
    error, code = ending(service, [message], "model=dna")
    assert code == 1003 and "message" in error


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("model=dan", "'dna'"),
        ("", "dna, texts, series, tags"),
        ("model=dna&threshold=2", "2.0"),
        ("model=dna&threshold=nan", "nan"),
        ("model=dna&threshold=x", "'x'"),
        ("modle=dna", "'modle'"),
    ],
)
def test_a_wrong_address_closes_with_1008(service, query, shown):
    error, code = ending(service, [], query)
    assert code == 1008 and shown in error


def test_the_token_comes_in_the_header_or_first(files):
    service = service_of({"dna": files["dna"]}, token=TOKEN)
    bearer = [("Authorization", f"Bearer {TOKEN}")]
    assert replies(service, [{"push": "A"}], headers=bearer)[0]["steps"] == 1

    async def by_message(client):
        client.send({"token": TOKEN})
        return await client.ask({"push": "A"})

    assert converse(service, by_message)["steps"] == 1
    for messages, headers in (
        ([{"token": TOKEN + "x"}], ()),
        ([{"push": "A"}], ()),
        ([{"state": True}], ()),
        ([], [("Authorization", "Bearer x")]),
    ):
        error, code = ending(service, messages, headers=headers)
        assert code == 1008 and "token" in error and TOKEN not in error


def test_a_client_without_a_token_cannot_wait_for_ever_nor_keep_others_out(files, monkeypatch):
    service = service_of({"dna": files["dna"]}, token=TOKEN, timeout_s=0.2, max_streams=1)
    monkeypatch.setattr("ostinato.serving.streams.MOST_UNKNOWN", 1)

    async def load():
        app = create_app(service)
        async with Client(app) as silent, Client(app) as second:
            assert (await second.end())[1] == 1013
            async with Client(app, headers=[("Authorization", f"Bearer {TOKEN}")]) as known:
                assert (await known.ask({"push": "A"}))["steps"] == 1
            return await silent.end()

    error, code = asyncio.run(load())
    assert code == 1008 and "token" in error


@pytest.mark.parametrize(
    ("origin", "code"),
    [("http://test:80", None), ("https://test:80", None), ("http://evil.example", 1008), ("null", 1008), ("", 1008)],
)
def test_pages_of_other_sites_are_refused(service, origin, code):
    headers = [("Origin", origin), ("Host", "test:80")]
    if code is None:
        assert replies(service, [{"push": "A"}], "model=dna", headers)[0]["steps"] == 1
    else:
        assert ending(service, [], "model=dna", headers)[1] == code


@pytest.mark.parametrize(
    ("name", "fits", "more"),
    [
        ("dna", ["ACGT", "ACG"], "A"),
        ("dna", [], "ACGTACGT"),
        ("texts", ["a b c d e f long", "er"], " h"),
        ("texts", [], "a b c d e f g h i"),
        ("series", [[[1, 2]] * 7], [[1, 2]]),
    ],
)
def test_a_long_sequence_closes_with_1009(files, name, fits, more):
    service = service_of({name: files[name]}, max_length=7)
    assert all("answer" in each for each in replies(service, pushes(fits)))
    error, code = ending(service, pushes([*fits, more]))
    assert code == 1009 and "7" in error


def test_a_restored_state_counts(files):
    service = service_of({"dna": files["dna"]}, max_length=7)
    state = replies(service, [{"push": "ACGT"}, {"state": True}])[1]["state"]
    assert replies(service, [{"state": state}, {"push": "ACG"}])[1]["steps"] == 7
    assert ending(service, [{"state": state}, {"push": "ACGTA"}])[1] == 1009
    assert ending(service, [{"state": {**state, "steps": 8}}])[1] == 1009
    assert ending(service, [{"state": {**state, "text": "ACGTA"}}])[1] == 1009  # read with the next piece


def test_a_tagger_counts_words(streaming_tagger):
    service = service_of({"tags": streaming_tagger}, max_length=3)
    assert replies(service, pushes(["now three words "]))[0]["steps"] == 3
    assert ending(service, pushes(["here are four words now"]))[1] == 1009
    assert ending(service, pushes([["a", "b", "c", "d", "e"]]))[1] == 1009


def test_one_stream_too_many_closes_with_1013_until_another_ends(files):
    service = service_of({"dna": files["dna"]}, max_streams=1)

    async def load():
        app = create_app(service)
        async with Client(app) as first:
            await first.ask({"push": "A"})
            async with Client(app) as second:
                refused = await second.end()
        async with Client(app) as third:
            return refused, await third.ask({"push": "A"})

    (error, code), answer = asyncio.run(load())
    assert code == 1013 and "1 streams" in error and answer["steps"] == 1


def test_an_idle_stream_closes_with_1008(files):
    error, code = ending(service_of({"dna": files["dna"]}, stream_idle_s=0.05), [])
    assert code == 1008 and "0.05 s" in error


def test_a_piece_that_takes_too_long_closes_with_1013(files):
    service = service_of({"dna": files["dna"]}, timeout_s=0.1)
    go = threading.Event()

    async def talk(client):
        await client.ask({"push": "A"})
        blocked = asyncio.ensure_future(service.thread.run(lambda: go.wait(10)))
        client.send({"push": "A"})
        ended = await client.end()
        go.set()
        await blocked
        return ended

    error, code = converse(service, talk)
    assert code == 1013 and "0.1 s" in error


def test_a_client_that_does_not_read_loses_its_stream(files):
    service = service_of({"dna": files["dna"]}, timeout_s=0.1)

    async def load():
        async with Client(create_app(service)) as client:
            client.sent = asyncio.Queue(1)
            for _ in range(3):
                client.send({"push": "A"})
            await asyncio.wait_for(asyncio.wait([client.running]), 5)
            assert client.running.done()

    asyncio.run(load())
    assert service.streams.taken == 0


def test_an_error_of_ours_closes_with_1011_and_shows_nothing(files, monkeypatch):
    service = service_of({"dna": files["dna"]})

    def broken(*given):
        raise ZeroDivisionError("a secret text")

    monkeypatch.setattr(service.models.entries["dna"].served, "count_in_piece", broken)

    async def talk(client):
        client.send({"push": "A"})
        ended = await client.end()
        with pytest.raises(ZeroDivisionError):  # the server logs it
            await client.running
        return ended

    assert converse(service, talk) == (None, 1011)
    assert service.streams.taken == 0


def test_a_stream_keeps_its_version_when_the_model_is_replaced(files, tmp_path):
    path = shutil.copy(files["dna"], tmp_path / "dna.safetensors")
    service = service_of({"dna": path})
    before = replies(service, pushes(["ACG", "T"]))

    async def talk(client):
        first = await client.ask({"push": "ACG"})
        classifier(seed=7).save(path)
        await service.reload("dna")
        return [first, await client.ask({"push": "T"})]

    assert converse(service, talk) == before
    assert replies(service, pushes(["ACG", "T"])) != before


def test_metrics_count_streams_and_their_messages(files):
    service = service_of({"dna": files["dna"]})

    async def talk(client):
        await client.ask({"push": "A"})
        open_ones = service.measured.text().decode()
        await client.ask({"push": 1})
        return open_ones

    assert "ostinato_open_streams 1.0" in converse(service, talk)
    ending(service, ["{"])
    text = service.measured.text().decode()
    for line in (
        "ostinato_open_streams 0.0",
        'ostinato_streams_total{code="1003"} 1.0',
        'ostinato_streams_total{code="1001"} 1.0',
        'ostinato_requests_total{route="/stream",status="200"} 1.0',
        'ostinato_requests_total{route="/stream",status="422"} 1.0',
        'ostinato_requests_total{route="/stream",status="400"} 1.0',
    ):
        assert line in text


def test_the_id_of_the_handshake_is_echoed(service):
    async def talk(client):
        return client.headers["x-request-id"]

    assert converse(service, talk, "model=dna", [("X-Request-Id", "abc-1")]) == "abc-1"


def test_a_get_without_a_websocket_is_426(service):
    reply = ask(service, "/stream")
    assert reply.status == 426 and reply.headers["upgrade"] == "websocket" and "ws://" in reply.error


def test_a_real_stream_and_its_limits(files, tmp_path):
    with serving(tmp_path, files["dna"], "--max-body-bytes", "1000") as running:
        address = f"ws://127.0.0.1:{running.port}/stream"
        with connect(address) as socket:
            socket.send(json.dumps({"push": "ACGT"}))
            assert json.loads(socket.recv())["steps"] == 4
            socket.send(json.dumps({"finish": True}))
            assert json.loads(socket.recv())["steps"] == 4
            assert closed_with(socket) == 1000
        with connect(address) as socket:
            socket.send(json.dumps({"push": "A" * 1000}))
            assert closed_with(socket) == 1009
        running.wait_for(lambda: len(running.events("stream")) == 2)  # the client learns of the end before the log
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{running.port}/other")
        running.wait_for(lambda: len(running.events("stream")) == 3)
        assert [line["code"] for line in running.events("stream")] == [1000, 1009, 1006]
        assert not [line for line in running.log.read_text().splitlines() if "ACGT" in line]


def closed_with(socket):
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    return closed.value.rcvd.code


def test_a_conversation_is_open_until_its_closing_frame_is_sent(service):
    async def talk(client):
        await client.ask({"push": DNA[0]})
        client.sent = asyncio.Queue(1)  # the error fills it, so the closing frame waits
        service.draining.start()
        while service.streams.taken:
            await asyncio.sleep(0)
        assert service.draining.open == 1
        assert (await client.end())[1] == 1001
        await client.running
        assert service.draining.open == 0

    converse(service, talk, "model=dna")


def test_sigterm_closes_streams_with_1001_after_their_answer(files, tmp_path):
    with serving(tmp_path, files["dna"], "--max-length", str(PIECE + 1)) as running:
        address = f"ws://127.0.0.1:{running.port}/stream"
        with connect(address) as idle, connect(address) as busy:
            for socket in (idle, busy):
                socket.send(json.dumps({"push": "A"}))
                socket.recv()
            busy.send(json.dumps({"push": "A" * PIECE}))
            assert busy.ping().wait(60)  # it is received; to read it takes longer than uvicorn takes to stop
            running.process.send_signal(signal.SIGTERM)
            assert "stopping" in json.loads(idle.recv())["error"]
            assert json.loads(busy.recv(timeout=60))["steps"] == PIECE + 1
            assert "stopping" in json.loads(busy.recv())["error"]
            assert closed_with(idle) == closed_with(busy) == 1001
        assert running.process.wait(60) == 0
