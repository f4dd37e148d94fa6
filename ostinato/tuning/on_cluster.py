"""The trials of a search on the nodes of a cluster, several at once.

With `width` trials at once, trial n is proposed and pruned from trials 0 to n − width only, and trials enter the study
in order. So the trials depend on the seed and the width, never on which node is faster, and a search that is
interrupted has the trials of an uninterrupted one. With a width of 1 they are those of a search without a cluster.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pydantic import JsonValue

from ostinato.cluster import Cluster
from ostinato.cluster.pool import Lost
from ostinato.cluster.prepared import PreparedData
from ostinato.config import Config
from ostinato.tasks.records import TaskData
from ostinato.tuning.search import Search, with_values
from ostinato.tuning.study import ended_trials, fail, next_trial, propose, study_in_memory
from ostinato.tuning.trial import run_trial

if TYPE_CHECKING:
    import optuna

Show = Callable[[Mapping[str, JsonValue], str], None]


class Ended(NamedTuple):
    """A trial that a node has run, and its outcome in words."""

    trial: "optuna.trial.FrozenTrial"
    outcome: str


def run_on_cluster(
    cluster: Cluster,
    search: Search,
    study: "optuna.Study",
    *,
    at_once: int | None,
    show: Show,
) -> None:
    """Run the trials that are missing, and add them to the study.

    Args:
        at_once: how many run at the same time; None: one for each CPU or GPU.
        show: called with the values and the outcome of each trial, in order.

    Raises:
        ConfigError: no node has what the trials need.
        RunError: the connection is lost.
    """
    share = cluster.share(search.trials, device=search.config.training.device, at_once=at_once)
    prepared = PreparedData(cluster)
    asked = done = len(ended_trials(study))
    proposed: dict[int, tuple[optuna.Trial, dict[str, JsonValue]]] = {}
    results: dict[int, Ended | Lost] = {}
    with cluster.pool(_run_on_node, share) as pool:
        while done < search.trials:
            while asked < min(done + share.parallel, search.trials):
                known = ended_trials(study)[: max(0, asked + 1 - share.parallel)]
                trial = next_trial(study_in_memory(search, known), search, asked)
                proposed[asked] = trial, propose(trial, search.space)
                config = with_values(search.config, proposed[asked][1])
                pool.submit(asked, trial, config, prepared.of(config))
                asked += 1
            number, result = pool.take()
            results[number] = result
            while done in results:
                trial, values = proposed.pop(done)
                ended = _ended(trial, results.pop(done))
                study.add_trial(ended.trial)
                show(values, ended.outcome)
                done += 1


def _ended(trial: "optuna.Trial", result: Ended | Lost) -> Ended:
    """The result of a trial; one that was lost has failed."""
    if isinstance(result, Ended):
        return result
    outcome = fail(trial.study, trial, result.reason)
    return Ended(trial.study.trials[trial.number], outcome)


def _run_on_node(trial: "optuna.Trial", config: Config, data: TaskData) -> Ended:
    """Train the trial in its study, a copy of the driver's."""
    outcome = run_trial(trial.study, trial, config, data)
    return Ended(trial.study.trials[trial.number], outcome)
