"""The model card: what the model is for, what went in, how good it is, and where not to trust it.

Source: Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from ostinato.data.named import NAMED
from ostinato.evaluation.calibration import HIGHEST, LOWEST
from ostinato.report.facts import RunFacts
from ostinato.report.wording import counted, describe_model, describe_task, enumerate_labels, percent, verdict

NOT_STATED = "Not stated by the author"
WIDE = 0.05  # of accuracy's interval: more is told as a limit
UNEVEN = 3.0  # rows of the commonest class to one of the rarest
NOTABLE = 0.01  # share of unknown tokens or of truncated sequences
MISCALIBRATED = 0.05  # calibration error
LOADING = """import ostinato

model = ostinato.load("model.safetensors")
model.predict_proba(sequences)  # (n, C), columns as in model.classes_"""
QUOTED_IN_MARKDOWN = re.compile(r"([\\`*_\[\]|$~#])")


class CardSection(NamedTuple):
    """A section of the card: its statements, and code where there is some."""

    title: str
    statements: list[str]
    code: str = ""


def model_card(facts: RunFacts) -> list[CardSection]:
    """The card's sections, from what the run knows; what only the author knows is named as missing."""
    return [
        CardSection(
            "Model details", [describe_model(facts), _origin(facts), f"Author, licence and contact: {NOT_STATED}."]
        ),
        CardSection("How to load", ["With the package ostinato, in Python:"], LOADING),
        CardSection("Intended use", [describe_task(facts), f"Uses, users, and uses it is not for: {NOT_STATED}."]),
        CardSection("Factors", [f"Groups, instruments or conditions over which its quality may differ: {NOT_STATED}."]),
        CardSection("Metrics", _metrics(facts)),
        CardSection("Training data", [_source(facts), _rows(facts, "train"), *facts.findings]),
        CardSection("Evaluation data", _evaluation_data(facts)),
        CardSection("Quantitative analyses", _figures(facts)),
        CardSection(
            "Ethical considerations",
            [f"Personal or sensitive data among the sequences, and whom a wrong answer harms: {NOT_STATED}."],
        ),
        CardSection("Limits", list(limits(facts))),
    ]


def card_markdown(title: str, card: Sequence[CardSection]) -> str:
    """The card as a Markdown file; what is not ours is quoted, so that it is shown as it is."""
    parts = [f"# {_quoted(title)}"]
    for section in card:
        parts += [f"## {section.title}", "\n".join(f"- {_quoted(statement)}" for statement in section.statements)]
        parts += [f"```python\n{section.code}\n```"] if section.code else []
    return "\n\n".join(parts) + "\n"


def limits(facts: RunFacts) -> Iterator[str]:
    """Where not to trust the model, as far as the figures tell."""
    yield from _limits_of_the_test(facts)
    yield from _limits_of_the_data(facts)
    yield from _limits_of_the_probabilities(facts)
    longest = facts.audit.splits["train"].lengths["longest"]
    yield f"Trained on sequences of up to {longest:,.0f} {facts.audit.unit}; what it says of longer ones is untested."
    yield "It answers every sequence with one of its labels, also one that is like nothing in the training data."
    yield "One training, from one seed: another seed gives another model, and the intervals do not hold that spread."


def _limits_of_the_test(facts: RunFacts) -> Iterator[str]:
    if "test" not in facts.metrics:
        yield "It was never tested on held-out data."
        return
    test = facts.metrics["test"]
    low, high = test["intervals"]["accuracy"]
    if high - low > WIDE:
        yield f"The test split is small: {counted(test['n'], 'sequence')}, so accuracy is known only to lie between {percent(low)} and {percent(high)}."
    if test["accuracy"] <= facts.metrics["baselines"]["linear"]["accuracy"]:
        linear = facts.metrics["baselines"]["linear"]
        yield f"It does not beat a linear model ({linear['description']}): {percent(test['accuracy'])} against {percent(linear['accuracy'])} right."
    label, weakest = min(test["per_class"].items(), key=lambda each: each[1]["recall"] if each[1]["n"] else 1.0)
    if weakest["recall"] < test["accuracy"]:
        yield f"Of the class {label} it finds {percent(weakest['recall'])} of {counted(weakest['n'], 'test row')}: the least of all classes."


