"""The web page in Chromium, against a service of its own with tiny models."""

import csv
import importlib.util
import json
import random
import shutil
import subprocess
import sys
import urllib.request

import pytest

from ostinato import runs
from ostinato.tasks.config import override, parse_config

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = " and ".join(
    name
    for name, there in {"chromium": CHROMIUM, "playwright": importlib.util.find_spec("playwright")}.items()
    if not there
)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} not installed: see .ci/run")]

SMALL = ["model.hidden_size=4", "model.embedding_size=3", "training.max_epochs=3", "training.device=cpu"]
HOSTILE = "<script>window.ran = 1</script> <img src=x onerror=window.ran=1> \u202egood\u202c 😀 bad"
TOKEN = "0123456789abcdef0123"
# of each visible element with its own text: its tag, text, and the contrast between its colour and what lies behind
CONTRASTS = """() => {
    const parse = colour => {
        const [r, g, b, alpha = 1] = colour.match(/[\\d.]+(e-\\d+)?/g).map(Number);
        return [...[r, g, b].map(part => colour.startsWith("color(") ? 255 * part : part), alpha];
    };
    const over = (top, below) => [0, 1, 2].map(part => top[part] * top[3] + below[part] * (1 - top[3])).concat(1);
    const behind = element => {
        const own = parse(getComputedStyle(element).backgroundColor);
        return own[3] === 1 || !element.parentElement ? own : over(own, behind(element.parentElement));
    };
    const channel = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) =>
        0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
    const contrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const own = element => [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    return [...document.querySelectorAll("body *")]
        .filter(element => own(element) && element.checkVisibility() && !element.matches(":disabled, :disabled *"))
        .map(element => [
            element.tagName, element.textContent.slice(0, 40),
            contrast(luminance(parse(getComputedStyle(element).color)), luminance(behind(element))),
        ]);
}"""


def write_reviews(path):
    rng = random.Random(0)
    rows = [(f"{rng.choice(['good', 'bad'])} w{number} z{rng.randrange(9)}", rng.choice("ab")) for number in range(80)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])


