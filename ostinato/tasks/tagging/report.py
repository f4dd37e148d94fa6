"""The report of a tagger: result, metrics, entities, confusions, explained tags and model card."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ostinato.progress import Progress
from ostinato.report.card import MISCALIBRATED, NOTABLE, WIDE, CardSection, data_source, model_card
from ostinato.report.explained import HOW_TO_READ, faithfulness_block, shown_blocks
from ostinato.report.gallery import Gallery
from ostinato.report.members import EnsembleRecord
from ostinato.report.page import Section, bullets, heading, paragraph, table
from ostinato.report.record import Report, RunRecord
from ostinato.report.sections import data_origin, findings_block, training_section
from ostinato.report.wording import (
    capitalized,
    compare_to_baseline,
    counted,
    decimals,
    describe_layers,
    enumerate_labels,
    interval,
    percent,
    range_of,
    short_source,
)
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.tagging.audit import TagAudit
from ostinato.tasks.tagging.config import TaggingConfig
from ostinato.tasks.tagging.metrics import TAGGING_METRICS, TaggingMetrics
from ostinato.tasks.tagging.report_evidence import (
    METHOD,
    Confusion,
    TagEvidence,
    collect_confusions,
    collect_tag_evidence,
)
from ostinato.tasks.tagging.scoring import Predictions

if TYPE_CHECKING:
    from markupsafe import Markup

CONTEXT = 8  # words on either side of a confused one
SCORES = {"f1": "entity F1", "accuracy": "tag accuracy"}
METRICS = {
    "f1": "entity F1",
    "precision": "entity precision",
    "recall": "entity recall",
    "macro_f1": "macro F1 over entity types",
    "accuracy": "tag accuracy",
    "accuracy_unknown": "tag accuracy on unknown words",
    "sentence_accuracy": "sentences with every tag correct",
    "ece": "calibration error (lower is better)",
}
READ_AS = {
    "strict": "only well-formed entities count.",
    "conlleval": "ill-formed tags are read as by the script conlleval.",
}
BASELINES = {"linear": "linear CRF", "commonest": "most frequent tag"}  # the strongest first; the first is new in 0.2
COMMONEST = "The most frequent tag is that of each word in training, and for unknown words that of all words."
ABOUT_TAGS = (
    "Each picture explains the tag of one word; for an entity, of its least certain word. Scores are log-odds of the "
    "tag at that word, which is never masked."
)
MISTAKES = "The most confident wrong tags, one per sentence: often the true tag is wrong, or the word is ambiguous."
LOADING = """import ostinato

tagger = ostinato.load("model.safetensors")
tagger.predict(sentences)  # lists of {words}; returns a list of tags for each"""


def report(run: RunRecord, data: TaskData | None, model: Model, progress: Progress) -> Report:
    """Build the sections of a tagger's report; see `Task.report`.

    Raises:
        RunError: audit.json is damaged.
    """
    assert isinstance(run.config, TaggingConfig)
    audit, gallery = read_audit(run), Gallery()
    scores = run.read_scores(TaggingMetrics, ["commonest"])
    metric = main_metric(audit)
    description = f"{describe_tagger(run, run.config)} {describe_tagging(model)}"
    sections = [
        Section("Result", "result", _result(run, scores, metric)),
        Section("Data", "data", _data(run, audit)),
        training_section(run, gallery, description=description, metric=TAGGING_METRICS[metric], called=SCORES[metric]),
    ]
    if run.predictions is not None:
        predictions: Predictions = run.predictions
        sections.append(Section("Test metrics", "metrics", _metrics(scores)))
        if audit.scheme is not None:
            sections.append(Section("Entities", "entities", _entities(scores)))
        confusions = collect_confusions(predictions, scores["test"].confusion)
        sections.append(Section("Confusions", "confusions", _confusions(confusions, predictions)))
        evidence = collect_tag_evidence(model, predictions, progress=progress)
        sections += _explained_sections(evidence, gallery)
    return Report(sections, gallery)


def read_audit(run: RunRecord) -> TagAudit:
    """Read the audit of a run, including those that version 0.1 wrote.

    Raises:
        RunError: audit.json is damaged.
    """
    renamed = {"strange": "unseen_values", "unlearnt": "unseen_tags"}  # names in 0.1
    return run.read_audit(TagAudit, {renamed.get(key, key): value for key, value in run.audit.items()})


def main_metric(audit: TagAudit) -> str:
    """The main metric: `f1` of entities, or `accuracy` if the tags do not mark entities."""
    return "accuracy" if audit.scheme is None else "f1"


