"""The report in Chromium: it shows users' text without running it, loads nothing and fits a phone."""

import csv
import importlib.util
import shutil
from dataclasses import replace

import pytest

from ostinato import runs
from ostinato.report.page import Section, bullets, code, paragraph, table
from ostinato.runs.report import report_run
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.config import parse_config

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = " and ".join(
    name
    for name, there in {"chromium": CHROMIUM, "playwright": importlib.util.find_spec("playwright")}.items()
    if not there
)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not installed: see .ci/run")]

RUN = "window.ran = 1; alert(1)"
LABELS = [f"<script>{RUN}</script>", f'<img src=x onerror="{RUN}"> "]]>" $x^2$ {{{{ 7 * 7 }}}}']
TEXT = (
    f"""</p></td></code></pre></svg></style><script>{RUN}</script><img src=http://localhost/x onerror='{RUN}'> "]]>" """
    + "long" * 200
)
NAME = "run <img src=x onerror=ran=1>"

SEEN = """() => ({
    ran: window.ran ?? null,
    foreign: [...document.querySelectorAll("script, img, iframe, object, embed, link, form")]
        .map(element => element.tagName),
    handlers: [...document.querySelectorAll("*")]
        .flatMap(element => element.getAttributeNames()).filter(name => name.startsWith("on")),
    title: document.title,
    text: document.body.textContent,
    fits: document.documentElement.scrollWidth <= innerWidth,
    sections: document.querySelectorAll("main > section").length,
})"""
# of each element with its own text: the contrast between its colour and the background
CONTRASTS = """() => {
    const channel = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const parse = colour => colour.match(/[\\d.]+/g).map(Number);
    const luminance = colour => {
        const [r, g, b] = colour.map(part => channel(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const ground = parse(getComputedStyle(document.body).backgroundColor);
    const inset = parse(getComputedStyle(document.querySelector("pre")).backgroundColor);
    const own = element => [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    return [...document.querySelectorAll("body *")].filter(own).map(element => {
        const drawn = element.closest("svg"), style = getComputedStyle(element);
        const base = element.closest("pre") ? inset : ground;
        const [r, g, b, alpha = 1] = parse(style.backgroundColor);
        const behind = [r, g, b].map((part, index) => part * alpha + base[index] * (1 - alpha));
        return [element.tagName, contrast(luminance(parse(drawn ? style.fill : style.color)), luminance(behind))];
    });
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a run with hostile labels, file name, folder and sequences."""
    folder = tmp_path_factory.mktemp("runs")
    file = folder / "data <script>ran=1.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = [
            (f"{word} w{number} <script>{RUN}</script>", LABELS[number % 2])
            for number, word in enumerate(["good", "bad"] * 60)
        ]
        csv.writer(stream).writerows([("text", "label"), *rows])
    data = {"path": str(file), "tokenizer": "words", "test_size": 0.3, "validation_size": 0.2}
    sizes = {"cell": "rnn", "hidden_size": 4, "embedding_size": 2}
    training = {"max_epochs": 2, "device": "cpu"}
    runs.start_run(
        parse_config({"task": "classification", "data": data, "model": sizes, "training": training}), folder / NAME
    )
    ours = Section(TEXT, "own", paragraph(TEXT) + bullets([TEXT]) + table([TEXT] * 6, [[TEXT] * 6]) + code(TEXT))

    def report_with_ours(self, *arguments):
        found = report(self, *arguments)
        return replace(found, sections=[*found.sections, ours])

    report = Classification.report
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classification, "report", report_with_ours)
        return report_run(folder / NAME)


@pytest.fixture
def open_page(browser, report):
    """A function that opens the report, and lists its requests, dialogs, errors and console messages."""
    opened = []

    def open_(width=1280, scheme="light", path=report, **options):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        opened.append(page)
        noticed = []
        page.on("dialog", lambda dialog: (noticed.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: noticed.append(request.url) if request.url != path.as_uri() else None)
        page.on("pageerror", lambda error: noticed.append(str(error)))
        page.on("console", lambda message: noticed.append(message.text))
        page.goto(path.as_uri())
        return page, noticed

    yield open_
    for page in opened:
        page.close()


@pytest.mark.parametrize("width", [1280, 360])
def test_what_users_wrote_is_shown_and_not_run_in_browser(open_page, width):
    page, noticed = open_page(width)
    seen = page.evaluate(SEEN)
    assert noticed == []
    assert (seen["ran"], seen["foreign"], seen["handlers"]) == (None, [], [])
    assert seen["title"] == f"Report of {NAME}"
    for text in (*LABELS, TEXT, NAME, "data <script>ran=1.csv"):
        assert text in seen["text"]
    assert seen["sections"] == 18
    assert f"<script>{RUN}</script>" in page.locator("#examples .explanation").first.text_content()


def test_label_is_drawn_as_text_in_figures_in_browser(open_page):
    page, _ = open_page()
    drawn = page.evaluate("() => [...document.querySelectorAll('svg text')].map(element => element.textContent)")
    assert f"{LABELS[0][:23]}…" in drawn and f"{LABELS[1][:23]}…" in drawn


@pytest.mark.parametrize("width", [1280, 360])
def test_page_never_scrolls_sideways_in_browser(open_page, width):
    page, _ = open_page(width)
    assert page.evaluate(SEEN)["fits"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_browser(open_page, scheme):
    page, _ = open_page(scheme=scheme)
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 17, 17)"}[scheme]
    contrasts = page.evaluate(CONTRASTS)
    assert {"P", "TD", "SPAN", "FIGCAPTION", "text", "CODE", "A"} <= {tag for tag, _ in contrasts}
    assert [each for each in contrasts if each[1] < 4.5] == []  # WCAG 2.2, level AA


def test_printed_page_is_black_on_white_and_cuts_nothing_off_in_browser(open_page):
    page, _ = open_page(width=700, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("() => getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.evaluate("() => getComputedStyle(document.querySelector('pre')).whiteSpaceCollapse") == "preserve"
    assert page.evaluate(
        "() => [...document.querySelectorAll('pre')].every(element => element.scrollWidth <= element.clientWidth)"
    )
    assert page.pdf().startswith(b"%PDF")


def test_reading_needs_no_script_in_browser(open_page):
    with_scripts, _ = open_page()
    without, _ = open_page(java_script_enabled=False)
    assert without.inner_text("main") == with_scripts.inner_text("main")


def test_browser_test_notices_a_script_that_runs_in_browser(open_page, tmp_path):
    page = tmp_path / "unsafe.html"
    page.write_text(f"<pre></pre><script>{RUN}</script><img src='http://localhost:9/x'>")
    opened, noticed = open_page(path=page)
    assert opened.evaluate(SEEN)["ran"] == 1
    assert {"1", "http://localhost:9/x"} <= set(noticed)
