"""The model card: what the model is for, what it was trained on, how good it is, and where not to trust it.

Source: Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from ostinato.printable import visible

if TYPE_CHECKING:
    from ostinato.data.named import NamedSet
    from ostinato.report.record import RunRecord

NOT_STATED = "Not stated by the author"
AUTHOR = f"Author, licence and contact: {NOT_STATED}."
LOADING = "With the package ostinato, in Python:"
WIDE = 0.05  # width of an interval from which a test split counts as small
NOTABLE = 0.01  # share of tokens or sequences from which a limit is worth mentioning
MISCALIBRATED = 0.05  # calibration error
ONE_SEED = (
    "One training run with one seed: another seed gives another model, and the intervals do not include that spread."
)
QUOTED_IN_MARKDOWN = re.compile(r"([\\`*_\[\]|$~#])")


class CardSection(NamedTuple):
    """A section of the card: its statements, and perhaps code."""

    title: str
    statements: list[str]
    code: str = ""


def model_card(
    run: "RunRecord",
    *,
    model: str,
    task: str,
    loading: str,
    examples: str,
    factors: str,
    metrics: Iterable[str],
    training_data: Iterable[str],
    test_data: Iterable[str],
    results: Iterable[str],
    limits: Iterable[str],
) -> list[CardSection]:
    """The card's sections, from what the run knows; what only the author knows is marked as not stated.

    Args:
        model: its layers, in a sentence.
        task: what the model reads and predicts, in a sentence.
        loading: Python code.
        examples: what the data consist of, as `sequences`.
        factors: over what the quality may differ, as `Languages, domains or groups`.
        metrics: what is measured, and how.
        training_data, test_data: size and origin. Without a test split, `test_data` is not used.
        results: the test metrics in sentences.
        limits: where not to trust the model.
    """
    has_test = "test" in run.metrics
    return [
        CardSection("Model details", [model, _origin(run), AUTHOR]),
        CardSection("How to load", [LOADING], loading),
        CardSection("Intended use", [task, f"Uses, users, and uses to avoid: {NOT_STATED}."]),
        CardSection("Factors", [f"{factors} over which its quality may differ: {NOT_STATED}."]),
        CardSection("Metrics", list(metrics)),
        CardSection("Training data", list(training_data)),
        CardSection(
            "Evaluation data",
            [*test_data, "Scored once, after training."] if has_test else ["None: the run has no test split."],
        ),
        CardSection("Quantitative analyses", list(results)),
        CardSection(
            "Ethical considerations",
            [f"Personal or sensitive data in the {examples}, and who is harmed by a wrong prediction: {NOT_STATED}."],
        ),
        CardSection(
            "Limits",
            [
                *([] if has_test else ["It was never tested on held-out data."]),
                *limits,
                *([] if "ensemble" in run.metrics else [ONE_SEED]),
            ],
        ),
    ]


def data_source(run: "RunRecord", datasets: "Mapping[str, NamedSet]") -> str:
    """Where the data come from, in a sentence.

    Args:
        datasets: the named data sets of the run's task.
    """
    name, source = run.metrics["data"]["name"], run.metrics["data"]["source"]
    named = datasets.get(run.config.data.name or "")
    if named is None:
        return f"The file {name}. Origin and terms of use: {NOT_STATED}."
    return f"{name}: {named.description} Source: {source}."


def card_markdown(title: str, card: Sequence[CardSection]) -> str:
    """The card as a Markdown file; text of the user is escaped, so that it is shown literally."""
    parts = [f"# {quoted(title)}"]
    for section in card:
        parts += [f"## {section.title}", "\n".join(f"- {quoted(statement)}" for statement in section.statements)]
        parts += [f"```python\n{section.code}\n```"] if section.code else []
    return "\n\n".join(parts) + "\n"


def _origin(run: "RunRecord") -> str:
    training, environment = run.metrics["training"], run.environment
    if "ensemble" in run.metrics:
        return f"Joined on {environment['created'][:10]} with Ostinato {environment['ostinato']}."
    return (
        f"Trained on {environment['created'][:10]} with Ostinato {environment['ostinato']}; weights of epoch "
        f"{training['best_epoch']} of {training['epochs']}."
    )


def quoted(text: str) -> str:
    """One line that Markdown shows literally."""
    return QUOTED_IN_MARKDOWN.sub(r"\\\1", escape(visible(" ".join(text.split())), quote=False))
