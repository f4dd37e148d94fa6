"""The sections of a tagger's report that hold its results: who wins, data, training, figures, entities, confusions."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ostinato.report.evidence import short
from ostinato.report.figures import plot_learning_curve
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, figure, heading, paragraph, table
from ostinato.report.tagger_evidence import Confusion, collect_confusions
from ostinato.report.tagger_facts import TaggerFacts
from ostinato.report.tagger_wording import READ_AS, SCORES, describe_tagger, describe_tagging, findings, tagger_verdict
from ostinato.report.wording import counted, interval, percent

if TYPE_CHECKING:
    from markupsafe import Markup

AROUND = 8  # words shown on either side of a confused one
METRICS = {
    "f1": "F1 of entities",
    "precision": "precision of entities",
    "recall": "recall of entities",
    "macro_f1": "macro F1 over types",
    "accuracy": "accuracy of tags",
    "accuracy_unknown": "accuracy on unknown words",
    "sentence_accuracy": "sentences all right",
    "ece": "calibration error (lower is better)",
}


def tagger_sections(facts: TaggerFacts, gallery: Gallery) -> list[Section]:
    """Who wins, what went in, how the training went, and how good the answers are.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
    """
    sections = [
        Section("Result", "result", _result(facts)),
        Section("Data", "data", _data(facts)),
        Section("Training", "training", _training(facts, gallery)),
    ]
    if facts.answered is not None:
        sections.append(Section("Test metrics", "metrics", _metrics(facts)))
        if facts.audit.scheme is not None:
            sections.append(Section("Entities", "entities", _entities(facts)))
        confusions = collect_confusions(facts.answered, facts.metrics["test"]["confusion"])
        sections.append(Section("Confusions", "confusions", _confusions(confusions)))
    return sections


def _result(facts: TaggerFacts) -> "Markup":
    body = paragraph(" ".join(tagger_verdict(facts)))
    if "test" not in facts.metrics:
        return body
    test, commonest, score = facts.metrics["test"], facts.metrics["baselines"]["commonest"], facts.score
    rows = [
        (name, percent(figures[score]), interval(figures["intervals"][score]))
        for name, figures in ((facts.config.model.cell.upper(), test), ("commonest tag", commonest))
    ]
    told = "The baseline gives each word its commonest tag in training, and a word that training never met the commonest tag of all."
    return body + table(("", SCORES[score], "95\u00a0% interval"), rows, numeric=(1, 2)) + paragraph(told)


def _data(facts: TaggerFacts) -> "Markup":
    audit, data = facts.audit, facts.metrics["data"]
    splits = list(audit.splits)
    origin = f"{data['name']}" + (f" ({data['source']})" if facts.config.data.name else "")
    drawn = f"Drawn at random: {', '.join(audit.drawn)}." if audit.drawn else "The splits were given."
    marks = "they mark no entities" if audit.scheme is None else f"entities in scheme {audit.scheme}"
    rows = [(name, *(f"{audit.splits[split][name]:,}" for split in splits)) for name in ("sentences", "tokens")]
    kinds = sorted({kind for split in splits for kind in audit.splits[split].get("entities", {})})
    rows += [
        (f"entities {kind}", *(f"{audit.splits[split]['entities'].get(kind, 0):,}" for split in splits))
        for kind in kinds
    ]
    noted = findings(facts)
    return (
        paragraph(f"{origin}: {counted(audit.tags, 'tag')}, {marks}. {drawn}")
        + table(("", *splits), rows, range(1, len(splits) + 1))
        + (bullets(noted) if noted else paragraph("The audit has nothing to note."))
    )


def _training(facts: TaggerFacts, gallery: Gallery) -> "Markup":
    history, training = facts.history, facts.metrics["training"]
    best = training["best_epoch"]
    pictures = gallery.show(plot_learning_curve(history, "loss", best), "Loss by epoch")
    if f"validation_{facts.score}" in history[0]:
        pictures += gallery.show(plot_learning_curve(history, facts.score, best), f"Validation {facts.score} by epoch")
    told = f"{counted(training['epochs'], 'epoch')} in {training['seconds']:,.1f} s, {training['seconds_per_epoch']:,.2f} s each"
    told += f", on {facts.environment['device']}."
    return (
        paragraph(f"{describe_tagger(facts)} {describe_tagging(facts)}")
        + paragraph(told)
        + figure(pictures, " ".join(_curves_in_words(facts, best)))
    )


def _curves_in_words(facts: TaggerFacts, best: int) -> Iterator[str]:
    first, kept, last = facts.history[0], facts.history[best - 1], facts.history[-1]
    yield f"Training loss goes from {first['train_loss']:.3f} in epoch 1 to {last['train_loss']:.3f} in epoch {last['epoch']}, measured while weights change."
    if "validation_loss" not in first:
        yield "There is no validation split: the last weights are kept."
        return
    figure_ = percent(kept[f"validation_{facts.score}"])
    yield f"Validation loss is {kept['validation_loss']:.3f} and {SCORES[facts.score]} {figure_} in epoch {best}, whose weights are kept."


def _metrics(facts: TaggerFacts) -> "Markup":
    test, commonest = facts.metrics["test"], facts.metrics["baselines"]["commonest"]
    rows = []
    for key, name in METRICS.items():
        if test.get(key) is not None or key == "accuracy_unknown":
            columns = [
                text
                for figures in (test, commonest)
                for text in (_number(figures.get(key)), _ends(figures["intervals"].get(key)))
            ]
            rows.append((name, *columns))
    told = (
        f"Of {counted(test['num_tokens'], 'token')} in {counted(test['num_sentences'], 'test sentence')}, scored once. "
        f"{counted(test['unknown_tokens'], 'token')} {'is' if test['unknown_tokens'] == 1 else 'are'} of words outside the training vocabulary. "
        "Intervals come from resampled sentences: they say how far a figure could be off, had the split held others. "
        f"The calibration error ({test['ece']:.3f}) is the mean distance of a tag's probability to the share of such tags that is right."
    )
    return paragraph(told) + table(
        ("metric", "model", "95\u00a0% interval", "commonest tag", "95\u00a0% interval"), rows, range(1, 5)
    )


def _entities(facts: TaggerFacts) -> "Markup":
    test, commonest = facts.metrics["test"], facts.metrics["baselines"]["commonest"]["by_type"]
    rows = [
        (
            kind,
            *(f"{each[name]:.3f}" for name in ("precision", "recall", "f1")),
            f"{each['support']:,}",
            _number(commonest.get(kind, {}).get("f1")),
        )
        for kind, each in sorted(test["by_type"].items(), key=lambda item: -item[1]["support"])
    ]
    told = f"Scheme {test['scheme']}, read {test['reading']}: {READ_AS[test['reading']]} An entity is right when its type, first and last token are."
    headings = ("type", "precision", "recall", "F1", "in the test split", "F1 of the commonest tag")
    return paragraph(told) + table(headings, rows, range(1, 6))


def _confusions(confusions: Sequence[Confusion]) -> "Markup":
    if not confusions:
        return paragraph("No test token has another tag than its own.")
    body = paragraph(
        "The pairs of a true and another given tag that are met most often, each with sentences of the test split; the word is in bold."
    )
    for each in confusions:
        body += heading(f"{each.true} taken for {each.given}: {counted(each.times, 'token')}")
        body += bullets(
            _in_its_sentence(answered.tokens, token, short(answered.place)) for answered, token in each.places
        )
    return body


def _in_its_sentence(words: Sequence[str], token: int, place: str) -> "Markup":
    from markupsafe import Markup

    before, after = words[max(0, token - AROUND) : token], words[token + 1 : token + 1 + AROUND]
    opening, end = "… " if token > AROUND else "", " …" if token + 1 + AROUND < len(words) else ""
    return Markup("{}{} <strong>{}</strong> {}{} <small>({})</small>").format(
        opening, " ".join(before), words[token], " ".join(after), end, place
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _ends(ends: Any) -> str:
    return "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
