"""A tagger's facts as sentences that both the page and the model card say."""

from ostinato.report.tagger_facts import TaggerFacts
from ostinato.report.wording import counted, enumerate_labels, interval, percent

SCORES = {"f1": "F1 of entities", "accuracy": "accuracy of tags"}
READ_AS = {
    "strict": "only well-formed entities count.",
    "conlleval": "what is ill-formed is mended as that script does.",
}


def describe_tagging(facts: TaggerFacts) -> str:
    """What the tagger reads and answers."""
    kinds = (
        sorted({tag.partition("-")[2] for tag in facts.tags} - {""}) if facts.audit.scheme is not None else facts.tags
    )
    named = (
        f"the words of a sentence as entities of {counted(len(kinds), 'type')}"
        if facts.audit.scheme is not None and kinds
        else None
    )
    return f"It marks {named or f'each word of a sentence with one of {len(kinds):,} tags'}: {enumerate_labels(kinds)}."


def describe_tagger(facts: TaggerFacts) -> str:
    """The layers, in a sentence."""
    model = facts.config.model
    read = [f"words (size {model.embedding_size})"]
    if model.capitals_size is not None:
        read.append(f"capitals ({model.capitals_size})")
    if model.character_cell is not None:
        read.append(f"characters by {model.character_cell.upper()} ({model.character_size})")
    read += [f"the column {column} ({model.feature_size})" for column in facts.config.data.feature_columns or ()]
    head = (
        "a CRF over the tags" + (" of its scheme" if model.constrained else "")
        if model.head == "crf"
        else "a softmax for each word"
    )
    return (
        f"{model.cell.upper()}, {counted(model.num_layers, 'layer')} of {counted(model.hidden_size, 'unit')} "
        f"{'in both directions' if model.bidirectional else 'in one direction'}, vectors of {', '.join(read)}; {head}: "
        f"{counted(facts.metrics['model']['parameters'], 'weight')}."
    )


def tagger_verdict(facts: TaggerFacts) -> list[str]:
    """Who wins: the tagger beside each word's commonest tag, in sentences."""
    if "test" not in facts.metrics:
        told = [
            "The run has no test split: nothing here says how well the tagger does on sentences it was not tuned on."
        ]
        if "validation" in facts.metrics:
            figure = percent(facts.metrics["validation"][facts.score])
            told.append(
                f"On the validation split, which chose the epoch and so flatters, {SCORES[facts.score]} is {figure}."
            )
        return told
    test, commonest, score = facts.metrics["test"], facts.metrics["baselines"]["commonest"], facts.score
    (low, high), (baseline_low, baseline_high) = test["intervals"][score], commonest["intervals"][score]
    told = [
        f"The {facts.config.model.cell.upper()} reaches {percent(test[score])} {SCORES[score]} on {counted(test['num_sentences'], 'test sentence')} "
        f"(95\u00a0% interval {interval((low, high))}), each word's commonest tag {percent(commonest[score])} ({interval((baseline_low, baseline_high))})."
    ]
    if test[score] == commonest[score]:
        return [*told, "The two are level: nothing here speaks for the neural model."]
    leader, other = (
        ("The tagger", "the commonest tag") if test[score] > commonest[score] else ("The commonest tag", "the tagger")
    )
    if baseline_low <= high and low <= baseline_high:
        return [
            *told,
            f"{leader} is ahead of {other}, but their intervals overlap: this test split does not settle which is better.",
        ]
    return [*told, f"{leader} beats {other}: their intervals do not overlap."]


def findings(facts: TaggerFacts) -> list[str]:
    """What the audit noted of the data, beyond the numbers of tags, sentences and tokens."""
    return list(facts.audit.lines())[len(facts.audit.splits) + 1 :]
