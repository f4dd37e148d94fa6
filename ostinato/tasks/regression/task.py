"""One or more numbers for each sequence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import Chosen, Inferred, Model, TaskData
from ostinato.tasks.regression.config import RegressionConfig
from ostinato.tasks.regression.presets import PRESETS
from ostinato.tasks.sequences.task import SequenceTask

if TYPE_CHECKING:
    from torch import Tensor

    from ostinato.config import Config, SequenceData
    from ostinato.data.encoder import SequenceEncoder
    from ostinato.data.examples import Records
    from ostinato.data.named import NamedSet
    from ostinato.evaluation.results import Metric
    from ostinato.evaluation.statistics import Scored
    from ostinato.explanation.records import Truth
    from ostinato.nn.onnx.graph import Graph
    from ostinato.progress import Progress
    from ostinato.report.card import CardSection
    from ostinato.report.record import Report, RunRecord
    from ostinato.tasks.onnx import Port
    from ostinato.tasks.portable import StreamAnswer
    from ostinato.tasks.regression.codec import NumberCodec
    from ostinato.tasks.regression.ensemble import RegressorJoining
    from ostinato.tasks.regression.estimator import SequenceRegressor
    from ostinato.tasks.regression.metrics import RegressionMetrics
    from ostinato.tasks.regression.network import Regressor
    from ostinato.tasks.regression.objective import PredictionError
    from ostinato.tasks.regression.scoring import Predictions
    from ostinato.tasks.regression.served import ServedRegressor
    from ostinato.tasks.sequences.targets import TargetKind
    from ostinato.training.objective import Labelled


class Regression(SequenceTask):
    """Each sequence gets K numbers, in the units of the training targets."""

    name: ClassVar[str] = "regression"
    size_matters: ClassVar[bool] = True
    config = RegressionConfig
    presets = PRESETS
    baselines: ClassVar[Mapping[str, str]] = {"ridge": "ridge", "mean": "mean", "median": "median"}
    answers_output: ClassVar[str] = "predictions"
    rival: ClassVar[str] = "ridge regression on bags of n-grams"
    floor: ClassVar[tuple[str, str]] = ("mean", "always predicting the mean of the training targets")

    @property
    def datasets(self) -> "Mapping[str, NamedSet]":
        from ostinato.tasks.regression.datasets import DATASETS

        return DATASETS

    @property
    def metrics(self) -> "Mapping[str, Metric]":
        from ostinato.tasks.regression.metrics import REGRESSION_METRICS

        return REGRESSION_METRICS

    @property
    def estimator(self) -> "type[SequenceRegressor]":
        from ostinato.tasks.regression.estimator import SequenceRegressor

        return SequenceRegressor

    @property
    def target_kind(self) -> "TargetKind":
        from ostinato.tasks.regression.target import NumberTarget

        return NumberTarget()

    @property
    def network_type(self) -> "type[Regressor]":
        from ostinato.tasks.regression.network import Regressor

        return Regressor

    def main_metric(self, config: "Config") -> str:
        return "rmse"

    @property
    def joining(self) -> "RegressorJoining":
        from ostinato.tasks.regression.ensemble import RegressorJoining

        return RegressorJoining()

    def infer(self, path: Path, chosen: Chosen) -> Inferred | None:
        from ostinato.tasks.regression.infer import infer_config

        return infer_config(path, chosen)

    def fit_codec(self, config: "SequenceData", records: "Records") -> "NumberCodec":
        from ostinato.tasks.regression.codec import NumberCodec

        return NumberCodec.fit(records.targets, records.weights)

    def labelled_rows(self, model: Model, X: Iterable[Any], y: Any) -> "Records":
        from ostinato.tasks.regression.estimator import targets_of

        rows, names = targets_of(y), model.codec.names
        if not hasattr(y, "columns") and all(len(row) == len(names) for row in rows):  # columns without names
            rows = [dict(zip(names, row.values(), strict=True)) for row in rows]
        return super().labelled_rows(model, X, rows)

    def codec_from_json(self, fields: dict[str, Any]) -> "NumberCodec":
        from ostinato.tasks.regression.codec import NumberCodec

        return NumberCodec.from_json(fields)

    def num_outputs(self, config: "Config", codec: "NumberCodec") -> int:
        return len(codec.names) * max(len(config.training.levels), 1)  # type: ignore[attr-defined]

    def build(self, config: "Config", encoder: "SequenceEncoder", codec: "NumberCodec") -> "Regressor":
        import torch

        network: Regressor = super().build(config, encoder, codec)  # type: ignore[assignment]
        network.levels = config.training.levels  # type: ignore[attr-defined]
        groups = max(len(network.levels), 1)
        network.mean.copy_(torch.tensor(codec.mean * groups, dtype=torch.float64))
        network.scale.copy_(torch.tensor(codec.scale * groups, dtype=torch.float64))
        return network

    def objective(self, config: "Config", data: TaskData) -> "PredictionError":
        from ostinato.tasks.regression.objective import PredictionError

        return PredictionError(config.training.loss)  # type: ignore[attr-defined]

    def score(self, model: Model, rows: "Records", examples: "Labelled", outputs: "Tensor") -> "RegressionMetrics":
        from ostinato.tasks.regression.scoring import score

        return score(model, rows, outputs)

    def score_baselines(
        self,
        data: TaskData,
        say: "Callable[[str], object]",
        time_left: TimeLeft = unlimited,
        trained: "tuple[Model, Any] | None" = None,
    ) -> "Mapping[str, RegressionMetrics]":
        from ostinato.tasks.regression.scoring import score_baselines

        return score_baselines(data, time_left, trained)

    def judging_metric(self, test: Mapping[str, Any]) -> str:
        return "rmse"

    def result_cells(self, metrics: dict[str, Any]) -> dict[str, str]:
        test, baselines = metrics["test"], metrics["baselines"]
        low, high = test["intervals"]["rmse"]
        return {
            "test R²": "" if test["r2"] is None else f"{test['r2']:.3f}",
            "test RMSE": f"{test['rmse']:.4g}",
            "95 % interval": f"{low:.4g} – {high:.4g}",
            **{heading: f"{baselines[name]['rmse']:.4g}" for name, heading in self.baselines.items()},
        }

    def write_predictions(self, path: Path, model: Model, rows: "Records", outputs: "Tensor") -> None:
        from ostinato.tasks.regression.scoring import predictions_of, write_predictions

        write_predictions(path, model.codec.names, predictions_of(model, rows, outputs))

    def read_predictions(self, path: Path, test: Mapping[str, Any]) -> "Predictions":
        from ostinato.tasks.regression.scoring import read_predictions

        return read_predictions(path, list(test["per_output"]), tuple(map(float, test["pinball_losses"])))

    def compared(
        self, seeds: "Sequence[Sequence[Predictions]]", metric: str, test: Mapping[str, Any]
    ) -> "tuple[Scored, list[str], tuple[float, float]]":
        from ostinato.tasks.regression.comparing import compared

        return compared(seeds, self.metrics[metric])

    def answer_json(self, model: Model, answer: "Tensor") -> dict[str, Any]:
        from ostinato.tasks.regression.portable import answer_json

        network, rows = model.network, answer.unsqueeze(0)
        predicted, quantiles = (each(rows)[0].tolist() for each in (network.predictions, network.quantiles))
        return answer_json(model.codec.names, predicted, quantiles, network.levels)

    def stream_answer(self, model: Model, answers: "Tensor", steps: int) -> "StreamAnswer":
        from ostinato.tasks.regression.portable import stream_answer

        predicted = model.network.predictions(answers.unsqueeze(0))[0].cpu().numpy()  # (C,) -> (K,)
        return stream_answer(predicted, self.answer_json(model, answers), steps)

    def truth(self, target: Any, label: Any) -> "Truth":
        from ostinato.explanation.records import Truth

        number = target[label] if label in target else next(iter(target.values()))  # a single target has any name
        return Truth(f"{number:.7g}", None)

    def served(self, model: Model) -> "ServedRegressor":
        from ostinato.tasks.regression.served import ServedRegressor

        return ServedRegressor(model)

    def onnx_outputs(self, graph: "Graph", model: Model, logits: str) -> "dict[str, Port]":
        from ostinato.tasks.regression.onnx import outputs

        return outputs(graph, model.network, logits)

    def onnx_outputs_for(self, graph: "Graph", model: Model, answers: str) -> str:
        from ostinato.tasks.regression.onnx import outputs_for

        return outputs_for(graph, model.network, answers)

    def answer_facts(self, model: Model) -> dict[str, Any]:
        from ostinato.tasks.regression.onnx import answer_facts

        return answer_facts(model)

    def report(self, run: "RunRecord", data: TaskData | None, model: Model, progress: "Progress") -> "Report":
        from ostinato.tasks.regression.report import report

        return report(run, data, model, progress)

    def card(self, run: "RunRecord", model: Model) -> "list[CardSection]":
        from ostinato.tasks.regression.report import card

        return card(run, model)
