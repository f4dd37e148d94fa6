"""The runner answers as the estimator does, without PyTorch."""

import json
import subprocess
import sys

import numpy as np
import pytest
import small_models

from ostinato.errors import ConfigError, DataError, RunError
from ostinato.export import Runner, to_onnx

pytestmark = pytest.mark.filterwarnings("ignore:.*out-of-vocabulary")

WITHOUT_TORCH = """
import json, sys

HEAVY = {"torch", "pydantic", "pyarrow", "sklearn", "scipy", "pandas", "safetensors", "rich", "typer", "onnx"}


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"{name} is not installed")


sys.meta_path.insert(0, Refuse())
from ostinato.export import Runner

runner = Runner(sys.argv[1])
X = json.loads(sys.argv[2])
print(json.dumps(runner.answers(X)))
"""


@pytest.fixture
def runner_of(tmp_path):
    def export(model):
        to_onnx(model, tmp_path / "model.onnx")
        return Runner(tmp_path / "model.onnx")

    return export


def test_a_classifier_answers_as_before(runner_of):
    model = small_models.classifier(small_models.TEXTS, max_length=3, truncate="both")
    runner = runner_of(model)
    X = [*small_models.TEXTS, "unheard of", "ΟΔΟΣ!"]
    assert runner.predict(X).tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(runner.predict_proba(X), model.predict_proba(X), rtol=1e-4, atol=1e-6)
    assert runner.classes_.tolist() == model.classes_.tolist()


def test_series_standardised_by_themselves_answer_as_before(runner_of):
    model = small_models.regressor(scale="series", max_length=6)
    X = [series * 1e6 for series in small_models.SERIES]
    np.testing.assert_allclose(runner_of(model).predict(X), model.predict(X), rtol=1e-4)
    np.testing.assert_allclose(model.predict(X), model.predict(small_models.SERIES), rtol=1e-5)


@pytest.mark.parametrize(
    "tokenizer", ["words", "subwords", "characters", "nucleotides", "amino-acids", "kmers(3)", "events"]
)
def test_every_tokenizer_reads_as_before(runner_of, tokenizer):
    model = small_models.classifier(tokenizer=tokenizer)
    X = ["acgtnu", "Q", "A C G", "ÄßX-1"]
    np.testing.assert_allclose(runner_of(model).predict_proba(X), model.predict_proba(X), rtol=1e-4, atol=1e-6)


def test_a_multilabel_classifier_answers_as_before(runner_of):
    model = small_models.multilabel()
    runner = runner_of(model)
    model.model_.thresholds.fill_(0.4)
    assert runner_of(model).predict(small_models.TEXTS) == model.predict(small_models.TEXTS)
    np.testing.assert_allclose(runner.predict_proba(small_models.TEXTS), model.predict_proba(small_models.TEXTS), 1e-4)


def test_an_indicator_matrix_stays_one(runner_of):
    from ostinato import SequenceMultilabelClassifier

    y = np.eye(2, dtype=int)[np.arange(len(small_models.TEXTS)) % 2]
    model = SequenceMultilabelClassifier(**small_models.TINY).fit(small_models.TEXTS, y)
    found = runner_of(model).predict(small_models.TEXTS)
    np.testing.assert_array_equal(found, model.predict(small_models.TEXTS))


@pytest.mark.parametrize(("targets", "loss"), [(1, "squared"), (2, "squared"), (1, "quantile"), (2, "quantile")])
def test_a_regressor_answers_as_before(runner_of, targets, loss):
    model = small_models.regressor(targets=targets, loss=loss)
    runner = runner_of(model)
    np.testing.assert_allclose(runner.predict(small_models.SERIES), model.predict(small_models.SERIES), rtol=1e-5)
    if loss == "quantile":
        expected = model.predict_quantiles(small_models.SERIES)
        np.testing.assert_allclose(np.stack(runner.outputs(small_models.SERIES)["quantiles"]), expected, rtol=1e-5)
    with pytest.raises(ConfigError, match="probabilities"):
        runner.predict_proba(small_models.SERIES)
    with pytest.raises(AttributeError):
        runner.classes_  # noqa: B018


@pytest.mark.parametrize("target_scheme", [None, "bioes"])
def test_a_tagger_answers_as_before(runner_of, target_scheme):
    model = small_models.tagger(character_cell="cnn", word_shape_size=3, target_scheme=target_scheme, max_epochs=5)
    runner = runner_of(model)
    X = [*small_models.SENTENCES, [("Unseen", "cap")], [("ON", "new"), ("Paris", "cap")]]
    assert runner.predict(X) == model.predict(X)
    for found, expected in zip(runner.predict_proba(X), model.predict_proba(X), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert runner.classes_.tolist() == list(model.classes_)


def test_a_tagger_marks_spans_of_a_text_in_characters(runner_of):
    words = small_models.words_only()
    model = small_models.tagger(words, max_epochs=60, lr=0.05)
    (answer,) = runner_of(model).answers(["on Paris."])
    assert answer["tokens"] == ["on", "Paris", "."]
    assert [(each["start"], each["end"], each["label"]) for each in answer["spans"]] == [(3, 8, "LOC")]


def test_long_and_short_sequences_are_batched_without_mixing_rows(runner_of):
    model = small_models.classifier()
    X = ["A" * length for length in (40_000, 1, 9, 20_000, 3)]
    np.testing.assert_allclose(runner_of(model).predict_proba(X), model.predict_proba(X), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "X"),
    [
        (small_models.classifier, ["ACGT", "GG", "zzz"]),
        (small_models.multilabel, ["a great film", "zzz"]),
        (small_models.regressor, [[[1.0, 2.0], [3.0, 4.0]]]),
        (lambda: small_models.tagger(small_models.words_only()), ["Paris sat on 42.", ["U2", "zzz"]]),
    ],
)
def test_neither_torch_nor_pydantic_is_needed(tmp_path, model, X):
    path = tmp_path / "model.onnx"
    fitted = model()
    to_onnx(fitted, path)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(path), json.dumps(X)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(Runner(path).answers(X)))


@pytest.mark.parametrize("X", [["ACGT", ""], ["ACGT", 5], []])
def test_sequences_that_cannot_be_read_are_refused(runner_of, X):
    with pytest.raises(DataError, match="sequence"):
        runner_of(small_models.classifier()).predict(X)


def test_a_single_string_is_refused(runner_of):
    with pytest.raises(DataError, match="ACGT"):
        runner_of(small_models.classifier()).predict("ACGT")


def altered(path, change):
    import onnx

    proto = onnx.load(path)
    facts = json.loads(proto.metadata_props[0].value)
    change(facts)
    onnx.helper.set_model_props(proto, {"ostinato": json.dumps(facts)})
    onnx.save(proto, path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda facts: facts.update(task="os.path"), "os.path"),
        (lambda facts: facts.update(task=None), "None"),
        (lambda facts: facts.update(format=99), "99"),
        (lambda facts: facts.pop("encoder"), "tokens"),
        (lambda facts: facts["encoder"].pop("tokens"), "tokens"),
        (lambda facts: facts.update(answer=[]), "list"),
        (lambda facts: facts.clear(), "not a model"),
    ],
)
def test_altered_facts_are_refused(tmp_path, change, named):
    path = tmp_path / "model.onnx"
    to_onnx(small_models.classifier(), path)
    altered(path, change)
    with pytest.raises(RunError, match=named):
        Runner(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(RunError, match="not found"):
        Runner(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(RunError, match=r"text\.onnx"):
        Runner(tmp_path / "text.onnx")
