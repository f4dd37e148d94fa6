"""Any number of labels for each sequence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.multilabel.config import MultilabelConfig
from ostinato.tasks.multilabel.presets import PRESETS
from ostinato.tasks.records import Chosen, Inferred, Model, TaskData
from ostinato.tasks.sequences.task import SequenceTask

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ostinato.config import Config, SequenceData
    from ostinato.data.examples import Records
    from ostinato.data.named import NamedSet
    from ostinato.evaluation.results import Metric
    from ostinato.evaluation.statistics import Scored
    from ostinato.explanation.records import Truth
    from ostinato.nn.onnx.graph import Graph
    from ostinato.progress import Progress
    from ostinato.report.card import CardSection
    from ostinato.report.record import Report, RunRecord
    from ostinato.tasks.multilabel.codec import LabelSetCodec
    from ostinato.tasks.multilabel.ensemble import MultilabelJoining
    from ostinato.tasks.multilabel.estimator import SequenceMultilabelClassifier
    from ostinato.tasks.multilabel.metrics import MultilabelMetrics
    from ostinato.tasks.multilabel.network import MultilabelClassifier
    from ostinato.tasks.multilabel.objective import BinaryCrossEntropy
    from ostinato.tasks.multilabel.scoring import Predictions
    from ostinato.tasks.multilabel.served import ServedMultilabel
    from ostinato.tasks.onnx import Port
    from ostinato.tasks.portable import StreamAnswer
    from ostinato.tasks.sequences.targets import TargetKind
    from ostinato.training.objective import Labelled


class Multilabel(SequenceTask):
    """Each sequence gets every label whose probability reaches its threshold."""

    name: ClassVar[str] = "multilabel"
    config = MultilabelConfig
    presets = PRESETS
    baselines: ClassVar[dict[str, str]] = {"linear": "linear", "frequency": "label frequencies"}
    rivals: ClassVar[dict[str, str]] = {"nbsvm": "NB-SVM", "lsa": "LSA"}
    rival: ClassVar[str] = "a linear model of bags of n-grams for each label"
    floor: ClassVar[tuple[str, str]] = ("frequency", "predicting the label frequencies")
    pipeline: ClassVar[str] = "text-classification"

    @property
    def datasets(self) -> "Mapping[str, NamedSet]":
        from ostinato.tasks.multilabel.datasets import DATASETS

        return DATASETS

    @property
    def metrics(self) -> "Mapping[str, Metric]":
        from ostinato.tasks.multilabel.metrics import MULTILABEL_METRICS

        return MULTILABEL_METRICS

    @property
    def estimator(self) -> "type[SequenceMultilabelClassifier]":
        from ostinato.tasks.multilabel.estimator import SequenceMultilabelClassifier

        return SequenceMultilabelClassifier

    @property
    def target_kind(self) -> "TargetKind":
        from ostinato.tasks.multilabel.target import LabelSetTarget

        return LabelSetTarget()

    @property
    def network_type(self) -> "type[MultilabelClassifier]":
        from ostinato.tasks.multilabel.network import MultilabelClassifier

        return MultilabelClassifier

    @property
    def joining(self) -> "MultilabelJoining":
        from ostinato.tasks.multilabel.ensemble import MultilabelJoining

        return MultilabelJoining()

    def infer(self, path: Path, chosen: Chosen) -> Inferred | None:
        from ostinato.tasks.multilabel.infer import infer_config

        return infer_config(path, chosen)

    def fit_codec(self, config: "SequenceData", records: "Records") -> "LabelSetCodec":
        """With label columns, a label for each, whether it occurs or not."""
        from ostinato.tasks.multilabel.codec import LabelSetCodec

        columns = config.label_columns  # type: ignore[attr-defined]
        return LabelSetCodec.fit(records.targets, records.sources) if columns is None else LabelSetCodec(tuple(columns))

    def labelled_rows(self, model: Model, X: Iterable[Any], y: Any) -> "Records":
        from ostinato.tasks.multilabel.label_sets import LabelSets

        codec: LabelSetCodec = model.codec
        fitted = LabelSets([], codec.labels if codec.is_indicator else None)
        return super().labelled_rows(model, X, fitted.read_more(y).rows)

    def codec_from_json(self, fields: dict[str, Any]) -> "LabelSetCodec":
        from ostinato.tasks.multilabel.codec import LabelSetCodec

        return LabelSetCodec.from_json(fields)

    def objective(self, config: "Config", data: TaskData) -> "BinaryCrossEntropy":
        from ostinato.tasks.multilabel.objective import BinaryCrossEntropy, label_weights

        setting = config.training.label_weight  # type: ignore[attr-defined]
        train = data.splits["train"]
        return BinaryCrossEntropy(label_weights(setting, train.targets, train.weights))

    def calibrate(
        self, config: "Config", network: "MultilabelClassifier", outputs: "Tensor", examples: "Labelled"
    ) -> None:
        from ostinato.tasks.multilabel.objective import calibrate

        calibrate(network, outputs, examples.targets, config.training)  # type: ignore[arg-type]

    def score(self, model: Model, rows: "Records", examples: "Labelled", outputs: "Tensor") -> "MultilabelMetrics":
        from ostinato.tasks.multilabel.scoring import score

        return score(model, examples.targets, outputs)

    def score_baselines(
        self,
        data: TaskData,
        say: "Callable[[str], object]",
        time_left: TimeLeft = unlimited,
        trained: "tuple[Model, Any] | None" = None,
    ) -> "Mapping[str, MultilabelMetrics]":
        from ostinato.tasks.multilabel.scoring import score_baselines

        return score_baselines(data, say, time_left, trained)

    def result_cells(self, metrics: dict[str, Any]) -> dict[str, str]:
        test, baselines = metrics["test"], metrics["baselines"]
        ends = test["intervals"].get("micro_f1")
        shown = {name: heading for name, heading in (self.baselines | self.rivals).items() if name in baselines}
        return {
            "test micro F1": _three_digits(test["micro_f1"]),
            "95 % interval": "–" if ends is None else f"{ends[0]:.3f} – {ends[1]:.3f}",
            **{heading: _three_digits(baselines[name]["micro_f1"]) for name, heading in shown.items()},
            **({"to beat": shown[self.to_beat(baselines)]} if len(shown) > len(self.baselines) else {}),
        }

    def write_predictions(self, path: Path, model: Model, rows: "Records", outputs: "Tensor") -> None:
        from ostinato.tasks.multilabel.scoring import write_predictions

        write_predictions(path, rows, model, model.network.answers(outputs).cpu().numpy())

    def read_predictions(self, path: Path, test: Mapping[str, Any]) -> "Predictions":
        from ostinato.tasks.multilabel.scoring import read_predictions

        return read_predictions(path, test["per_label"])

    def compared(
        self, seeds: "Sequence[Sequence[Predictions]]", metric: str, test: Mapping[str, Any]
    ) -> "tuple[Scored, list[str], tuple[float, float]]":
        from ostinato.tasks.multilabel.comparing import compared

        return compared(seeds, self.metrics[metric])

    def answer_json(self, model: Model, answer: "Tensor") -> dict[str, Any]:
        from ostinato.tasks.multilabel.portable import answer_json

        reached = model.network.decisions(answer)
        return answer_json(model.codec.labels, answer.cpu().numpy(), reached.cpu().numpy())

    def confidence(self, answers: "np.ndarray") -> "np.ndarray":
        from ostinato.tasks.multilabel.portable import confidence

        return confidence(answers)

    def stream_answer(self, model: Model, answers: "Tensor", steps: int) -> "StreamAnswer":
        from ostinato.tasks.multilabel.portable import stream_answer

        reached = model.network.decisions(answers).cpu().numpy()
        return stream_answer(model.codec.labels, answers.cpu().numpy(), reached, steps)

    def truth(self, target: Any, label: Any) -> "Truth":
        from ostinato.explanation.records import Truth

        found = list(map(str, target))
        return Truth(", ".join(found) or "without labels", str(label) in found)

    def served(self, model: Model) -> "ServedMultilabel":
        from ostinato.tasks.multilabel.served import ServedMultilabel

        return ServedMultilabel(model)

    def onnx_outputs(self, graph: "Graph", model: Model, logits: str) -> "dict[str, Port]":
        from ostinato.tasks.multilabel.onnx import outputs

        return outputs(graph, model.network, logits)

    def onnx_outputs_for(self, graph: "Graph", model: Model, answers: str) -> str:
        from ostinato.tasks.multilabel.onnx import outputs_for

        return outputs_for(graph, answers)

    def answer_facts(self, model: Model) -> dict[str, Any]:
        from ostinato.tasks.multilabel.onnx import answer_facts

        return answer_facts(model)

    def report(self, run: "RunRecord", data: TaskData | None, model: Model, progress: "Progress") -> "Report":
        from ostinato.tasks.multilabel.report import report

        return report(run, data, model, progress)

    def card(self, run: "RunRecord", model: Model) -> "list[CardSection]":
        from ostinato.tasks.multilabel.report import card

        return card(run, model)


def _three_digits(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}"
