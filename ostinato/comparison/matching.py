"""Hidden sizes that give each combination about as many parameters as the base config."""

from dataclasses import replace

from ostinato.comparison.plan import Combination, Plan, with_size
from ostinato.config import Config
from ostinato.tasks import TASKS
from ostinato.tasks.memory import skeleton
from ostinato.tasks.records import TaskData

HIDDEN = "model.hidden_size"
LARGEST = 65_536


def match_parameters(plan: Plan, combinations: list[Combination], data: TaskData) -> list[Combination]:
    """Give each combination the hidden size whose model comes nearest to the base config's number of parameters.

    Sizes stay as they are with `--match none`, and where the hidden size itself is varied. Linear models have none:
    the weights of a wide part follow from the data, and do not count here.
    """
    if plan.match == "none" or HIDDEN in plan.vary or _is_linear(plan.base):
        return combinations
    wanted = count_parameters(plan.base, data)
    return [
        each
        if _is_linear(each.config)
        else replace(each, config=with_size(each.config, _nearest_size(each.config, wanted, data)))
        for each in combinations
    ]


def _is_linear(config: Config) -> bool:
    return config.model.cell == "none"


def count_parameters(config: Config, data: TaskData) -> int:
    """The number of parameters of the config's model for these data."""
    task = TASKS[config.task]
    network = skeleton(task, task.settle(config, data), data.encoder, data.codec)
    return sum(parameter.numel() for parameter in network.parameters())


def _nearest_size(config: Config, wanted: int, data: TaskData) -> int:
    """The hidden size whose model is nearest to `wanted` parameters, by bisection: they grow with the size."""

    def parameters(size: int) -> int:
        return count_parameters(with_size(config, size), data)

    low, high = 0, 1  # `low` has fewer than wanted
    while parameters(high) < wanted and high < LARGEST:
        low, high = high, min(2 * high, LARGEST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < wanted else (low, middle)
    return min((size for size in (low, high) if size), key=lambda size: abs(parameters(size) - wanted))
