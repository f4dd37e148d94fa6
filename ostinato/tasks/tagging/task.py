"""The task tagging: one tag per token."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ostinato.errors import ConfigError, DataError
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.base import LONGEST_EXAMPLE, MOST_EXAMPLES, Task
from ostinato.tasks.records import Answered, Candidate, Chosen, Inferred, Model, TaskData
from ostinato.tasks.tagging.config import TaggingConfig, TaggingData
from ostinato.tasks.tagging.presets import PRESETS

if TYPE_CHECKING:
    from ostinato.config import Config, DataConfig
    from ostinato.data.encoder import SequenceEncoder
    from ostinato.data.examples import Sentence
    from ostinato.data.named import NamedSet
    from ostinato.data.vocabulary import Vocabulary
    from ostinato.evaluation.results import Metric
    from ostinato.evaluation.statistics import Scored
    from ostinato.explanation.explanation import Explanation
    from ostinato.explanation.records import ExplainedRows
    from ostinato.progress import Progress
    from ostinato.report.card import CardSection
    from ostinato.report.record import Report, RunRecord
    from ostinato.tasks.onnx import OnnxModel
    from ostinato.tasks.portable import Outputs
    from ostinato.tasks.tagging.codec import TagCodec
    from ostinato.tasks.tagging.encoder import SentenceEncoder
    from ostinato.tasks.tagging.ensemble import TaggerJoining
    from ostinato.tasks.tagging.estimator import SequenceTagger
    from ostinato.tasks.tagging.examples import Tagged, TaggedRows
    from ostinato.tasks.tagging.faithfulness import SentenceMasking
    from ostinato.tasks.tagging.metrics import TaggingMetrics
    from ostinato.tasks.tagging.network import CertainTags, Tagger
    from ostinato.tasks.tagging.objective import TagLikelihood
    from ostinato.tasks.tagging.portable import Answer
    from ostinato.tasks.tagging.scoring import Predictions
    from ostinato.tasks.tagging.served import ServedTagger
    from ostinato.tasks.tagging.stream import TagStream
    from ostinato.training import Examples
    from ostinato.training.ranks import Ranks


class Tagging(Task):
    """Predicts one of C tags for each token, independently or with a CRF over the sentence."""

    name: ClassVar[str] = "tagging"
    config = TaggingConfig
    presets = PRESETS
    baselines: ClassVar[Mapping[str, str]] = {"linear": "linear CRF", "commonest": "commonest tag"}
    rival: ClassVar[str] = "a linear-chain CRF"
    floor: ClassVar[tuple[str, str]] = ("commonest", "each word's most frequent tag")
    pipeline: ClassVar[str] = "token-classification"
    predictions_file: ClassVar[str] = "predictions.jsonl"
    formats: ClassVar[tuple[str, ...]] = ("jsonl", "conll", "text")

    @property
    def datasets(self) -> "Mapping[str, NamedSet]":
        from ostinato.tasks.tagging.datasets import DATASETS

        return DATASETS

    @property
    def metrics(self) -> "Mapping[str, Metric]":
        from ostinato.tasks.tagging.metrics import TAGGING_METRICS

        return TAGGING_METRICS

    @property
    def estimator(self) -> "type[SequenceTagger]":
        from ostinato.tasks.tagging.estimator import SequenceTagger

        return SequenceTagger

    def main_metric(self, config: "Config") -> str:
        return "f1" if config.training.monitor == "f1" else "accuracy"

    def infer(self, path: Path, chosen: Chosen) -> Inferred | None:
        from ostinato.tasks.tagging.infer import infer_config

        return infer_config(path)

    # Data

    def prepare(self, config: "DataConfig") -> TaskData:
        from ostinato.tasks.tagging.data import prepare

        return prepare(config)

    def settle(self, config: "Config", data: TaskData) -> "Config":
        from ostinato.tasks.tagging.defaults import settle

        return settle(config, data)

    def portfolio(self, config: "Config", data: TaskData) -> list[Candidate]:
        from ostinato.tasks.tagging.portfolio import portfolio

        return portfolio(config, data)

    def check(self, config: "Config", data: TaskData) -> None:
        from ostinato.tasks.tagging.schemes import SCHEMES

        super().check(config, data)
        assert isinstance(config, TaggingConfig)
        need_entities = {
            "data.target_scheme": config.data.target_scheme is not None,
            "model.constrained": config.model.constrained,
            "training.monitor f1": config.training.monitor == "f1",
        }
        unusable = [key for key, is_set in need_entities.items() if is_set]
        if data.codec.scheme is None and unusable:
            raise ConfigError(
                f"{', '.join(unusable)}: not usable, because the tags do not mark entities. Remove "
                f"{'it' if len(unusable) == 1 else 'them'}, or set data.scheme to one of {', '.join(SCHEMES)} if they "
                "should."
            )

    def read(self, path: Path, config: "DataConfig", model: Model) -> "tuple[TaggedRows, list[DataError]]":
        from ostinato.tasks.tagging.answers import error_of
        from ostinato.tasks.tagging.examples import TaggedRows
        from ostinato.tasks.tagging.reading import read_sentences

        assert isinstance(config, TaggingData)
        usable, refused = [], []
        for row in read_sentences(path, config):
            error = error_of(model, row)
            if error is None and not isinstance(row, DataError):
                usable.append(row)
            elif error is not None:
                refused.append(error)
        if refused and not usable:
            raise refused[0]
        return TaggedRows(usable, repair=config.repair_tags), refused

    def labelled_rows(self, model: Model, X: Iterable[Any], y: Any) -> "TaggedRows":
        from ostinato.tasks.tagging.examples import TaggedRows
        from ostinato.tasks.tagging.inputs import labelled_sentences

        return TaggedRows(labelled_sentences(X, y, "sentence"))

    def refuse_new(self, model: Model, rows: "TaggedRows") -> None:
        from ostinato.tasks.tagging.encoder import refuse_unseen_features

        refuse_unseen_features(model.encoder, rows.sentences)
        rows.in_scheme(model.codec.scheme)

    def shown_rows(self, rows: "TaggedRows", count: int) -> Iterator[dict[str, Any]]:
        for sentence in rows.sentences[:count]:
            yield {"tokens": sentence.words, "tags": sentence.tags}

    def examples(self, rows: "TaggedRows") -> list[Any]:
        short = (each for each in rows.sentences if len(each.words) <= LONGEST_EXAMPLE)
        return [
            list(map(list, zip(each.words, *each.features, strict=True))) if each.features else each.text or each.words
            for each in islice(short, MOST_EXAMPLES)
        ]

    def row_keys(self, encoder: "SentenceEncoder", rows: "TaggedRows") -> Iterator[Hashable]:
        return (tuple(sentence.words) for sentence in rows)

    def vocabulary(self, encoder: "SentenceEncoder") -> "Vocabulary":
        return encoder.words

    def adopt_encoder(
        self, own: "SentenceEncoder", pretrained: "SequenceEncoder", vocabulary: "Vocabulary | None"
    ) -> "SentenceEncoder":
        from dataclasses import replace

        assert vocabulary is not None, "words are tokens"
        return replace(own, words=vocabulary)

    def encode(self, model: Model, rows: "TaggedRows") -> "Tagged":
        from ostinato.tasks.tagging.examples import encode

        return encode(model.encoder, model.codec, rows.in_scheme(model.codec.scheme))

    # The network

    def encoder_from_json(self, fields: dict[str, Any]) -> "SentenceEncoder":
        from ostinato.tasks.tagging.encoder import SentenceEncoder

        return SentenceEncoder.from_json(fields)

    def codec_from_json(self, fields: dict[str, Any]) -> "TagCodec":
        from ostinato.tasks.tagging.codec import TagCodec

        return TagCodec.from_json(fields)

    def build(self, config: "Config", encoder: "SentenceEncoder", codec: "TagCodec") -> "Tagger":
        from ostinato.tasks.tagging.network import build_tagger

        network = build_tagger(config.model, encoder, codec)  # type: ignore[arg-type]
        data = config.data
        has_seen = data.min_count > 1 or data.max_size is not None or config.model.init is not None
        network.has_trained_unknown = network.word_dropout > 0 or has_seen
        return network

    def objective(self, config: "Config", data: TaskData) -> "TagLikelihood":
        from ostinato.tasks.tagging.objective import TagLikelihood

        return TagLikelihood(data.codec)

    def start(
        self,
        config: "Config",
        network: "Tagger",
        data: TaskData,
        splits: Mapping[str, Any],
        objective: Any,
        *,
        folder: Path | None,
        time_left: TimeLeft,
    ) -> "Examples":
        if network.wide is None:
            return super().start(config, network, data, splits, objective, folder=folder, time_left=time_left)
        from ostinato.tasks.tagging.wide import fit_wide

        known = data.known if splits is data.splits else {}
        return fit_wide(network, splits, seed=config.data.seed, known=known, time_left=time_left)

    def outputs(self, network: "Tagger", examples: "Tagged", ranks: "Ranks | None" = None) -> "CertainTags":
        from ostinato.tasks.tagging.network import predict_certain_tags
        from ostinato.training.ranks import ALONE

        return predict_certain_tags(network, examples.sentences, ranks or ALONE)

    @property
    def joining(self) -> "TaggerJoining":
        from ostinato.tasks.tagging.ensemble import TaggerJoining

        return TaggerJoining()

    # Results

    def score(self, model: Model, rows: "TaggedRows", examples: "Tagged", outputs: "CertainTags") -> "TaggingMetrics":
        from ostinato.tasks.tagging.scoring import score

        return score(model, rows.in_scheme(model.codec.scheme), examples, outputs)

    def score_baselines(
        self,
        data: TaskData,
        say: "Callable[[str], object]",
        time_left: TimeLeft = unlimited,
        trained: "tuple[Model, Any] | None" = None,
    ) -> "Mapping[str, TaggingMetrics]":
        from ostinato.tasks.tagging.scoring import score_baselines

        return score_baselines(data, time_left, trained)

    def judging_metric(self, test: Mapping[str, Any]) -> str:
        return "accuracy" if test.get("f1") is None else "f1"

    def result_cells(self, metrics: dict[str, Any]) -> dict[str, str]:
        """Format the test scores; interval and baseline are those of F1 if the tags mark entities, else of accuracy."""
        test, baselines = metrics["test"], metrics["baselines"]
        f1, metric = test.get("f1"), self.judging_metric(test)
        low, high = test["intervals"][metric]
        return {
            "test F1": "" if f1 is None else f"{f1:.3f}",
            "test accuracy": f"{test['accuracy']:.3f}",
            "95 % interval": f"{low:.3f} – {high:.3f}",
            **{
                heading: f"{baselines[name][metric]:.3f}" if name in baselines else ""  # not in runs of version 0.1
                for name, heading in self.baselines.items()
            },
        }

    def write_predictions(self, path: Path, model: Model, rows: "TaggedRows", outputs: "CertainTags") -> None:
        from ostinato.tasks.tagging.scoring import write_predictions

        lengths = [len(sentence.words) for sentence in rows]
        write_predictions(path, rows, model.codec.decode(outputs.tags.numpy(), lengths))

    def read_predictions(self, path: Path, test: Mapping[str, Any]) -> "Predictions":
        from ostinato.tasks.tagging.scoring import read_predictions

        return read_predictions(path)

    def compared(
        self, seeds: "Sequence[Sequence[Predictions]]", metric: str, test: Mapping[str, Any]
    ) -> "tuple[Scored, list[str], tuple[float, float]]":
        from ostinato.tasks.tagging.scoring import compared

        return compared(seeds, self.metrics[metric], test.get("scheme") if metric == "f1" else None)

    # Answers

    def answer(self, model: Model, rows: "Iterator[Sentence | DataError]", *, strict: bool) -> Iterator[Answered]:
        from ostinato.tasks.tagging.answers import answer

        return answer(model, rows, strict=strict)

    def answer_json(self, model: Model, answer: "Answer") -> dict[str, Any]:
        from ostinato.tasks.tagging.portable import answer_json

        return answer_json(answer)

    def writer(self, model: Model, form: str) -> Callable[[Answered], Any]:
        from ostinato.tasks.tagging.answers import WRITERS

        return WRITERS[form]() if form in WRITERS else super().writer(model, form)

    def file_format(self, path: Path, config: "DataConfig") -> str:
        from ostinato.tasks.tagging.reading import format_of

        return format_of(path, config)

    def rows_of_file(self, path: Path, config: "DataConfig", model: Model) -> "Iterator[Sentence | DataError]":
        from ostinato.tasks.tagging.reading import read_sentences

        return read_sentences(path, config, labelled=False)  # type: ignore[arg-type]

    def rows_of_texts(self, texts: Iterable[tuple[str, str]], model: Model) -> "Iterator[Sentence | DataError]":
        from ostinato.tasks.tagging.rows import from_texts

        return from_texts(texts)

    def stream(self, model: Model, state: Mapping[str, Any] | None = None) -> "TagStream":
        from ostinato.tasks.tagging.stream import TagStream

        return TagStream(model, state)

    def row_of_value(self, value: Any, source: str, model: Model) -> "Sentence":
        from ostinato.tasks.tagging.rows import sentence_of_value

        return sentence_of_value(value, source)

    # Export

    def onnx(self, model: Model) -> "OnnxModel":
        from ostinato.tasks.tagging.onnx import to_onnx

        return to_onnx(model)

    def outputs_of_onnx(self, outputs: "Outputs") -> "CertainTags":
        from ostinato.tasks.tagging.onnx import certain_tags

        return certain_tags(outputs)

    # Service

    def served(self, model: Model) -> "ServedTagger":
        from ostinato.tasks.tagging.served import ServedTagger

        return ServedTagger(model)

    # Explanations and report

    def explain(self, model: Model, sequences: Iterable[Any], **options: Any) -> "list[Explanation]":
        from ostinato.tasks.tagging.explain import explain_tags

        return explain_tags(model, sequences, **options)

    def explain_rows(
        self,
        model: Model,
        rows: "Sequence[Sentence]",
        *,
        method: str,
        label: str | None = None,
        tokens: Sequence[int] | None = None,
        progress: "Progress | None" = None,
    ) -> "ExplainedRows":
        from ostinato.tasks.tagging.explain import explain_rows

        return explain_rows(model, rows, method=method, label=label, tokens=tokens, progress=progress)

    def rows_to_explain(self, model: Model, rows: "TaggedRows", count: int) -> "Sequence[Sentence]":
        from ostinato.tasks.tagging.explain import sentences_with_entities

        return sentences_with_entities(model, rows.sentences, count)

    def masking(self, model: Model) -> "SentenceMasking":
        from ostinato.tasks.tagging.faithfulness import SentenceMasking

        return SentenceMasking(model)

    def report(self, run: "RunRecord", data: TaskData | None, model: Model, progress: "Progress") -> "Report":
        from ostinato.tasks.tagging.report import report

        return report(run, data, model, progress)

    def card(self, run: "RunRecord", model: Model) -> "list[CardSection]":
        from ostinato.tasks.tagging.report import card

        return card(run, model)
