"""The report of a tagger's run: complete, reproducible, in agreement with its metrics, and safe with any words."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ostinato import runs
from ostinato.data.examples import Sentence
from ostinato.errors import RunError
from ostinato.runs.report import read_run, report_run
from ostinato.tasks.config import override, parse_config
from ostinato.tasks.tagging import report as reporting
from ostinato.tasks.tagging.answers import Answer
from ostinato.tasks.tagging.metrics import TaggingMetrics, TypeScores
from ostinato.tasks.tagging.report import limits, read_audit
from ostinato.tasks.tagging.report_evidence import Found, collect_confusions, typical_and_unsure, worst_mistakes
from ostinato.tasks.tagging.scoring import Predictions
from ostinato.tasks.tagging.task import Tagging

SCRIPT = "<script>alert(1)</script>"
PEOPLE, PLACES, VERBS = ["Ada", "Ben", "Cid", "Dora"], ["Lima", "Oslo", "Rome", "Bonn"], ["left", "saw", "likes"]
ROWS = [(person, verb, place) for person in PEOPLE for verb in VERBS for place in PLACES]
CONLL = "".join(f"{person} B-PER\n{verb} O\n{place} B-LOC\n{SCRIPT} O\n\n" for person, verb, place in ROWS)
SECTIONS = [
    *("result", "data", "training", "metrics", "entities", "confusions"),
    *("examples", "faithfulness", "mistakes"),
    *("model-card", "configuration", "environment", "reproduce"),
]
GOLDEN = Path(__file__).parents[2] / "golden" / "v0_1"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("tagged") / "rows.conll"
    file.write_text(CONLL, encoding="utf-8")
    sizes = {"cell": "lstm", "bidirectional": True, "hidden_size": 4, "embedding_size": 4, "word_shape_size": 2}
    return parse_config(
        {
            "task": "tagging",
            "data": {"path": str(file), "validation_size": 8, "test_size": 10},
            "model": {**sizes, "head": "crf"},
            "training": {"max_epochs": 4, "lr": 2e-2, "batch_size": 8, "device": "cpu"},
        }
    )


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tagger"
    runs.start_run(config, folder)
    report_run(folder)
    return folder


@pytest.fixture(scope="module")
def run(finished):
    return read_run(finished)


@pytest.fixture
def page(finished):
    return (finished / "report.html").read_text(encoding="utf-8")


def section_of(page, name):
    return re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL).group()


def cells(html):
    return [found for found in (re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in html.split("<tr>")) if found]


def predictions_of(words, tags, predicted, sources=None):
    rows = len(words)
    sources = sources or [f"/data/x.conll, line {row}" for row in range(rows)]
    return Predictions(sources, words, tags, predicted, [[] for _ in range(rows)])


def test_every_section_occurs_once_and_the_page_loads_nothing(page, finished):
    assert re.findall(r'<section id="([^"]+)"', page) == SECTIONS
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert {path.suffix for path in (finished / "figures").iterdir()} == {".png", ".svg"}
    assert (finished / "model_card.md").read_text(encoding="utf-8").startswith("# Model card of tagger")


def test_a_script_among_the_words_is_shown_and_not_run(page):
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_same_run_gives_the_same_bytes(finished, page):
    report_run(finished)
    assert (finished / "report.html").read_text(encoding="utf-8") == page


def test_metrics_are_listed_next_to_those_of_the_baselines(page, run):
    test, baselines = run.metrics["test"], run.metrics["baselines"]
    rows = cells(section_of(page, "metrics"))
    expected = ["entity F1"]
    for each in (test, baselines["linear"], baselines["commonest"]):
        low, high = each["intervals"]["f1"]
        expected += [f"{each['f1']:.3f}", f"{low:.3f} to {high:.3f}"]
    assert expected in rows
    assert ["calibration error (lower is better)", f"{test['ece']:.3f}", "", "–", "", "–", ""] in rows
    assert any(row[0] == "tag accuracy on unknown words" for row in rows)
    (row,) = [row for row in cells(section_of(page, "entities")) if row[0] == "LOC"]
    loc = test["by_type"]["LOC"]
    assert row[1:5] == [f"{loc['precision']:.3f}", f"{loc['recall']:.3f}", f"{loc['f1']:.3f}", str(loc["support"])]
    assert "iob2" in section_of(page, "entities")


def test_data_are_counted_by_split(page, run):
    rows = cells(section_of(page, "data"))
    counts = [run.audit["splits"][split] for split in ("train", "validation", "test")]
    assert ["sentences", *(str(each["sentences"]) for each in counts)] in rows
    assert ["entities LOC", *(str(each["entities"]["LOC"]) for each in counts)] in rows


def test_every_explanation_is_shown_with_the_effect_of_masking(page):
    shown = section_of(page, "examples") + section_of(page, "mistakes")
    assert shown.count('class="explanation"') == len(re.findall(r"<p>Masking the top-ranked|<p>There is no", shown)) > 0
    assert len(cells(section_of(page, "faithfulness"))) == 3


def test_confusions_come_with_sentences_from_all_over_the_split():
    words = [f"w{number}" for number in range(20)]
    predicted = ["O"] * 10 + ["B-LOC"] + ["O"] * 9
    predictions = predictions_of([words] * 5, [["O"] * 20] * 5, [predicted] * 5)
    (found,) = collect_confusions(predictions, [("O", "B-LOC", 5)])
    assert found == ("O", "B-LOC", 5, [(0, 10), (2, 10), (4, 10)])


def test_a_confusion_is_shown_with_the_words_around_it():
    predictions = predictions_of([["a", "<b>", "c"]], [["O", "B-LOC", "O"]], [["O", "O", "O"]])
    body = reporting._confusions(collect_confusions(predictions, [("B-LOC", "O", 1)]), predictions)
    assert "B-LOC predicted as O: 1 token" in body
    assert "a <strong>&lt;b&gt;</strong> c <small>(x.conll, line 0)</small>" in body


def test_run_without_entities_is_reported(config, tmp_path):
    folder, file = tmp_path / "plain", tmp_path / "plain.conll"
    file.write_text(CONLL.replace("B-PER", "NOUN").replace("B-LOC", "PROPN").replace(" O\n", " X\n"), encoding="utf-8")
    runs.start_run(override(config, [f'data.path="{file}"', "data.test_size=4", "training.max_epochs=1"]), folder)
    page = report_run(folder).read_text(encoding="utf-8")
    assert 'id="entities"' not in page and "tag accuracy" in page and "3 tags: NOUN, PROPN, X." in page


def test_run_without_validation_and_test_splits_is_reported(config, tmp_path):
    settings = ["data.test_size=0", "data.validation_size=0", "training.patience=none", "training.max_epochs=1"]
    runs.start_run(override(config, settings), tmp_path / "alone")
    page = report_run(tmp_path / "alone").read_text(encoding="utf-8")
    assert "no test split" in page and "no validation split" in page and 'id="examples"' not in page


def test_limits_follow_from_metrics_and_data(run):
    scores, audit = run.read_scores(TaggingMetrics, Tagging.baselines), read_audit(run)
    test = scores["test"].model_copy(
        update={
            "f1": 0.5,
            "accuracy": 0.9,
            "accuracy_unknown": 0.4,
            "ece": 0.2,
            "intervals": {"f1": (0.4, 0.6), "accuracy": (0.8, 0.95)},
            "by_type": {"LOC": TypeScores(precision=0.3, recall=0.3, f1=0.3, support=7)},
        }
    )
    baseline = scores["commonest"].model_copy(update={"f1": 0.6, "intervals": {"f1": (0.5, 0.7)}})
    audit = replace(audit, unseen_tags={"test": ["B-ORG"]}, repeated={"train/test": 2}, overlap_dropped=False)
    found = [line.replace("\u00a0", " ") for line in limits(audit, {"test": test, "commonest": baseline})]
    assert len(found) == 8
    for line, part in zip(
        found,
        (
            "40.0 % and 60.0 %",
            "50.0 % against 60.0 %",
            "40.0 % on unknown words, but 90.0 %",
            "LOC is 30.0 % (7",
            "by 20.0 %",
        ),
        strict=False,
    ):
        assert part in line
    assert "1 tag of test" in found[5] and "share sentences" in found[6]


def test_worst_mistakes_are_the_most_confident_and_one_per_sentence():
    words = [["a", word] for word in "bbcd"]
    tags = [["O", "O"], ["O", "O"], ["O", "O"], ["B", "O"]]
    given = [(["B", "B"], [0.7, 0.9]), (["B", "O"], [0.7, 0.9]), (["B", "O"], [0.95, 0.99]), (["B", "O"], [0.99, 0.99])]
    answers = [Answer(Sentence(own, None, "x"), *answer, []) for own, answer in zip(words, given, strict=True)]
    assert worst_mistakes(answers, predictions_of(words, tags, tags)) == [(2, 0), (0, 1)]


def test_examples_are_typical_and_uncertain_right_answers_of_each_kind():
    rows = [
        (0, "LOC", 0.9, True),
        (1, "LOC", 0.5, True),
        (2, "LOC", 0.7, True),
        (3, "LOC", 0.1, False),
        (4, "PER", 0.8, True),
    ]
    found = [Found(row, 0, kind, probability, is_right) for row, kind, probability, is_right in rows]
    assert typical_and_unsure(found) == [(2, 0), (1, 0), (4, 0)]


def test_model_card_of_the_author_is_not_overwritten(finished, tmp_path):
    copied = shutil.copytree(finished, tmp_path / "copied")
    (copied / "model_card.md").write_text("mine", encoding="utf-8")
    report_run(copied)
    assert (copied / "model_card.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["audit.json", "environment.json", "metrics.jsonl", "predictions.jsonl"])
def test_missing_or_altered_files_are_named(finished, tmp_path, name):
    copied = shutil.copytree(finished, tmp_path / "copied")
    (copied / name).write_bytes(b"{")
    with pytest.raises(RunError, match=re.escape(name)):
        report_run(copied)


def test_audit_and_metrics_of_version_0_1_are_read(run):
    old = GOLDEN / "run-tagging"
    audit, metrics = (json.loads((old / name).read_text(encoding="utf-8")) for name in ("audit.json", "metrics.json"))
    found = read_audit(replace(run, audit=audit))
    assert (found.overlap_dropped, found.unseen_values) == (False, audit["strange"])
    scores = replace(run, metrics=metrics).read_scores(TaggingMetrics, ["commonest"])
    assert (scores["test"].n, scores["test"].f1) == (10, metrics["test"]["f1"])
    cells_of_old = Tagging().result_cells(metrics)
    assert cells_of_old["linear CRF"] == "" and float(cells_of_old["commonest tag"]) >= 0
