"""Comparisons of taggers: counts of each sentence, the paired bootstrap over sentences, and a whole comparison."""

import json

import numpy as np
import pytest
from toy import columns, sentences

from ostinato.comparison.compare import run_comparison
from ostinato.comparison.options import make_plan
from ostinato.comparison.page import write_comparison_page
from ostinato.evaluation.statistics import NO_DIFFERENCE, compare, score_sentences, verdict
from ostinato.tasks.config import parse_config
from ostinato.tasks.tagging.metrics import TAGGING_METRICS, entity_metrics, sentence_counts

F1 = TAGGING_METRICS["f1"]


def counts_of(shares, n=400, seed=0):
    """(S, n, 3) of taggers that find each of two entities in a sentence with these probabilities, and nothing else."""
    rng = np.random.default_rng(seed)
    right = np.stack([rng.binomial(2, share, n) for share in shares])
    return np.stack([right, right, np.full_like(right, 2)], axis=2)


def test_the_score_is_the_micro_f1_over_all_sentences():
    _, gold = sentences(50)
    _, other = sentences(50, seed=9)
    other = [(tags + ["O"] * 20)[: len(true)] for tags, true in zip(other, gold, strict=True)]
    scored = score_sentences(sentence_counts(gold, other, "iob2")[None], F1)
    assert scored.scores[0] == pytest.approx(entity_metrics(gold, other, scheme="iob2").f1)


def test_identical_taggers_do_not_differ_significantly_and_a_better_one_does():
    same = compare(score_sentences(counts_of([0.8, 0.8]), F1), score_sentences(counts_of([0.8, 0.8], seed=1), F1))
    assert verdict(same, same.p) == NO_DIFFERENCE
    better = compare(score_sentences(counts_of([0.9, 0.9]), F1), score_sentences(counts_of([0.7, 0.7], seed=1), F1))
    assert verdict(better, better.p) == "better"
    assert better.interval[0] < better.difference < better.interval[1]
    assert better.test == "paired bootstrap over examples, and seeds"


@pytest.mark.slow
def test_two_heads_are_compared_with_costs_and_a_page(tmp_path):
    (tmp_path / "train.conll").write_text(columns(*sentences(60)), encoding="utf-8")
    data = {"path": str(tmp_path / "train.conll"), "validation_size": 0.2, "test_size": 0.3}
    model = {"hidden_size": 6, "embedding_size": 6, "bidirectional": True}
    training = {"max_epochs": 3, "lr": 2e-2, "device": "cpu", "monitor": "f1"}
    config = parse_config({"task": "tagging", "data": data, "model": model, "training": training})
    results = run_comparison(make_plan(config, ["model.head=softmax,crf"], seeds="2"), tmp_path / "out", processes=1)
    assert results.metric == "f1"
    assert [row.name for row in results.summary] == ["head softmax", "head crf"]
    first = results.summary[0]
    run = tmp_path / "out" / "runs" / "head=softmax" / "seed-0"
    saved = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert first.scores[0] == pytest.approx(saved["test"]["f1"])
    assert first.baselines == {name: pytest.approx(saved["baselines"][name]["f1"]) for name in ("linear", "commonest")}
    assert first.cost.sequences_per_s > 0
    assert "f1" in results.pairs[0].sentence
    assert "linear CRF" in write_comparison_page(results, tmp_path / "out").read_text(encoding="utf-8")
