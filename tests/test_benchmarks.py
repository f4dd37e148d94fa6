"""The harness of the benchmarks: what it keeps, what it drops, how it compares. Nothing is timed here."""

import itertools
import json

import pytest
import torch
from typer.testing import CliRunner

from ostinato.benchmark import peers, program, training
from ostinato.benchmark import timing as clock
from ostinato.benchmark.program import measure
from ostinato.benchmark.record import save
from ostinato.cli import app
from ostinato.errors import ConfigError, MissingExtraError


@pytest.fixture
def timing(monkeypatch):
    """The clock, with samples as short as can be."""
    monkeypatch.setattr(clock, "SETTLE_S", 0.0)
    monkeypatch.setattr(clock, "SAMPLE_S", 0.0)
    monkeypatch.setattr(clock, "MATMUL", 64)
    return clock


class Readings:
    """A calibration that reads what it is told, the last of it for ever; an undisturbed one reads 1."""

    quickest = 1.0

    def __init__(self, *readings):
        self._readings = itertools.chain(readings, itertools.repeat(readings[-1]))

    def read(self):
        return next(self._readings)


def recorder(timing, order, name):
    return timing.Side(lambda: order.append(name))


def test_sides_take_turns_and_every_second_round_runs_backwards(timing):
    order = []
    sides = {name: recorder(timing, order, name) for name in "abc"}
    timing.interleave(sides, {"a": 1, "b": 2, "c": 1}, 2, Readings(1.0))
    assert "".join(order) == "abbc" + "cbba"


def test_a_sample_beside_a_slow_calibration_is_dropped_and_taken_again(timing):
    order = []
    sides = {name: recorder(timing, order, name) for name in "ab"}
    # readings: at the start, after a (busy: a and b are dropped), after b, then quiet throughout
    taken = timing.interleave(sides, {"a": 1, "b": 1}, 1, Readings(1.0, 1.5, 1.0))
    assert [sample.is_quiet(1.0) for sample in taken["a"]] == [False, True]
    assert [sample.is_quiet(1.0) for sample in taken["b"]] == [False, True]


def test_a_machine_that_stays_busy_ends_the_row_and_is_told(timing):
    order = []
    taken = timing.interleave({"a": recorder(timing, order, "a")}, {"a": 1}, 4, Readings(2.0))
    assert len(taken["a"]) == 12
    figures = timing.Timing.of(taken["a"], 1.0, timing.Side(lambda: None))
    assert (figures.kept, figures.dropped, figures.busy) == (0, 12, True)


def test_the_median_is_of_quiet_samples_and_scaled(timing):
    samples = [
        timing.Sample(seconds, 1.0, after)
        for seconds, after in ((2.0, 1.0), (3.0, 1.1), (4.0, 1.0), (50.0, 1.3), (60.0, 9.0))
    ]
    figures = timing.Timing.of(samples, 1.0, timing.Side(lambda: None, tokens=1_000_000, scale=10.0))
    assert figures.seconds == 30.0
    assert figures.us_per_token == 30.0
    assert (figures.kept, figures.dropped) == (3, 2)


def timed(timing, seconds):
    return timing.Timing(seconds, tokens=100, kept=1, dropped=0, busy=False)


def test_ratios_are_to_the_quickest_peer_and_missing_ones_do_not_count(timing):
    row = timing.Row(
        "row", "work", {"ours": timed(timing, 2.0), "slow": timed(timing, 80.0), "quick": timed(timing, 5.0)}
    )
    assert row.ratio("slow") == 40.0
    assert row.ratio("slow", "quick", "absent") == 2.5
    assert row.ratio("absent") is None
    row.expect("slow", at_least=40)
    row.expect("slow", "quick", at_least=2.6)
    row.expect("absent", at_least=1)
    assert [goal.reached for goal in row.goals] == [True, False, None]
    assert "not measured" in str(row.goals[2])


def test_share_of_matmul_is_a_ratio_of_rates(timing, monkeypatch):
    monkeypatch.setattr(timing, "MATMUL", 10)  # 2,000 multiplications and additions, in 2 s: 1,000 a second
    row = timing.Row("row", "work", {"ours": timed(timing, 4.0), "matmul": timed(timing, 2.0)}, flops=3000.0)
    assert row.share_of_matmul("ours") == 0.75
    assert row.share_of_matmul("matmul") is None


