"""One trial of a search: trained on the training split, scored and pruned on the validation split."""

import math
from typing import TYPE_CHECKING

from ostinato.config import Config
from ostinato.errors import TrainingError
from ostinato.tasks import TASKS
from ostinato.tasks.records import TaskData
from ostinato.training import TrainingState
from ostinato.tuning.study import fail, import_optuna

if TYPE_CHECKING:
    import optuna


def run_trial(study: "optuna.Study", trial: "optuna.Trial", config: Config, data: TaskData) -> str:
    """Train and record a trial. Returns its outcome in words."""
    optuna = import_optuna()
    try:
        score = _train(config, data, trial)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return "pruned"
    except (TrainingError, MemoryError, RuntimeError) as error:  # RuntimeError: PyTorch is out of memory
        return fail(study, trial, str(error) or type(error).__name__)
    study.tell(trial, score)
    return f"{config.training.monitor} {score:.4f}"


def _train(config: Config, data: TaskData, trial: "optuna.Trial") -> float:
    """The best epoch's validation metric."""
    optuna, metric = import_optuna(), f"validation_{config.training.monitor}"

    def report(state: TrainingState) -> None:
        score = state.history[-1][metric]
        if not math.isfinite(score):
            raise TrainingError(f"{metric} is {score}")
        trial.report(score, state.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    task = TASKS[config.task]
    state = task.fit(task.settle(config, data), data, on_epoch=report).state
    scores = [entry[metric] for entry in state.history]
    return float(min(scores) if config.training.minimises else max(scores))
