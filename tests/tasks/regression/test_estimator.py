"""`SequenceRegressor` behaves as scikit-learn's regressors do."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_regressor
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score

import ostinato
from ostinato import SequenceRegressor
from ostinato.errors import ConfigError, DataError, NotFittedError

rng = np.random.default_rng(0)
X = ["".join(rng.choice(["0", "1"], size=rng.integers(3, 12))) for _ in range(160)]
Y = np.array([100.0 + 10 * text.count("1") for text in X])
SMALL = {"tokenizer": "characters", "cell": "gru", "hidden_size": 8, "embedding_size": 4, "max_epochs": 2}


@pytest.fixture(scope="module")
def fitted():
    settings = SMALL | {"hidden_size": 16, "max_epochs": 15, "lr": 2e-2}
    return SequenceRegressor(**settings).fit(X, Y)


def test_counting_is_learnt_in_units(fitted):
    new = ["0000000", "1010101", "1111111"]
    np.testing.assert_allclose(fitted.predict(new), [100, 140, 170], atol=12)
    assert fitted.score(X, Y) > 0.95


def test_score_is_r2(fitted):
    assert fitted.score(X, Y) == pytest.approx(r2_score(Y, fitted.predict(X)))
    assert is_regressor(fitted)


@pytest.mark.parametrize("y", [Y.tolist(), Y[:, None], pd.Series(Y, index=range(5, 165)), pd.DataFrame({"y": Y})])
def test_one_number_in_any_container_gives_the_same_model(y):
    plain = SequenceRegressor(**SMALL).fit(X, Y).predict(X)
    np.testing.assert_array_equal(SequenceRegressor(**SMALL).fit(X, y).predict(X), plain)


def test_several_targets_keep_names_and_columns():
    y = pd.DataFrame({"ones": Y, "length": list(map(len, X))})
    model = SequenceRegressor(**SMALL, loss="huber").fit(X, y)
    assert model.codec_.names == ("ones", "length")
    assert model.predict(X[:3]).shape == (3, 2)
    assert SequenceRegressor(**SMALL).fit(X, y.to_numpy()).codec_.names == ("target_0", "target_1")


def test_quantiles_increase_and_the_prediction_is_the_median():
    model = SequenceRegressor(**SMALL, loss="quantile", quantiles=(0.05, 0.25, 0.5, 0.95)).fit(X, Y)
    quantiles = model.predict_quantiles(X)
    assert quantiles.shape == (160, 1, 4)
    assert (np.diff(quantiles, axis=2) >= 0).all()
    np.testing.assert_array_equal(model.predict(X), quantiles[:, 0, 2])


def test_quantiles_need_their_loss(fitted):
    with pytest.raises(ConfigError, match="'squared'"):
        fitted.predict_quantiles(X)


def test_saved_model_predicts_the_same_bits(tmp_path):
    model = SequenceRegressor(**SMALL, loss="quantile").fit(X, np.stack([Y, -Y], axis=1))
    model.save(tmp_path / "model.safetensors")
    loaded = ostinato.load(tmp_path / "model.safetensors")
    assert isinstance(loaded, SequenceRegressor)
    np.testing.assert_array_equal(loaded.predict_quantiles(X), model.predict_quantiles(X))


def test_answer_does_not_depend_on_the_batch(fitted):
    together = fitted.predict(X)
    np.testing.assert_allclose(np.concatenate([fitted.predict([text]) for text in X]), together, rtol=1e-6)


def test_scikit_learn_clones_and_cross_validates_it():
    scores = cross_val_score(clone(SequenceRegressor(**SMALL)), X, Y, cv=2)
    assert scores.shape == (2,)


def test_given_validation_rows_pick_the_epoch():
    model = SequenceRegressor(**SMALL, monitor="rmse").fit(X[:100], Y[:100], validation_data=(X[100:], Y[100:]))
    best = min(model.history_, key=lambda entry: entry["validation_rmse"])
    residuals = model.predict(X[100:]) - Y[100:]
    assert np.sqrt((residuals**2).mean()) == pytest.approx(best["validation_rmse"], rel=1e-5)


def test_without_validation_all_epochs_are_trained():
    model = SequenceRegressor(**SMALL, validation_fraction=None, patience=1).fit(X, Y)
    assert model.n_iter_ == 2
    assert "validation_loss" not in model.history_[0]


@pytest.mark.parametrize(
    ("y", "value"),
    [
        (["many"] * 160, "many"),
        ([float("nan"), *Y[1:]], "row 0: .*nan"),
        (np.full(160, 7.0), "7"),
        (np.where(np.arange(160) == 3, 1e155, Y), r"row 3: \[1e\+155\]"),
        (Y[:10], "10"),
        (np.zeros((160, 2, 2)), r"\(160, 2, 2\)"),
    ],
)
def test_unusable_targets_are_refused(y, value):
    with pytest.raises(DataError, match=value):
        SequenceRegressor(**SMALL).fit(X, y)


def test_predict_before_fit_is_refused():
    with pytest.raises(NotFittedError, match="SequenceRegressor"):
        SequenceRegressor().predict(X)


def test_explanation_is_of_the_number_in_its_units(fitted):
    [explanation] = ostinato.explain(fitted, ["0110"])
    assert (explanation.quantity, explanation.label) == ("prediction", "target")
    assert explanation.value == pytest.approx(fitted.predict(["0110"])[0])
    assert explanation.scores[[1, 2]].min() > explanation.scores[[0, 3]].max()


def test_trace_ends_at_the_prediction(fitted):
    trace = ostinato.trace(fitted, "0110")
    assert trace.running[-1, 0] == pytest.approx(fitted.predict(["0110"])[0])
    np.testing.assert_allclose(trace.running[:, 0], fitted.predict(["0", "01", "011", "0110"]), rtol=1e-6)


def test_label_names_the_explained_target():
    model = SequenceRegressor(**SMALL, loss="quantile").fit(X, pd.DataFrame({"a": Y, "b": -Y}))
    [explanation] = ostinato.explain(model, ["0110"], label="b")
    assert explanation.value == pytest.approx(model.predict(["0110"])[0, 1])
