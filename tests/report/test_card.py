"""The model card's skeleton, and its Markdown, which shows text literally."""

import re
from html import unescape
from types import SimpleNamespace

import pytest
from markdown_it import MarkdownIt

from ostinato.data.named import NamedSet
from ostinato.report.card import NOT_STATED, CardSection, card_markdown, data_source, model_card

TITLES = [
    "Model details",
    "How to load",
    "Intended use",
    "Factors",
    "Metrics",
    "Training data",
    "Evaluation data",
    "Quantitative analyses",
    "Ethical considerations",
    "Limits",
]


def record(**metrics):
    training = {"epochs": 7, "best_epoch": 3}
    data = {"name": "reviews.csv", "source": "reviews.csv"}
    return SimpleNamespace(
        metrics={"training": training, "data": data, **metrics},
        environment={"created": "2026-01-02T03:04:05+00:00", "ostinato": "1.2.3"},
        config=SimpleNamespace(data=SimpleNamespace(name=None)),
    )


def card_of(run):
    parts = {name: [name] for name in ("metrics", "training_data", "test_data", "results", "limits")}
    sentences = {name: name for name in ("model", "task", "loading", "examples", "factors")}
    return {section.title: section for section in model_card(run, **sentences, **parts)}


def test_card_has_the_sections_of_the_paper_in_order():
    assert list(card_of(record(test={}))) == TITLES


def test_card_names_the_version_and_the_epoch_of_the_weights():
    (origin,) = [line for line in card_of(record(test={}))["Model details"].statements if "1.2.3" in line]
    assert "2026-01-02" in origin and "epoch 3 of 7" in origin


def test_card_of_a_run_without_test_split_says_so():
    card = card_of(record())
    assert "test_data" not in card["Evaluation data"].statements
    assert len(card["Limits"].statements) == len(card_of(record(test={}))["Limits"].statements) + 1


def test_card_marks_what_only_the_author_knows():
    card = card_of(record(test={}))
    missing = [title for title, section in card.items() if NOT_STATED in " ".join(section.statements)]
    assert missing == ["Model details", "Intended use", "Factors", "Ethical considerations"]


def test_source_of_a_file_is_not_stated_and_that_of_a_named_set_is():
    run = record()
    assert "reviews.csv" in data_source(run, {}) and NOT_STATED in data_source(run, {})
    run.config.data.name = "imdb"
    named = NamedSet("Film reviews.", "many", "words", "Maas 2011", load=lambda config: None)
    assert "Film reviews." in data_source(run, {"imdb": named}) and NOT_STATED not in data_source(run, {"imdb": named})


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script><img src=x onerror=alert(2)>",
        "*a* _b_ `c` [d](javascript:e) ![f](g) | $h$ ~~i~~ # j &amp; \\k ]]> \"l\" 'm'",
        "two\n\n# lines",
        "```",
    ],
)
def test_markdown_shows_text_literally(text):
    markdown = card_markdown(text, [CardSection("A", [text], "x = 1")])
    html = MarkdownIt("commonmark").render(markdown)  # lets HTML pass, as many readers do
    assert set(re.findall(r"<(\w+)", html)) == {"h1", "h2", "ul", "li", "pre", "code"}
    shown = [unescape(each) for each in re.findall(r"<(?:h1|li)>(.*)</(?:h1|li)>", html)]
    assert shown == [" ".join(text.split())] * 2
