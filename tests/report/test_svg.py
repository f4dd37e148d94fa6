"""SVG for a page: the text is the user's, the ids are its own, the colours the page's."""

import re
from html.parser import HTMLParser

from matplotlib.figure import Figure

from ostinato.report.svg import inline_svg

HOSTILE = """<script>alert(1)</script> "]]>" 'q' & $x^2$ $\\frac$ 中"""


def drawn(text="a", points=(1, 2)):
    figure = Figure(figsize=(3, 2), layout="constrained")
    axes = figure.subplots()
    axes.plot(points, "o-", color="black", markerfacecolor="white")
    axes.set_title(text, parse_math=False)
    return figure


class Reader(HTMLParser):
    """What a browser would make of it: the elements, their attributes and the text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(str(html))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_text_stays_text_letter_by_letter():
    read = Reader(inline_svg(drawn(HOSTILE), "t"))
    assert HOSTILE in read.text
    assert "script" not in read.tags


def test_characters_that_xml_cannot_hold_are_escaped():
    assert "a\\x01b" in Reader(inline_svg(drawn("a\x01b"), "t")).text


def test_title_is_what_a_screen_reader_says():
    read = Reader(inline_svg(drawn(), HOSTILE))
    assert ("aria-label", HOSTILE) in read.attributes
    assert ("role", "img") in read.attributes


def test_same_figure_gives_the_same_bytes():
    assert inline_svg(drawn(), "t") == inline_svg(drawn(), "t")


def test_pictures_share_no_id_and_refer_to_their_own():
    texts = [inline_svg(drawn(), "one"), inline_svg(drawn(), "other"), inline_svg(drawn(points=(2, 1)), "one")]
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in texts]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))
    for text, own in zip(texts, ids, strict=True):
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)) == {
            (name, "") if name[9] == "p" else ("", name) for name in own
        }


def test_black_is_the_pages_ink_and_white_its_ground():
    text = inline_svg(drawn(), "t")
    assert "#000000" not in text and "#ffffff" not in text
    assert "stroke: currentColor" in text and "fill: var(--ground, white)" in text
    assert 'fill="currentColor"' in text  # of what has no colour of its own, as text
    assert "font-family" not in text  # it is the page's


def test_nothing_of_the_picture_reaches_beyond_it():
    read = Reader(inline_svg(drawn(), "t"))
    assert "style" not in read.tags and "metadata" not in read.tags
    assert not [value for _, value in read.attributes if value and "http" in value]
