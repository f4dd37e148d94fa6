"""Hidden sizes that give each combination as many parameters as the config that was asked for."""

from dataclasses import replace

from ostinato.comparison.plan import Combination, Plan, with_size
from ostinato.config import Config
from ostinato.tasks import TASKS
from ostinato.tasks.base import TaskData

HIDDEN = "model.hidden_size"
LARGEST = 65_536


def match_parameters(plan: Plan, combinations: list[Combination], data: TaskData) -> list[Combination]:
    """Each combination with the hidden size whose model comes nearest to the base config's parameters.

    Sizes are left as they are where the plan says so, and where the hidden size itself is varied.
    """
    if plan.match == "none" or HIDDEN in plan.vary:
        return combinations
    wanted = count_parameters(plan.base, data)
    return [
        replace(each, config=with_size(each.config, _nearest_size(each.config, wanted, data))) for each in combinations
    ]


def count_parameters(config: Config, data: TaskData) -> int:
    """The parameters of a model of these data."""
    return sum(
        parameter.numel() for parameter in TASKS[config.task].build(config, data.encoder, data.codec).parameters()
    )


def _nearest_size(config: Config, wanted: int, data: TaskData) -> int:
    """The hidden size whose model is nearest to `wanted` parameters, by bisection: they grow with it."""

    def parameters(size: int) -> int:
        return count_parameters(with_size(config, size), data)

    low, high = 0, 1  # `low` has fewer than wanted
    while parameters(high) < wanted and high < LARGEST:
        low, high = high, min(2 * high, LARGEST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < wanted else (low, middle)
    return min((size for size in (low, high) if size), key=lambda size: abs(parameters(size) - wanted))
