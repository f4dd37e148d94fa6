"""Kill commands at random moments, resume them until they are done, and compare the results bit for bit.

    python tests/kill_harness.py --kills 200 --seed 0        (make kill)

Each scenario is a command with tiny data. It runs once undisturbed; then again and again with SIGKILL after a random
share of that time, to the process alone or to its whole group, each time resumed from what is left. At the end the
weights, metrics and pages must equal the undisturbed ones in all but times, and no temporary file or lock may remain.
Failures leave their folder and print it.

Commands are forked from a process that has imported the packages and computed nothing: imports write no file, and would
take most of the time. `--start` starts each from the beginning, as a shell does.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_FAILURES = 5
OSTINATO = [sys.executable, "-m", "ostinato"]
SIZES = ["data.train_size=80", "data.validation_size=40", "data.test_size=40", "training.checkpoint_every_s=0.001"]
SMALL = [*SIZES, "model.hidden_size=8", "training.patience=none", "training.device=cpu"]
TRAIN = [*SMALL, "training.max_epochs=12"]
WORDS = ["Ada", "left", "Oslo", "for", "Rome", "with", "Max", "today"]
TAGS = {"Ada": "B-PER", "Max": "B-PER", "Oslo": "B-LOC", "Rome": "B-LOC"}
TIMES = {"seconds", "seconds_per_epoch", "training_s", "created", "cost", "run", "files", "file_bytes", "ms_per_row"}


def settings(*pairs):
    return [part for pair in pairs for part in ("--set", pair)]


@dataclass
class Scenario:
    """A command that ends in the folder `out`, the command that resumes it, and what its results are.

    Args:
        start: arguments; OUT stands for the folder.
        resume: arguments, likewise.
        marker: the file in the folder from whose existence on `resume` works; before, `start` is repeated.
        before: a command that prepares the folder undisturbed.
    """

    name: str
    start: list[str]
    resume: list[str]
    marker: str = "config.toml"
    before: list[str] = field(default_factory=list)

    @property
    def slug(self):
        return self.name.replace(" ", "-")


def training(name, *start):
    return Scenario(f"train {name}", ["train", *start, "--out", "OUT"], ["train", "--resume", "OUT"])


def reporting(name, *start):
    report = ["report", "OUT"]
    return Scenario(f"report {name}", report, report, before=["train", *start, "--out", "OUT"])


SMALL_REPORT = settings(*SMALL, "training.max_epochs=2")
SCENARIOS = [
    training("text", "text.toml", *settings("training.max_epochs=12", "training.checkpoint_every_s=0.001")),
    training("DNA", "promoter-like.toml", *settings("training.max_epochs=6", "training.checkpoint_every_s=0.001")),
    training("tagging", "tags.toml", *settings("training.max_epochs=12", "training.checkpoint_every_s=0.001")),
    training("regression", "count-ones", *settings(*TRAIN)),
    training("multilabel", "dna-motifs", *settings(*TRAIN, "training.max_epochs=4")),
    training(
        "accumulation",
        "majority",
        *settings(*TRAIN, "training.gradient_accumulation_steps=3", "training.batch_size=8", "training.ema_decay=0.9"),
    ),
    Scenario(
        "pretrain",
        [
            *("pretrain", "text.csv", "--out", "OUT"),
            *settings(
                "model.hidden_size=8", "model.embedding_size=4", "training.negatives=4", "training.max_tokens=64"
            ),
            *settings("training.max_epochs=8", "training.checkpoint_every_s=0.001", "training.device=cpu"),
        ],
        ["pretrain", "--resume", "OUT"],
    ),
    Scenario(
        "compare",
        [
            *("compare", "majority", "--vary", "model.cell=rnn,gru", "--seeds", "2", "--jobs", "2", "--out", "OUT"),
            *settings(*SMALL, "training.max_epochs=4"),
        ],
        ["compare", "--resume", "OUT", "--jobs", "2"],
        marker="plan.json",
    ),
    Scenario(
        "tune",
        ["tune", "majority", "--trials", "8", "--out", "OUT", *settings(*SMALL, "training.max_epochs=5")],
        ["tune", "--resume", "OUT"],
        marker="plan.json",
    ),
    Scenario(
        "ensemble",
        ["ensemble", "majority", "--seeds", "2", "--out", "OUT", *settings(*SMALL, "training.max_epochs=4")],
        ["train", "--resume", "OUT"],
    ),
    reporting("text", "text.toml", *settings("training.max_epochs=2")),
    reporting("tagging", "tags.toml", *settings("training.max_epochs=2")),
]


def write_data(folder):
    """The data files and configs that the scenarios name."""
    rng = random.Random(0)
    rows = [
        f"a {rng.choice(['great', 'fine', 'dull', 'weak'])} film {rng.choice(['today', 'now', 'then'])}"
        for _ in range(90)
    ]
    rows = [f"{row} {number}" for number, row in enumerate(rows)]
    lines = [f"{row},{'pos' if 'great' in row or 'fine' in row else 'neg'}\n" for row in rows]
    (folder / "text.csv").write_text("text,label\n" + "".join(lines))
    windows = ["".join(rng.choices("ACGT", k=40)) for _ in range(80)]
    lines = [f"{'TATAAT' + each[6:] if number % 2 else each},{number % 2}\n" for number, each in enumerate(windows)]
    (folder / "dna.csv").write_text("text,label\n" + "".join(lines))
    sentences = [[rng.choice(WORDS) for _ in range(rng.randint(3, 8))] for _ in range(60)]
    blocks = ["".join(f"{word} {TAGS.get(word, 'O')}\n" for word in each) for each in sentences]
    (folder / "tags.conll").write_text("\n".join(blocks))
    model = "[model]\nhidden_size = 8\nembedding_size = 4\ndropout = 0.2\n[training]\ndevice = 'cpu'\nbatch_size = 8\n"
    (folder / "text.toml").write_text(f"[data]\npath = 'text.csv'\n{model}")
    (folder / "promoter-like.toml").write_text(f"[data]\npath = 'dna.csv'\ntokenizer = 'nucleotides'\n{model}")
    (folder / "tags.toml").write_text(f"task = 'tagging'\n[data]\npath = 'tags.conll'\n{model}")


def warm_up():
    """Import what the commands import. Nothing may be computed: threads do not survive a fork."""
    os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))


def command(arguments, out):
    return [str(out) if each == "OUT" else each for each in arguments]


def begin(arguments, folder, log, forks):
    """Start a command as the leader of a group. Returns its process's id."""
    if not forks:
        process = subprocess.Popen([*OSTINATO, *arguments], cwd=folder, stdout=log, stderr=log, start_new_session=True)
        return process.pid
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        os.setsid()
        os.chdir(folder)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.argv = ["ostinato", *arguments]
        from ostinato.cli import main as ostinato

        ostinato()
        status = 0
    except SystemExit as error:
        status = error.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(arguments, out, folder, *, forks, kill_after=None, whole_group=True):
    """Run a command; kill it after some seconds. Returns the seconds that it took, and None or its exit status."""
    started = time.monotonic()
    with (folder / f"{out.name}.log").open("ab") as log:
        pid = begin(command(arguments, out), folder, log, forks)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        seconds = time.monotonic() - started
        if ended:
            return seconds, os.waitstatus_to_exitcode(status)
        if kill_after is not None and seconds > kill_after:
            (os.killpg if whole_group else os.kill)(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return seconds, None
        time.sleep(0.002)


def prepare(scenario, folder, out, forks):
    """Put the results of the scenario's `before` into `out`: the same for all of its runs."""
    if not scenario.before:
        return
    prepared = folder / f"{scenario.slug}-prepared"
    if not prepared.exists():
        _, status = run(scenario.before, prepared, folder, forks=forks)
        assert status == 0, tail(folder, prepared)
    shutil.copytree(prepared, out)


def whole(scenario, folder, forks):
    """Run a scenario undisturbed. Returns its seconds."""
    out = folder / f"{scenario.slug}-whole"
    prepare(scenario, folder, out, forks)
    seconds, status = run(scenario.start, out, folder, forks=forks)
    assert status == 0, tail(folder, out)
    return seconds


def interrupted(scenario, folder, out, seconds, rng, most, forks):
    """Run a scenario with kills. Returns how many kills it got."""
    prepare(scenario, folder, out, forks)
    kills = 0
    while True:
        arguments = scenario.resume if (out / scenario.marker).exists() else scenario.start
        moment = seconds * rng.uniform(0, 1) if kills < most else None
        _, status = run(arguments, out, folder, forks=forks, kill_after=moment, whole_group=rng.random() < 0.5)
        if status is None:
            kills += 1
        elif status != 0:
            raise AssertionError(f"{' '.join(command(arguments, out))} ended with {status}:\n{tail(folder, out)}")
        else:
            return kills


def tail(folder, out):
    return "\n".join((folder / f"{out.name}.log").read_text().splitlines()[-5:])


def difference(expected, found):
    """How the results in two folders differ; empty if they do not."""
    names = {path.relative_to(expected) for path in expected.rglob("*") if path.is_file()}
    others = {path.relative_to(found) for path in found.rglob("*") if path.is_file()}
    if names != others:
        return f"other files: {sorted(map(str, names ^ others))}"
    for name in sorted(names):
        if name.suffix != ".log" and content(expected / name, expected) != content(found / name, found):
            return f"other content: {name}"
    return ""


def content(path, folder):
    """What must be equal: all but times, paths and the run's name."""
    if path.suffix == ".safetensors":
        return safetensors(path)
    text = path.read_bytes()
    if path.suffix == ".journal" or path.parent.name == "cost":
        return None  # interrupted trials are in the journal, too; the results of the search are compared
    if path.suffix in (".json", ".jsonl"):
        lines = text.decode().splitlines() if path.suffix == ".jsonl" else [text.decode()]
        return [without_times(json.loads(line)) for line in lines]
    if path.suffix == ".csv":
        return [
            [cell for cell in line.split(",") if not re.fullmatch(r"\d+\.\d+", cell)]
            for line in text.decode().splitlines()
        ]
    text = text.replace(str(folder).encode(), b"OUT").replace(folder.name.encode(), b"OUT")
    if path.suffix in (".html", ".svg", ".png") and "comparison.html" in [each.name for each in folder.iterdir()]:
        return None  # a comparison shows times and costs
    return re.sub(rb"\d{4}-\d\d-\d\d|[\d,.]+ s\b|\([\d.]+ s per epoch\)", b"", text)


def safetensors(path):
    """The tensors' bytes, and the facts without times and names."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    facts = json.loads(json.loads(header.pop("__metadata__")["ostinato"])["facts"])
    return header, without_times(facts), hashlib.sha256(raw[8 + size :]).hexdigest()


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def leftovers(folder):
    return [str(path) for path in folder.rglob("*") if re.search(r"\.(tmp|lock)$|^\.", path.name)]


def chain(scenario, number, folder, seconds, seed, most, forks):
    """One interrupted run of a scenario, compared with the whole one. Returns its kills and its failure, or None."""
    out = folder / f"{scenario.slug}-{number}"
    rng = random.Random(f"{seed} {scenario.name} {number}")
    try:
        kills = interrupted(scenario, folder, out, seconds, rng, most, forks)
    except AssertionError as error:
        return 0, f"{out}: {error}"
    problem = difference(folder / f"{scenario.slug}-whole", out)
    remaining = leftovers(out)
    if problem or remaining:
        return kills, f"{out}: {problem or f'left behind: {remaining}'}"
    shutil.rmtree(out)
    return kills, None


def harness(chosen, folder, *, kills, seed, per_chain, jobs, forks):
    """Run the scenarios in turn until there were enough kills. Returns kills and seconds by scenario, and failures."""
    counts, failures = dict.fromkeys((each.name for each in chosen), 0), []
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=warm_up) as pool:
        wholes = [pool.submit(whole, each, folder, forks) for each in chosen]
        seconds = {each.name: job.result() for each, job in zip(chosen, wholes, strict=True)}
        running, number = {}, 0
        while running or (sum(counts.values()) < kills and len(failures) < MOST_FAILURES):
            while len(running) < jobs and sum(counts.values()) + len(running) * per_chain < kills:
                each = chosen[number % len(chosen)]
                job = pool.submit(chain, each, number, folder, seconds[each.name], seed, per_chain, forks)
                running[job] = each.name
                number += 1
            for job in wait(running, return_when=FIRST_COMPLETED).done:
                count, failure = job.result()
                counts[running.pop(job)] += count
                failures += [failure] if failure else []
                print(failure or f"{sum(counts.values())} kills", file=sys.stderr, flush=True)
    return counts, seconds, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-chain", type=int, default=4, help="kills of one run before it may end")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--only", default="", help="part of the scenarios' names")
    parser.add_argument("--start", action="store_true", help="start each command from the beginning")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ostinato-kills-"))
    write_data(folder)
    started = time.monotonic()
    counts, seconds, failures = harness(
        [each for each in SCENARIOS if options.only in each.name],
        folder,
        kills=options.kills,
        seed=options.seed,
        per_chain=options.per_chain,
        jobs=options.jobs,
        forks=not options.start,
    )
    for name, count in counts.items():
        print(f"{name}: {count} kills; {seconds[name]:.1f} s undisturbed")
    print(f"{sum(counts.values())} kills, {len(failures)} failures, {time.monotonic() - started:.0f} s")
    print("\n".join(failures))
    if not failures:
        shutil.rmtree(folder)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
