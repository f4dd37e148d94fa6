"""A service as a process of its own; shared by the tests in this folder."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager

START_S = 60


class Running:
    """A service that runs.

    Attributes:
        process: that of the command.
        log: the file with its standard error.
        port: where it listens.
    """

    def __init__(self, process, log, port):
        self.process, self.log, self.port = process, log, port
        self.connections = []

    def connect(self):
        self.connections.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S))
        return self.connections[-1]

    def close(self):
        for connection in self.connections:
            connection.close()

    def text(self, method, path, body=None, connection=None):
        """Status and text of a reply."""
        connection = connection or self.connect()
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        return reply.status, reply.read().decode()

    def ask(self, *request, **options):
        """Status and JSON of a reply."""
        status, text = self.text(*request, **options)
        return status, json.loads(text)

    def predict(self, text, connection=None):
        return self.ask("POST", "/predict", {"input": text}, connection=connection)

    def metrics(self):
        return self.text("GET", "/metrics")[1]

    def events(self, name):
        """The lines of the log with that event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_for(self, condition):
        deadline = time.monotonic() + START_S
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def stop(self):
        """Ask it to stop; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_S)


@contextmanager
def serving(folder, *arguments, workers=1):
    """A service that has loaded its models in all of its processes."""
    log = folder / "log.txt"
    command = [sys.executable, "-m", "ostinato", "serve", *map(str, arguments), "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        found = re.search(r":(\d+)$", process.stdout.readline().strip())
        assert found, log.read_text()
        running = Running(process, log, int(found[1]))
        running.wait_for(lambda: len(running.events("ready")) == workers)
        with closing(running):
            yield running
    finally:
        process.kill()  # workers notice that their parent is gone
        process.wait()
        process.stdout.close()
