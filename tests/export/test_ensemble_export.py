"""One ONNX file answers as an ensemble whose members read the same tokens."""

import numpy as np
import pytest
import small_models

import ostinato
from ostinato.errors import ConfigError
from ostinato.export import Runner, to_onnx

ENSEMBLES = {
    "classifiers": lambda: [
        small_models.classifier(seed=seed, wide=wide) for seed, wide in enumerate((None, "ngrams"))
    ],
    "multilabel": lambda: [small_models.multilabel(cell=cell) for cell in ("gru", "rnn")],
    "regressors": lambda: [small_models.regressor(loss="quantile", targets=2, seed=seed) for seed in range(2)],
    "kernels": lambda: [small_models.regressor(wide="kernels", cell=cell) for cell in ("none", "gru")],
}
ROWS = {"classifiers": small_models.DNA, "multilabel": small_models.TEXTS}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_exported_ensemble_answers_as_our_engine(name, tmp_path):
    model = ostinato.ensemble(ENSEMBLES[name](), weights=[0.3, 0.7])
    found = to_onnx(model, tmp_path / "model.onnx")
    assert found.holds and max(found.differences.values()) > 0
    rows = ROWS.get(name, small_models.SERIES)[:5]
    task, fitted = model.task, model.fitted_
    records = (task.row_of_value(row if isinstance(row, str) else row.tolist(), "a row", fitted) for row in rows)
    expected = [task.answer_json(fitted, each.answer) for each in task.answer(fitted, records, strict=True)]
    for ours, exported in zip(expected, Runner(tmp_path / "model.onnx").answers(rows), strict=True):
        assert_close(ours, exported)


def assert_close(ours, exported):
    if isinstance(ours, dict):
        assert ours.keys() == exported.keys()
        for key, value in ours.items():
            assert_close(value, exported[key])
    elif isinstance(ours, float):
        assert exported == pytest.approx(ours, rel=1e-3, abs=1e-4)
    else:
        assert np.array_equal(ours, exported)


def test_members_with_different_tokens_are_refused(tmp_path):
    letters, kmers = small_models.classifier(), small_models.classifier(tokenizer="kmers(3)")
    with pytest.raises(ConfigError, match="different tokens"):
        to_onnx(ostinato.ensemble([letters, kmers]), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_states_are_refused(tmp_path):
    model = ostinato.ensemble([small_models.classifier(seed=seed) for seed in range(2)])
    with pytest.raises(ConfigError, match="ensemble"):
        to_onnx(model, tmp_path / "model.onnx", stateful=True)