# In words


def describe_tagging(model: Model) -> str:
    """Describe the tagger's output in a sentence."""
    types = sorted({tag.partition("-")[2] for tag in model.codec.tags} - {""})
    if model.codec.scheme is not None and types:
        return f"It finds entities of {counted(len(types), 'type')} in sentences: {enumerate_labels(types)}."
    return (
        f"It gives each word of a sentence one of {counted(len(model.codec.tags), 'tag')}: "
        f"{enumerate_labels(model.codec.tags)}."
    )


def describe_tagger(run: RunRecord, config: TaggingConfig) -> str:
    """Describe the layers in a sentence."""
    model, parameters = config.model, counted(run.metrics["model"]["parameters"], "parameter")
    if "ensemble" in run.metrics:
        cells = [each.cell for each in EnsembleRecord.of(run.folder, run.metrics).members]
        return f"The mean tag probabilities of {counted(len(cells), 'model')}: {', '.join(cells)}; {parameters}."
    constrained = " constrained to its scheme" if model.constrained else ""
    head = f"CRF over the tags{constrained}" if model.head == "crf" else "softmax at each word"
    wide = (
        "" if model.wide is None else "linear model of words, affixes and word shapes of each word and its neighbours; "
    )
    if model.cell == "none":
        return f"{capitalized(wide)}{head}; {parameters}."
    inputs = [f"words ({model.embedding_size})"]
    if model.word_shape_size is not None:
        inputs.append(f"word shapes ({model.word_shape_size})")
    if model.character_cell is not None:
        inputs.append(f"characters by {model.character_cell.upper()} ({model.character_size})")
    inputs += [f"column {column} ({model.feature_size})" for column in config.data.feature_columns or ()]
    return f"{describe_layers(model)}; vectors of {', '.join(inputs)}; {wide}{head}; {parameters}."


def verdict(name: str, scores: dict[str, TaggingMetrics], metric: str) -> list[str]:
    """Compare the main metric with the baselines, in sentences."""
    if "test" not in scores:
        sentences = ["The run has no test split: nothing here shows how well the tagger does on unseen sentences."]
        if "validation" in scores:
            value = percent(getattr(scores["validation"], metric))
            sentences.append(
                f"On the validation split, {SCORES[metric]} is {value}, an optimistic estimate, because that split "
                "picked the best epoch."
            )
        return sentences
    test, baselines = scores["test"], baselines_of(scores)
    value, ends = getattr(test, metric), test.intervals[metric]
    test_size = counted(test.num_sentences, "test sentence")
    others = ", ".join(
        f"the {rival} {percent(getattr(each, metric))} ({interval(each.intervals[metric])})"
        for rival, each in baselines.items()
    )
    rival, strongest = next(iter(baselines.items()))
    other, other_ends = getattr(strongest, metric), strongest.intervals[metric]
    return [
        f"The {name} reaches {percent(value)} {SCORES[metric]} on {test_size} (95\u00a0% interval "
        f"{interval(ends)}), {others}.",
        compare_to_baseline(
            value, ends, other, other_ends, model="the tagger", rival=f"the {rival}", paired=strongest.versus
        ),
    ]


def baselines_of(scores: dict[str, TaggingMetrics]) -> dict[str, TaggingMetrics]:
    """The metrics of the baselines by their names in a sentence, the strongest first."""
    return {name: scores[key] for key, name in BASELINES.items() if key in scores}


def called(run: RunRecord) -> str:
    """The name of the run's model, in a sentence."""
    return "model, a linear CRF," if _is_linear(run) else run.model_name


def _is_linear(run: RunRecord) -> bool:
    return run.config.model.cell == "none" and "ensemble" not in run.metrics


# Sections


def _result(run: RunRecord, scores: dict[str, TaggingMetrics], metric: str) -> "Markup":
    body, own = (
        paragraph(" ".join(verdict(called(run), scores, metric))),
        "model" if _is_linear(run) else run.model_name,
    )
    if "test" not in scores:
        return body
    rows = [
        (name, percent(getattr(each, metric)), interval(each.intervals[metric]))
        for name, each in ((own, scores["test"]), *baselines_of(scores).items())
    ]
    about = f"The linear CRF is a {scores['linear'].description}. " if "linear" in scores else ""
    shown = table(("", SCORES[metric], "95\u00a0% interval"), rows, numeric=(1, 2))
    return body + shown + paragraph(f"{about}{COMMONEST}")


