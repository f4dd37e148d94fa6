"""What /metrics tells Prometheus: requests, failures, latencies, batches, queues and versions of models.

With several workers, prometheus_client shares the numbers by files in `PROMETHEUS_MULTIPROC_DIR`.
"""

import os
from collections.abc import Callable, Sized
from contextlib import AbstractContextManager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ostinato.serving.faults import KINDS

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CLOSING_CODES = range(1000, 1016)  # that RFC 6455 and its registry define
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Measured:
    """The numbers of one process, in a registry of its own."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter("ostinato_requests", "Requests.", ["route", "status"], registry=own)
        self._failures = Counter("ostinato_failures", "Requests that failed.", ["kind"], registry=own)
        self._latency = Histogram(
            "ostinato_request_seconds", "Time of a request.", ["route"], registry=own, buckets=LATENCIES_S
        )
        self._batches = Histogram(
            "ostinato_batch_size", "Sequences answered together.", ["model"], registry=own, buckets=BATCH_SIZES
        )
        self._queue = Gauge(
            "ostinato_queue_length", "Sequences that wait.", ["model"], registry=own, multiprocess_mode="livesum"
        )
        self._streams = Gauge(
            "ostinato_open_streams", "Streams that are open.", registry=own, multiprocess_mode="livesum"
        )
        self._closed = Counter("ostinato_streams", "Streams that have ended.", ["code"], registry=own)
        self._versions = Gauge(
            "ostinato_model_info",
            "1 for each version of a model that is served.",
            ["model", "version"],
            registry=own,
            multiprocess_mode="livemax",
        )
        self._queues: dict[str, Sized] = {}
        self._loaded: dict[str, str] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)
        if status >= 400:
            self._failures.labels(KINDS.get(status, "other")).inc()

    def open_stream(self) -> AbstractContextManager[Any]:
        """Count a stream as open for as long as the context lasts."""
        return self._streams.track_inprogress()

    def stream_ended(self, code: int) -> None:
        """Count a stream by the code that closed it; clients can make up codes of their own."""
        self._closed.labels(str(code) if code in CLOSING_CODES else "other").inc()

    def batches(self, model: str) -> Callable[[int], None]:
        """What counts the batches of a model, and how much waits behind each."""
        sizes, waiting = self._batches.labels(model), self._queue.labels(model)

        def observe(size: int) -> None:
            sizes.observe(size)
            waiting.set(len(self._queues[model]))

        return observe

    def loaded(self, model: str, version: str, queue: Sized) -> None:
        """Note which version of a model answers from now on."""
        if model in self._loaded:
            self._versions.labels(model, self._loaded[model]).set(0)
        self._versions.labels(model, version).set(1)
        self._loaded[model], self._queues[model] = version, queue

    def text(self) -> bytes:
        """All numbers in the text format of Prometheus; those of all workers, if there are several."""
        for model, queue in self._queues.items():
            self._queue.labels(model).set(len(queue))
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
