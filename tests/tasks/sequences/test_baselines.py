import numpy as np

from ostinato.data.examples import Records
from ostinato.tasks.config import parse_config
from ostinato.tasks.sequences import baselines
from ostinato.tasks.sequences.baselines import some_of
from ostinato.tasks.table import TASKS


def records(texts):
    return Records(texts, ["x"] * len(texts), [f"row {row}" for row in range(len(texts))])


def test_larger_data_give_evenly_spaced_rows(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_FITTED", 400)
    monkeypatch.setattr(baselines, "MOST_SYMBOLS", 100)
    rows, targets = records([f"{row:010}" for row in range(100)]), np.arange(100)
    sequences, chosen = some_of(rows, targets, "text")
    assert len(sequences) == 40 and sequences == [rows.sequences[row] for row in chosen]
    assert np.diff(chosen).min() == 2 and np.diff(chosen).max() == 3
    assert len(some_of(rows, targets, "text", share=4)[0]) == len(some_of(rows, targets, "symbols")[0]) == 10
    assert some_of(records(["a" * 400]), targets[:1], "text")[0] == ["a" * 400]
    assert len(some_of(records(["a" * 500]), targets[:1], "text")[0]) == 1


def test_the_description_says_that_a_model_was_fitted_to_some_of_the_rows(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    words = (("good", "pos"), ("bad", "neg"))
    path.write_text("text,label\n" + "".join(f"{words[n % 2][0]} w{n},{words[n % 2][1]}\n" for n in range(200)))
    task = TASKS["classification"]
    data = task.prepare_for(parse_config({"task": "classification", "data": {"path": str(path), "tokenizer": "words"}}))
    whole = task.score_baselines(data, print)["linear"]
    monkeypatch.setattr(baselines, "MOST_FITTED", 600)
    part = task.score_baselines(data, print)["linear"]
    assert "rows" not in whole.description and "of 140 rows" in part.description
    assert part.accuracy == whole.accuracy == 1
