"""The report of a tagger's run: whole, the same each time, in agreement with its figures, and the words of strangers only shown."""

import json
import re
import shutil
import sys
from dataclasses import replace

import pytest

from ostinato import cli, load, runs
from ostinato.config import override, parse_config
from ostinato.errors import RunError
from ostinato.report.files import write_page
from ostinato.report.gallery import Gallery
from ostinato.report.run_report import report_run
from ostinato.report.tagger_card import tagger_card, tagger_limits
from ostinato.report.tagger_evidence import _Found, _typical_and_unsure, _worst_mistakes, collect_confusions
from ostinato.report.tagger_facts import Answered, collect_tagger
from ostinato.report.tagger_results import tagger_sections
from ostinato.tag_prediction import Answer

SCRIPT = "<script>alert(1)</script>"
PEOPLE, PLACES, VERBS = ["Ada", "Ben", "Cid", "Dora"], [SCRIPT, "Oslo", "Rome", "Bonn"], ["left", "saw", "likes"]
ROWS = [(person, verb, place) for person in PEOPLE for verb in VERBS for place in PLACES]
CONLL = "".join(f"{person} B-PER\n{verb} O\n{place} B-LOC\n. O\n\n" for person, verb, place in ROWS)


def run(*arguments):
    """Call the command line in this process; returns its exit status."""
    before, sys.argv = sys.argv, ["ostinato", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as finished:
        return finished.code
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("tagged") / "rows.conll"
    file.write_text(CONLL, encoding="utf-8")
    data = {"path": str(file), "validation_size": 8, "test_size": 10}
    model = {
        "cell": "lstm",
        "bidirectional": True,
        "hidden_size": 4,
        "embedding_size": 4,
        "head": "crf",
        "capitals_size": 2,
    }
    return parse_config(
        {
            "task": "tagging",
            "data": data,
            "model": model,
            "training": {"max_epochs": 4, "lr": 2e-2, "batch_size": 8, "device": "cpu"},
        }
    )


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tagger"
    runs.start_run(config, folder)
    report_run(folder)
    return folder


@pytest.fixture
def facts(finished):
    return collect_tagger(finished)


@pytest.fixture
def page(finished):
    return (finished / "report.html").read_text(encoding="utf-8")


def body_of(sections, name):
    return next(section.body for section in sections if section.id == name)


def cells(html):
    return [found for found in (re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in html.split("<tr>")) if found]


def test_every_part_is_there_once_and_nothing_is_asked_for(page, finished):
    results = [
        "result",
        "data",
        "training",
        "metrics",
        "entities",
        "confusions",
        "examples",
        "faithfulness",
        "mistakes",
    ]
    assert re.findall(r'<section id="([^"]+)"', page) == [
        *results,
        "model-card",
        "configuration",
        "environment",
        "reproduce",
    ]
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert {path.suffix for path in (finished / "figures").iterdir()} == {".png", ".svg"}
    assert (finished / "model_card.md").read_text(encoding="utf-8").startswith("# Model card of tagger")


def test_a_script_among_the_words_is_shown_and_not_run(page):
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_same_run_gives_the_same_bytes(finished, page):
    report_run(finished)
    assert (finished / "report.html").read_text(encoding="utf-8") == page


def test_figures_stand_beside_those_of_the_commonest_tag(facts):
    sections = tagger_sections(facts, Gallery())
    test, commonest = facts.metrics["test"], facts.metrics["baselines"]["commonest"]
    (low, high), (from_, to) = test["intervals"]["f1"], commonest["intervals"]["f1"]
    rows = cells(body_of(sections, "metrics"))
    assert [
        "F1 of entities",
        f"{test['f1']:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{commonest['f1']:.3f}",
        f"{from_:.3f} to {to:.3f}",
    ] in rows
    assert ["calibration error (lower is better)", f"{test['ece']:.3f}", "", "–", ""] in rows
    assert any(row[0] == "accuracy on unknown words" for row in rows)
    (kind,) = [row for row in cells(body_of(sections, "entities")) if row[0] == "LOC"]
    loc = test["by_type"]["LOC"]
    assert kind[1:5] == [f"{loc['precision']:.3f}", f"{loc['recall']:.3f}", f"{loc['f1']:.3f}", str(loc["support"])]
    assert "Scheme iob2, read strict" in body_of(sections, "entities")


def test_data_are_counted_by_split(facts):
    rows = cells(body_of(tagger_sections(facts, Gallery()), "data"))
    counts = [facts.audit.splits[split] for split in ("train", "validation", "test")]
    assert ["sentences", *(str(each["sentences"]) for each in counts)] in rows
    assert ["entities LOC", *(str(each["entities"]["LOC"]) for each in counts)] in rows


def test_explanations_stand_beside_what_masking_does(page):
    assert page.count('class="explanation"') == page.count("Masking the other words that rank first") > 0
    assert (
        page.count("is better than a random")
        + page.count("is worse than a random")
        + page.count("not told apart from a random")
        == 3
    )


def test_confusions_are_shown_in_their_sentences():
    words = [f"w{number}" for number in range(20)]
    answered = [
        Answered(f"/data/x.conll, line {row}", words, ["O"] * 20, ["O"] * 10 + ["B-LOC"] + ["O"] * 9)
        for row in range(5)
    ]
    (found,) = collect_confusions(answered, [["O", "B-LOC", 5]])
    assert (found.true, found.given, found.times) == ("O", "B-LOC", 5)
    assert [(each.place[-1], token) for each, token in found.places] == [("0", 10), ("2", 10), ("4", 10)]


def test_a_confusion_on_the_page_has_the_words_around(facts):
    wrong = [["B-LOC", "O", 3]]
    answered = [Answered("/data/x.conll, line 1", ["a", "<b>", "c"], ["O", "B-LOC", "O"], ["O", "O", "O"])]
    changed = {**facts.metrics, "test": {**facts.metrics["test"], "confusion": wrong}}
    body = body_of(tagger_sections(replace(facts, metrics=changed, answered=answered), Gallery()), "confusions")
    assert "B-LOC taken for O: 3 tokens" in body
    assert "a <strong>&lt;b&gt;</strong> c <small>(x.conll, line 1)</small>" in body


def test_run_without_entities_validation_and_test_is_reported(config, tmp_path):
    folder, file = tmp_path / "plain", tmp_path / "plain.conll"
    file.write_text(CONLL.replace("B-PER", "NOUN").replace("B-LOC", "PROPN").replace(" O\n", " X\n"), encoding="utf-8")
    settings = [f'data.path="{file}"', "data.test_size=4", "training.max_epochs=1"]
    runs.start_run(override(config, settings), folder)
    page = report_run(folder).read_text(encoding="utf-8")
    assert 'id="entities"' not in page and "accuracy of tags" in page and "3 tags: NOUN, PROPN, X." in page
    alone = tmp_path / "alone"
    runs.start_run(
        override(
            config, ["data.test_size=0", "data.validation_size=0", "training.patience=none", "training.max_epochs=1"]
        ),
        alone,
    )
    page = report_run(alone).read_text(encoding="utf-8")
    assert "no test split" in page and "There is no validation split" in page and 'id="examples"' not in page


def test_card_names_the_limits_that_the_figures_tell(facts):
    test = {
        **facts.metrics["test"],
        "f1": 0.5,
        "accuracy": 0.9,
        "accuracy_unknown": 0.4,
        "ece": 0.2,
        "intervals": {"f1": [0.4, 0.6], "accuracy": [0.8, 0.95]},
    }
    test["by_type"] = {"LOC": {"f1": 0.3, "support": 7, "precision": 0.3, "recall": 0.3}}
    baselines = {"commonest": {"f1": 0.6, "intervals": {"f1": [0.5, 0.7]}}}
    poor = replace(facts, metrics={**facts.metrics, "test": test, "baselines": baselines})
    told = " ".join(tagger_limits(poor))
    for part in (
        "test split is small",
        "does not beat each word",
        "tags 40.0\u00a0% right, of all 90.0\u00a0%",
        "entities LOC its F1 is 30.0\u00a0%",
        "off by 20.0\u00a0%",
    ):
        assert part in told
    assert "Limits" in [section.title for section in tagger_card(facts)]


def test_worst_mistakes_are_the_surest_and_one_of_each_sentence():
    tags = [["O", "O"], ["O", "O"], ["O", "O"], ["B", "O"]]
    answered = [Answered("x", ["a", word], true, true) for word, true in zip("bbcd", tags, strict=True)]
    given = [
        Answer(None, ["B", "B"], [0.7, 0.9], []),
        Answer(None, ["B", "O"], [0.7, 0.9], []),
        Answer(None, ["B", "O"], [0.95, 0.99], []),
        Answer(None, ["B", "O"], [0.99, 0.99], []),
    ]
    assert _worst_mistakes(given, answered) == [(2, 0), (0, 1)]


def test_examples_are_typical_and_unsure_right_answers_of_each_kind():
    rows = [
        (0, "LOC", 0.9, True),
        (1, "LOC", 0.5, True),
        (2, "LOC", 0.7, True),
        (3, "LOC", 0.1, False),
        (4, "PER", 0.8, True),
    ]
    assert _typical_and_unsure(
        [_Found(row, 0, kind, probability, right) for row, kind, probability, right in rows]
    ) == [(2, 0), (1, 0), (4, 0)]


def test_card_that_its_author_completed_is_kept(facts, tmp_path):
    copied = replace(facts, folder=tmp_path)
    (tmp_path / "model_card.md").write_text("mine")
    write_page(copied, [], tagger_card(copied))
    assert (tmp_path / "model_card.md").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["audit.json", "environment.json", "metrics.jsonl", "vocabulary.json", "predictions.jsonl"]
)
def test_missing_or_altered_files_are_named(finished, tmp_path, name):
    copied = shutil.copytree(finished, tmp_path / "copied")
    (copied / name).write_bytes(b"{")
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        report_run(copied)