def test_products_count_every_matrix_of_a_stack(timing):
    # first layer: 2 directions × 4 gates × 3 units × (5 inputs + 3 units); second: 6 inputs; each a multiplication and an addition
    assert timing.products(4, 5, 3, num_layers=2, directions=2) == 2 * (2 * 4 * 3 * (5 + 3) + 2 * 4 * 3 * (6 + 3))


def test_sides_that_differ_are_refused_by_name(timing):
    mine, theirs = torch.ones(4), torch.tensor([1.0, 1.0, 1.0, 1.1])
    sides = {
        "ours": timing.Side(lambda: None, lambda: [mine, mine]),
        "peer": timing.Side(lambda: None, lambda: [mine, theirs]),
    }
    with pytest.raises(timing.DisagreementError, match=r"peer and ours differ by 5\.0e-02 in tensor 1"):
        timing.check_agreement(sides)
    sides["peer"] = timing.Side(lambda: None, lambda: [mine])
    assert timing.check_agreement(sides) == 0.0


def test_an_answer_that_is_no_number_is_refused(timing):
    sides = {
        name: timing.Side(lambda: None, lambda value=value: [torch.tensor([value])])
        for name, value in (("ours", 1.0), ("peer", float("nan")))
    }
    with pytest.raises(timing.DisagreementError, match="nan"):
        timing.check_agreement(sides)


@pytest.fixture
def short(timing, monkeypatch):
    """A bench that takes one sample a side."""
    return timing.Bench(timing.Effort(0.0, 1, 1))


def test_layers_agree_and_a_missing_peer_is_named(short, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(peers, "need", raise_missing)
    save(measure(["bigru-model-1"], bench=short).rows, tmp_path / "layers.json", quick=True)
    (row,) = json.loads((tmp_path / "layers.json").read_text())["rows"]
    assert set(row["timings"]) == {"ours", "nn.GRU", "matmul"}
    assert 0 < row["worst_error"] < 1e-5
    assert [goal["value"] is None for goal in row["goals"]] == [False, True]
    assert "ONNX Runtime is not installed" in capsys.readouterr().out


def raise_missing(package):
    raise MissingExtraError(package, "bench", "This peer")


def test_training_step_has_the_gradients_of_the_textbooks(short):
    (row,) = measure(["rnn-step"], bench=short).rows
    assert set(row.timings) == {"ours", "nn.RNNCell loop", "nn.RNN", "matmul"}
    assert 0 < row.worst_error < 1e-5


def test_the_scan_is_measured_beside_the_gru(short):
    (row,) = measure(["scan-20"], bench=short).rows
    assert set(row.timings) == {"ours", "mingru, scan by torch", "minlstm", "gru", "matmul"}
    assert row.goals[0].value > 0


def test_a_share_of_an_epoch_holds_cheap_and_dear_batches_alike():
    lengths = torch.arange(1, 321)
    chosen, scale = training.fair_share(lengths, every=5, batch_size=1)
    assert scale == 5.0
    assert [int(lengths[batch[0]]) for batch in chosen] == list(range(3, 321, 5))


def test_what_cannot_be_measured_is_refused_before_anything_is(monkeypatch):
    with pytest.raises(ConfigError, match="Unknown row 'lstm-randm'. Did you mean 'lstm-random'"):
        measure(["scan-20", "lstm-randm"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="PyTorch sees no CUDA GPU"):
        measure(["lstm-random"], device="cuda")
    for arguments, told in (
        (["--device", "cuda"], "PyTorch sees no CUDA GPU"),
        (["--device", "gpu"], "Unknown device 'gpu'"),
    ):
        refused = CliRunner().invoke(app, ["benchmark", *arguments])
        assert isinstance(refused.exception, ConfigError)
        assert told in str(refused.exception)
        assert refused.output == ""


def test_the_command_says_what_auto_picks(timing, monkeypatch, capsys):
    monkeypatch.setattr(program, "QUICK", timing.Effort(0.0, 1, 1))
    done = CliRunner().invoke(app, ["benchmark", "scan-20"])
    assert done.exit_code == 0
    assert "engine auto: " in done.output
    assert "scan-20: training" in done.output
    assert "lstm-random" in CliRunner().invoke(app, ["benchmark", "--list"]).output
