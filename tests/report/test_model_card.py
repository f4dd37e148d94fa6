"""The model card: limits follow from the figures, and its Markdown shows text as it is."""

import re
from dataclasses import replace
from html import unescape

import pytest
from markdown_it import MarkdownIt

from ostinato import runs
from ostinato.config import parse_config
from ostinato.report.facts import collect_run
from ostinato.report.model_card import NOT_STATED, CardSection, card_markdown, limits, model_card

TINY = {
    "data": {"name": "majority", "length": 9, "train_size": 120, "validation_size": 40, "test_size": 60},
    "model": {"cell": "gru", "hidden_size": 4, "embedding_size": 2},
    "training": {"max_epochs": 2, "device": "cpu"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "card"
    runs.start_run(parse_config(TINY), folder)
    return collect_run(folder)


@pytest.fixture
def good(trained):
    """The run with figures that leave nothing to complain about."""
    audit = trained.audit
    per_class = {label: {"recall": 0.9, "n": 1000} for label in trained.labels}
    test = {"n": 2000, "accuracy": 0.9, "intervals": {"accuracy": [0.887, 0.912]}, "ece": 0.01, "per_class": per_class}
    baselines = {"linear": {"accuracy": 0.7, "n": 2000, "description": "linear"}, "majority": {"accuracy": 0.5}}
    train = replace(audit.splits["train"], rows=2000, classes={"0": 1200, "1": 800})
    clean = replace(
        audit,
        splits=audit.splits | {"train": train},
        cleaning=replace(audit.cleaning, duplicates_dropped=0, overlap={}),
        unknown_share=0.0,
    )
    return replace(
        trained,
        metrics=trained.metrics | {"test": test, "validation": {"temperature": 1.2}, "baselines": baselines},
        audit=clean,
    )


def always(facts):
    return list(limits(facts))[-3:]


def found(facts):
    """The limits beyond those that every model has."""
    return [line.replace("\u00a0", " ") for line in list(limits(facts))[:-3]]


def with_test(facts, **figures):
    return replace(facts, metrics=facts.metrics | {"test": facts.metrics["test"] | figures})


def with_audit(facts, **changes):
    return replace(facts, audit=replace(facts.audit, **changes))


def test_good_figures_leave_only_the_limits_of_every_model(good):
    assert found(good) == []
    assert "up to 9 characters" in always(good)[0]


def test_small_test_split_is_a_limit(good):
    (line,) = found(with_test(good, n=50, intervals={"accuracy": [0.79, 0.957]}))
    assert "50 sequences" in line and "79.0 % and 95.7 %" in line


def test_losing_to_the_linear_model_is_a_limit(good):
    (line,) = found(with_test(good, accuracy=0.65, per_class={"0": {"recall": 0.65, "n": 1000}}))
    assert line == "It does not beat a linear model (linear): 65.0 % against 70.0 % right."


def test_class_that_is_found_least_is_named_and_one_without_test_rows_is_not(good):
    per_class = {"a": {"recall": 0.95, "n": 1900}, "b": {"recall": 0.25, "n": 100}, "c": {"recall": 0.0, "n": 0}}
    assert found(with_test(good, per_class=per_class)) == [
        "Of the class b it finds 25.0 % of 100 test rows: the least of all classes."
    ]


def test_uneven_classes_are_a_limit(good):
    train = replace(good.audit.splits["train"], classes={"rare": 500, "common": 1500})
    assert found(with_audit(good, splits=good.audit.splits | {"train": train})) == [
        "The classes are uneven in training: common has 1,500 rows, rare 500."
    ]


def test_cut_unknown_and_repeated_sequences_are_limits(good):
    data = good.config.data.model_copy(update={"max_length": 5})
    cut = with_audit(
        replace(good, config=good.config.model_copy(update={"data": data})), truncated={"train": 500, "test": 0}
    )
    assert found(cut) == ["25.0 % of the sequences of train were cut to 5 tokens: it did not read the rest."]
    assert found(with_audit(good, unknown_share=0.2)) == ["20.0 % of validation's tokens are unknown to it."]
    assert (
        "7 exact duplicates" in found(with_audit(good, cleaning=replace(good.audit.cleaning, duplicates_dropped=7)))[0]
    )
    shared = replace(good.audit.cleaning, overlap={"train/test": 3}, overlap_dropped=False)
    assert "share sequences" in found(with_audit(good, cleaning=shared))[0]


def test_poor_calibration_is_a_limit(good):
    assert "off by 8.0 %" in found(with_test(good, ece=0.08))[0]
    at_bound = replace(good, metrics=good.metrics | {"validation": {"temperature": 0.05}})
    assert "at its bound, 0.05" in found(at_bound)[0]
    never = replace(good, metrics={name: figures for name, figures in good.metrics.items() if name != "validation"})
    assert "not calibrated" in found(never)[0]


def test_run_without_a_test_split_was_never_tested(good):
    never = replace(
        good,
        metrics={name: figures for name, figures in good.metrics.items() if name not in ("test", "baselines")}
        | {"validation": {"temperature": 1, "ece": 0}},
    )
    assert found(never) == ["It was never tested on held-out data."]


def test_what_only_the_author_knows_is_said_to_be_missing(trained):
    missing = [
        section.title
        for section in model_card(trained)
        if any(NOT_STATED in statement for statement in section.statements)
    ]
    assert missing == ["Model details", "Intended use", "Factors", "Ethical considerations"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script><img src=x onerror=alert(2)>",
        "*a* _b_ `c` [d](javascript:e) ![f](g) | $h$ ~~i~~ # j &amp; \\k ]]> \"l\" 'm'",
        "two\n\n# lines",
        "```",
    ],
)
def test_markdown_shows_text_as_it_is(text):
    html = MarkdownIt("commonmark").render(
        card_markdown(text, [CardSection("A", [text], "x = 1")])
    )  # lets HTML pass, as many readers do
    assert set(re.findall(r"<(\w+)", html)) == {"h1", "h2", "ul", "li", "pre", "code"}
    shown = [unescape(each) for each in re.findall(r"<(?:h1|li)>(.*)</(?:h1|li)>", html)]
    assert shown == [" ".join(text.split())] * 2