def test_unfinished_run_is_refused(finished, tmp_path):
    copied = shutil.copytree(finished, tmp_path / "copied")
    (copied / "metrics.json").unlink()
    with pytest.raises(RunError, match="not finished"):
        report_run(copied)


def test_explain_answers_in_json_as_the_library_does(finished, capsys):
    assert (
        run(
            "explain",
            finished,
            "--text",
            "Ada saw Oslo",
            "--token",
            3,
            "--label",
            "B-LOC",
            "--json",
            "--method",
            "occlusion",
        )
        == 0
    )
    answer = json.loads(capsys.readouterr().out)
    (told,) = answer["explanations"]
    tagger = load(finished)
    expected = tagger.predict_proba([["Ada", "saw", "Oslo"]])[0][2, list(tagger.classes_).index("B-LOC")]
    assert (told["place"], told["token"], told["tag"], told["tokens"]) == (
        "--text 1",
        2,
        "B-LOC",
        ["Ada", "saw", "Oslo"],
    )
    assert told["probability"] == pytest.approx(float(expected), abs=1e-5)
    assert answer["faithfulness"]["n"] == 1 and told["lost"] == answer["faithfulness"]["lost"]["value"]


def test_explain_shows_sentences_of_the_test_split_by_default(finished, facts, capsys):
    assert run("explain", finished, "--rows", 2) == 0
    told = capsys.readouterr().out
    shown = [each for each in facts.answered if set(each.predicted) != {"O"}][:2]
    assert all(" ".join(each.tokens) in told for each in shown)
    assert (
        len(re.findall(r"by integrated-gradients \((?:right|it is [BIO].*)\)$", told, re.M))
        == told.count("Masking the other words")
        > 0
    )
    assert "The ranking of other words by integrated-gradients is" in told
    assert "Strongest: " in told