def write_series(path):
    rng = random.Random(0)
    rows = [
        {"text": [[rng.random(), level + rng.random()] for _ in range(12)], "label": "high" if level else "low"}
        for level in [0, 5] * 30
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_sentences(path):
    tags = {"Ada": "B-PER", "Oslo": "B-LOC"}
    rng = random.Random(0)
    sentences = [[rng.choice(["Ada", "left", "Oslo", "today"]) for _ in range(rng.randint(3, 9))] for _ in range(60)]
    rows = [{"tokens": words, "tags": [tags.get(word, "O") for word in words]} for words in sentences]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_columns(path):
    words = ["Ada NNP B-PER\n", "left VBD O\n", "Oslo NNP B-LOC\n"]
    rng = random.Random(0)
    path.write_text("\n".join("".join(rng.choices(words, k=rng.randint(3, 9))) for _ in range(60)), encoding="utf-8")


def write_targets(path):
    rng = random.Random(0)
    rows = [f"w{rng.randrange(9)} z{row},{rng.random()},{rng.random()}\n" for row in range(60)]
    path.write_text("text,warm,wet\n" + "".join(rows), encoding="utf-8")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The run folder of each model."""
    folder = tmp_path_factory.mktemp("runs")
    write_reviews(folder / "reviews.csv")
    write_series(folder / "series.jsonl")
    write_sentences(folder / "tags.jsonl")
    write_columns(folder / "tags.conll")
    write_targets(folder / "targets.csv")
    reviews = {"path": str(folder / "reviews.csv"), "tokenizer": "words"}
    sizes = ["data.train_size=60", "data.validation_size=30", "data.test_size=30"]
    series = {"path": str(folder / "series.jsonl"), "tokenizer": "numeric"}
    dna = {"name": "dna-motif"}
    two_ways = ["model.bidirectional=true", "model.num_layers=2", "model.cell=lstm", 'model.pooling=["attention"]']
    configs = {
        "reviews": ("classification", reviews, two_ways),
        "small": ("classification", reviews, ["model.cell=rnn"]),
        "linear": ("classification", reviews, ["model.cell=none", "model.wide=ngrams"]),
        "dna": ("classification", dna, sizes),
        "names": ("tagging", {"path": str(folder / "tags.jsonl")}, ["training.max_epochs=30", "training.lr=0.01"]),
        "series": ("classification", series, ["model.cell=gru"]),
        "features": ("tagging", {"path": str(folder / "tags.conll"), "feature_columns": ["1"]}, []),
        "targets": ("regression", {"path": str(folder / "targets.csv"), "target_columns": ["warm", "wet"]}, []),
        "count": ("regression", {"name": "count-ones"}, sizes),
        "motifs": ("multilabel", {"name": "dna-motifs"}, sizes),
    }
    for name, (task, data, settings) in configs.items():
        config = override(parse_config({"task": task, "data": data}), [*SMALL, *settings])
        runs.start_run(config, folder / name)
    return {name: folder / name for name in configs}


class Service:
    """`ostinato serve` in a process of its own."""

    def __init__(self, models, *options):
        arguments = [f"{name}={folder}" for name, folder in models.items()]
        command = [sys.executable, "-m", "ostinato", "serve", *arguments, "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()  # "Serving … at http://127.0.0.1:PORT"
        self.address = line.split()[-1]

    def ask(self, path, **body):
        request = urllib.request.Request(self.address + path, json.dumps(body).encode() if body else None)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def stop(self):
        self.process.kill()  # draining is tested elsewhere, and waits for the browser's connections
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def service(models):
    running = Service(models)
    yield running
    running.stop()


class Opened:
    """The page, and everything that must not happen on it: errors, dialogs, requests to other hosts."""

    def __init__(self, page, address):
        self.page, self.faults = page, []
        page.on("console", lambda message: self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda made: made.url.startswith(address) or self.faults.append(made.url))
        page.goto(address)

    def choose(self, model, second=None):
        self.page.wait_for_selector("#model:enabled")
        self.page.select_option("#model", model)
        if second:
            self.page.select_option("#second", second)

    def type(self, text):
        self.page.fill("#text", text)
        self.settle()

    def settle(self):
        """Wait until the answers to the last input are there."""
        self.page.wait_for_selector(".view")
        self.page.wait_for_selector('.view:not([aria-busy="false"])', state="detached")

    def bars(self, where=".answer"):
        """The percentages by label."""
        found = self.page.locator(f"{where} .bars li")
        return {row.locator("bdi").inner_text(): row.locator(".value").inner_text() for row in found.all()}

    def step_to(self, step):
        self.page.locator(".controls input").first.fill(str(step))


@pytest.fixture
def open_page(browser, service):
    """A function that opens the page; afterwards, nothing forbidden may have happened."""
    opened = []

    def open_(width=1400, scheme="light", address=service.address, checked=True):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append((page, Opened(page, address), checked))
        return opened[-1][1]

    yield open_
    for page, seen, checked in opened:
        page.close()
        assert not checked or seen.faults == []


def percent(probability):
    if probability < 0.0005:
        return "<0.1%"
    return ">99.9%" if probability > 0.9995 else f"{probability:.1%}"


def fits(page):
    return page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


# What is typed is answered


def test_typed_text_gets_the_answer_of_predict_in_browser(open_page, service):
    opened = open_page()
    opened.choose("reviews")
    opened.type("good w1 z3")
    answer = service.ask("/predict", model="reviews", input="good w1 z3")["answer"]
    assert opened.page.inner_text(".headline strong") == answer["label"]
    assert opened.bars() == {label: percent(value) for label, value in answer["probabilities"].items()}
    assert answer["label"] in opened.page.text_content("#said")


def test_newest_input_wins_in_browser(open_page, service):
    opened = open_page()
    opened.choose("small")
    opened.settle()
    held = []

    def hold_first(route):
        held.append(route) if "first" in route.request.post_data else route.continue_()

    opened.page.route("**/predict", hold_first)
    with opened.page.expect_request("**/predict"):
        opened.page.fill("#text", "first")
    opened.type("good w2")
    assert len(held) == 1
    held[0].fulfill(json={"model": "small", "answer": {"label": "old", "probabilities": {"old": 1}}})
    opened.page.wait_for_timeout(100)
    label = service.ask("/predict", model="small", input="good w2")["answer"]["label"]
    assert opened.page.inner_text(".headline strong") == label


def test_several_labels_are_shown_in_browser(open_page, service):
    opened = open_page()
    opened.choose("motifs")
    opened.type("ACGTACGTTATAATGCCC")
    answer = service.ask("/predict", model="motifs", input="ACGTACGTTATAATGCCC")["answer"]
    assert opened.bars() == {label: percent(value) for label, value in answer["probabilities"].items()}
    predicted = opened.page.locator(".answer .predicted bdi").all_inner_texts()
    assert sorted(predicted) == sorted(answer["labels"])


def test_a_linear_model_is_called_one_in_browser(open_page):
    opened = open_page()
    opened.choose("linear")
    opened.type("good w2")
    facts = opened.page.inner_text(".view")
    assert "linear model" in facts and "unit" not in facts


def test_predicted_number_is_shown_in_browser(open_page, service):
    opened = open_page()
    opened.choose("count")
    opened.type("1011")
    answer = service.ask("/predict", model="count", input="1011")["answer"]
    shown = opened.page.inner_text(".headline strong").replace("−", "-")
    assert float(shown) == pytest.approx(answer["prediction"], rel=1e-3)


def test_several_predicted_numbers_are_shown_in_browser(open_page, service):
    opened = open_page()
    opened.choose("targets")
    opened.type("w1 w2")
    answer = service.ask("/predict", model="targets", input="w1 w2")["answer"]
    rows = opened.page.locator(".answer tbody tr")
    assert rows.locator("th").all_inner_texts() == ["warm", "wet"]
    shown = [float(cell.replace("−", "-")) for cell in rows.locator("td:nth-child(2)").all_inner_texts()]
    assert shown == pytest.approx(list(answer["predictions"].values()), rel=1e-3)
    opened.page.get_by_label("Explain").select_option(label="wet")
    opened.settle()
    assert "Explains wet (" in opened.page.inner_text(".view")


def test_entities_are_marked_in_browser(open_page, service):
    opened = open_page()
    opened.choose("names")
    text = "😀 Ada left  Oslo today"  # an emoji is one character in Python, and two units in JavaScript
    opened.type(text)
    answer = service.ask("/predict", model="names", input=text)["answer"]
    assert answer["spans"]
    marks = opened.page.locator("mark bdi").all_inner_texts()
    assert marks == [text[span["start"] : span["end"]] for span in answer["spans"]]
    assert opened.page.locator(".steps-section").is_hidden()


def test_words_with_features_are_written_as_json_in_browser(open_page, service):
    opened = open_page()
    opened.choose("features")
    opened.settle()
    examples = {each["name"]: each["examples"] for each in service.ask("/models")["models"]}
    assert json.loads(opened.page.input_value("#text")) == examples["features"][0]
    words = [["Ada", "NNP"], ["left", "VBD"]]
    opened.type(json.dumps(words))
    answer = service.ask("/predict", model="features", input=words)["answer"]
    assert opened.page.locator("mark").count() == len(answer["spans"])
    opened.type('[["Ada", "NNP"]')
    assert "not JSON" in opened.page.inner_text("#refused")


def test_example_is_answered_by_one_click_in_browser(open_page, service):
    opened = open_page()
    opened.choose("dna")
    opened.settle()
    examples = next(each["examples"] for each in service.ask("/models")["models"] if each["name"] == "dna")
    opened.page.locator(".example").nth(1).click()
    opened.settle()
    assert opened.page.input_value("#text") == examples[1]
    answer = service.ask("/predict", model="dna", input=examples[1])["answer"]
    assert opened.bars() == {label: percent(value) for label, value in answer["probabilities"].items()}


# Explanations


def test_contributions_are_those_of_explain_in_browser(open_page, service):
    opened = open_page()
    opened.choose("reviews")
    opened.type("😀 good w1")
    for method in ("integrated-gradients", "attention"):
        opened.page.get_by_label("Method").select_option(method)
        opened.settle()
        found = service.ask("/explain", model="reviews", input="😀 good w1", method=method)["explanation"]
        names = opened.page.locator("[role=option].token").evaluate_all("all => all.map(each => each.ariaLabel)")
        shown = [float(name.rsplit(": ", 1)[1].split()[0].replace("−", "-")) for name in names]
        assert shown == pytest.approx(found["scores"], rel=1e-3)
        assert [name[1 : name.index("”")] for name in names] == ["😀", "good", "w1"]


def test_keys_move_from_token_to_token_in_browser(open_page):
    opened = open_page()
    opened.choose("small")
    opened.type("good w1 z3")
    tokens = opened.page.locator("[role=listbox]")
    tokens.focus()
    tokens.press("End")
    tokens.press("ArrowLeft")
    assert opened.page.inner_text(".readout").startswith("“w1”, token 2 of 3: ")
    assert opened.page.locator("[aria-selected=true]").inner_text() == "w1"


def test_windows_of_dna_with_the_largest_sum_are_marked_in_browser(open_page, service):
    opened = open_page()
    opened.choose("dna")
    opened.type("ACGTTGCAACGTAGCTAGCATCGACTAGCATCAG")
    found = service.ask("/explain", model="dna", input="ACGTTGCAACGTAGCTAGCATCGACTAGCATCAG")["explanation"]
    sums = [sum(found["scores"][start : start + 8]) for start in range(len(found["scores"]) - 7)]
    best = max(range(len(sums)), key=sums.__getitem__)
    first = opened.page.locator(".strongest tbody tr").first
    position, score = first.locator("td").all_inner_texts()
    assert position == f"{best + 1}–{best + 8}"
    assert float(score.replace("−", "-")) == pytest.approx(sums[best], rel=1e-3)
    marked = opened.page.locator(".letters .token").evaluate_all(
        "all => all.flatMap((each, at) => each.classList.contains('motif') ? [at] : [])"
    )
    assert set(range(best, best + 8)) <= set(marked)


# Step by step


def test_slider_shows_the_running_answer_of_trace_in_browser(open_page, service):
    opened = open_page()
    opened.choose("reviews")
    opened.type("good w1 bad z3 w7")
    trace = service.ask("/trace", model="reviews", input="good w1 bad z3 w7", layer=2, direction="forwards")
    for step in (0, 2, 4):
        opened.step_to(step)
        expected = {label: percent(trace["running"][step][at]) for at, label in enumerate(trace["labels"])}
        assert opened.bars(".steps-section") == expected
        assert trace["tokens"][step] in opened.page.inner_text(".position")
        assert f"{trace['layers'][0]['means']['f'][step]:.4g}" in opened.page.inner_text(".means")


def test_layer_and_direction_change_the_states_in_browser(open_page, service):
    opened = open_page()
    opened.choose("reviews")
    opened.type("good w1 bad")
    opened.page.get_by_label("Layer").select_option("1")
    opened.page.get_by_label("Direction").select_option("backwards")
    opened.settle()
    trace = service.ask("/trace", model="reviews", input="good w1 bad", layer=1, direction="backwards")
    opened.page.get_by_text("Every unit at this step").click()
    opened.page.locator(".units tbody tr").first.wait_for()
    rows = opened.page.locator(".units tbody tr td:nth-child(2)").all_inner_texts()
    assert [float(cell.replace("−", "-")) for cell in rows] == pytest.approx(trace["layers"][0]["hidden"][2], rel=1e-3)


def test_play_walks_to_the_end_in_browser(open_page):
    opened = open_page()
    opened.choose("small")
    opened.type("good w1 bad")
    opened.page.get_by_role("button", name="Play").click()
    assert opened.page.inner_text(".position").startswith("Step 1 of 3")
    opened.page.get_by_role("button", name="Pause").wait_for()
    opened.page.get_by_role("button", name="Play").wait_for()
    assert opened.page.inner_text(".position").startswith("Step 3 of 3")


def test_state_is_drawn_in_browser(open_page):
    opened = open_page()
    opened.choose("small")
    opened.type("good w1 bad")
    colours = opened.page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas");
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return [canvas.width, canvas.height, new Set(Array.from({ length: data.length / 4 }, (_, at) =>
                data.slice(4 * at, 4 * at + 3).join())).size];
        }"""
    )
    assert colours[:2] == [3, 4] and colours[2] > 6  # 3 steps × 4 units


