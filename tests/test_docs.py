"""The documentation names what exists: fields of the files that are written, options, config keys, links."""

import dataclasses
import json
import re
import sys
import types
import typing
from pathlib import Path

import click
import pytest
import typer
from toy import columns, sentences

import ostinato
from ostinato.cli import app
from ostinato.comparison.results import Comparison, Cost, Pair, PlanRecord, RunRow, SummaryRow
from ostinato.config import ModelConfig, Table, TrainingConfig
from ostinato.config.renamed import RENAMED
from ostinato.data.audit import Remark, SequenceAudit, SplitFacts
from ostinato.data.cleaning import Cleaning
from ostinato.data.encoder import StoredEncoder
from ostinato.data.vectors import read_vectors
from ostinato.evaluation.metrics import ClassificationMetrics, ClassScores
from ostinato.evaluation.results import Metrics
from ostinato.explanation.trace import trace_sequence
from ostinato.export.certificate import Certificate
from ostinato.export.quantization import Quantization
from ostinato.portfolio.plan import Attempt, Plan
from ostinato.pretraining.config import PretrainingConfig
from ostinato.report.members import EnsembleRecord, MemberRecord
from ostinato.runs import start_run
from ostinato.runs.creation import create_run
from ostinato.runs.leaderboard import Entry, Leaderboard
from ostinato.tasks.config import CONFIGS, PRESETS, override, parse_config
from ostinato.tasks.model_file import load_model
from ostinato.tasks.multilabel.metrics import LabelScores, MultilabelMetrics
from ostinato.tasks.regression.metrics import CentralInterval, OutputScores, RegressionMetrics
from ostinato.tasks.stream import StoredStream
from ostinato.tasks.tagging.audit import TagAudit
from ostinato.tasks.tagging.metrics import TaggingMetrics, TypeScores
from ostinato.training.vectors import PretrainedVectors
from ostinato.tuning.results import Trial, TuningResults
from ostinato.tuning.search import SearchRecord

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(ostinato.__file__).parent.parent
AT_THE_ROOT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
DOCS = [ROOT / name for name in (*AT_THE_ROOT, "benchmarks/README.md")]
DOCS += sorted(ROOT.glob("docs/**/*.md"))
FILES = ROOT / "docs" / "files.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
KEY = re.compile(r"(?<![\w./])(data|model|training)\.([a-z_]+)\b(?!\()")
FILE_ENDINGS = {"onnx", "csv", "log", "md", "py", "safetensors", "toml"}  # data.md is a file and not a key
CLASSES = {
    "Ensemble": EnsembleRecord,
    "Member of an ensemble": MemberRecord,
    "Metrics of every task": Metrics,
    "Metrics of classification": ClassificationMetrics,
    "Scores of a class": ClassScores,
    "Metrics of multilabel": MultilabelMetrics,
    "Scores of a label": LabelScores,
    "Metrics of regression": RegressionMetrics,
    "Scores of a target": OutputScores,
    "Central interval": CentralInterval,
    "Metrics of tagging": TaggingMetrics,
    "Scores of an entity type": TypeScores,
    "Audit of sequences": SequenceAudit,
    "Remark": Remark,
    "Cleaning": Cleaning,
    "Facts of a split": SplitFacts,
    "Audit of tagged sentences": TagAudit,
    "Encoder of sequences": StoredEncoder,
    "State of a stream": StoredStream,
    "plan.json of a comparison": PlanRecord,
    "comparison.json": Comparison,
    "Run of a comparison": RunRow,
    "Summary of a comparison": SummaryRow,
    "Pair of a comparison": Pair,
    "Costs": Cost,
    "plan.json of a search": SearchRecord,
    "tuning.json": TuningResults,
    "Trial": Trial,
    "Certificate of an ONNX file": Certificate,
    "Comparison of an int8 file": Quantization,
    "portfolio.json": Plan,
    "trials.jsonl": Attempt,
    "leaderboard.json": Leaderboard,
    "Entry of a leaderboard": Entry,
}
TINY = ["data.train_size=40", "data.validation_size=20", "data.test_size=20", "training.max_epochs=1"]
PRESET_OF = {"classification": "majority", "multilabel": "dna-motifs", "regression": "count-ones"}


