"""A service as a process: it drains, reloads, and replaces workers that die."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
from calls import ask, service_of
from processes import serving
from small_models import DNA, classifier

from ostinato.cli import app as command_line
from ostinato.errors import MissingExtraError, OstinatoError
from ostinato.serving.listening import listen


def in_background(function):
    """Call a function in a thread; returns what waits for its result."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()

    def result():
        thread.join(60)
        return found[0]

    return result


def test_sigterm_answers_what_was_accepted_refuses_the_rest_and_exits_with_0(files, tmp_path):
    expected = ask(service_of({"dna": files["dna"]}), "/predict", {"input": DNA[0]}).json
    with serving(tmp_path, files["dna"], "--max-batch-wait-ms", "2000") as running:
        idle = running.connect()
        assert running.ask("GET", "/v2/health/ready", connection=idle)[0] == 200
        results = [in_background(lambda: running.predict(DNA[0])) for _ in range(5)]
        running.wait_for(lambda: waiting(running) == 5)
        running.process.send_signal(signal.SIGTERM)
        running.wait_for(lambda: running.events("draining"))
        assert [result() for result in results] == [(200, expected)] * 5
        assert running.process.wait(60) == 0
        with pytest.raises(OSError, match=r"refused|reset"):
            running.predict(DNA[0])


def waiting(running):
    (line,) = [line for line in running.metrics().splitlines() if line.startswith("ostinato_queue_length{")]
    return float(line.split()[-1])


def test_workers_share_the_port_and_are_replaced_and_reload_together(files, tmp_path):
    model = shutil.copy(files["dna"], tmp_path / "dna.safetensors")
    expected = ask(service_of({"dna": files["dna"]}), "/predict", {"input": DNA[0]}).json
    with serving(tmp_path, model, workers=2) as running:
        connections = [running.connect() for _ in range(16)]
        assert [running.predict(DNA[0], each) for each in connections] == [(200, expected)] * 16
        processes = {line["process"] for line in running.events("request")}
        assert len(processes) == 2
        killed = min(processes)
        os.kill(killed, signal.SIGKILL)
        assert running.predict(DNA[0]) == (200, expected)  # by the other one
        running.wait_for(lambda: len(running.events("ready")) == 3)
        counted = 'ostinato_requests_total{route="/predict",status="200"} 17.0'  # by all workers
        running.wait_for(lambda: counted in running.metrics())

        classifier(seed=7).save(model)
        status, reloaded = running.ask("POST", "/v2/repository/models/dna/load", {})
        assert status == 200
        fresh = {line["process"] for line in running.events("ready")} - {killed}

        def both_have_it():
            found = running.events("model is up to date")
            return fresh <= {line["process"] for line in found if line["version"] == reloaded["version"]}

        running.wait_for(both_have_it)
        model.write_bytes(b"damaged")
        running.process.send_signal(signal.SIGHUP)
        running.wait_for(lambda: len(running.events("model not reloaded")) == 2)
        assert running.predict(DNA[0])[0] == 200
        assert running.stop() == 0


def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_2(files, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(files["dna"].read_bytes()[:100])
    command = [sys.executable, "-m", "ostinato", "serve", str(damaged), "--port", "0", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1 and "damaged.safetensors" in done.stderr


def test_an_address_that_is_taken_is_an_error():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OstinatoError, match=str(port)):
            listen("127.0.0.1", port)
    with pytest.raises(OstinatoError, match=r"203\.0\.113\.1"):
        listen("203.0.113.1", 0)


def test_the_queue_of_connections_stays_long_when_asyncio_listens_again():
    with listen("127.0.0.1", 0) as bound:
        bound.listen(1)
        clients = [socket.create_connection(bound.getsockname(), timeout=5) for _ in range(50)]
        assert all(client.getpeername() == bound.getsockname() for client in clients)
        for client in clients:
            client.close()


def test_a_missing_extra_says_how_to_install_it(files, monkeypatch):
    monkeypatch.setattr("ostinato.cli.serving.find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(MissingExtraError, match=r"ostinato\[serve\]"):
        command_line(["serve", str(files["dna"])], standalone_mode=False)


def test_an_open_service_warns(files, monkeypatch, capsys):
    monkeypatch.setattr("ostinato.cli.serving._serve", lambda *given: given[1].close())
    for host, warns in (("127.0.0.1", False), ("0.0.0.0", True)):
        command_line(["serve", str(files["dna"]), "--host", host, "--port", "0"], standalone_mode=False)
        assert ("Warning" in capsys.readouterr().err) == warns


def test_small_packets_are_sent_at_once():
    """Else each answer waits for the client's delayed acknowledgement, 40 ms."""

    async def nodelay():
        found = asyncio.get_running_loop().create_future()

        async def answered(reader, writer):
            option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            found.set_result(option)

        with listen("127.0.0.1", 0) as bound:
            server = await asyncio.start_server(answered, sock=bound)
            _, writer = await asyncio.open_connection(*bound.getsockname())
            option = await found
            writer.close()
            server.close()
            return option

    assert asyncio.run(nodelay())
