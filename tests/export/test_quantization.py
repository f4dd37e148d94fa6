"""Int8 files: judged on labelled rows, refused when they cost too much, and answering as the float32 file does."""

import numpy as np
import pytest
import small_models

from ostinato.errors import ConfigError, DataError, RunError
from ostinato.evaluation.results import Metric
from ostinato.export import Runner, quantization, to_onnx, verify, write
from ostinato.export.quantization import loss_of
from ostinato.tasks.regression.portable import Portable as RegressionPortable
from ostinato.tasks.tagging.portable import Portable as TaggingPortable

WIDE = {"hidden_size": 32, "embedding_size": 40, "max_epochs": 3}
LABELS = [("even", "odd", "third")[number % 3] for number in range(40)]
LABEL_SETS = [[("new", "long", "loud")[number % 3]] * (number % 2) for number in range(40)]
NUMBERS = np.array([[float(np.mean(each)), float(np.max(each))] for each in small_models.SERIES])
DNA = {"tokenizer": "kmers(3)"}


def classifier(**options):
    return small_models.classifier(**{**DNA, **WIDE, **options})


def tagger(**options):
    return small_models.tagger(**{**WIDE, "max_epochs": 10, "lr": 0.01, "character_cell": "lstm", **options})


def export(model, path, X=small_models.DNA, y=LABELS, tolerance=100):
    return to_onnx(model, path, quantize="int8", validation=(X, y), tolerance=tolerance)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.fixture
def fast_int8_arithmetic(monkeypatch):
    """Measure int8 arithmetic as ten times as fast, whatever the machine."""

    def milliseconds(runners, parts):
        return {name: 1.0 if runner.facts.get("batch_dependent") else 10.0 for name, runner in runners.items()}

    monkeypatch.setattr(quantization, "_milliseconds", milliseconds)


CASES = {
    "classification": (classifier, small_models.DNA, LABELS),
    "multilabel": (lambda: small_models.multilabel(**WIDE), small_models.TEXTS, LABEL_SETS),
    "regression": (lambda: small_models.regressor(targets=2, cell="gru", **WIDE), small_models.SERIES, NUMBERS),
    "tagging": (tagger, small_models.SENTENCES, small_models.TAGS),
}


@pytest.mark.parametrize("task", CASES)
def test_every_task_is_quantized(task, path):
    fit, X, y = CASES[task]
    model = fit()
    found = export(model, path, X, y).quantization
    assert found.rows == 40 and found.agreement > 0.9
    assert found.bytes["int8"] < 0.5 * found.bytes["float32"]
    assert path.stat().st_size == pytest.approx(found.bytes["int8"], abs=3000)  # the certificate comes on top
    assert Runner(path).facts["certificate"]["quantization"] == found.to_json()


@pytest.mark.parametrize("cell", ["rnn", "gru", "mingru", "minlstm_signed", "rglru", "lru", "lnlstm", "cnn"])
def test_every_cell_is_quantized(cell, path):
    model = classifier(cell=cell, pooling=["max", "attention"], bidirectional=True, num_layers=2)
    found = export(model, path).quantization
    assert found.bytes["int8"] < 0.45 * found.bytes["float32"] and not found.int8_arithmetic
    theirs, ours = Runner(path).predict_proba(small_models.DNA), model.predict_proba(small_models.DNA)
    assert 0 < np.abs(theirs - ours).max() < 0.02


def test_the_metric_is_that_of_the_file_s_own_answers(path):
    model = classifier()
    found = export(model, path).quantization
    theirs, ours = Runner(path).predict(small_models.DNA), model.predict(small_models.DNA)
    assert found.values["int8"] == pytest.approx(np.mean(theirs == np.array(LABELS)))
    assert found.values["float32"] == pytest.approx(np.mean(ours == np.array(LABELS)))
    assert found.agreement == pytest.approx(np.mean(theirs == ours))


def test_int8_arithmetic_does_not_let_an_answer_depend_on_its_batch_mates(path, fast_int8_arithmetic):
    model = classifier(bidirectional=True)
    assert export(model, path).quantization.int8_arithmetic
    runner = Runner(path)
    together = runner.predict_proba(small_models.DNA)
    alone = np.concatenate([runner.predict_proba([sequence]) for sequence in small_models.DNA])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(together, model.predict_proba(small_models.DNA), atol=0.03)


def test_int8_arithmetic_in_a_tagger_s_layers_and_characters(path, fast_int8_arithmetic):
    model = tagger(bidirectional=True, character_size=32)
    assert export(model, path, small_models.SENTENCES, small_models.TAGS).quantization.int8_arithmetic
    assert Runner(path).predict(small_models.SENTENCES) == model.predict(small_models.SENTENCES)


@pytest.mark.parametrize(("one", "many", "is_chosen"), [(1.3, 0.9, True), (1.1, 5, False), (5, 0.7, False)])
def test_int8_arithmetic_is_chosen_by_its_speed(path, monkeypatch, one, many, is_chosen):
    def milliseconds(runners, parts):
        speedup = many if len(parts) == 1 else one
        return {name: 1 / speedup if runner.facts.get("batch_dependent") else 1.0 for name, runner in runners.items()}

    monkeypatch.setattr(quantization, "_milliseconds", milliseconds)
    assert export(classifier(max_epochs=1), path).quantization.int8_arithmetic == is_chosen
    assert Runner(path).facts["batch_dependent"] == is_chosen


