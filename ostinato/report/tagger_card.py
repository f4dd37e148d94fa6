"""A tagger's model card.

Source: Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993.
"""

from collections.abc import Iterator

from ostinato.data.tagged import CORPORA
from ostinato.report.model_card import MISCALIBRATED, NOT_STATED, NOTABLE, WIDE, CardSection
from ostinato.report.tagger_facts import TaggerFacts
from ostinato.report.tagger_wording import SCORES, describe_tagger, describe_tagging, findings, tagger_verdict
from ostinato.report.wording import counted, percent

LOADING = """import ostinato

tagger = ostinato.load("model.safetensors")
tagger.predict(sentences)  # lists of {words}; a list of tags each"""


def tagger_card(facts: TaggerFacts) -> list[CardSection]:
    """The card's sections, from what the run knows; what only the author knows is named as missing."""
    training, made = facts.metrics["training"], facts.environment
    origin = f"Trained on {made['created'][:10]} with Ostinato {made['ostinato']}; the weights of epoch {training['best_epoch']} of {training['epochs']}."
    return [
        CardSection("Model details", [describe_tagger(facts), origin, f"Author, licence and contact: {NOT_STATED}."]),
        CardSection("How to load", ["With the package ostinato, in Python:"], LOADING.format(words=_words(facts))),
        CardSection("Intended use", [describe_tagging(facts), f"Uses, users, and uses it is not for: {NOT_STATED}."]),
        CardSection("Factors", [f"Languages, domains or groups over which its quality may differ: {NOT_STATED}."]),
        CardSection("Metrics", _metrics(facts)),
        CardSection("Training data", [_source(facts), _size(facts, "train"), *findings(facts)]),
        CardSection("Evaluation data", _evaluation_data(facts)),
        CardSection("Quantitative analyses", _figures(facts)),
        CardSection(
            "Ethical considerations",
            [f"Personal or sensitive data among the sentences, and whom a wrong tag harms: {NOT_STATED}."],
        ),
        CardSection("Limits", list(tagger_limits(facts))),
    ]


def _words(facts: TaggerFacts) -> str:
    """What a sentence is a list of."""
    columns = facts.config.data.feature_columns
    return f"tuples (word, {', '.join(f'column {column}' for column in columns)})" if columns else "words"


def tagger_limits(facts: TaggerFacts) -> Iterator[str]:
    """Where not to trust the tagger, as far as the figures tell."""
    if "test" not in facts.metrics:
        yield "It was never tested on held-out data."
    else:
        yield from _limits_of_the_test(facts)
    for split, tags in facts.audit.unlearnt.items():
        yield f"It never learnt {counted(len(tags), 'tag')} that {split} holds."
    if facts.audit.repeated:
        yield "The splits, as the data define them, share sentences: its figures may flatter."
    yield "It gives every word a tag, also in text that is like nothing in the training data; its probabilities are not scaled on validation."
    yield "One training, from one seed: another seed gives another model, and the intervals do not hold that spread."


def _limits_of_the_test(facts: TaggerFacts) -> Iterator[str]:
    test, commonest, score = facts.metrics["test"], facts.metrics["baselines"]["commonest"], facts.score
    low, high = test["intervals"][score]
    if high - low > WIDE:
        yield (
            f"The test split is small: {counted(test['num_sentences'], 'sentence')}, so {SCORES[score]} is known only to lie between "
            f"{percent(low)} and {percent(high)}."
        )
    if test[score] <= commonest[score]:
        yield f"It does not beat each word's commonest tag: {percent(test[score])} against {percent(commonest[score])}."
    if test["accuracy_unknown"] is not None and test["accuracy"] - test["accuracy_unknown"] > NOTABLE:
        yield f"Of words outside the training vocabulary it tags {percent(test['accuracy_unknown'])} right, of all {percent(test['accuracy'])}."
    held = {kind: each for kind, each in (test.get("by_type") or {}).items() if each["support"]}
    if held:
        kind, weakest = min(held.items(), key=lambda item: item[1]["f1"])
        if weakest["f1"] < test["f1"]:
            yield f"Of entities {kind} its F1 is {percent(weakest['f1'])} ({weakest['support']:,} in the test split): the least of all types."
    if test["ece"] > MISCALIBRATED:
        yield f"Its probabilities are off by {percent(test['ece'])} on average (expected calibration error)."


def _metrics(facts: TaggerFacts) -> list[str]:
    entity = (
        "Precision, recall and F1 of entities, which are right when type, first and last token are; "
        if facts.audit.scheme is not None
        else ""
    )
    return [
        f"{entity}{'accuracy' if entity else 'Accuracy'} of tags, also on words outside the training vocabulary; beside each word's commonest tag.",
        "Intervals are 95\u00a0%, by bootstrap over the test sentences.",
    ]


def _source(facts: TaggerFacts) -> str:
    name, source = facts.metrics["data"]["name"], facts.metrics["data"]["source"]
    corpus = CORPORA.get(facts.config.data.name or "")
    return (
        f"{name}: {corpus.description} Source: {source}."
        if corpus
        else f"The file {name}. Where it comes from and who may use it: {NOT_STATED}."
    )


def _size(facts: TaggerFacts, split: str) -> str:
    found = facts.audit.splits[split]
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.get("entities", {}).items())
    return f"{counted(found['sentences'], 'sentence')}, {counted(found['tokens'], 'token')}{f'; entities: {kinds}' if kinds else ''}."


def _evaluation_data(facts: TaggerFacts) -> list[str]:
    if "test" not in facts.audit.splits:
        return ["None: the run has no test split."]
    drawn = f"Drawn from the same data, with data.seed {facts.config.data.seed}; copies of a sentence stay together."
    return [
        _size(facts, "test"),
        drawn if "test" in facts.audit.drawn else "Given with the data.",
        "Scored once, after training ended.",
    ]


def _figures(facts: TaggerFacts) -> list[str]:
    told = tagger_verdict(facts)
    if "test" in facts.metrics:
        test = facts.metrics["test"]
        low, high = test["intervals"]["accuracy"]
        told.append(
            f"Accuracy of tags: {percent(test['accuracy'])} ({percent(low)} to {percent(high)}); sentences all right {percent(test['sentence_accuracy'])}."
        )
        told.append(f"Expected calibration error of the tags' probabilities: {test['ece']:.3f}.")
    return told
