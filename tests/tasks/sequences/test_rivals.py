import numpy as np
import pytest

from ostinato.tasks import TASKS
from ostinato.tasks.classification.report import verdict
from ostinato.tasks.classification.scoring import score_baselines
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.config import parse_config

TASK = Classification()


def prepared(tmp_path, lines, **data):
    path = tmp_path / "rows.csv"
    header = "text,label,split" if "split_column" in data else "text,label"
    path.write_text(header + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return TASK.prepare(parse_config({"task": "classification", "data": {"path": str(path), **data}}).data)


def windows(n, length, labels=("x", "y")):
    rng = np.random.default_rng(0)
    rows = ["".join(row) for row in rng.choice(list("ACGT"), size=(n, length))]
    return [f"{row},{labels[number % len(labels)]}" for number, row in enumerate(rows)]


def test_each_kind_of_data_has_its_baselines(tmp_path):
    said = []
    aligned = prepared(tmp_path, windows(120, 12), tokenizer="nucleotides")
    assert list(score_baselines(aligned, said.append)) == ["linear", "nbsvm", "boosting", "majority"]
    ragged = prepared(tmp_path, [*windows(60, 12), *windows(60, 9)], tokenizer="nucleotides")
    assert list(score_baselines(ragged, said.append)) == ["linear", "nbsvm", "majority"]
    series = TASK.prepare(TASK.presets["japanese-vowels"]().data)
    assert list(score_baselines(series, said.append)) == ["linear", "kernels", "majority"]
    assert said == []


def test_baseline_that_is_left_out_is_named_with_its_reason(tmp_path):
    said = []
    many = prepared(tmp_path, windows(420, 12, [f"c{number}" for number in range(21)]), tokenizer="nucleotides")
    assert list(score_baselines(many, said.append)) == ["linear", "majority"]
    assert ["nbsvm" in said[0] and "21 classes" in said[0], "boosting" in said[1]] == [True, True]


def test_a_second_class_with_one_example_is_not_enough_for_nbsvm(tmp_path):
    said = []
    train = [f"good film {n},good,train" for n in range(8)] + ["bad film,bad,train"]
    rows = [*train, "bad end,bad,test", "good end,good,test"]
    data = prepared(tmp_path, rows, tokenizer="words", split_column="split")
    assert list(score_baselines(data, said.append)) == ["linear", "majority"]
    assert "[1, 8]" in said[0] and said[0].endswith("each.")


def test_validation_scores_are_accuracies_of_the_validation_split(tmp_path):
    data = prepared(tmp_path, [f"{word} film {n},{word}" for n in range(40) for word in ("good", "bad")])
    found = score_baselines(data, print)
    assert found["nbsvm"].validation_score == 1 and found["majority"].validation_score is None


@pytest.mark.parametrize(
    ("validation", "expected"),
    [((0.8, 0.9), "nbsvm"), ((0.9, 0.8), "linear"), ((0.9, 0.9), "linear"), ((None, None), "linear")],
)
def test_the_best_on_validation_is_to_beat(validation, expected):
    names = ("linear", "nbsvm", "majority")
    baselines = {
        name: {"validation_score": score, "accuracy": 0.5}
        for name, score in zip(names, (*validation, None), strict=True)
    }
    assert TASK.to_beat(baselines) == expected
    heading = {"nbsvm": "NB-SVM", "linear": "linear"}[expected]
    test = {"accuracy": 0.6, "balanced_accuracy": 0.6, "intervals": {"accuracy": (0.5, 0.7)}}
    assert TASK.result_cells({"test": test, "baselines": baselines})["to beat"] == heading


def test_result_without_rivals_names_none_to_beat():
    test = {"accuracy": 0.6, "balanced_accuracy": 0.6, "intervals": {"accuracy": (0.5, 0.7)}}
    baselines = {name: {"accuracy": 0.5} for name in ("linear", "majority")}
    assert "to beat" not in TASK.result_cells({"test": test, "baselines": baselines})


def test_verdict_compares_with_the_baseline_to_beat(tmp_path):
    data = prepared(tmp_path, [f"{word} film {n},{word}" for n in range(40) for word in ("good", "bad")])
    scores = score_baselines(data, print)
    weak = scores["linear"].model_copy(update={"validation_score": 0.5})
    model = scores["nbsvm"].model_copy(update={"intervals": {"accuracy": (0.8, 1.0)}})
    sentences = verdict("LSTM", {**scores, "linear": weak, "test": model})
    assert "NB-SVM, the best on validation" in sentences[1] and "NB-SVM are level" in sentences[2]


def test_tasks_name_their_rivals_apart_from_their_baselines():
    for task in TASKS.values():
        assert not task.rivals.keys() & task.baselines.keys()