def page_name(path):
    return str(path.relative_to(ROOT))


def documented(heading):
    """Each field in the first table under a heading of docs/files.md, with its type."""
    text = FILES.read_text(encoding="utf-8")
    part = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert part is not None, f"docs/files.md has no heading {heading!r}"
    table = re.search(r"^\| field \| type .*?\n\|[-| ]+\|\n((?:\|.*\n)+)", part[1], re.MULTILINE)
    assert table is not None, f"docs/files.md has no table under {heading!r}"
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:3]] for line in table[1].splitlines()]
    return {name.strip("`"): kind for name, kind in rows}


def json_type(annotation):
    """What JSON makes of a Python type, in the words of docs/files.md."""
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    if annotation in names:
        return names[annotation]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(json_type(each) for each in typing.get_args(annotation))
    if origin is typing.Literal:
        return "string"
    return "array" if origin in (list, tuple) else "object"


def type_of(value):
    return "null" if value is None else json_type(type(value) if not isinstance(value, list) else list[int])


def assert_documents(heading, values, *, optional=()):
    """The table has exactly the keys of `values`, except for those that only other runs have, with fitting types."""
    table = documented(heading)
    assert set(table) - set(optional) == set(values) - set(optional)
    assert set(values) <= set(table)
    for name, value in values.items():
        kinds = table[name].split(" or ")
        fits = type_of(value) in kinds or (type_of(value) == "integer" and "number" in kinds)
        assert fits, f"{heading}, {name}: {value!r} is not {table[name]}"


