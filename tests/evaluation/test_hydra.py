import ast
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ostinato.evaluation.baselines.hydra import (
    MOST_STEPS,
    SECONDS_EACH,
    Hydra,
    dilations_of,
    hydra_baseline,
    hydra_problem,
)
from ostinato.progress import unlimited


def aeon_hydra():
    """The class of aeon, which needs torch alone; importing its module would need Numba."""
    package = Path(find_spec("aeon").origin).parent
    tree = ast.parse((package / "transformations/collection/convolution_based/_hydra.py").read_text(encoding="utf-8"))
    (found,) = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and each.name == "_HydraInternal"]
    names = {"np": np, "torch": torch, "nn": nn, "F": F}
    exec(compile(ast.Module([found], []), "aeon", "exec"), names)
    return names["_HydraInternal"]


@pytest.mark.parametrize(("T", "channels"), [(50, 1), (70, 5), (7, 3)])
def test_equals_aeon_on_series_of_one_length(T, channels):
    pytest.importorskip("aeon")
    hydra, other = Hydra.draw(T, channels, seed=0), aeon_hydra()(T, channels)
    assert hydra.weights.shape == other.W.shape
    assert channels == 1 or hydra.channels[0].shape == other.idx[0].shape  # aeon does not read them of one channel
    assert hydra.dilations == other.dilations.tolist()
    other.W, other.idx = hydra.weights, list(hydra.channels)
    X = torch.randn(6, channels, T, generator=torch.Generator().manual_seed(1))
    found = hydra.features(X.transpose(1, 2).reshape(-1, channels), torch.full((6,), T))
    torch.testing.assert_close(found, other(X), atol=1e-5, rtol=1e-5)


def test_counts_of_one_series_by_hand():
    weights = torch.zeros(1, 2, 8, 1, 9)
    weights[0, 0, 0, 0, 4], weights[0, 0, 1, 0, 4] = 1, -1  # z = x, z = −x, and six kernels of zeros
    weights[0, 1, 2, 0, 3] = 1  # the difference before
    hydra = Hydra([1], weights, torch.zeros(1, 2, 1, 1, dtype=torch.int64))
    found = hydra.features(torch.tensor([[3.0], [-1.0], [2.0]]), torch.tensor([3]))[0]
    sums, counts, of_differences, worst = found.split(8)
    assert sums.tolist() == [5, 1, 0, 0, 0, 0, 0, 0]  # kernel 0 is best at 3 and 2, kernel 1 at −1
    assert counts.tolist() == [1, 2, 0, 0, 0, 0, 0, 0]
    # of the differences −4 and 3, kernel 2 sees 0 and −4: it is never the best, and once the worst
    assert of_differences.sum() == 0 and worst[2] == 1 and worst.sum() == 2


def test_the_features_of_a_series_depend_on_that_series_alone():
    hydra, lengths = Hydra.draw(40, 2, seed=0), torch.tensor([40, 1, 17, 9])
    values = torch.randn(67, 2, generator=torch.Generator().manual_seed(0))
    together = hydra.features(values, lengths)
    for row, series in enumerate(values.split(lengths.tolist())):
        alone = hydra.features(series, lengths[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=1e-5)


def test_shapes_anywhere_in_series_of_different_lengths_are_told_apart():
    rng, rows, targets = np.random.default_rng(0), [], np.arange(120) % 2
    for target in targets:
        series = rng.normal(0, 0.3, (int(rng.integers(30, 60)), 1))
        start = int(rng.integers(0, len(series) - 16))
        series[start : start + 16, 0] += 2 * np.sin(np.arange(16) * (np.pi / 2 if target else np.pi / 4))
        rows.append(torch.from_numpy(series).float())

    def part(chosen):
        return torch.cat(chosen), torch.tensor([len(each) for each in chosen])

    fitted = hydra_baseline(*part(rows[:80]), targets[:80], num_classes=3, seed=0)
    probabilities = fitted.predict(*part(rows[80:]))
    assert (probabilities.argmax(axis=1) == targets[80:]).mean() > 0.95
    assert probabilities.shape == (40, 3) and probabilities.sum(axis=1) == pytest.approx(1)
    assert fitted.description == "ridge regression on 3,072 features of Hydra"


def test_the_longest_window_fits_into_the_longest_series():
    assert [dilations_of(longest) for longest in (1, 9, 16, 17, 33)] == [[1], [1], [1], [1, 2], [1, 2, 4]]


def test_too_many_series_or_too_little_time_leaves_it_out():
    lengths = torch.full((100,), 17)  # 3,400 steps over two dilations
    assert hydra_problem(lengths, unlimited) is None
    assert "0.0 s" in hydra_problem(lengths, lambda: 3_399 * SECONDS_EACH)
    assert "10,001" in hydra_problem(torch.ones(10_001, dtype=torch.int64), unlimited)
    longest = torch.tensor([MOST_STEPS // 2])  # 18 dilations
    assert f"{MOST_STEPS // 2 * 18:,}" in hydra_problem(longest, unlimited)
