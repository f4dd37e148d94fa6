"""The service under load on loopback, beside plain FastAPI services with the same model.

    python benchmarks/serving.py runs/imdb runs/dna                     writes results/serving.json
    python benchmarks/serving.py runs/dna --seconds 1 --rounds 1 --requests 2000 --json out.json

The plain services answer each request by itself in FastAPI's threads: one with `nn.LSTM` or `nn.GRU`, one with ONNX
Runtime. All services first give the same answers. They are loaded in turn, every second round in reverse order. Then
our service alone answers many requests, of which one in a hundred is malformed, and one of its workers is killed.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, NamedTuple

from serving_client import Load, load, post

from ostinato.runs import test_rows
from ostinato.versions import environment

RESULTS = Path(__file__).parent / "results" / "serving.json"
PLAIN = Path(__file__).parent / "serving_plain.py"
CONNECTIONS = (1, 16, 64)
INPUTS = 500
START_S = 60
MALFORMED = [b"{", b'{"input": 5}', b'{"input": ""}', b'{"model": "none", "input": "A"}', b'{"inptu": "A"}', b"\xff"]
TOLERANCE = 2e-6  # of a probability that is rounded to six digits


class Side(NamedTuple):
    """A running service."""

    name: str
    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def memory_mib(self) -> float:
        """Resident memory of all of its processes."""
        return sum(resident_mib(process) for process in [self.process.pid, *children(self.process.pid)])


@contextmanager
def running(name: str, command: list[str]) -> Iterator[Side]:
    """A service that answers."""
    with NamedTemporaryFile() as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)$", process.stdout.readline().strip())
            assert found is not None, f"{name} did not start: {' '.join(command)}"
            side = Side(name, process, int(found[1]), Path(log.name))
            wait_until_it_answers(side)
            yield side
        finally:
            process.terminate()
            process.wait(60)


def wait_until_it_answers(side: Side) -> None:
    for _ in range(START_S * 10):
        with suppress(ConnectionRefusedError):
            asyncio.run(post(side.port, b"{}"))
            return
        time.sleep(0.1)
    raise SystemExit(f"{side.name} did not start within {START_S} s")


def ours(run: Path, workers: int) -> list[str]:
    return [sys.executable, "-m", "ostinato", "serve", str(run), "--port", "0", "--workers", str(workers)]


def plain(kind: str, model: Path, workers: int) -> list[str]:
    return [sys.executable, str(PLAIN), kind, str(model), "--workers", str(workers)]


def bodies_of(run: Path) -> list[bytes]:
    """Requests for the first rows of a run's test split."""
    return [json.dumps({"input": row.sequence}).encode() for row in islice(test_rows(run), INPUTS)]


def refuse_other_answers(sides: list[Side], bodies: list[bytes]) -> None:
    """Stop unless all services give the same probabilities."""
    for body in bodies[:20]:
        found = [json.loads(asyncio.run(post(side.port, body)).body)["answer"]["probabilities"] for side in sides]
        for answer in found[1:]:
            worst = max(abs(answer[label] - found[0][label]) for label in found[0])
            assert worst < TOLERANCE, f"the services disagree by {worst}"


def measured(run: Path, arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Throughput and latency of each service at each number of connections."""
    file = folder / f"{run.name}.onnx"
    subprocess.run(
        [sys.executable, "-m", "ostinato", "export", str(run), "--out", str(file)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    bodies = bodies_of(run)
    with ExitStack() as stack:
        commands = {
            "ours": ours(run, arguments.workers),
            "FastAPI, torch.nn": plain("torch", run, arguments.workers),
            "FastAPI, ONNX Runtime": plain("onnx", file, arguments.workers),
        }
        sides = [stack.enter_context(running(name, command)) for name, command in commands.items()]
        refuse_other_answers(sides, bodies)
        return [row for number in CONNECTIONS for row in alternated(run, sides, bodies, number, arguments)]


def alternated(
    run: Path, sides: list[Side], bodies: list[bytes], connections: int, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """The medians of some rounds of all services."""
    found: dict[str, list[Load]] = {side.name: [] for side in sides}
    for number in range(arguments.rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            done = asyncio.run(load(side.port, cycle(bodies), connections, seconds=arguments.seconds))
            assert set(done.statuses) == {200} and not done.lost, f"{side.name}: {done.statuses}, {done.lost} lost"
            found[side.name].append(done)
    rows = []
    for name, loads in found.items():
        figures = {key: median(getattr(each, key) for each in loads) for key in ("per_second", "p50_ms", "p99_ms")}
        rounded = {key: round(value, 3) for key, value in figures.items()}
        rows.append({"run": run.name, "service": name, "connections": connections, **rounded})
        print(f"{run.name:12} {name:22} {connections:3} connections", *(f"{k} {v:9.2f}" for k, v in figures.items()))
    return rows


def endurance(run: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Many requests, one in a hundred malformed: their statuses, and the memory before and after."""
    bodies = bodies_of(run)
    mixed = (MALFORMED[n // 100 % len(MALFORMED)] if n % 100 == 99 else bodies[n % len(bodies)] for n in count())
    with running("ours", ours(run, arguments.workers)) as side:
        asyncio.run(load(side.port, islice(mixed, min(2000, arguments.requests)), 64))  # buffers have their size then
        before = side.memory_mib()
        done = asyncio.run(load(side.port, islice(mixed, arguments.requests), 64))
        after = side.memory_mib()
    figures = {"memory_before_mib": round(before, 1), "memory_after_mib": round(after, 1)}
    return {"run": run.name, "requests": arguments.requests, **outcome(done), **figures}


def killed(run: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """A load of two workers, one of which is killed: how many requests are lost."""
    bodies = bodies_of(run)
    with running("ours", ours(run, 2)) as side:
        wait_for_workers(side, 2)

        async def load_and_kill() -> Load:
            loading = asyncio.create_task(load(side.port, cycle(bodies), 64, seconds=4 * arguments.seconds))
            await asyncio.sleep(arguments.seconds)
            os.kill(children(side.process.pid)[0], signal.SIGKILL)
            return await loading

        done = asyncio.run(load_and_kill())
        return {"run": run.name, "connections": 64, **outcome(done)}


def outcome(done: Load) -> dict[str, Any]:
    return {"statuses": {str(status): number for status, number in sorted(done.statuses.items())}, "lost": done.lost}


def wait_for_workers(side: Side, wanted: int) -> None:
    """Wait until so many processes have answered: each names itself in the log."""
    for _ in range(START_S * 10):
        if side.log.read_text().count('"event": "ready"') >= wanted:
            return
        time.sleep(0.1)
    raise SystemExit(f"{wanted} workers did not start within {START_S} s")


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def resident_mib(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, help="finished run folders of classifiers")
    parser.add_argument("--seconds", type=float, default=10, help="of one load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes of each service")
    parser.add_argument("--requests", type=int, default=100_000, help="of the long load")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the figures")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        loads = [row for run in arguments.runs for row in measured(run, arguments, Path(folder))]
    last = arguments.runs[-1]
    long, kill = endurance(last, arguments), killed(last, arguments)
    print(json.dumps(long), json.dumps(kill), sep="\n")
    options = {"seconds": arguments.seconds, "rounds": arguments.rounds, "workers": arguments.workers}
    content = {"environment": environment(), **options, "loads": loads, "endurance": long, "killed": kill}
    arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
