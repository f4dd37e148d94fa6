"""The mean of the best few models: one more candidate at the end of a search.

It is formed from models of different kinds, because their errors differ most, and has to be better on validation than
each of them by more than noise, as it is the least simple candidate.

Source: Caruana et al. (2004), Ensemble selection from libraries of models.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ostinato.portfolio.plan import CANDIDATES, ENSEMBLE, Attempt, Plan, goodness, has_folder, has_weights, ranked
from ostinato.portfolio.search import STAGES, Search
from ostinato.portfolio.trial import Trainer
from ostinato.progress import Progress, TimeLeft
from ostinato.report.wording import enumerate_labels
from ostinato.runs.ensembles import Origin, write_ensemble
from ostinato.runs.finished import finished_metrics, is_complete
from ostinato.runs.folder import CONFIG
from ostinato.runs.training import CHECKPOINT_FILES, CHECKPOINTS, identity_of
from ostinato.storage import make_subfolder, write_atomically
from ostinato.tasks.config import read_run_config
from ostinato.tasks.ensembles import EQUAL, fit, join
from ostinato.tasks.records import Model

SIZES = (2, 3)  # models whose mean is tried
STAGE = len(STAGES)


def try_ensembles(search: Search) -> None:
    """Score the means of the best two and of the best three models on validation; record the better one.

    Raises:
        KeyboardInterrupt: the user wants to stop.
    """
    if any(each.members and each.session == search.plan.session for each in search.attempts):
        return  # before an interruption
    usable = [each for each in search.trainings if has_weights(search.folder, each, search.plan)]
    best = ranked(usable, search.metric)[: SIZES[-1]]
    if len(best) < SIZES[0] or search.budget.left() <= 0:
        return
    started = search.trainer.clock()
    for each in best:
        _keep_apart(search.folder, search.plan, each)
    members = [_load(search.trainer, each.key) for each in best]
    attempts = [_attempt(search, best[:size], members[:size]) for size in SIZES if size <= len(best)]
    found = max(attempts, key=lambda each: goodness(each, search.metric))
    seconds = round(search.trainer.clock() - started, 3)
    search.record(found.model_copy(update={"seconds": seconds}), f"mean of {enumerate_labels(found.member_names)}")


def write_run(search: Search, chosen: Attempt, time_left: TimeLeft) -> dict[str, Any]:
    """Write the ensemble as the run of the folder, unless it is there. Returns the run's metrics."""
    folder, trainer = search.folder, search.trainer
    if is_complete(folder):
        return finished_metrics(folder) or {}
    model = join([_load(trainer, key) for key in chosen.members])

    def baselines(outputs: Any, say: Callable[[str], object]) -> dict[str, Any]:
        found = trainer.task.score_baselines(trainer.data, say, time_left, (model, outputs))
        return {name: each.to_json() for name, each in found.items()}

    seconds = sum(each.seconds for each in search.attempts if each.key in chosen.members)
    origin = Origin(chosen.member_names, EQUAL, seconds, baselines)
    return write_ensemble(folder, read_run_config(folder / CONFIG), model, trainer.data, origin, trainer.progress)


def _keep_apart(folder: Path, plan: Plan, attempt: Attempt) -> None:
    """Copy the attempt that is the run to a folder of its own, as the run may become an ensemble."""
    if has_folder(folder, attempt.key):
        return
    assert plan.adopted == attempt.key
    place = folder / CANDIDATES / attempt.key
    make_subfolder(place)
    for name in CHECKPOINT_FILES:
        write_atomically(place / name, (folder / CHECKPOINTS / name).read_bytes())
    write_atomically(place / CONFIG, (folder / CONFIG).read_bytes())


def _load(trainer: Trainer, key: str) -> Model:
    """The model of a finished attempt, from its checkpoints."""
    place = trainer.folder / CANDIDATES / key
    config, data = read_run_config(place / CONFIG), trainer.data
    trained = trainer.task.fit(
        config,
        data,
        folder=place,
        identity=identity_of(trainer.folder, config, data),
        progress=Progress(quiet=True),
        stop_requested=trainer.stop_requested,
    )
    return Model(trainer.task, config, data.encoder, data.codec, trained.network)


def _attempt(search: Search, attempts: Sequence[Attempt], members: Sequence[Model]) -> Attempt:
    """Score the mean of some models on validation."""
    task, data, model = search.trainer.task, search.trainer.data, join(members)
    rows, examples = data.rows["validation"], data.splits["validation"]
    outputs = [task.joining.outputs(member, examples) for member in members]
    fit(model, outputs, examples, fit_weights=False)
    metrics = task.score(model, rows, examples, task.joining.combine(model, outputs, examples))
    return Attempt(
        session=search.plan.session,
        stage=STAGE,
        name=ENSEMBLE,
        score=getattr(metrics, search.metric.name),
        interval=metrics.intervals.get(search.metric.name),
        epochs=0,
        seconds=0.0,
        seconds_per_epoch=0.0,
        parameters=sum(each.parameters or 0 for each in attempts),
        complete=True,
        problem=None,
        members=tuple(each.key for each in attempts),
    )
