"""Hidden sizes that give each combination as many parameters as the config that was asked for."""

from ostinato.comparison.plan import Combination, Plan, with_hidden_size
from ostinato.config import ModelConfig
from ostinato.tasks import Prepared

HIDDEN = "model.hidden_size"
LARGEST = 65_536


def match_parameters(plan: Plan, combinations: list[Combination], prepared: Prepared) -> list[Combination]:
    """Each combination with the hidden size whose model comes nearest to the base config's parameters.

    Sizes are left as they are where the plan says so, and where the hidden size itself is varied.
    """
    if plan.match == "none" or HIDDEN in plan.vary:
        return combinations
    wanted = count_parameters(plan.base.model, prepared)
    return [with_hidden_size(each, _nearest_size(each.config.model, wanted, prepared)) for each in combinations]


def count_parameters(config: ModelConfig, prepared: Prepared) -> int:
    """The parameters of a model of these data."""
    return sum(parameter.numel() for parameter in prepared.build(config).parameters())


def _nearest_size(config: ModelConfig, wanted: int, prepared: Prepared) -> int:
    """The hidden size whose model is nearest to `wanted` parameters, by bisection: they grow with it."""

    def parameters(size: int) -> int:
        return count_parameters(config.model_copy(update={"hidden_size": size}), prepared)

    low, high = 0, 1  # `low` has fewer than wanted
    while parameters(high) < wanted and high < LARGEST:
        low, high = high, min(2 * high, LARGEST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < wanted else (low, middle)
    return min((size for size in (low, high) if size), key=lambda size: abs(parameters(size) - wanted))