def _limits_of_the_data(facts: RunFacts) -> Iterator[str]:
    classes, cleaning = facts.audit.splits["train"].classes, facts.audit.cleaning
    commonest, rarest = max(classes, key=classes.__getitem__), min(classes, key=classes.__getitem__)
    if classes[commonest] >= UNEVEN * classes[rarest]:
        yield f"The classes are uneven in training: {commonest} has {counted(classes[commonest], 'row')}, {rarest} {classes[rarest]:,}."
    for split, rows in facts.audit.truncated.items():
        share = rows / facts.audit.splits[split].rows
        if share > NOTABLE:
            yield f"{percent(share)} of the sequences of {split} were cut to {facts.config.data.max_length:,} tokens: it did not read the rest."
    if (facts.audit.unknown_share or 0) > NOTABLE:
        yield f"{percent(facts.audit.unknown_share or 0)} of validation's tokens are unknown to it."
    if cleaning.duplicates_dropped:
        yield f"The data held {counted(cleaning.duplicates_dropped, 'exact duplicate')}, removed; near duplicates were not looked for."
    if cleaning.overlap and not cleaning.overlap_dropped:
        yield "The splits, as the data set defines them, share sequences: its figures may flatter."


def _limits_of_the_probabilities(facts: RunFacts) -> Iterator[str]:
    if "validation" not in facts.metrics:
        yield "Its probabilities are not calibrated: there was no validation split."
        return
    temperature = facts.metrics["validation"]["temperature"]
    if not LOWEST * 1.01 < temperature < HIGHEST * 0.99:
        yield f"Its probabilities are hardly calibrated: the temperature is at its bound, {temperature:.3g}; validation was too small or too easy to tell."
    figures = facts.metrics.get("test", facts.metrics["validation"])
    if figures["ece"] > MISCALIBRATED:
        yield f"Its probabilities are off by {percent(figures['ece'])} on average (expected calibration error)."


def _origin(facts: RunFacts) -> str:
    training, made = facts.metrics["training"], facts.environment
    return f"Trained on {made['created'][:10]} with Ostinato {made['ostinato']}; the weights of epoch {training['best_epoch']} of {training['epochs']}."


def _metrics(facts: RunFacts) -> list[str]:
    scaled = (
        " Probabilities are scaled by one temperature, fitted on validation." if "validation" in facts.metrics else ""
    )
    return [
        "Accuracy, beside a linear model and the commonest class; macro F1 and recall for each class; AUROC; expected calibration error.",
        "Intervals are 95\u00a0%, by bootstrap over the test sequences; accuracy's is Wilson's.",
        f"The answer is the most probable label.{scaled}",
    ]


def _source(facts: RunFacts) -> str:
    name, source = facts.metrics["data"]["name"], facts.metrics["data"]["source"]
    named = NAMED.get(facts.config.data.name or "")
    return (
        f"{name}: {named.description} Source: {source}."
        if named
        else f"The file {name}. Where it comes from and who may use it: {NOT_STATED}."
    )


def _rows(facts: RunFacts, split: str) -> str:
    classes = facts.audit.splits[split].classes
    return f"{counted(facts.audit.splits[split].rows, 'sequence')}: {enumerate_labels([f'{label} {rows:,}' for label, rows in classes.items()])}."


def _evaluation_data(facts: RunFacts) -> list[str]:
    if "test" not in facts.audit.splits:
        return ["None: the run has no test split."]
    drawn = f"Drawn from the same data, stratified by label, with data.seed {facts.config.data.seed}."
    origin = drawn if "test" in facts.audit.drawn else "Given with the data."
    return [_rows(facts, "test"), origin, "Scored once, after training ended."]


def _figures(facts: RunFacts) -> list[str]:
    figures = verdict(facts)
    if "test" in facts.metrics:
        test = facts.metrics["test"]
        told = {"macro F1": "macro_f1", "AUROC": "auroc", "expected calibration error": "ece"}
        figures += [
            f"{name}: {test[key]:.3f} (95\u00a0% interval {_ends(test['intervals'][key])})."
            for name, key in told.items()
            if test[key] is not None
        ]
    return figures


def _ends(ends: Sequence[float]) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def _quoted(text: str) -> str:
    """One line that Markdown shows as it is."""
    return QUOTED_IN_MARKDOWN.sub(r"\\\1", escape(" ".join(text.split()), quote=False))
