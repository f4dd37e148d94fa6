"""Which test sequences a report shows, and what it says of explanations that are no better than chance."""

import numpy as np
import pytest

from ostinato import SequenceClassifier
from ostinato.data.examples import Examples
from ostinato.explanation import Explanation, measure
from ostinato.progress import Progress
from ostinato.report.evidence import _typical_and_unsure, _worst_mistakes, collect_evidence, short, spread
from ostinato.report.explained import _beside_random, explained_sections
from ostinato.report.gallery import Gallery
from ostinato.scoring import Predictions

PREDICTIONS = Predictions(
    ["row"] * 7,
    np.array([0, 0, 0, 1, 1, 1, 1]),
    np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.95, 0.05], [0.45, 0.55]]),
)


@pytest.fixture(scope="module")
def counts():
    """A model that finds more a than b, and its test sequences."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ab"), size=rng.integers(3, 12))) for _ in range(200)]
    labels = ["a" if text.count("a") * 2 > len(text) else "b" for text in texts]
    sizes = {"cell": "gru", "hidden_size": 8, "embedding_size": 4, "pooling": ["attention"], "tokenizer": "characters"}
    model = SequenceClassifier(**sizes, max_epochs=15, patience=None, lr=0.02)
    return model.fit(texts[:100], labels[:100]), Examples(
        texts[100:], labels[100:], [f"/data/reviews.csv, row {row}" for row in range(100)]
    )


def test_the_typical_and_the_least_sure_right_answer_of_each_class_are_shown():
    # right of class 1: rows 6 (.55) and 4 (.9), of which the upper one is the median; of class 0: rows 1, 2, 0
    assert _typical_and_unsure(PREDICTIONS, ["x", "y"]) == [4, 6, 2, 1]


def test_mistakes_come_in_order_of_confidence():
    assert _worst_mistakes(PREDICTIONS) == [5, 3]


def test_rows_are_spread_over_the_whole_split():
    assert spread(11, 3).tolist() == [0, 5, 10]
    assert spread(2, 5).tolist() == [0, 1]


def test_a_place_loses_the_folders_of_its_file():
    assert short("/data/my reviews.csv, row 17") == "my reviews.csv, row 17"
    assert short("--text 1") == "--text 1"


def test_every_picture_stands_beside_what_masking_does(counts):
    model, test = counts
    probabilities = model.predict_proba(test.sequences)
    targets = np.array([model.encoder_.labels.index(label) for label in test.labels])
    evidence = collect_evidence(
        model, test, Predictions(test.places, targets, probabilities), data=None, progress=Progress(quiet=True)
    )
    assert {each.method for each in evidence.faithfulness} == {
        "integrated-gradients",
        "gradient-x-input",
        "occlusion",
        "attention",
    }
    sections = {section.id: section.body for section in explained_sections(evidence, Gallery())}
    shown = len(evidence.examples)
    assert shown and sections["examples"].count("Masking what integrated-gradients ranks first") == shown
    assert sections["examples"].count('class="explanation"') == 2 * shown  # attention beside integrated gradients
    assert (
        sections["faithfulness"].count("a random ranking: masking") == 4
        and "Permuting the attention weights" in sections["faithfulness"]
    )
    assert evidence.examples[0].masking in sections["examples"]
    assert "reviews.csv, row" in sections["examples"] and "/data/" not in sections["examples"]


def test_a_ranking_no_better_than_chance_is_called_so(counts):
    model, test = counts
    constant = [
        Explanation(
            "attention",
            text,
            list(text),
            [(place, place + 1) for place in range(len(text))],
            np.full(len(text), 1 / len(text)),
            "a",
            0.5,
        )
        for text in test.sequences
    ]
    told = _beside_random(measure(model, constant))
    assert "not told apart from" in told and "do not read this method's pictures as reasons" in told
