"""The benchmark's harness: which samples count, how sides are compared, what is saved. No test asserts a speed."""

import itertools
import json
import math

import pytest
import torch
from typer.testing import CliRunner

from ostinato.benchmark import arithmetic, frameworks, program, textbook, timing
from ostinato.benchmark.bench import Bench, DisagreementError, check_agreement
from ostinato.benchmark.program import measure
from ostinato.benchmark.record import save
from ostinato.benchmark.rows import Goal, Row, Timing
from ostinato.benchmark.timing import Effort, Sample, Side, interleave
from ostinato.benchmark.training import sample_of_epoch
from ostinato.benchmark.workload import Workload, training_steps
from ostinato.cli import app
from ostinato.errors import ConfigError, MissingExtraError


@pytest.fixture(autouse=True)
def _short_samples(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_S", 0.0)
    monkeypatch.setattr(timing, "SAMPLE_S", 0.0)
    monkeypatch.setattr(arithmetic, "MATMUL_SIZE", 64)


@pytest.fixture
def bench():
    """A bench that takes one sample per side."""
    return Bench(Effort(0.0, 1, 1))


class FakeCalibration:
    """Reads the given seconds one after the other, and the last one from then on; an idle machine reads 1."""

    fastest = 1.0

    def __init__(self, *readings):
        self._readings = itertools.chain(readings, itertools.repeat(readings[-1]))

    def read(self):
        return next(self._readings)


def recorder(order, name):
    return Side(lambda: order.append(name))


def test_sides_take_turns_and_every_second_round_is_reversed():
    order = []
    sides = {name: recorder(order, name) for name in "abc"}
    interleave(sides, {"a": 1, "b": 2, "c": 1}, 2, FakeCalibration(1.0))
    assert "".join(order) == "abbc" + "cbba"


def test_a_sample_next_to_a_slow_calibration_is_dropped_and_repeated():
    sides = {name: recorder([], name) for name in "ab"}
    # readings: at the start; after a, where the machine is busy, so that a and b are dropped; after b; then idle
    samples = interleave(sides, {"a": 1, "b": 1}, 1, FakeCalibration(1.0, 1.5, 1.0))
    assert [sample.is_undisturbed(1.0) for sample in samples["a"]] == [False, True]
    assert [sample.is_undisturbed(1.0) for sample in samples["b"]] == [False, True]


def test_a_busy_machine_ends_the_row_after_three_times_the_rounds_and_is_reported():
    samples = interleave({"a": recorder([], "a")}, {"a": 1}, 4, FakeCalibration(2.0))
    assert len(samples["a"]) == 12
    measured = Timing.of(samples["a"], 1.0, Side(lambda: None))
    assert (measured.samples, measured.dropped, measured.is_busy) == (0, 12, True)


def test_the_time_is_the_scaled_median_of_undisturbed_samples():
    samples = [
        Sample(seconds, 1.0, after) for seconds, after in ((2.0, 1.0), (3.0, 1.1), (4.0, 1.0), (50.0, 1.3), (60.0, 9.0))
    ]
    measured = Timing.of(samples, 1.0, Side(lambda: None, tokens=1_000_000, scale=10.0))
    assert measured.seconds == 30.0
    assert measured.us_per_token == 30.0
    assert (measured.samples, measured.dropped) == (3, 2)


def timing_of(seconds):
    return Timing(seconds, tokens=100, samples=1, dropped=0, is_busy=False)


def test_ratios_use_the_fastest_peer_and_ignore_missing_ones():
    row = Row("row", "work", {"ours": timing_of(2.0), "slow": timing_of(80.0), "fast": timing_of(5.0)})
    assert row.ratio("slow") == 40.0
    assert row.ratio("slow", "fast", "absent") == 2.5
    assert row.ratio("absent") is None
    row.expect_ratio("slow", at_least=40)
    row.expect_ratio("slow", "fast", at_least=2.6)
    row.expect_ratio("absent", at_least=1)
    assert [goal.is_reached for goal in row.goals] == [True, False, None]
    assert "not measured" in str(row.goals[2])


def test_a_goal_respects_both_bounds():
    verdicts = [Goal("share", value, at_least=0.2, at_most=0.5).is_reached for value in (0.1, 0.2, 0.5, 0.6)]
    assert verdicts == [False, True, True, False]


def test_share_of_matmul_is_a_ratio_of_rates(monkeypatch):
    monkeypatch.setattr(arithmetic, "MATMUL_SIZE", 10)  # 2,000 multiplications and additions in 2 s: 1,000 per second
    row = Row("row", "work", {"ours": timing_of(4.0), "matmul": timing_of(2.0)}, flops=3000.0)
    assert row.share_of_matmul("ours") == 0.75
    assert row.share_of_matmul("matmul") is None


def test_flops_per_token_count_every_matrix_of_a_stack():
    # first layer: 2 directions × 4 gates × 3 units × (5 inputs + 3 units); second layer: 6 inputs
    multiplications = 2 * 4 * 3 * (5 + 3) + 2 * 4 * 3 * (6 + 3)
    assert arithmetic.flops_per_token(4, 5, 3, num_layers=2, num_directions=2) == 2 * multiplications


def test_a_row_as_json_has_its_fields_and_the_derived_values():
    row = Row("row", "work", {"ours": timing_of(2.0), "peer": timing_of(5.0)}, notes=["a note"])
    row.expect_ratio("peer", at_least=3)
    assert json.loads(json.dumps(row.to_json())) == {
        "name": "row",
        "description": "work",
        "timings": {
            name: {
                "seconds": seconds,
                "tokens": 100,
                "samples": 1,
                "dropped": 0,
                "is_busy": False,
                "ratio": seconds / 2,
                "share_of_matmul": None,
                "us_per_token": pytest.approx(seconds * 1e4),
            }
            for name, seconds in (("ours", 2.0), ("peer", 5.0))
        },
        "flops": 0.0,
        "worst_error": None,
        "goals": [{"metric": "ratio to peer", "value": 2.5, "at_least": 3, "at_most": None, "is_reached": False}],
        "values": {},
        "notes": ["a note"],
    }


def test_different_answers_are_refused_with_the_side_and_the_tensor():
    expected, wrong = torch.ones(4), torch.tensor([1.0, 1.0, 1.0, 1.1])
    sides = {
        "ours": Side(lambda: None, lambda: [expected, expected]),
        "peer": Side(lambda: None, lambda: [expected, wrong]),
    }
    with pytest.raises(DisagreementError, match=r"peer and ours differ by 5\.0e-02 in tensor 1"):
        check_agreement(sides)
    sides["peer"] = Side(lambda: None, lambda: [expected])
    assert check_agreement(sides) == 0.0


def test_nan_is_refused_after_an_equal_tensor():
    expected = [torch.ones(1), torch.ones(1)]
    sides = {
        "ours": Side(lambda: None, lambda: expected),
        "peer": Side(lambda: None, lambda: [torch.ones(1), torch.tensor([math.nan])]),
    }
    with pytest.raises(DisagreementError, match="nan in tensor 1"):
        check_agreement(sides)


def raise_missing(package):
    raise MissingExtraError(package, "bench", "This benchmark")


def test_a_whole_model_agrees_with_the_textbooks_and_a_missing_peer_is_named(bench, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(frameworks, "require", raise_missing)
    save(measure(["bigru-model-1"], bench=bench).rows, tmp_path / "layers.json", quick=True)
    record = json.loads((tmp_path / "layers.json").read_text(encoding="utf-8"))
    (row,) = record["rows"]
    assert record["quick"] is True
    assert set(row["timings"]) == {"ours", "nn.GRU", "matmul"}
    assert 0 < row["worst_error"] < 1e-5
    assert [goal["value"] is None for goal in row["goals"]] == [False, True]
    assert "ONNX Runtime is not installed" in capsys.readouterr().out


def test_a_training_step_has_the_gradients_of_the_textbooks(bench):
    (row,) = measure(["rnn-step"], bench=bench).rows
    assert set(row.timings) == {"ours", "nn.RNNCell loop", "nn.RNN", "matmul"}
    assert 0 < row.worst_error < 1e-5


def test_training_steps_change_the_weights_and_count_the_tokens_of_all_batches():
    workload = Workload.of_preset("majority", train_size=8)
    side = training_steps(workload, [workload.batch(2), workload.batch(3)])
    before = workload.network.head.weight.detach().clone()
    side.run()
    assert side.tokens == (2 + 3) * 20
    assert not torch.equal(workload.network.head.weight, before)
    assert all(parameter.grad is None for parameter in workload.network.parameters())


def test_the_scan_is_measured_next_to_the_gru(bench):
    (row,) = measure(["scan-20"], bench=bench).rows
    assert set(row.timings) == {"ours", "mingru, scan by torch", "minlstm", "gru", "matmul"}
    assert row.goals[0].value > 0


def test_the_textbooks_last_state_ignores_padding():
    model = textbook.LastState(5, 3, torch.nn.LSTM(3, 4, batch_first=True))
    ids = torch.tensor([[1, 2, 3, 0, 0], [4, 3, 2, 1, 4]])
    together = model(ids, torch.tensor([3, 5]))
    assert torch.allclose(together[0], model(ids[:1, :3])[0], atol=1e-6)


def test_the_sample_of_an_epoch_has_cheap_and_expensive_batches():
    lengths = torch.arange(1, 321)
    chosen, scale = sample_of_epoch(lengths, every=5, batch_size=1)
    assert scale == 5.0
    assert [int(lengths[batch[0]]) for batch in chosen] == list(range(3, 321, 5))


def test_unknown_rows_and_devices_are_refused_before_anything_is_measured(bench, monkeypatch):
    with pytest.raises(ConfigError, match=r"'lstm-randm'.*'lstm-random'"):
        measure(["scan-20", "lstm-randm"], bench=bench)
    with pytest.raises(ConfigError, match="'rnn-step'"):
        measure(["rnn-step"], device="cuda", bench=bench)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="'cuda'"):
        measure(["lstm-random"], device="cuda", bench=bench)
    assert bench.rows == []


@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_the_command_refuses_a_device_without_printing(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused = CliRunner().invoke(app, ["benchmark", "--device", device])
    assert isinstance(refused.exception, ConfigError)
    assert f"'{device}'" in str(refused.exception)
    assert refused.output == ""


def test_the_command_names_the_engine_and_prints_the_row(monkeypatch):
    monkeypatch.setattr(program, "QUICK", Effort(0.0, 1, 1))
    done = CliRunner().invoke(app, ["benchmark", "scan-20"])
    assert done.exit_code == 0
    assert "engine auto: " in done.output
    assert "scan-20: training" in done.output
    assert "lstm-random" in CliRunner().invoke(app, ["benchmark", "--list"]).output
