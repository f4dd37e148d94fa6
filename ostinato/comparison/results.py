"""The results of a comparison, as `comparison.json` holds them. Version 0.1 wrote the same keys."""

from typing import Literal

from pydantic import Field, JsonValue, field_validator

from ostinato.evaluation.statistics import NO_DIFFERENCE
from ostinato.runs.json_model import JsonModel

Settings = dict[str, str]  # each varied key with its value, as text


class PlanRecord(JsonModel):
    """A comparison's plan, as `plan.json` holds it.

    Args:
        config: the base config, as TOML.
        vary: the values of each varied key.
        seeds: one training of each combination for each seed.
        lengths: of generated test sequences; empty unless `data.length` is varied.
        match: `parameters` or `none`.
        metric: models are compared by this metric.
        trials: of the search that precedes the trainings; 0 means no search.
    """

    format: int
    config: str
    vary: dict[str, list[JsonValue]]
    seeds: list[int]
    lengths: list[int]
    match: str
    metric: str
    trials: int = 0


class Latency(JsonModel):
    """Median and 99th percentile."""

    p50: float
    p99: float


class Cost(JsonModel):
    """What a trained model costs to use and to train further.

    Args:
        parameters: number of weights.
        file_bytes: size of the model file.
        latency_ms: of one test sequence at a time.
        batch_ms: median time of a batch of 32 test sequences.
        sequences_per_s, tokens_per_s: when predicting the test split.
        training_tokens_per_s: over up to 50 training steps.
        memory_mib, training_memory_mib: peak memory of the process, libraries and data included, after predicting and
            after training; None where the system does not report it.
    """

    parameters: int
    file_bytes: int
    latency_ms: Latency
    batch_ms: float
    sequences_per_s: float
    tokens_per_s: float
    training_tokens_per_s: float
    memory_mib: float | None
    training_memory_mib: float | None


class RunRow(JsonModel):
    """One run.

    Args:
        fold: its test fold, from 0; None without cross-validation.
        folder: within the comparison's folder.
        reason: why it failed, or why it cannot be compared.
        parameters, seconds, epochs: None if it failed.
        test: metrics on the test split; None for an undefined one; empty if the run failed.
        lengths: the same on generated test sequences, by their length.
    """

    settings: Settings
    seed: int
    fold: int | None
    folder: str
    status: Literal["finished", "failed"]
    reason: str | None
    hidden_size: int
    parameters: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    test: dict[str, float | None] = Field(default_factory=dict)
    lengths: dict[str, dict[str, float | None]] = Field(default_factory=dict)


class SummaryRow(JsonModel):
    """One combination over its seeds; with varied lengths, at one of them.

    Args:
        n: number of test examples.
        seeds: number of seeds with a score.
        failed: number of its runs that failed.
        mean: of the comparison's metric, over the seeds.
        interval: 95 % interval of the mean.
        interval_over: what the interval accounts for: the seeds, or with a single seed the test examples.
        scores: the metric of each seed.
        baselines: the metric of each simple model on the same rows, the strongest kind first; at other lengths empty.
        training_s, epochs: means over the runs.
        cost: of the first finished run's model; None where it could not be measured.
    """

    name: str
    settings: Settings
    hidden_size: int
    parameters: int
    n: int
    seeds: int
    failed: int
    mean: float
    interval: tuple[float, float]
    interval_over: Literal["seeds", "examples"]
    scores: list[float]
    baselines: dict[str, float] = Field(default_factory=dict)
    training_s: float
    epochs: float
    cost: Cost | None


class Pair(JsonModel):
    """Two combinations that differ in one setting, compared on the same test examples.

    Args:
        first, second: names of the combinations.
        difference: the first's mean minus the second's.
        interval: 95 % interval of the difference; not corrected for the number of pairs.
        p: corrected by Holm for the number of pairs.
        effect: effect size, called `effect_name`; None where it is undefined.
        test: name of the statistical test.
        verdict: what the first is, compared with the second.
        sentence: all of this in words.
    """

    first: str
    second: str
    difference: float
    interval: tuple[float, float]
    p: float
    p_uncorrected: float
    effect: float | None
    effect_name: str
    test: str
    verdict: Literal["better", "worse", "not significantly different"]
    sentence: str

    @field_validator("verdict", mode="before")
    @classmethod
    def _present_verdict(cls, verdict: object) -> object:
        return NO_DIFFERENCE if verdict == "not told apart" else verdict  # as version 0.1 wrote it

    @field_validator("sentence", mode="before")
    @classmethod
    def _present_sentence(cls, sentence: object) -> object:
        old = "are not told apart by this data"
        return sentence.replace(old, f"are {NO_DIFFERENCE}") if isinstance(sentence, str) else sentence

    @property
    def is_significant(self) -> bool:
        """Whether the two differ significantly."""
        return self.verdict != NO_DIFFERENCE


class Environment(JsonModel):
    """The versions and the machine with which the comparison was finished."""

    ostinato: str | None
    python: str
    platform: str
    processor: str
    cores: int | None
    threads: int
    gpu: str | None
    packages: dict[str, str | None]


class Comparison(JsonModel):
    """The results of a whole comparison.

    Args:
        format: 1 for a file of version 0.1.
        task, metric: names, as in `TASKS` and in the task's `metrics`.
        runs: in the order of the plan.
        summary: in the order of the varied values.
        pairs: every two combinations that differ in one setting.
    """

    format: int = 1
    task: str
    metric: str
    plan: PlanRecord
    runs: list[RunRow]
    summary: list[SummaryRow]
    pairs: list[Pair]
    environment: Environment

    @property
    def failed(self) -> list[RunRow]:
        """The runs that failed."""
        return [run for run in self.runs if run.status == "failed"]
