"""The page's building blocks: text is escaped, markup is not, and the frame asks for nothing else."""

import re
import sys

import pytest
from markupsafe import Markup, escape

from ostinato.errors import MissingExtraError
from ostinato.printable import visible_lines
from ostinato.report import page
from ostinato.report.page import Section, bullets, code, figure, heading, paragraph, render, table

HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(2)>"]]>' {{ 7 * 7 }}"""


@pytest.mark.parametrize(
    "made",
    [
        paragraph(HOSTILE),
        heading(HOSTILE),
        bullets([HOSTILE]),
        code(HOSTILE),
        table([HOSTILE], [["1"]]),
        table(["a"], [[HOSTILE]], numeric=(0,)),
        figure(Markup("<svg></svg>"), HOSTILE),
        Markup(render(HOSTILE, [])),
        Markup(render("t", [Section(HOSTILE, "s", Markup(""))])),
    ],
)
def test_text_is_escaped_everywhere(made):
    assert str(escape(HOSTILE)) in made
    assert "<script" not in made and "<img" not in made


def test_markup_of_blocks_is_taken_as_it_is():
    assert "<li><p>" in re.sub(r"\s", "", bullets([paragraph("a")]))
    assert "<p>a</p>" in render("t", [Section("s", "s", paragraph("a") + paragraph("b"))])


def test_numeric_columns_alone_are_right_aligned():
    text = table(["name", "n"], [["a", 1], ["b", 2]], numeric=(1,))
    assert re.findall(r'<(t[hd])[^>]*class="numeric">([^<]*)', text) == [("th", "n"), ("td", "1"), ("td", "2")]
    assert re.findall(r"<td>([^<]*)", text) == ["a", "b"]


def test_every_section_is_in_the_contents():
    text = render("t", [Section("One", "one", paragraph("a")), Section("Two", "two", paragraph("b"))])
    assert re.findall(r'<a href="#(\w+)">(\w+)</a>', text) == [("one", "One"), ("two", "Two")]
    assert re.findall(r'<section id="(\w+)">\s*<h2>(\w+)</h2>', text) == [("one", "One"), ("two", "Two")]


def test_page_forbids_scripts_and_every_request():
    text = render("t", [])
    assert "Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"" in text
    assert not re.search(r"<script|<link|@import|https?:", text)


def test_missing_jinja2_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page._templates.cache_clear()
    with pytest.raises(MissingExtraError, match="'jinja2'.*ostinato\\[explain\\]"):
        paragraph("a")


def test_control_characters_are_shown_not_sent():
    html = render("a\u202eb", [Section("s\x00", "s", paragraph("x\x1b[2J\u2066y") + table(("h",), [("\x9b\ud800",)]))])
    assert visible_lines(html) == html
    for shown in (r"a\u202eb", r"s\x00", r"x\x1b[2J\u2066y", r"\x9b\ud800"):
        assert shown in html