# Two models


def test_two_models_answer_the_same_input_in_browser(open_page, service):
    opened = open_page()
    opened.choose("reviews", "small")
    opened.type("good w1 bad z3")
    answers = [service.ask("/predict", model=name, input="good w1 bad z3")["answer"] for name in ("reviews", "small")]
    assert opened.page.locator(".headline strong").all_inner_texts() == [answer["label"] for answer in answers]
    same = answers[0]["label"] == answers[1]["label"]
    assert opened.page.inner_text("#comparison").startswith("Both answer" if same else "The models disagree")
    opened.step_to(1)
    assert [each[:11] for each in opened.page.locator(".position").all_inner_texts()] == ["Step 2 of 4"] * 2


def test_only_models_of_the_same_kind_are_compared_in_browser(open_page):
    opened = open_page()
    opened.choose("reviews")
    offered = opened.page.locator("#second option").evaluate_all("all => all.map(each => each.value)")
    assert offered == ["", "small", "linear", "names", "targets", "count"]  # not those with features, DNA or series


# A series


def test_drawing_changes_the_series_in_browser(open_page, service):
    opened = open_page()
    opened.choose("series")
    opened.settle()
    surface = opened.page.locator(".surface").nth(1)
    box = surface.bounding_box()
    opened.page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 1, steps=3)
    opened.page.mouse.up()
    opened.settle()
    opened.page.get_by_text("Numbers", exact=True).click()
    series = [list(map(float, line.split(","))) for line in opened.page.input_value("#series textarea").split("\n")]
    drawn = [step[1] for step in series]
    assert drawn == sorted(drawn) and drawn[-1] > drawn[0]
    answer = service.ask("/predict", model="series", input=series)["answer"]
    assert opened.bars() == {label: percent(value) for label, value in answer["probabilities"].items()}


