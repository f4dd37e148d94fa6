import numpy as np
import pytest

from ostinato.tasks.sequences.infer_series import choose_scale

WAVE = np.sin(np.arange(30.0))[:, None]  # (30, 1)


def test_one_scale_suits_series_of_similar_size():
    scale, reason = choose_scale([WAVE * size for size in (1, 2, 3)] * 20)
    assert scale == "channel"
    assert f"{WAVE.std():.3g}" in reason
    assert f"{3 * WAVE.std():.3g}" in reason


@pytest.mark.parametrize("channels", [1, 2])
def test_series_of_very_different_sizes_are_scaled_each_by_itself(channels):
    sizes = np.geomspace(1e-2, 1e3, 40)
    series = [np.concatenate([np.ones((30, channels - 1)) * WAVE, WAVE * size], axis=1) for size in sizes]
    assert choose_scale(series)[0] == "series"


def test_series_at_very_different_levels_are_scaled_each_by_itself():
    assert choose_scale([WAVE + level for level in np.linspace(0, 1000, 40)])[0] == "series"


def test_constant_and_empty_series_do_not_count():
    series = [WAVE, np.full((5, 1), 3.0), np.empty((0, 1))]
    assert choose_scale(series * 10)[0] == "channel"
    assert choose_scale([np.full(5, 3.0)] * 4)[0] == "channel"
    assert choose_scale([[]])[0] == "channel"


def test_what_is_not_a_series_is_left_to_training():
    assert choose_scale([WAVE, [float("nan")], "abc", [1, [2]], [0, 1e155]]) == choose_scale([WAVE])


def test_large_float32_numbers_do_not_overflow():
    large = np.float32(3e38) * WAVE.astype(np.float32)
    assert choose_scale([large, large * np.float32(0.5)])[0] == "channel"
