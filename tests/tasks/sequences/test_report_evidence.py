"""What a report explains of any sequence model, and what it says of explanations that are no better than chance."""

from dataclasses import replace

import numpy as np
import pytest

from ostinato import SequenceClassifier
from ostinato.data.audit import SequenceAudit, SplitFacts
from ostinato.data.cleaning import Cleaning
from ostinato.data.examples import Records
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.faithfulness import measure
from ostinato.progress import Progress
from ostinato.report.explained import faithfulness_block, spread
from ostinato.report.gallery import Gallery
from ostinato.tasks.config import parse_config
from ostinato.tasks.sequences import report_evidence
from ostinato.tasks.sequences.report import data_limits, motif_file
from ostinato.tasks.sequences.report_evidence import Choice, collect_evidence
from ostinato.tasks.sequences.report_explained import explained_sections

METHODS = {"integrated-gradients", "gradient-x-input", "occlusion", "attention"}


@pytest.fixture(scope="module")
def counts():
    """A model that finds more a than b, and its test sequences."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ab"), size=rng.integers(3, 12))) for _ in range(200)]
    labels = ["a" if text.count("a") * 2 > len(text) else "b" for text in texts]
    sizes = {"cell": "gru", "hidden_size": 8, "embedding_size": 4, "pooling": ["attention"], "tokenizer": "characters"}
    model = SequenceClassifier(**sizes, max_epochs=15, validation_fraction=None, lr=0.02).fit(texts[:100], labels[:100])
    return model.fitted_, Records(texts[100:], labels[100:], [f"/data/reviews.csv, row {row}" for row in range(100)])


@pytest.fixture(scope="module")
def evidence(counts):
    model, test = counts
    chosen = Choice([0, 3], [7], ["it is x"] * 100)
    return collect_evidence(model, test, chosen, labels=test.targets, data=None, progress=Progress(quiet=True))


def test_rows_are_spread_over_the_whole_split():
    assert spread(11, 3).tolist() == [0, 5, 10]
    assert spread(2, 5).tolist() == [0, 1]


def test_a_model_whose_explanations_take_long_explains_fewer_sequences_but_never_few(counts, monkeypatch):
    model, test = counts
    chosen = Choice([0], [7], ["it is x"] * 100)
    monkeypatch.setattr(report_evidence, "FEWEST", 5)

    def measured(multiplications):
        monkeypatch.setattr(report_evidence, "MULTIPLICATIONS", multiplications)
        found = collect_evidence(model, test, chosen, labels=None, data=None, progress=Progress(quiet=True))
        return found.surveyed, {each.n for each in found.faithfulness}

    cost = report_evidence._multiplications(model, test.sequences)
    assert measured(cost * 200 * 30) == (30, {6})
    assert measured(0) == (5, {5})


def test_every_method_is_measured(evidence):
    assert {each.method for each in evidence.faithfulness} == METHODS
    assert len(evidence.agreement) == 6
    assert evidence.unit == "log-odds"


def test_every_explanation_is_shown_with_the_effect_of_masking(evidence):
    found = {each.id: each.body for each in explained_sections(evidence, Gallery(), label="class", mistakes="Wrong.")}
    assert list(found) == ["examples", "faithfulness", "tokens", "trace", "mistakes"]
    assert found["examples"].count('class="explanation"') == 2 * 2  # attention next to integrated gradients
    assert all(each.masking in found["examples"] for each in evidence.examples)
    assert "reviews.csv, row 3 (it is x)" in found["examples"] and "/data/" not in found["examples"]
    assert "reviews.csv, row 7 (it is x)" in found["mistakes"] and "Wrong." in found["mistakes"]
    assert all(each.sentence in found["faithfulness"] for each in evidence.faithfulness)
    assert evidence.ablation.sentence in found["faithfulness"]


def test_attention_is_ablated_only_where_targets_are_labels(counts):
    model, test = counts
    chosen = Choice([0], [], [""] * 100)
    found = collect_evidence(model, test, chosen, labels=None, data=None, progress=Progress(quiet=True))
    assert found.ablation is None and found.mistakes == []
    sections = explained_sections(found, Gallery(), label="class", mistakes="Wrong.")
    assert "Wrong." not in sections[-1].body and "no mistakes" in sections[-1].body


def test_ranking_no_better_than_chance_is_called_so(counts):
    model, test = counts
    constant = [
        Explanation(
            method="attention",
            sequence=text,
            tokens=list(text),
            offsets=[(start, start + 1) for start in range(len(text))],
            scores=np.full(len(text), 1 / len(text)),
            label="a",
            value=0.5,
        )
        for text in test.sequences
    ]
    measured = measure(model, constant)
    body = faithfulness_block([measured], Gallery(), plotted=("attention",))
    assert measured.verdict in body and "do not read" in body


def test_models_of_text_have_no_motif_file(evidence):
    assert motif_file(evidence) == {}


# Limits of the data


CLEAN = SequenceAudit(
    rows_read=2100,
    unit="characters",
    sorted_by_label=False,
    unlabelled_skipped=0,
    cleaning=Cleaning(0, 0, 0, {"train/test": 0}, False),
    drawn=[],
    splits={
        "train": SplitFacts(2000, {"longest": 9.0}, 0, 0, classes={"0": 1200, "1": 800}),
        "test": SplitFacts(100, {"longest": 9.0}, 0, 0, classes={"0": 50, "1": 50}),
    },
    shared_groups=0,
    unused=0,
)


class Run:
    config = parse_config({"task": "classification", "data": {"name": "majority", "max_length": 5}})


def specific_limits(**changes):
    """The limits that not every model has."""
    return [line.replace("\u00a0", " ") for line in data_limits(Run(), replace(CLEAN, **changes))][:-1]


def test_clean_data_have_only_the_limit_of_their_length():
    assert specific_limits() == []
    assert "up to 9 characters" in next(data_limits(Run(), CLEAN))


def test_imbalanced_classes_are_a_limit():
    train = replace(CLEAN.splits["train"], classes={"rare": 500, "common": 1500})
    (line,) = specific_limits(splits=CLEAN.splits | {"train": train})
    assert "common has 1,500 rows, rare 500" in line


def test_targets_that_are_numbers_have_no_imbalance():
    values = {"y": {"lowest": 0.0, "highest": 1.0}}
    train = replace(CLEAN.splits["train"], classes=None, values=values)
    assert specific_limits(splits=CLEAN.splits | {"train": train}) == []


def test_truncation_is_a_limit():
    (line,) = specific_limits(truncated={"train": 500, "test": 0})
    assert "25.0 % of the train sequences" in line and "5 tokens" in line


def test_unknown_tokens_are_a_limit():
    (line,) = specific_limits(unknown_share=0.2)
    assert "20.0 %" in line


def test_duplicates_and_overlap_are_limits():
    assert "7 exact duplicates" in specific_limits(cleaning=replace(CLEAN.cleaning, duplicates_dropped=7))[0]
    assert "share sequences" in specific_limits(cleaning=replace(CLEAN.cleaning, overlap={"train/test": 3}))[0]
    assert specific_limits(cleaning=replace(CLEAN.cleaning, overlap={"train/test": 3}, overlap_dropped=True)) == []