def test_keys_change_the_series_in_browser(open_page):
    opened = open_page()
    opened.choose("series")
    opened.page.get_by_text("Numbers", exact=True).click()
    opened.page.fill("#series textarea", "0, 0\n0, 10\n0, 0")
    surface = opened.page.locator(".surface").nth(1)
    surface.focus()
    surface.press("ArrowRight")
    for _ in range(4):
        surface.press("ArrowDown")
    assert opened.page.input_value("#series textarea") == "0, 0\n0, 8.5\n0, 0"  # 10 less 4 fortieths of −2.5 … 12.5
    assert opened.page.inner_text("#series .readout") == "Channel 2, step 2 of 3: 8.5"


def test_wrong_number_is_named_in_browser(open_page):
    opened = open_page()
    opened.choose("series")
    opened.page.get_by_text("Numbers", exact=True).click()
    opened.page.fill("#series textarea", "0, 0\n0, ten")
    message = opened.page.inner_text("#series .refused")
    assert "Line 2" in message and "ten" in message


# Nothing breaks the page


@pytest.mark.parametrize("model", ["reviews", "dna", "names"])
def test_hostile_text_is_shown_and_not_run_in_browser(open_page, model):
    opened = open_page(390)
    opened.choose(model)
    opened.type(HOSTILE)
    assert opened.page.evaluate("() => window.ran ?? null") is None
    assert opened.page.locator("main img, main script").count() == 0
    assert "\u202e" not in opened.page.inner_text("#results")
    assert "\\u202e" in opened.page.inner_text("#results")
    assert fits(opened.page)


