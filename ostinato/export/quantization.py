"""Compare an int8 file with the float32 file of the same model on labelled rows: answers, metric, size and speed."""

from collections.abc import Iterator, Mapping
from statistics import median
from time import get_clock_info, perf_counter, thread_time
from typing import Any

from ostinato.errors import DataError
from ostinato.evaluation.results import Metric
from ostinato.export.runner import Runner, sequence_of
from ostinato.runs.json_model import JsonModel
from ostinato.tasks.portable import Outputs
from ostinato.tasks.records import Model

FLOAT32, INT8 = "float32", "int8"
BULK_ROWS, BULK_STEPS = 64, 20_000  # timed together
SINGLE_ROWS = 8  # timed one after the other
TIMED_RUNS = 15  # of each file
# other programs take none of a thread's own time; Windows counts it in steps of 16 ms
CLOCK = thread_time if get_clock_info("thread_time").resolution < 1e-6 else perf_counter
SMALLEST = 1e-12  # the least value that a metric's change is divided by


class Quantization(JsonModel):
    """What int8 weights change, on labelled rows.

    Args:
        holds: the loss is at most the tolerance.
        metric: the metric that judges the model.
        values: this metric of `float32` and of `int8`.
        loss: by how much int8 is worse, in `unit`; negative if it is better.
        unit: `points` for metrics between 0 and 1; else `per cent` of the float32 value.
        tolerance: the largest loss allowed, in `unit`.
        agreement: how far the answers are the same, from 0 to 1; see `agreement` in the task's `portable.py`.
        rows: the number of labelled rows.
        bytes: the sizes of the two files.
        milliseconds: of the two files: processor time of a sequence, one at a time, on one thread; medians of runs that
            take turns.
        bulk_milliseconds: the same for many sequences, which the runner puts into batches.
        int8_arithmetic: whether LSTM layers compute with int8 numbers, one sequence at a time.
    """

    holds: bool
    metric: str
    values: dict[str, float]
    loss: float
    unit: str
    tolerance: float
    agreement: float
    rows: int
    bytes: dict[str, int]
    milliseconds: dict[str, float]
    bulk_milliseconds: dict[str, float]
    int8_arithmetic: bool

    @property
    def speedups(self) -> tuple[float, float]:
        """How many times as fast the int8 file is: one sequence at a time, and many."""
        one, many = (each[FLOAT32] / each[INT8] for each in (self.milliseconds, self.bulk_milliseconds))
        return one, many

    def lines(self) -> Iterator[str]:
        """The comparison in sentences."""
        change = f"{abs(self.loss):.2f} {self.unit} {'worse' if self.loss > 0 else 'better'}" if self.loss else "equal"
        yield (
            f"int8: {self.metric.replace('_', ' ')} {self.values[INT8]:.4g} instead of {self.values[FLOAT32]:.4g} on "
            f"{self.rows:,} labelled rows: {change} (allowed: {self.tolerance:g} {self.unit} worse). "
            f"Agreement of the answers: {100 * self.agreement:.2f} %."
        )
        share = 100 * self.bytes[INT8] / self.bytes[FLOAT32]
        arithmetic = "int8 in LSTM layers, float32 elsewhere" if self.int8_arithmetic else FLOAT32
        yield (
            f"{self.bytes[INT8]:,} bytes instead of {self.bytes[FLOAT32]:,} ({share:.0f} %), "
            f"{self.milliseconds[INT8]:.3g} ms instead of {self.milliseconds[FLOAT32]:.3g} for a sequence alone, "
            f"{self.bulk_milliseconds[INT8]:.3g} instead of {self.bulk_milliseconds[FLOAT32]:.3g} for one of many. "
            f"The arithmetic is {arithmetic}."
        )


def compare(
    model: Model, rows: Any, runners: Mapping[str, Runner], sizes: Mapping[str, int], tolerance: float
) -> Quantization:
    """Compare the files on labelled rows.

    Args:
        rows: as `Task.labelled_rows` gives them.
        runners, sizes: of the file `float32` and of the file `int8`.

    Raises:
        DataError: the model cannot read a row, or the metric is undefined on the rows.
    """
    if not len(rows):
        raise DataError("There are no labelled rows. Pass at least one in validation=(X, y).")
    sequences = [sequence_of(row) for row in rows]
    outputs = {name: runner.outputs(sequences, rows.sources) for name, runner in runners.items()}
    metric, values = _judged(model, rows, outputs)
    loss, unit = loss_of(metric, values[FLOAT32], values[INT8])
    return Quantization(
        holds=loss <= tolerance,
        metric=metric.name,
        values=values,
        loss=loss,
        unit=unit,
        tolerance=tolerance,
        agreement=runners[FLOAT32].portable.agreement(outputs[FLOAT32], outputs[INT8]),
        rows=len(rows),
        bytes=dict(sizes),
        milliseconds=_milliseconds(runners, [[each] for each in sequences[:SINGLE_ROWS]]),
        bulk_milliseconds=_milliseconds(runners, [_first_rows(runners[FLOAT32], sequences)]),
        int8_arithmetic=bool(runners[INT8].facts.get("batch_dependent")),
    )


def _judged(model: Model, rows: Any, outputs: Mapping[str, Outputs]) -> tuple[Metric, dict[str, float]]:
    """The metric that judges the model, and its value for the outputs of each file."""
    task, examples = model.task, model.task.encode(model, rows)
    scores = {
        name: task.score(model, rows, examples, task.outputs_of_onnx(found)).to_json()
        for name, found in outputs.items()
    }
    metric = task.metrics[task.judging_metric(scores[FLOAT32])]
    values = {name: found[metric.name] for name, found in scores.items()}
    if None in values.values():
        raise DataError(f"{metric.name} is undefined on the {len(rows)} labelled rows. Use more rows.")
    return metric, values


def loss_of(metric: Metric, float32: float, int8: float) -> tuple[float, str]:
    """By how much int8 is worse, and the unit: points, or per cent of the float32 value for metrics without bounds."""
    worse = float32 - int8 if metric.higher_is_better else int8 - float32
    if metric.unit == "points":
        return round(metric.scale * worse, 6), "points"
    return round(100 * worse / max(abs(float32), SMALLEST), 6), "per cent"


def _first_rows(runner: Runner, sequences: list[Any]) -> list[Any]:
    """The first sequences, few enough to be timed."""
    lengths = runner.encode(sequences[:BULK_ROWS]).lengths
    return sequences[: max(1, int((lengths.cumsum() <= BULK_STEPS).sum()))]


def _milliseconds(runners: Mapping[str, Runner], parts: list[list[Any]]) -> dict[str, float]:
    """The median time per sequence of each file, for parts that are run one after the other.

    The files take turns, so that a busy machine slows both.
    """
    encoded = [runners[FLOAT32].encode(part) for part in parts]  # both files read their input in the same way
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(TIMED_RUNS):
        for name, runner in runners.items():
            start = CLOCK()
            for part in encoded:
                runner.run(part)
            times[name].append(CLOCK() - start)
    count = sum(map(len, parts))
    return {name: 1000 * median(each) / count for name, each in times.items()}