def test_explain_reads_a_file_and_writes_a_page(finished, tmp_path, capsys):
    (tmp_path / "new.conll").write_text("Ada O\nleft O\n\n", encoding="utf-8")
    assert run("explain", finished, tmp_path / "new.conll", "--token", 1, "--out", tmp_path / "out") == 0
    assert "(word 1)" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"explanations.html", "explanations.json"}


def test_sentence_without_an_entity_is_named(finished, capsys):
    assert run("explain", finished, "--text", ".") == 0
    assert load(finished).predict([["."]]) == [["O"]]
    assert "--text 1: no entity found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--text", "a", "--method", "attention"], "method 'attention' is not one that a tagger has"),
        (["--text", "a", "--token", 2], "--token 2: --text 1 has 1 words. Choose from 1 to 1."),
        (["--text", "a", "--token", 1, "--label", "B-LCO"], "Unknown tag 'B-LCO'. Did you mean 'B-LOC'"),
        (["--text", ""], "--text 1: the sentence is empty"),
    ],
)
def test_bad_input_is_answered_in_one_line(finished, arguments, expected, capsys):
    assert run("explain", finished, *arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("Error: ") and expected in told.err and told.err.count("\n") == 1 and not told.out


def test_model_file_alone_has_no_sentences_to_explain(finished, capsys):
    assert run("explain", finished / "model.safetensors") == 2
    assert "a model file alone has no test split" in capsys.readouterr().err