def _data(run: RunRecord, audit: TagAudit) -> "Markup":
    splits = list(audit.splits)
    marks = "the tags do not mark entities" if audit.scheme is None else f"entities in scheme {audit.scheme}"
    rows = [(name, *(f"{audit.splits[split][name]:,}" for split in splits)) for name in ("sentences", "tokens")]
    types = sorted({type_ for split in splits for type_ in audit.splits[split].get("entities", {})})
    rows += [
        (f"entities {type_}", *(f"{audit.splits[split]['entities'].get(type_, 0):,}" for split in splits))
        for type_ in types
    ]
    return (
        paragraph(f"{data_origin(run, audit.drawn)} {counted(audit.tags, 'tag')}; {marks}.")
        + table(("", *splits), rows, range(1, len(splits) + 1))
        + findings_block(audit.findings, "The audit found nothing to report.")
    )


def _metrics(scores: dict[str, TaggingMetrics]) -> "Markup":
    test, baselines = scores["test"], baselines_of(scores)
    rows = [
        (
            name,
            *(
                text
                for each in (test, *baselines.values())
                for text in (decimals(getattr(each, key)), range_of(each.intervals.get(key)))
            ),
        )
        for key, name in METRICS.items()
        if key == "accuracy_unknown" or getattr(test, key) is not None
    ]
    intro = (
        f"On {counted(test.num_tokens, 'token')} of {counted(test.num_sentences, 'test sentence')}, scored once; "
        f"{counted(test.unknown_tokens or 0, 'token')} {'is' if test.unknown_tokens == 1 else 'are'} out of "
        "vocabulary. The intervals show how much a score could differ on other test sentences. The calibration error "
        f"({decimals(test.ece)}) is the mean distance between the probability of tags and their accuracy."
    )
    headings = ["metric", *(text for name in ("model", *baselines) for text in (name, "95\u00a0% interval"))]
    return paragraph(intro) + table(headings, rows, range(1, len(headings)))


def _entities(scores: dict[str, TaggingMetrics]) -> "Markup":
    test = scores["test"]
    baselines = {name: each.by_type or {} for name, each in baselines_of(scores).items()}
    rows = [
        (
            type_,
            *(decimals(value) for value in (each.precision, each.recall, each.f1)),
            f"{each.support:,}",
            *(decimals(types[type_].f1 if type_ in types else None) for types in baselines.values()),
        )
        for type_, each in sorted((test.by_type or {}).items(), key=lambda item: -item[1].support)
    ]
    reading = test.reading or "strict"
    intro = (
        f"Scheme {test.scheme}, reading {reading}: {READ_AS[reading]} An entity is correct if its type, first and last "
        "token are."
    )
    headings = ["type", "precision", "recall", "F1", "test entities", *(f"F1 of the {name}" for name in baselines)]
    return paragraph(intro) + table(headings, rows, range(1, len(headings)))


def _confusions(confusions: Sequence[Confusion], predictions: Predictions) -> "Markup":
    if not confusions:
        return paragraph("Every test token has its true tag.")
    body = paragraph("The most frequent confusions, with examples from the test split; the confused word is in bold.")
    for each in confusions:
        body += heading(f"{each.true} predicted as {each.predicted}: {counted(each.times, 'token')}")
        body += bullets(
            _in_context(predictions.tokens[row], token, short_source(predictions.sources[row]))
            for row, token in each.found
        )
    return body


def _in_context(words: Sequence[str], token: int, source: str) -> "Markup":
    from markupsafe import Markup

    before, after = words[max(0, token - CONTEXT) : token], words[token + 1 : token + 1 + CONTEXT]
    opening, end = "… " if token > CONTEXT else "", " …" if token + 1 + CONTEXT < len(words) else ""
    return Markup("{}{} <strong>{}</strong> {}{} <small>({})</small>").format(
        opening, " ".join(before), words[token], " ".join(after), end, source
    )


def _explained_sections(evidence: TagEvidence, gallery: Gallery) -> list[Section]:
    examples = paragraph(f"{ABOUT_TAGS} {HOW_TO_READ}") + (
        shown_blocks(evidence.examples, gallery)
        if evidence.examples
        else paragraph("The tagger has no correct answers.")
    )
    mistakes = (
        paragraph(MISTAKES) + shown_blocks(evidence.mistakes, gallery)
        if evidence.mistakes
        else paragraph("The tagger made no mistakes on the test split.")
    )
    return [
        Section("Explained examples", "examples", examples),
        Section("Faithfulness", "faithfulness", faithfulness_block(evidence.faithfulness, gallery, plotted=(METHOD,))),
        Section("Mistakes", "mistakes", mistakes),
    ]


