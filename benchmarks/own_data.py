"""`ostinato train FILE` on files that nobody tuned for, next to its own linear baseline and to other libraries.

    python benchmarks/own_data_sets.py /tmp/own-data             # gather the files
    python benchmarks/own_data.py /tmp/own-data --minutes 10     # every file but those kept aside
    python benchmarks/own_data.py /tmp/own-data --aside          # those kept aside: once, at the end
    python benchmarks/own_data.py /tmp/own-data --only tweets.csv --minutes 2

Each training and each peer runs alone in a process of its own: seconds are wall time, memory is the largest resident
set. All are scored on the test split of Ostinato's run, and differences are paired on its rows. The peers need
`pip install fasttext-wheel sklearn-crfsuite numba` and `pip install --no-deps aeon`; a missing one is an error.
Runs are stored in --out; the same command uses those that are finished.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from own_data_peers import peers_of
from own_data_sets import KEPT_ASIDE, SETS

from ostinato.evaluation.metrics import CLASSIFICATION_METRICS
from ostinato.evaluation.statistics import Difference, Scored, compare, score_right, score_sentences
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.versions import environment

PEERS_PROGRAM = Path(__file__).with_name("own_data_peers.py")
HEADINGS = ("file", "model", "metric", "score", "baseline", "difference", "best peer", "minutes", "MiB", "behind?")


@dataclass(frozen=True)
class PeerResult:
    """A peer's score on the run's test split, and Ostinato's score minus it with its 95 % interval."""

    score: float
    difference: float
    interval: tuple[float, float]
    seconds: float
    memory_mib: float


@dataclass(frozen=True)
class FileResult:
    """A training on one file.

    Args:
        model: the kind that won, as the leaderboard names it.
        metric: which metric all scores are.
        baseline: the score of the baseline in `metrics.json`.
        peers: by name; `linear` is Ostinato's own linear baseline, fitted once more to pair it row by row.
        seconds, memory_mib: of `ostinato train`.
        model_mib: size of the model file.
    """

    file: str
    model: str
    metric: str
    score: float
    baseline: float
    test_rows: int
    seconds: float
    memory_mib: float
    model_mib: float
    peers: dict[str, PeerResult] = field(default_factory=dict)


def main(
    data: Annotated[Path, typer.Argument(help="The folder that own_data_sets.py wrote.")],
    minutes: Annotated[float, typer.Option(help="Budget of each training.")] = 10,
    only: Annotated[list[str] | None, typer.Option(help="A file's name; repeatable.")] = None,
    aside: Annotated[bool, typer.Option("--aside", help="The files kept aside instead of the others.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("own-data-runs"),
    results: Annotated[Path | None, typer.Option(help="Write the results as JSON.")] = None,
) -> None:
    names = only or [each.name for each in SETS if (each.name in KEPT_ASIDE) == aside]
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names:
        found.append(_measure(data / name, out / f"{Path(name).stem}-{minutes:g}", minutes))
        print_table(HEADINGS, [_cells(each) for each in found[-1:]])
        if results is not None:
            content = {"date": date.today().isoformat(), "minutes": minutes, "environment": environment()}
            listed = [asdict(each) for each in found]
            write_atomically(results, json.dumps(content | {"files": listed}, indent=2) + "\n")
    print_table(HEADINGS, [_cells(each) for each in found])


def _measure(file: Path, run: Path, minutes: float) -> FileResult:
    cost = run.with_suffix(".cost.json")
    if not cost.exists():
        command = [sys.executable, "-m", "ostinato", "train", str(file), "--minutes", str(minutes), "--out", str(run)]
        seconds, memory_mib, _ = _timed(command)
        write_atomically(cost, json.dumps({"seconds": seconds, "memory_mib": memory_mib}))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    own = _own_scores(run)
    baseline = metrics["baselines"].get("linear") or metrics["baselines"]["commonest"]
    peers = {}
    for name in peers_of(run):
        seconds, memory_mib, printed = _timed([sys.executable, str(PEERS_PROGRAM), str(run), name])
        answer = json.loads(printed.splitlines()[-1])
        scored = _scored(answer["targets"], answer["predicted"], own.metric.name, _scheme(run))
        found: Difference = compare(own, scored)
        score = float(scored.scores[0])
        peers[name] = PeerResult(score, found.difference, found.interval, answer["seconds"], memory_mib)
    return FileResult(
        file=file.name,
        model=_winner(run),
        metric=own.metric.name,
        score=float(own.scores[0]),
        baseline=baseline[own.metric.name],
        test_rows=own.n,
        **json.loads(cost.read_text(encoding="utf-8")),
        model_mib=(run / "model.safetensors").stat().st_size / 2**20,
        peers=peers,
    )


def _timed(command: list[str]) -> tuple[float, float, str]:
    """Run a command; returns its seconds, its largest resident set in MiB, and what it printed.

    Raises:
        SystemExit: the command failed.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(command)} failed.")
        out.seek(0)
        return seconds, usage.ru_maxrss / 1024, out.read()


def _own_scores(run: Path) -> Scored:
    from ostinato.tasks import TASKS
    from ostinato.tasks.config import read_config

    task = TASKS[read_config(run / "config.toml").task]
    test = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
    predictions = task.read_predictions(run / task.predictions_file, test)
    if task.name == "tagging":
        return _scored(predictions.tags, predictions.predicted, task.judging_metric(test), _scheme(run))
    metric = CLASSIFICATION_METRICS["accuracy"]
    return score_right(metric, predictions.correct[np.newaxis])


def _scheme(run: Path) -> str | None:
    from ostinato.tasks.config import read_config

    scheme = getattr(read_config(run / "config.toml").data, "scheme", None)
    return None if scheme == "plain" else scheme


def _scored(targets: list[Any], predicted: list[Any], metric: str, scheme: str | None) -> Scored:
    if isinstance(targets[0], list):
        from ostinato.tasks.tagging.metrics import TAGGING_METRICS, sentence_counts

        counts = sentence_counts(targets, predicted, scheme if metric == "f1" else None)
        return score_sentences(counts[np.newaxis], TAGGING_METRICS[metric])
    right = np.array([own == true for own, true in zip(predicted, targets, strict=True)])
    return score_right(CLASSIFICATION_METRICS["accuracy"], right[np.newaxis])


def _winner(run: Path) -> str:
    board = run / "leaderboard.json"
    return str(json.loads(board.read_text(encoding="utf-8"))["winner"]) if board.exists() else "inferred"


def _cells(result: FileResult) -> tuple[str, ...]:
    best = max(result.peers.items(), key=lambda peer: peer[1].score)
    first = next(iter(result.peers.values()))
    low, high = first.interval
    behind = [name for name, peer in result.peers.items() if peer.interval[1] < 0]
    return (
        result.file,
        result.model,
        result.metric,
        f"{result.score:.3f}",
        f"{result.baseline:.3f}",
        f"{first.difference:+.3f} ({low:+.3f} to {high:+.3f})",
        f"{best[0]} {best[1].score:.3f}",
        f"{result.seconds / 60:.1f}",
        f"{result.memory_mib:,.0f}",
        ", ".join(behind) or "no",
    )


if __name__ == "__main__":
    typer.run(main)