def test_half_of_a_surrogate_pair_is_answered_in_browser(open_page):
    opened = open_page()
    opened.choose("small")
    opened.page.evaluate(
        """() => {
            const text = document.getElementById("text");
            text.value = "good \\ud800 bad";
            text.dispatchEvent(new Event("input"));
        }"""
    )
    opened.settle()
    assert opened.page.locator("[role=option].token").all_inner_texts() == ["good", "\\ud800", "bad"]


def test_beginning_of_a_long_text_is_explained_in_browser(open_page, service):
    opened = open_page()
    opened.choose("small")
    text = "good bad " * 5000
    opened.type(text)
    answer = service.ask("/predict", model="small", input=text)["answer"]
    assert opened.bars() == {label: percent(value) for label, value in answer["probabilities"].items()}
    assert "first 2,000 tokens" in opened.page.inner_text(".view")
    assert opened.page.locator("[role=option].token").count() == 2000


def test_empty_input_is_no_error_in_browser(open_page):
    opened = open_page()
    opened.choose("small")
    opened.type("good")
    opened.type("  ")
    assert opened.page.inner_text(".answer") == "The input is empty."
    assert opened.page.locator(".token").count() == 0


@pytest.mark.parametrize("path", ["predict", "explain", "trace"])
def test_refusal_is_shown_as_text_in_its_place_in_browser(open_page, path):
    opened = open_page(checked=False)  # the browser itself reports status 429
    opened.choose("small")
    error = {"error": "Too many requests. <img src=x onerror=window.ran=1>"}
    opened.page.route(f"**/{path}", lambda route: route.fulfill(status=429, json=error))
    opened.type("good w1")
    sections = opened.page.locator(".view > section").all_inner_texts()
    at = ["predict", "explain", "trace"].index(path)
    assert ["Too many requests. <img" in text for text in sections] == [place == at for place in range(3)]
    assert opened.page.evaluate("() => window.ran ?? null") is None


