import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from ostinato.evaluation.baselines.nbsvm import nbsvm_baseline
from ostinato.tasks import TASKS
from ostinato.tasks.classification.report import verdict
from ostinato.tasks.classification.scoring import score_baselines
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.config import parse_config
from ostinato.tasks.multilabel.metrics import choose_thresholds
from ostinato.tasks.multilabel.report import verdict as multilabel_verdict
from ostinato.tasks.sequences.rivals import lsa_key

TASK = Classification()


def prepared(tmp_path, lines, **data):
    path = tmp_path / "rows.csv"
    header = "text,label,split" if "split_column" in data else "text,label"
    path.write_text(header + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    values = {"task": "classification", "data": {"path": str(path), **data}, "training": training_of(data)}
    return TASK.prepare(parse_config(values).data)


def training_of(data):
    return {"semi": "self-training"} if "unlabelled" in data else {}


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
    assert list(score_baselines(series, said.append)) == ["linear", "kernels", "hydra", "majority"]
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


def multilabel(tmp_path, rows, **data):
    path = tmp_path / "labels.csv"
    path.write_text("text,labels,split\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    task = TASKS["multilabel"]
    config = {"path": str(path), "tokenizer": "words", "split_column": "split", **data}
    return task.prepare(parse_config({"task": "multilabel", "data": config, "training": training_of(data)}).data)


def test_validation_score_of_labels_is_the_micro_f1_of_the_validation_split(tmp_path):
    train = [f"word {n} {name},{name},train" for n in range(30) for name in ("a", "b")]
    validation = ["word a x,a,validation", "word a y,a|b,validation", "nothing here,b,validation"]
    data = multilabel(tmp_path, [*train, *validation, "word a z,a,test", "word b z,b,test"])
    said = []
    found = TASKS["multilabel"].score_baselines(data, said.append)
    assert list(found) == ["linear", "nbsvm", "frequency"] and said == []
    assert found["frequency"].validation_score is None
    predict = nbsvm_baseline(
        data.rows["train"].sequences,
        data.splits["train"].targets.numpy(),
        data.rows["validation"].sequences,
        data.splits["validation"].targets.numpy(),
        kind="text",
        seed=data.config.seed,
    ).predict
    targets, answers = data.splits["validation"].targets.numpy(), predict(data.rows["validation"].sequences)
    expected = f1_score(targets, answers >= choose_thresholds(targets, answers), average="micro")
    assert found["nbsvm"].validation_score == pytest.approx(expected)


def test_more_than_twenty_labels_leave_nbsvm_out(tmp_path):
    rows = [f"word{n % 21} {n},label{n % 21},{split}" for n in range(84) for split in ("train", "validation", "test")]
    said = []
    data = multilabel(tmp_path, [f"{split} {row}" for row, split in zip(rows, ["x", "y", "z"] * 84, strict=True)])
    assert list(TASKS["multilabel"].score_baselines(data, said.append)) == ["linear", "frequency"]
    assert "21 classes or labels" in said[0]


def test_verdict_on_labels_compares_with_the_baseline_to_beat(tmp_path):
    train = [f"{split} {n} {name},{name},{split}" for n in range(30) for name in "ab" for split in ("train", "test")]
    data = multilabel(tmp_path, [*train, "word a x,a,validation", "word b y,b,validation"])
    scores = TASKS["multilabel"].score_baselines(data, print)
    scores["linear"] = scores["linear"].model_copy(update={"validation_score": 0.5})
    sentences = multilabel_verdict("LSTM", {**scores, "test": scores["nbsvm"]})
    assert "NB-SVM, the best on validation" in sentences[1] and "NB-SVM are level" in sentences[2]
    assert TASKS["multilabel"].to_beat({name: each.to_json() for name, each in scores.items()}) == "nbsvm"


def test_unlabelled_rows_bring_lsa_fitted_to_them_as_an_opponent(tmp_path):
    lines = [f"{word} film {n},{word}" for n in range(40) for word in ("good", "bad")]
    raw = tmp_path / "raw.csv"
    raw.write_text("text\n" + "".join(f"good end {n}\nbad end {n}\n" for n in range(30)), encoding="utf-8")
    data, said = prepared(tmp_path, lines, unlabelled=str(raw)), []
    found = score_baselines(data, said.append)
    assert list(found) == ["linear", "nbsvm", "lsa", "majority"] and said == []
    assert found["lsa"].validation_score == 1 and found["lsa"].description.startswith("LSA of TF-IDF")
    ((key, features),) = data.known.items()
    assert key == lsa_key(data)
    assert features.transform(["end"]).any()  # a word of unlabelled rows alone
    again = prepared(tmp_path, lines, unlabelled=str(raw))
    assert "lsa" not in score_baselines(again, said.append, lambda: 1e-4) and "lsa is left out: it needs" in said[-1]


class Answering:
    """Stands for a model: its network gives the outputs as they are."""

    def __init__(self, thresholds=None):
        self.network = self
        self.thresholds = thresholds

    def answers(self, outputs):
        return outputs


def test_each_fitted_baseline_is_compared_with_the_model_on_the_test_rows(tmp_path):
    data = prepared(tmp_path, [f"{word} film {n},{word}" for n in range(60) for word in ("good", "bad")])
    targets = data.splits["test"].targets
    n = len(targets)
    outputs = torch.nn.functional.one_hot(targets, 2).double()
    outputs[: n // 2] = outputs[: n // 2].flip(1)  # half of the rows are wrong, and the baselines are right
    found = score_baselines(data, print, trained=(Answering(), outputs))
    assert found["majority"].versus is None
    for name in ("linear", "nbsvm"):
        versus = found[name].versus
        assert found[name].accuracy == 1 and versus.difference == pytest.approx(-(n // 2) / n)
        assert versus.p == pytest.approx(min(1, 2 * 0.5 ** (n // 2))) and versus.test == "McNemar, exact"
        assert versus.interval[0] <= versus.difference <= versus.interval[1]
    assert found["linear"] == type(found["linear"]).from_json(found["linear"].to_json())


def test_baselines_of_labels_are_compared_by_micro_f1(tmp_path):
    rows = [f"{split} {n} {name},{name},{split}" for n in range(30) for name in "ab" for split in ("train", "test")]
    data = multilabel(tmp_path, rows)
    score, targets = TASKS["multilabel"].score_baselines, data.splits["test"].targets

    def compared(outputs):
        model = Answering(torch.tensor([0.5, 0.5]))
        return score(data, print, trained=(model, outputs.double()))["linear"].versus

    wrong = targets.clone()
    wrong[:20] = 1 - wrong[:20]
    assert (compared(targets).difference, compared(targets).p) == (0, 1)
    assert compared(wrong).difference == pytest.approx(f1_score(targets, wrong, average="micro") - 1)
    assert compared(wrong).p < 0.01
    assert score(data, print)["linear"].versus is None


def test_labels_have_lsa_where_there_are_unlabelled_rows(tmp_path):
    raw = tmp_path / "raw.csv"
    raw.write_text("text\n" + "".join(f"word {n} a\nword {n} b\n" for n in range(100, 120)), encoding="utf-8")
    rows = [f"{split} {n} {name},{name},{split}" for n in range(30) for name in "ab" for split in ("train", "test")]
    data = multilabel(tmp_path, rows, unlabelled=str(raw))
    found = TASKS["multilabel"].score_baselines(data, print)
    assert list(found) == ["linear", "nbsvm", "lsa", "frequency"]
    assert found["lsa"].micro_f1 == 1
