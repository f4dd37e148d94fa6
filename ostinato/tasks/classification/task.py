"""The task classification: one label per sequence."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.classification.config import ClassificationConfig
from ostinato.tasks.classification.presets import PRESETS
from ostinato.tasks.records import Chosen, Inferred, Model, TaskData
from ostinato.tasks.sequences.task import SequenceTask

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ostinato.config import Config, SequenceData
    from ostinato.data.examples import Records
    from ostinato.data.named import NamedSet
    from ostinato.evaluation.metrics import ClassificationMetrics
    from ostinato.evaluation.results import Metric
    from ostinato.evaluation.statistics import Scored
    from ostinato.nn.onnx.graph import Graph
    from ostinato.progress import Progress
    from ostinato.report.card import CardSection
    from ostinato.report.record import Report, RunRecord
    from ostinato.tasks.classification.codec import ClassCodec
    from ostinato.tasks.classification.ensemble import ClassifierJoining
    from ostinato.tasks.classification.estimator import SequenceClassifier
    from ostinato.tasks.classification.network import Classifier
    from ostinato.tasks.classification.objective import CrossEntropy
    from ostinato.tasks.classification.scoring import Predictions
    from ostinato.tasks.classification.served import ServedClassifier
    from ostinato.tasks.onnx import Port
    from ostinato.tasks.portable import StreamAnswer
    from ostinato.tasks.sequences.targets import TargetKind
    from ostinato.training.objective import Labelled


class Classification(SequenceTask):
    """Predicts the most probable of C labels for each sequence."""

    name: ClassVar[str] = "classification"
    config = ClassificationConfig
    presets = PRESETS
    baselines: ClassVar[dict[str, str]] = {"linear": "linear", "majority": "majority"}
    rivals: ClassVar[dict[str, str]] = {
        "nbsvm": "NB-SVM",
        "lsa": "LSA",
        "boosting": "boosting",
        "kernels": "MiniRocket",
        "hydra": "Hydra",
    }
    rival: ClassVar[str] = "a linear model of bags of n-grams"
    floor: ClassVar[tuple[str, str]] = ("majority", "always predicting the most frequent class")
    pipeline: ClassVar[str] = "text-classification"

    @property
    def datasets(self) -> "Mapping[str, NamedSet]":
        from ostinato.tasks.classification.datasets import DATASETS

        return DATASETS

    @property
    def metrics(self) -> "Mapping[str, Metric]":
        from ostinato.evaluation.metrics import CLASSIFICATION_METRICS

        return CLASSIFICATION_METRICS

    @property
    def estimator(self) -> "type[SequenceClassifier]":
        from ostinato.tasks.classification.estimator import SequenceClassifier

        return SequenceClassifier

    @property
    def target_kind(self) -> "TargetKind":
        from ostinato.tasks.classification.target import LabelTarget

        return LabelTarget()

    @property
    def network_type(self) -> "type[Classifier]":
        from ostinato.tasks.classification.network import Classifier

        return Classifier

    @property
    def joining(self) -> "ClassifierJoining":
        from ostinato.tasks.classification.ensemble import ClassifierJoining

        return ClassifierJoining()

    def infer(self, path: Path, chosen: Chosen) -> Inferred | None:
        from ostinato.tasks.classification.infer import infer_config

        return infer_config(path, chosen)

    def fit_codec(self, config: "SequenceData", records: "Records") -> "ClassCodec":
        from ostinato.tasks.classification.codec import ClassCodec

        return ClassCodec.fit(records.targets, records.sources)

    def codec_from_json(self, fields: dict[str, Any]) -> "ClassCodec":
        from ostinato.tasks.classification.codec import ClassCodec

        return ClassCodec.from_json(fields)

    def objective(self, config: "Config", data: TaskData) -> "CrossEntropy":
        from ostinato.tasks.classification.objective import CrossEntropy, class_weights

        setting = config.training.class_weight  # type: ignore[attr-defined]
        weights = class_weights(setting, data.codec, data.splits["train"].targets)
        return CrossEntropy(weights)

    def calibrate(self, config: "Config", network: "Classifier", outputs: "Tensor", examples: "Labelled") -> None:
        from ostinato.evaluation.calibration import fit_temperature

        if config.training.calibrate:  # type: ignore[attr-defined]
            network.temperature.fill_(fit_temperature(outputs.numpy(), examples.targets.numpy()))

    def score(self, model: Model, rows: "Records", examples: "Labelled", outputs: "Tensor") -> "ClassificationMetrics":
        from ostinato.tasks.classification.scoring import score

        return score(model, examples.targets, outputs)

    def score_baselines(
        self,
        data: TaskData,
        say: "Callable[[str], object]",
        time_left: TimeLeft = unlimited,
        trained: "tuple[Model, Any] | None" = None,
    ) -> "Mapping[str, ClassificationMetrics]":
        from ostinato.tasks.classification.scoring import score_baselines

        return score_baselines(data, say, time_left, trained)

    def result_cells(self, metrics: dict[str, Any]) -> dict[str, str]:
        from ostinato.evaluation.metrics import accuracy_misleads

        test, baselines = metrics["test"], metrics["baselines"]
        low, high = test["intervals"]["accuracy"]
        balanced = test["balanced_accuracy"]
        shown = {name: heading for name, heading in (self.baselines | self.rivals).items() if name in baselines}
        is_misleading = accuracy_misleads(test["accuracy"], balanced, baselines["majority"]["accuracy"])
        return {
            "test accuracy": f"{test['accuracy']:.3f}",
            "95 % interval": f"{low:.3f} – {high:.3f}",
            **({"balanced accuracy": f"{balanced:.3f}"} if is_misleading else {}),
            **{heading: f"{baselines[name]['accuracy']:.3f}" for name, heading in shown.items()},
            **({"to beat": shown[self.to_beat(baselines)]} if len(shown) > len(self.baselines) else {}),
        }

    def write_predictions(self, path: Path, model: Model, rows: "Records", outputs: "Tensor") -> None:
        from ostinato.tasks.classification.scoring import write_predictions

        write_predictions(path, rows, model.codec.labels, model.network.answers(outputs).cpu().numpy())

    def read_predictions(self, path: Path, test: Mapping[str, Any]) -> "Predictions":
        from ostinato.tasks.classification.scoring import read_predictions

        return read_predictions(path, list(test["per_class"]))

    def compared(
        self, seeds: "Sequence[Sequence[Predictions]]", metric: str, test: Mapping[str, Any]
    ) -> "tuple[Scored, list[str], tuple[float, float]]":
        from ostinato.tasks.classification.comparing import compared

        return compared(seeds, self.metrics[metric])

    def answer_json(self, model: Model, answer: "Tensor") -> dict[str, Any]:
        from ostinato.tasks.classification.portable import answer_json

        return answer_json(model.codec.labels, answer.cpu().numpy())

    def served(self, model: Model) -> "ServedClassifier":
        from ostinato.tasks.classification.served import ServedClassifier

        return ServedClassifier(model)

    def confidence(self, answers: "np.ndarray") -> "np.ndarray":
        from ostinato.tasks.classification.portable import confidence

        return confidence(answers)

    def stream_answer(self, model: Model, answers: "Tensor", steps: int) -> "StreamAnswer":
        from ostinato.tasks.classification.portable import stream_answer

        return stream_answer(model.codec.labels, answers.cpu().numpy(), steps)

    def onnx_outputs(self, graph: "Graph", model: Model, logits: str) -> "dict[str, Port]":
        from ostinato.tasks.classification.onnx import outputs

        return outputs(graph, model.network, logits)

    def onnx_outputs_for(self, graph: "Graph", model: Model, answers: str) -> str:
        from ostinato.tasks.classification.onnx import outputs_for

        return outputs_for(graph, answers)

    def answer_facts(self, model: Model) -> dict[str, Any]:
        from ostinato.tasks.classification.onnx import answer_facts

        return answer_facts(model)

    def report(self, run: "RunRecord", data: TaskData | None, model: Model, progress: "Progress") -> "Report":
        from ostinato.tasks.classification.report import report

        return report(run, data, model, progress)

    def card(self, run: "RunRecord", model: Model) -> "list[CardSection]":
        from ostinato.tasks.classification.report import card

        return card(run, model)
