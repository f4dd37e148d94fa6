"""What a search tries and what it has found: portfolio.json and trials.jsonl in its run folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from ostinato.errors import RunError
from ostinato.evaluation.results import Metric
from ostinato.runs.folder import CONFIG
from ostinato.runs.json_model import JsonModel
from ostinato.runs.training import CHECKPOINT_FILES
from ostinato.storage import write_atomically

PLAN, ATTEMPTS, CANDIDATES = "portfolio.json", "trials.jsonl", "candidates"
ENSEMBLE = "ensemble"  # the name of the candidate that averages others
NOISE = 1 / 8  # of the width of a 95 % interval: half a standard error


class Plan(JsonModel):
    """A search, as portfolio.json holds it.

    Args:
        format: the version of the file format.
        config: the inferred config with the user's settings, as TOML.
        settings: the user's settings, which apply to every candidate.
        digests: of each encoded split.
        session: counts from 1; each call with more minutes after the end of a search is another session.
        seconds: the time that this session may take, including what it has taken.
        finished: whether the session has reached its end.
        adopted: the attempt that the run folder contains.
    """

    format: int
    config: str
    settings: list[str]
    digests: dict[str, str]
    session: int
    seconds: float
    finished: bool
    adopted: str | None


class Attempt(JsonModel):
    """One training of a candidate: a line of trials.jsonl.

    Args:
        session: of the search.
        stage: of the session, from 0.
        name: of the candidate.
        score: on the validation split; None if the training failed.
        interval: 95 % interval of the score.
        epochs: that it took.
        seconds: with its preparation.
        seconds_per_epoch: without it.
        parameters: the number of trained weights; None if the training failed.
        complete: whether more epochs would not help.
        problem: why the training failed.
        members: of an ensemble, the keys of the attempts that it averages.
    """

    session: int
    stage: int
    name: str
    score: float | None
    interval: tuple[float, float] | None
    epochs: int
    seconds: float
    seconds_per_epoch: float
    parameters: int | None
    complete: bool
    problem: str | None
    members: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of its folder."""
        return f"{self.name}-{self.session}-{self.stage}"

    @property
    def member_names(self) -> list[str]:
        """Of an ensemble, the candidates that it averages."""
        return [key.rsplit("-", 2)[0] for key in self.members]


def read_attempts(folder: Path) -> list[Attempt]:
    """The finished attempts of a search, in order.

    Raises:
        RunError: the file cannot be read, or a line of it is damaged.
    """
    path = folder / ATTEMPTS
    if not path.exists():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. Copy the folder again.") from None
    except (ValueError, RecursionError):
        raise RunError(f"{path}: truncated or altered: a line is not JSON. Copy the folder again.") from None
    return [Attempt.from_json(values, f"{path}, line {number}") for number, values in enumerate(lines, 1)]


def write_attempts(folder: Path, attempts: Sequence[Attempt]) -> None:
    """Write the finished attempts, atomically.

    Raises:
        RunError: the file cannot be written.
    """
    write_atomically(folder / ATTEMPTS, "".join(json.dumps(each.to_json()) + "\n" for each in attempts))


def has_weights(folder: Path, attempt: Attempt, plan: Plan) -> bool:
    """Whether the weights of an attempt are still there: in its own folder, or as those of the run."""
    if attempt.members:
        return all(has_folder(folder, key) for key in attempt.members)
    in_run = plan.adopted == attempt.key and (folder / CONFIG).exists()
    return in_run or has_folder(folder, attempt.key)


def has_folder(folder: Path, key: str) -> bool:
    """Whether the config and the checkpoints of an attempt are in its own folder."""
    own = folder / CANDIDATES / key
    return all((own / name).exists() for name in (CONFIG, *CHECKPOINT_FILES))


def goodness(attempt: Attempt, metric: Metric) -> float:
    """The score, negative if a lower one is better; minus infinity without a score."""
    if attempt.score is None:
        return -float("inf")
    return attempt.score if metric.higher_is_better else -attempt.score


def noise_of(attempt: Attempt) -> float:
    """Scores that are closer to this one count as equal."""
    low, high = attempt.interval or (0.0, 0.0)
    return NOISE * (high - low)


def is_lost(attempt: Attempt, attempts: Sequence[Attempt], metric: Metric) -> bool:
    """Whether an attempt can no longer be chosen, because another is better by more than twice the noise."""
    leader = ranked(attempts, metric)[:1]
    if attempt.score is None or not leader:
        return attempt.score is None
    return goodness(leader[0], metric) - goodness(attempt, metric) > 2 * noise_of(leader[0])


def ranked(attempts: Sequence[Attempt], metric: Metric) -> list[Attempt]:
    """The best attempt of each candidate that has a score, the best first; of equal ones that with more epochs."""
    best: dict[str, Attempt] = {}
    for each in sorted(attempts, key=lambda each: (-goodness(each, metric), -each.epochs)):
        if each.score is not None:
            best.setdefault(each.name, each)
    return list(best.values())


def is_beaten(attempt: Attempt, leader: Attempt, metric: Metric) -> bool:
    """Whether the intervals of both do not overlap."""
    if attempt.interval is None or leader.interval is None:
        return False
    (low, high), (leader_low, leader_high) = attempt.interval, leader.interval
    return high < leader_low if metric.higher_is_better else low > leader_high


def choose(attempts: Sequence[Attempt], names: Sequence[str], metric: Metric) -> Attempt | None:
    """The best attempt; if others are equal within noise, that of the simplest candidate. None without a score.

    Args:
        names: of the candidates, the simplest first; an ensemble is less simple than all of them.
    """
    leaders = ranked(attempts, metric)
    if not leaders:
        return None
    lowest = goodness(leaders[0], metric) - noise_of(leaders[0])
    tied = [each for each in leaders if goodness(each, metric) >= lowest]
    return min(tied, key=lambda each: [*names, ENSEMBLE].index(each.name))
