"""Most of these tests train all runs in one process: starting Python with torch takes longer than the trainings."""

import pytest

from ostinato.comparison import compare as comparing
from ostinato.comparison.results import Cost, Latency
from ostinato.comparison.workers import Worker

COST = Cost(
    parameters=500,
    file_bytes=4096,
    latency_ms=Latency(p50=0.2, p99=0.3),
    batch_ms=0.4,
    sequences_per_s=1e5,
    tokens_per_s=2e6,
    training_tokens_per_s=5e5,
    memory_mib=380.0,
    training_memory_mib=400.0,
)


@pytest.fixture(scope="session")
def worker():
    worker = Worker(threads=1)
    yield worker
    worker.stop()


@pytest.fixture
def one_worker(worker, monkeypatch):
    """Comparisons train in the existing process, and costs are not measured."""

    def train_all(jobs, folder, lengths, **options):
        for job in jobs:
            worker.start(job, folder, lengths)
            yield worker.finish()

    monkeypatch.setattr(comparing, "train_all", train_all)
    monkeypatch.setattr(comparing, "measure_cost", lambda run: COST)
