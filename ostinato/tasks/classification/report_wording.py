"""A run's facts as sentences that both the page and the model card say: what was trained, and who wins."""

from collections.abc import Iterable
from typing import Any

from ostinato.config import ModelConfig
from ostinato.report.facts import RunFacts
from ostinato.report.groups import wilson_interval

MOST_NAMED = 12  # labels named in a sentence


def percent(share: float) -> str:
    """A share as `97.0 %`."""
    return f"{100 * share:.1f}\u00a0%"


def interval(ends: Iterable[float]) -> str:
    """Two shares as `95.3 to 98.1 %`."""
    low, high = ends
    return f"{100 * low:.1f} to {100 * high:.1f}\u00a0%"


def counted(number: int, what: str) -> str:
    """A number of things, as `1 step` or `2,000 steps`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def enumerate_labels(labels: list[str]) -> str:
    """Labels in a sentence; of many the first."""
    more = len(labels) - MOST_NAMED
    return ", ".join(labels[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def describe_task(facts: RunFacts) -> str:
    """What the model reads and answers."""
    unit = {"numeric": "series of numbers"}.get(facts.tokenizer, f"sequences of {facts.tokenizer}")
    return (
        f"It reads {unit} and gives each of {len(facts.labels)} labels a probability: {enumerate_labels(facts.labels)}."
    )


def describe_model(facts: RunFacts) -> str:
    """The layers, in a sentence."""
    model = facts.config.model
    return (
        f"{_describe_front(model)}{model.cell.upper()}, {counted(model.num_layers, 'layer')} of {_describe_layer(model)}, "
        f"token vectors of size {model.embedding_size}, pooling by {', '.join(model.pooling)}: {counted(facts.metrics['model']['parameters'], 'weight')}."
    )


def _describe_front(model: ModelConfig) -> str:
    if model.conv_size is None:
        return ""
    pooled = f", the largest of each {model.conv_pool} steps" if model.conv_pool > 1 else ""
    return f"Convolution of {counted(model.conv_size, 'channel')} over {counted(model.kernel_size, 'token')}{pooled}, then "


def _describe_layer(model: ModelConfig) -> str:
    if model.cell == "cnn":
        return f"{counted(model.hidden_size, 'channel')} over {counted(model.kernel_size, 'step')}"
    return f"{counted(model.hidden_size, 'unit')} {'in both directions' if model.bidirectional else 'in one direction'}"


def verdict(facts: RunFacts) -> list[str]:
    """Who wins: the test accuracy beside the linear baseline and the commonest class, in sentences."""
    if "test" not in facts.metrics:
        return [
            "The run has no test split: nothing here says how well the model does on sequences it was not tuned on.",
            *_validation_only(facts),
        ]
    test, baselines = facts.metrics["test"], facts.metrics["baselines"]
    linear, majority = baselines["linear"], baselines["majority"]
    return [
        f"The {facts.config.model.cell.upper()} answers {percent(test['accuracy'])} of {counted(test['n'], 'test sequence')} right "
        f"(95\u00a0% interval {interval(test['intervals']['accuracy'])}), the linear baseline {percent(linear['accuracy'])} "
        f"({interval(linear_interval(facts))}), the commonest class alone {percent(majority['accuracy'])}.",
        _against_linear(test, linear, linear_interval(facts)),
        *_against_majority(test, majority),
    ]


def linear_interval(facts: RunFacts) -> tuple[float, float]:
    """The 95 % interval of the linear baseline's test accuracy."""
    linear = facts.metrics["baselines"]["linear"]
    return wilson_interval(round(linear["accuracy"] * linear["n"]), linear["n"])


def _validation_only(facts: RunFacts) -> list[str]:
    if "validation" not in facts.metrics:
        return []
    accuracy = percent(facts.metrics["validation"]["accuracy"])
    return [f"On the validation split, which chose the epoch and so flatters, it answers {accuracy} right."]


def _against_linear(test: dict[str, Any], linear: dict[str, Any], linear_ends: tuple[float, float]) -> str:
    low, high = test["intervals"]["accuracy"]
    if test["accuracy"] == linear["accuracy"]:
        return "The model and the linear baseline are level: nothing here speaks for the neural model."
    leader, other = (
        ("The model", "the linear baseline")
        if test["accuracy"] > linear["accuracy"]
        else ("The linear baseline", "the model")
    )
    if linear_ends[0] <= high and low <= linear_ends[1]:
        return f"{leader} is ahead of {other}, but their intervals overlap: this test split does not settle which is better."
    return f"{leader} beats {other}: their intervals do not overlap."


def _against_majority(test: dict[str, Any], majority: dict[str, Any]) -> list[str]:
    low, _ = test["intervals"]["accuracy"]
    return (
        [] if low > majority["accuracy"] else ["The model is not told apart from always answering the commonest class."]
    )
