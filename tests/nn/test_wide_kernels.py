"""Features of convolution kernels, compared with the definition written out."""

import numpy as np
import pytest
import torch

from ostinato.errors import RunError
from ostinato.nn import Layout
from ostinato.nn.wide_kernels import KERNELS, WideKernels, statistics_by_step

rng = np.random.default_rng(0)
LENGTHS = torch.tensor([40, 3, 25, 9, 60, 1, 17])


def series(channels, lengths=LENGTHS):
    return torch.from_numpy(rng.normal(size=(int(lengths.sum()), channels)).astype(np.float32))


def fitted(channels, *, most=84 * 6, outputs=3):
    torch.manual_seed(0)
    values = series(channels)
    wide = WideKernels(outputs, channels=channels)
    wide.fit(values, LENGTHS, most=most, seed=0)
    torch.nn.init.normal_(wide.weight)
    return wide, values


def convolution(x, kernel, dilation, whole):
    """Of one series (T,), tap by tap; with `whole`, only windows that lie in the series."""
    weights = [2.0 if tap in KERNELS[kernel] else -1.0 for tap in range(9)]
    found = []
    for t in range(len(x)):
        places = [t + (tap - 4) * dilation for tap in range(9)]
        if whole and not (places[0] >= 0 and places[-1] < len(x)):
            continue
        found.append(sum(w * x[at] for w, at in zip(weights, places, strict=True) if 0 <= at < len(x)))
    return np.array(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_the_shares_of_windows_above_the_biases(channels):
    wide, values = fitted(channels)
    features = (wide.features(values, Layout(LENGTHS)) * wide.std + wide.mean)[:, : len(wide.biases)].numpy()
    for row, x in enumerate(np.split(values.double().numpy(), LENGTHS.cumsum(0)[:-1])):
        at = 0
        for j, (dilation, size) in enumerate(zip(wide.dilations.tolist(), wide.sizes.tolist(), strict=True)):
            for kernel in range(len(KERNELS)):
                biases = wide.biases[at : at + size].numpy()
                if kernel % 17 == j % 17:  # a few of them, since this is slow
                    of = x[:, wide.channel_sets[j, kernel].numpy()].sum(axis=1)
                    whole = (j + kernel) % 2 == 1 and len(x) > 8 * dilation
                    found = convolution(of, kernel, dilation, whole)[:, None]
                    least, most = ((found > biases + off).mean(axis=0) for off in (1e-5, -1e-5))  # float32 rounds
                    assert (features[row, at : at + size] >= least - 1e-6).all()
                    assert (features[row, at : at + size] <= most + 1e-6).all()
                at += size


def test_dilations_reach_an_eighth_of_the_longest_series():
    wide, _ = fitted(1, most=84 * 20)
    assert wide.dilations[0] == 1
    assert wide.dilations[-1] == 59 // 8
    assert int(wide.sizes.sum()) == 20


def test_features_of_training_series_are_standardised():
    values = series(2)
    wide = WideKernels(3, channels=2)
    features = wide.fit(values, LENGTHS, most=84 * 2, seed=0).double()
    std, mean = torch.std_mean(features, dim=0, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    varies = std > 0
    torch.testing.assert_close(std[varies], torch.ones_like(std[varies]), atol=1e-4, rtol=0)
    assert varies.sum() > 100


def test_each_channel_set_has_one_to_nine_channels():
    counts = fitted(20)[0].channel_sets.sum(dim=2)
    assert counts.min() == 1
    assert 3 < counts.max() <= 9


@pytest.mark.parametrize("channels", [1, 3])
def test_outputs_have_the_same_bits_in_any_batch(channels, monkeypatch):
    wide, values = fitted(channels)
    with torch.no_grad():
        together = wide(values, Layout(LENGTHS))
        ends = LENGTHS.cumsum(0).tolist()
        for row, (length, end) in enumerate(zip(LENGTHS.tolist(), ends, strict=True)):
            alone = wide(values[end - length : end], Layout(LENGTHS[row : row + 1]))
            assert torch.equal(alone[0], together[row])
        monkeypatch.setattr("ostinato.nn.wide_kernels.VALUES_AT_A_TIME", 84 * 60)
        assert torch.equal(wide(values, Layout(LENGTHS)), together)


def test_statistics_are_sums_over_the_steps():
    values = series(2)
    layout = Layout(LENGTHS)
    found = torch.zeros(len(LENGTHS), 14).double().index_add(0, layout.sequence, statistics_by_step(values, layout))
    for row, x in enumerate(np.split(values.double().numpy(), LENGTHS.cumsum(0)[:-1])):
        jumps = np.abs(np.diff(x, axis=0)).sum(axis=0) / max(len(x) - 1, 1)
        expected = [x.mean(axis=0), x.std(axis=0), x.min(axis=0), x.max(axis=0), x[0], x[-1], jumps]
        np.testing.assert_allclose(found[row], np.concatenate(expected), atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_contributions_add_up_to_the_difference_from_zeros(channels):
    wide, values = fitted(channels)
    layout = Layout(LENGTHS)
    added = torch.zeros(len(LENGTHS), 3).index_add(0, layout.sequence, wide.contributions(values, layout))
    expected = wide(values, layout) - wide(torch.zeros_like(values), layout)
    torch.testing.assert_close(added, expected, atol=1e-3, rtol=1e-4)


def test_the_seed_draws_kernels_and_biases():
    values = series(4)
    wides = [WideKernels(2, channels=4) for _ in range(3)]
    features = [wide.fit(values, LENGTHS, most=200, seed=seed) for wide, seed in zip(wides, (1, 1, 2), strict=True)]
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("dilations", 0, "dilations"), ("sizes", 7, "biases"), ("biases", None, "biases"), ("channel_sets", 0, "set")],
)
def test_a_state_that_contradicts_itself_is_refused(name, value, message):
    wide, _ = fitted(1)
    state = wide.state_dict()
    state[name] = state[name][1:] if value is None else torch.full_like(state[name], value)
    with pytest.raises(RunError, match=message):
        WideKernels(3, channels=1).prepare_for(state)
