"""What every request passes: the token, its id, logs and metrics."""

import json
import logging
import re

import pytest
from calls import ask, service_of
from small_models import DNA

from ostinato.serving.logs import JsonLines

TOKEN = "0123456789abcdef0123456789abcdef"
BEARER = ("Authorization", f"Bearer {TOKEN}")


@pytest.fixture
def guarded(files):
    return service_of({"dna": files["dna"]}, token=TOKEN)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models", None),
        ("/metrics", None),
        ("/docs", None),
        ("/openapi.json", None),
        ("/v2", None),
        ("/v2/models/dna", None),
        ("/v2/health/other", None),
        ("/nothing", None),
        ("/predict", {"input": DNA[0]}),
        ("/v2/repository/models/dna/load", {}),
    ],
)
def test_a_token_is_needed_for_all_but_health_and_the_page(guarded, path, body):
    for headers in ([], [("Authorization", TOKEN)], [("Authorization", f"Bearer {TOKEN}x")], [("Authorization", "é")]):
        reply = ask(guarded, path, body, headers=headers)
        assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in reply.error
    assert ask(guarded, path, body, headers=[BEARER]).status in (200, 404)


def test_health_and_the_page_need_no_token(guarded):
    assert ask(guarded, "/v2/health/live").status == ask(guarded, "/v2/health/ready").status == 200
    for path in ("/", "/page/view.js"):
        assert ask(guarded, path).status != 401


def test_the_id_of_a_request_is_echoed_or_made(service):
    assert ask(service, "/v2", headers=[("X-Request-Id", "abc-1")]).headers["x-request-id"] == "abc-1"
    made = [ask(service, "/nothing", headers=[("X-Request-Id", given)]) for given in ("", "a b", "x" * 129)]
    ids = [reply.headers["x-request-id"] for reply in made]
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids) and len(set(ids)) == 3


def test_each_request_is_a_line_of_json_without_its_text(service, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ostinato.serving"), "propagate", True)
    with caplog.at_level(logging.INFO, "ostinato.serving"):
        ask(service, "/predict", {"model": "texts", "input": "a secret text"}, headers=[("X-Request-Id", "7")])
        ask(service, "/predict", {"model": "dna", "input": ["a secret text"]})
    lines = [JsonLines().format(record) for record in caplog.records if record.name == "ostinato.serving"]
    assert "secret" not in "".join(lines)
    first, second = map(json.loads, lines)
    assert {**first, "time": 0, "process": 0, "milliseconds": 0} == {
        "time": 0,
        "level": "info",
        "process": 0,
        "event": "request",
        "id": "7",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "milliseconds": 0,
    }
    assert second["status"] == 422


def test_the_log_of_an_exception_has_its_frames_and_not_its_message():
    try:
        raise ValueError("a secret text")
    except ValueError as error:
        record = logging.LogRecord("uvicorn", logging.ERROR, __file__, 1, "Exception in ASGI application\n", (), None)
        record.exc_info = (ValueError, error, error.__traceback__)
    line = JsonLines().format(record)
    assert "secret" not in line
    found = json.loads(line)
    assert found["exception"] == "ValueError" and "test_gate.py" in found["frames"][0]


def metric(service, name):
    text = ask(service, "/metrics").body.decode()
    return {
        line.split(" ")[0].removeprefix(name): float(line.split(" ")[1])
        for line in text.splitlines()
        if line.startswith(name)
    }


def test_metrics_count_requests_failures_and_batches(service):
    ask(service, "/predict", {"model": "dna", "inputs": DNA[:3]})
    for path, body in (("/predict", {"model": "dna", "input": 1}), ("/predict", b"{"), ("/made/up/path", None)):
        ask(service, path, body)
    requests = metric(service, "ostinato_requests_total")
    assert requests['{route="/predict",status="200"}'] == 1
    assert requests['{route="other",status="404"}'] == 1  # a client cannot make up routes
    assert metric(service, "ostinato_failures_total") == {
        '{kind="invalid"}': 1,
        '{kind="bad_request"}': 1,
        '{kind="not_found"}': 1,
    }
    assert metric(service, "ostinato_batch_size_sum")['{model="dna"}'] == 3
    assert metric(service, "ostinato_request_seconds_count")['{route="/predict"}'] == 3
    assert metric(service, "ostinato_queue_length")['{model="dna"}'] == 0
    version = service.models.entries["dna"].version
    assert metric(service, "ostinato_model_info")[f'{{model="dna",version="{version}"}}'] == 1