def test_int8_arithmetic_that_costs_too_much_gives_way(path, fast_int8_arithmetic, monkeypatch):
    original = quantization.loss_of

    def compare(model, rows, runners, sizes, tolerance):
        is_int8 = runners["int8"].facts["batch_dependent"]
        monkeypatch.setattr(quantization, "loss_of", lambda *_: (9.0, "points") if is_int8 else original(*_))
        return quantization.compare(model, rows, runners, sizes, tolerance)

    monkeypatch.setattr(write, "compare", compare)
    assert not export(classifier(), path, tolerance=5).quantization.int8_arithmetic


def test_a_file_that_costs_more_than_the_tolerance_is_refused(path, monkeypatch):
    original = write.int8_graph

    def ruined(graph, **options):
        result = original(graph, **options)
        for constant in result.constants.values():
            if constant.data_type == 3:  # int8
                constant.raw_data = bytes(len(constant.raw_data))
        return result

    monkeypatch.setattr(write, "int8_graph", ruined)
    path.write_text("what was there")
    model = classifier(max_epochs=30, lr=0.01)
    assert model.score(small_models.DNA, LABELS) > 0.6
    with pytest.raises(RunError, match="accuracy") as refused:
        export(model, path, tolerance=10)
    assert "allowed: 10 points" in str(refused.value)
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]
    assert path.read_text() == "what was there"


@pytest.mark.parametrize(
    ("metric", "float32", "int8", "loss", "unit"),
    [
        (Metric("accuracy"), 0.90, 0.895, 0.5, "points"),
        (Metric("accuracy"), 0.895, 0.90, -0.5, "points"),
        (Metric("hamming_loss", higher_is_better=False), 0.10, 0.12, 2.0, "points"),
        (Metric("rmse", higher_is_better=False, scale=1, unit=""), 200.0, 203.0, 1.5, "per cent"),
        (Metric("log_loss", higher_is_better=False, scale=1, unit="nats"), 0.5, 0.4, -20.0, "per cent"),
    ],
)
def test_the_loss_is_in_points_or_per_cent_of_the_metric(metric, float32, int8, loss, unit):
    assert loss_of(metric, float32, int8) == (loss, unit)


def test_agreement_of_tags_is_the_share_of_words():
    ours = {"tags": [np.array([0, 1, 2]), np.array([1])]}
    theirs = {"tags": [np.array([0, 1, 1]), np.array([1])]}
    assert TaggingPortable.agreement(None, ours, theirs) == 0.75


def test_agreement_of_numbers_is_the_explained_variance():
    portable = RegressionPortable.__new__(RegressionPortable)
    portable.names = ["a", "b"]
    ours = {"predictions": [np.array([0.0, 5.0]), np.array([2.0, 5.0])]}  # variances 1 and 0
    theirs = {"predictions": [np.array([0.5, 5.0]), np.array([2.5, 5.0])]}  # errors 0.25 and 0
    assert portable.agreement(ours, ours) == 1
    assert portable.agreement(ours, theirs) == pytest.approx((0.75 + 1) / 2)


def test_verify_repeats_the_comparison_with_the_file_s_tolerance(path):
    model = classifier(max_epochs=30, lr=0.01)
    export(model, path, tolerance=12.5)
    again = verify(path, model, validation=(small_models.DNA, LABELS))
    assert again.holds and again.quantization.tolerance == 12.5
    model.model_.head.weight.data = model.model_.head.weight.data.flip(0)  # other answers for the same input
    changed = verify(path, model, validation=(small_models.DNA, LABELS))
    assert changed.quantization.agreement < 0.9
    with pytest.raises(ConfigError, match="validation"):
        verify(path, model)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"quantize": "int4"}, ConfigError, "int4"),
        ({"validation": None}, ConfigError, "validation"),
        ({"validation": 5}, ConfigError, "int"),
        ({"tolerance": -1}, ConfigError, "-1"),
        ({"tolerance": float("nan")}, ConfigError, "nan"),
        ({"validation": ([], [])}, DataError, "no labelled rows"),
        ({"validation": (["ACGT"], ["unseen"])}, DataError, "unseen"),
        ({"validation": (["ACGT", ""], ["odd", "odd"])}, DataError, "sequence 1"),
        ({"validation": (["ACGT"], ["odd", "odd"])}, DataError, "2"),
        ({"validation": "no-run"}, RunError, "no-run"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(path, options, error, named):
    given = {"quantize": "int8", "validation": (small_models.DNA, LABELS), **options}
    with pytest.raises(error, match=named):
        to_onnx(classifier(max_epochs=1), path, **given)
    assert not path.exists()


def test_an_indicator_matrix_and_named_targets_are_labelled_rows():
    from ostinato import SequenceMultilabelClassifier

    y = np.eye(2, dtype=int)[np.arange(len(small_models.TEXTS)) % 2]
    model = SequenceMultilabelClassifier(**small_models.TINY).fit(small_models.TEXTS, y).fitted_
    assert model.task.labelled_rows(model, small_models.TEXTS, y).targets[:2] == [(0,), (1,)]
    model = small_models.regressor(targets=2).fitted_
    object.__setattr__(model.codec, "names", ("width", "height"))
    (row,) = model.task.labelled_rows(model, ["x"], [[1, 2]]).targets
    assert row == {"width": 1, "height": 2}