# Model card


def card(run: RunRecord, model: Model) -> list[CardSection]:
    """The model card of a tagger; see `Task.card`."""
    assert isinstance(run.config, TaggingConfig)
    audit, scores = read_audit(run), run.read_scores(TaggingMetrics, ["commonest"])
    columns = run.config.data.feature_columns
    words = f"tuples (word, {', '.join(f'column {column}' for column in columns)})" if columns else "words"
    entity = (
        "Precision, recall and F1 of entities, which are correct if their type, first and last token are; "
        if audit.scheme is not None
        else ""
    )
    drawn = f"Drawn from the same data, with data.seed {run.config.data.seed}; copies of a sentence stay together."
    return model_card(
        run,
        model=describe_tagger(run, run.config),
        task=describe_tagging(model),
        loading=LOADING.format(words=words),
        examples="sentences",
        factors="Languages, domains or groups",
        metrics=[
            f"{entity}{'accuracy' if entity else 'Accuracy'} of tags, also on unknown words; next to a linear-chain "
            "CRF and each word's most frequent tag.",
            "Intervals are 95\u00a0% bootstrap intervals over the test sentences.",
        ],
        training_data=[data_source(run, model.task.datasets), _size(audit, "train"), *audit.findings],
        test_data=[
            *([_size(audit, "test")] if "test" in audit.splits else []),
            drawn if "test" in audit.drawn else "Given with the data.",
        ],
        results=_results(run, audit, scores),
        limits=limits(audit, scores),
    )


def _size(audit: TagAudit, split: str) -> str:
    facts = audit.splits[split]
    types = ", ".join(f"{type_} {count:,}" for type_, count in facts.get("entities", {}).items())
    size = f"{counted(facts['sentences'], 'sentence')}, {counted(facts['tokens'], 'token')}"
    return f"{size}{f'; entities: {types}' if types else ''}."


def _results(run: RunRecord, audit: TagAudit, scores: dict[str, TaggingMetrics]) -> list[str]:
    results = verdict(called(run), scores, main_metric(audit))
    test = scores.get("test")
    if test is not None:
        results += [
            f"Tag accuracy: {percent(test.accuracy)} ({interval(test.intervals['accuracy'])}); sentences with every "
            f"tag correct: {percent(test.sentence_accuracy)}.",
            f"Expected calibration error of the tags' probabilities: {decimals(test.ece)}.",
        ]
    return results


def limits(audit: TagAudit, scores: dict[str, TaggingMetrics]) -> Iterator[str]:
    """Limits of the tagger that its metrics and data show, in sentences."""
    if "test" in scores:
        rival, strongest = next(iter(baselines_of(scores).items()))
        yield from _test_limits(scores["test"], strongest, rival, main_metric(audit))
    for split, tags in audit.unseen_tags.items():
        yield f"It cannot predict {counted(len(tags), 'tag')} of {split}, which did not occur in training."
    if any(audit.repeated.values()) and not audit.overlap_dropped:
        yield "The splits that the data set defines share sentences: the scores may be too high."
    yield (
        "It tags every word, even in text unlike anything in the training data. Its probabilities are not calibrated."
    )


def _test_limits(test: TaggingMetrics, baseline: TaggingMetrics, rival: str, metric: str) -> Iterator[str]:
    (low, high), value, other = test.intervals[metric], getattr(test, metric), getattr(baseline, metric)
    if high - low > WIDE:
        yield (
            f"The test split is small: with {counted(test.num_sentences, 'sentence')}, {SCORES[metric]} is only known "
            f"to lie between {percent(low)} and {percent(high)}."
        )
    if value <= other:
        yield f"It does not beat the {rival}: {percent(value)} against {percent(other)}."
    if test.accuracy_unknown is not None and test.accuracy - test.accuracy_unknown > NOTABLE:
        unknown = percent(test.accuracy_unknown)
        yield f"Its accuracy is {unknown} on unknown words, but {percent(test.accuracy)} on all words."
    present = {type_: each for type_, each in (test.by_type or {}).items() if each.support}
    if present and test.f1 is not None:
        type_, weakest = min(present.items(), key=lambda item: item[1].f1)
        if weakest.f1 < test.f1:
            yield (
                f"Its F1 on entities of type {type_} is {percent(weakest.f1)} ({weakest.support:,} in the test split), "
                "the lowest of all types."
            )
    if test.ece is not None and test.ece > MISCALIBRATED:
        yield f"Its probabilities are off by {percent(test.ece)} on average (expected calibration error)."