def test_input_survives_a_dead_server_in_browser(open_page, service):
    opened = open_page(checked=False)  # the browser itself reports that it is offline
    opened.choose("small")
    opened.type("good w1")
    opened.page.context.set_offline(True)
    opened.type("bad w2")
    assert opened.page.locator("#lost").is_visible()
    assert opened.page.locator(".headline").count() == 0  # the answer to the older input is gone
    assert opened.page.input_value("#text") == "bad w2"
    opened.page.context.set_offline(False)
    opened.page.get_by_role("button", name="Try again").click()
    opened.settle()
    assert opened.page.locator("#lost").is_hidden()
    label = service.ask("/predict", model="small", input="bad w2")["answer"]["label"]
    assert opened.page.inner_text(".headline strong") == label
    assert opened.page.locator("[role=option].token").all_inner_texts() == ["bad", "w2"]


def test_token_is_asked_for_and_not_stored_in_browser(open_page, models, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    service = Service({"small": models["small"]}, "--token-file", str(tmp_path / "token"))
    try:
        opened = open_page(address=service.address, checked=False)  # the browser itself reports status 401
        for title, token in {"This service requires a token": "wrong", "The service did not accept": TOKEN}.items():
            opened.page.locator("#login[open]").get_by_text(title).wait_for()
            opened.page.fill("#token", token)
            opened.page.keyboard.press("Enter")
        opened.choose("small")
        opened.type("good w1")
        assert opened.page.locator(".headline").is_visible()
        stored = "() => [localStorage.length, sessionStorage.length, document.cookie]"
        assert opened.page.evaluate(stored) == [0, 0, ""]
    finally:
        service.stop()


# Everybody can use it


def test_keyboard_alone_is_enough_in_browser(open_page):
    opened = open_page()
    page = opened.page
    page.wait_for_selector("#model:enabled")
    reached = []
    while "range" not in reached and len(reached) < 60:
        page.keyboard.press("Tab")
        focused = page.evaluate("() => [document.activeElement.id, document.activeElement.type]")
        reached += [name for name in focused if name]
        if focused[0] == "text":
            page.keyboard.press("Control+A")
            page.keyboard.type("good w1 bad z3")
            opened.settle()
    assert [name for name in reached if name in ("model", "second", "text")] == ["model", "second", "text"]
    page.keyboard.press("Home")
    assert page.inner_text(".position").startswith("Step 1 of ")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".position").startswith("Step 2 of ")
    page.keyboard.press("End")
    assert page.inner_text(".position").startswith("Step 4 of 4")


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("model", ["reviews", "dna", "names", "series", "count", "motifs"])
def test_page_never_scrolls_sideways_in_browser(open_page, width, model):
    opened = open_page(width)
    opened.choose(model)
    if model != "series":
        opened.type("ACGT" * 50)
    opened.settle()
    assert fits(opened.page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_browser(open_page, scheme):
    opened = open_page(scheme=scheme)
    opened.choose("reviews", "small")
    opened.type("good w1 bad z3")
    contrasts = opened.page.evaluate(CONTRASTS)
    opened.choose("names")
    opened.type("Ada left Oslo")
    contrasts += opened.page.evaluate(CONTRASTS)
    assert {"H1", "P", "TH", "TD", "SPAN", "BUTTON", "BDI", "STRONG"} <= {tag for tag, *_ in contrasts}
    assert [each for each in contrasts if each[2] < 4.5] == []  # WCAG 2.2, level AA


def test_input_does_not_move_when_answers_come_in_browser(open_page):
    opened = open_page(390)
    opened.choose("small")
    opened.settle()
    before = opened.page.locator("#text").bounding_box()
    opened.type("good w1")
    opened.type(HOSTILE)
    assert opened.page.locator("#text").bounding_box() == before


def test_page_is_served_under_a_strict_content_policy(service):
    with urllib.request.urlopen(service.address + "/", timeout=30) as reply:
        policy = reply.headers["Content-Security-Policy"]
    assert "unsafe" not in policy and "'self'" in policy