@pytest.mark.parametrize("heading", CLASSES)
def test_files_documents_the_fields_of_each_class(heading):
    cls = CLASSES[heading]
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else cls.model_fields
    shared = set(Metrics.model_fields) if cls is not Metrics and issubclass(cls, Metrics) else set()
    expected = {name: json_type(hints[name]) for name in names if name not in shared}
    assert documented(heading) == expected


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run folder of each task, trained for one epoch."""
    folder = tmp_path_factory.mktemp("runs")
    configs = {task: override(PRESETS[name](), TINY) for task, name in PRESET_OF.items()}
    (folder / "toy.conll").write_text(columns(*sentences(40)), encoding="utf-8")
    tagging = {"task": "tagging", "data": {"path": str(folder / "toy.conll")}, "training": {"max_epochs": 1}}
    configs["tagging"] = parse_config({**tagging, "model": {"embedding_size": 4, "hidden_size": 4}})
    for task, config in configs.items():
        start_run(config, folder / task)
    return folder


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_tested_runs_cover_all_tasks():
    assert {*PRESET_OF, "tagging"} == set(CONFIGS)


@pytest.mark.parametrize("task", CONFIGS)
def test_files_documents_a_run(runs, task):
    metrics, environment = read(runs / task / "metrics.json"), read(runs / task / "environment.json")
    assert_documents("metrics.json", metrics, optional=["ensemble"])
    assert_documents("environment.json", environment)
    assert_documents("examples.json", read(runs / task / "examples.json"))
    assert_documents(f"Metrics of {task}", {k: v for k, v in metrics["test"].items() if k not in Metrics.model_fields})
    text = FILES.read_text(encoding="utf-8")
    history = json.loads((runs / task / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])
    vocabulary = read(runs / task / "vocabulary.json")
    named = [*history, *metrics["baselines"], *vocabulary, *vocabulary["codec"], *vocabulary["encoder"]]
    named += [key for table in ("data", "model", "training") for key in metrics[table]]
    assert [name for name in named if f"`{name}`" not in text] == []


@pytest.mark.parametrize("task", PRESET_OF)
def test_files_documents_predictions_and_answers(runs, task):
    from pyarrow import parquet

    model = load_model(runs / task)
    (answer,) = model.task.answer(model, model.task.rows_of_texts([("a", "1010")], model), strict=False)
    stored = parquet.read_table(runs / task / "predictions.parquet").column_names
    text = FILES.read_text(encoding="utf-8")
    assert [name for name in model.task.answered_json(model, answer) if f"`{name}`" not in text] == []
    assert [name for name in stored if f"`{name}`" not in text and not name.startswith("probability_")] == []


def test_files_documents_the_answers_of_a_tagger(runs):
    model = load_model(runs / "tagging")
    rows = model.task.rows_of_texts([("a", "Ada left Oslo.")], model)
    (answer,) = model.task.answer(model, rows, strict=False)
    stored = json.loads((runs / "tagging" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[0])
    text = FILES.read_text(encoding="utf-8")
    assert [name for name in {**model.task.answered_json(model, answer), **stored} if f"`{name}`" not in text] == []


@pytest.mark.parametrize("task", CONFIGS)
def test_files_documents_explanations(runs, task):
    model = load_model(runs / task)
    rows = model.task.rows_to_explain(model, model.task.prepare(model.config.data).rows["test"], 2)
    explained = model.task.explain_rows(
        model, rows, method="integrated-gradients", tokens=[0] if task == "tagging" else None
    )
    found = explained.to_json()
    assert_documents("explanations.json", found)
    of_tags = {"tag", "token", "true_tag", "features"}
    of_numbers = {"prediction", "true_value"}
    replaced = {"label", "true_label", "offsets", "probability"}
    optional = {"comprehensiveness", "sufficiency"} | of_tags | of_numbers | replaced
    assert_documents("Explanation", found["explanations"][0], optional=optional)
    assert_documents("Faithfulness", found["faithfulness"])
    assert_documents("Measure", found["faithfulness"]["area"])


def test_files_documents_a_pretraining(tmp_path):
    texts = [f"{first} {second} {third}" for first in "abc" for second in "de" for third in "fg"]
    metrics = ostinato.pretrain(texts, tmp_path, embedding_size=4, hidden_size=4, max_epochs=1)
    assert_documents("metrics.json of a pre-training", metrics)
    text = FILES.read_text(encoding="utf-8")
    history = json.loads((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert [name for name in (*history, *metrics["validation"]) if f"`{name}`" not in text] == []


def test_files_documents_a_trace(runs):
    traced = trace_sequence(load_model(runs / "classification"), "0110").to_json()
    assert_documents("Trace", traced)
    assert_documents("Layer of a trace", traced["layers"][0])


def test_files_documents_the_coverage_of_vectors(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\n", encoding="utf-8")
    read_words = read_vectors(str(tmp_path / "v.txt"), ["a", "c"])
    fields = dict.fromkeys(PretrainedVectors._fields, 0)
    stored = PretrainedVectors(**{**fields, "coverage": read_words.coverage, "extra_words": []})
    assert_documents("Coverage of vectors", stored.facts("v.txt"))


def test_files_says_which_format_is_the_present_one(tmp_path):
    create_run(override(PRESETS["majority"](), TINY), tmp_path / "run")
    present = read(tmp_path / "run" / "environment.json")["format"]
    assert f"{present} is the present one" in " ".join(FILES.read_text(encoding="utf-8").split())


def options_of(command, path=("ostinato",)):
    """The options of each command, by its path: ("ostinato", "data", "list")."""
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        found = {path: {name for parameter in command.params for name in parameter.opts} | {"--help"}}
        for name, each in command.commands.items():
            found |= options_of(each, (*path, name))
        return found
    return {path: {name for parameter in command.params for name in parameter.opts} | {"--help"}}


OPTIONS = options_of(typer.main.get_command(app))


def commands_in(text):
    """The inline code, and the lines of code blocks."""
    for language, block in BLOCK.findall(text):
        if language != "python":
            yield from (line.removeprefix("$ ").partition("  #")[0] for line in block.splitlines())
    yield from SPAN.findall(BLOCK.sub("", text))


@pytest.mark.parametrize("path", DOCS, ids=page_name)
def test_options_in_the_docs_exist(path):
    every = set().union(*OPTIONS.values())
    for code in commands_in(path.read_text(encoding="utf-8")):
        words = code.split()
        called = max((each for each in OPTIONS if tuple(words[: len(each)]) == each), key=len, default=None)
        is_ours = called is not None or (words and words[0] in ("train", "predict", "compare")) or code.startswith("--")
        if is_ours:
            known = every if called in (None, ("ostinato",)) else OPTIONS[called]
            assert set(OPTION.findall(code)) <= known, code


def keys_of(config):
    return {f"{table}.{key}" for table in config.TABLES for key in config.model_fields[table].annotation.model_fields}


@pytest.mark.parametrize("path", [each for each in DOCS if each != FILES], ids=page_name)
def test_config_keys_in_the_docs_exist(path):
    known = set().union(*map(keys_of, (*CONFIGS.values(), PretrainingConfig)))
    text = BLOCK.sub(lambda block: "" if block[1] == "python" else block[0], path.read_text(encoding="utf-8"))
    found = {f"{table}.{key}" for table, key in KEY.findall(text) if key not in FILE_ENDINGS}
    assert found <= known


def test_every_config_key_is_on_the_page_of_settings():
    sections = re.split(r"^## ", FILES.with_name("settings.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    tables = {
        section.partition("\n")[0].lower(): re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) for section in sections
    }
    assert {f"{table}.{key}" for table, keys in tables.items() for key in keys} == set().union(
        *map(keys_of, CONFIGS.values())
    )


def test_defaults_on_the_page_of_settings_are_those_of_the_configs():
    def text(value):
        shown = "none" if value is None else "+".join(value) if isinstance(value, list) else value
        return str(shown).lower() if isinstance(shown, bool) else str(shown)

    defaults = {}
    for config in CONFIGS.values():
        for table in config.TABLES:
            for key, field in config.model_fields[table].annotation.model_fields.items():
                defaults.setdefault((table, key), set()).add(text(field.default))
    table, shown = "", {}
    for line in FILES.with_name("settings.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            table = line.removeprefix("## ").lower()
        elif (row := re.match(r"\| `(\w+)` \| ((?:\\\||[^|])+) \|", line)) and (table, row[1]) in defaults:
            cell = row[2].strip("`").replace("\\|", "|")
            shown[table, row[1]] = {re.sub(r" \(\w+\)$", "", part) for part in cell.split("; ")}
    assert shown == defaults


def test_the_page_of_pretraining_has_every_key_that_is_new_or_has_another_default():
    text = (ROOT / "docs" / "pretraining.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+`) \| (\S+) \|", text, re.MULTILINE)
    shown = {key: default for keys, default in rows for key in re.findall(r"`([\w.]+)`", keys)}
    own = {}
    for table, shared in (("data", Table), ("model", ModelConfig), ("training", TrainingConfig)):
        fields = PretrainingConfig.model_fields[table].annotation.model_fields
        for key, field in fields.items():
            same = shared.model_fields.get(key)
            if same is None or same.get_default() != field.get_default():
                default = field.get_default()
                own[f"{table}.{key}"] = "none" if default is None else str(default).lower()
    assert shown == own


@pytest.mark.parametrize("path", DOCS, ids=page_name)
def test_toml_in_the_docs_has_keys_of_its_task(path):
    for language, block in BLOCK.findall(path.read_text(encoding="utf-8")):
        values = tomllib.loads(block) if language == "toml" else {}
        tables = {name: values[name] for name in ("data", "model", "training") if name in values}
        known = keys_of(CONFIGS[values["task"]]) if "task" in values else set().union(*map(keys_of, CONFIGS.values()))
        assert {f"{table}.{key}" for table, keys in tables.items() for key in keys} <= known
        if {"task", "data"} <= values.keys():
            parse_config(values)


@pytest.mark.parametrize("path", [each for each in DOCS if each.name != "CHANGELOG.md"], ids=page_name)
def test_old_names_of_keys_are_only_in_the_changelog(path):
    code = "\n".join(commands_in(path.read_text(encoding="utf-8")))
    assert [old for old in RENAMED if re.search(rf"(?<![\w-]){old}(?![\w-])", code)] == []


def anchors_of(path):
    """The anchors that GitHub gives the headings."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCS, ids=page_name)
def test_links_lead_to_files_and_headings(path):
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


def test_the_first_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    example = next(block for language, block in blocks if language == "python")
    exec(example, {})
    assert capsys.readouterr().out.strip() == example.strip().rpartition("# ")[2]
