"""/models, /predict, /explain and /trace answer as the library does."""

import json

import numpy as np
import pytest
from calls import ask, service_of
from small_models import DNA, SERIES, TEXTS
from toy import columns, sentences

import ostinato
from ostinato.cli import app as command_line
from ostinato.runs import start_run
from ostinato.tasks.config import parse_config
from ostinato.tasks.model_file import load_model

SENTENCE = ["Paris", "sat", "on", "U2"]
SPLITS = ("train", "train", "validation", "test")
INPUTS = {"dna": DNA[0], "texts": TEXTS[1], "series": SERIES[2].tolist(), "tags": SENTENCE}


def described(service):
    return {each["name"]: each for each in ask(service, "/models").json["models"]}


def test_models_describes_each_model(service):
    models = described(service)
    assert {name: each["task"] for name, each in models.items()} == {
        "dna": "classification",
        "texts": "multilabel",
        "series": "regression",
        "tags": "tagging",
    }
    kinds = {name: each["kind"] for name, each in models.items()}
    assert kinds == {"dna": "symbols", "texts": "text", "series": "numeric", "tags": "text"}
    assert [models["dna"][key] for key in ("labels", "channels", "quantity")] == [
        ["even", "odd", "third"],
        None,
        "probability",
    ]
    assert [models["series"][key] for key in ("labels", "channels", "quantity")] == [None, 2, "prediction"]
    network = load_model(service.settings.models["dna"]).network
    assert models["dna"]["parameters"] == sum(weights.numel() for weights in network.parameters())
    assert models["dna"]["cell"] == "lstm" and models["dna"]["hidden_size"] == 6 and not models["dna"]["bidirectional"]


@pytest.mark.parametrize("name", INPUTS)
def test_predict_answers_what_the_command_line_prints(service, files, name, capsys):
    value = INPUTS[name]
    typed = value if isinstance(value, str) else " ".join(value) if name == "tags" else json.dumps(value)
    command_line(["predict", str(files[name]), "--text", typed], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    reply = ask(service, "/predict", {"model": name, "input": typed})
    assert (reply.status, reply.json) == (200, {"model": name, "answer": printed})


def test_a_list_is_the_same_input_as_its_text(service):
    for name, value, typed in (
        ("series", SERIES[0].tolist(), json.dumps(SERIES[0].tolist())),
        ("tags", SENTENCE, "Paris sat on U2"),
    ):
        answers = [ask(service, "/predict", {"model": name, "input": each}).json["answer"] for each in (value, typed)]
        assert [answers[0].get(key) for key in ("prediction", "tags")] == [
            answers[1].get(key) for key in ("prediction", "tags")
        ]


def test_several_inputs_have_the_answers_of_each(service):
    alone = [ask(service, "/predict", {"model": "dna", "input": each}).json["answer"] for each in DNA[:5]]
    assert ask(service, "/predict", {"model": "dna", "inputs": DNA[:5]}).json == {"model": "dna", "answers": alone}


def test_the_name_of_a_single_model_may_be_left_out(files):
    service = service_of({"dna": files["dna"]})
    assert ask(service, "/predict", {"input": DNA[0]}).json["model"] == "dna"


@pytest.mark.parametrize("name", ["dna", "texts", "series"])
def test_explain_gives_the_scores_of_the_library(service, files, name):
    value = INPUTS[name]
    sequence = np.array(value) if name == "series" else value
    (expected,) = ostinato.explain(ostinato.load(files[name]), [sequence], method="occlusion")
    reply = ask(service, "/explain", {"model": name, "input": value, "method": "occlusion"})
    assert reply.status == 200
    explanation = reply.json["explanation"]
    assert {key: explanation[key] for key in expected.to_json()} == json.loads(json.dumps(expected.to_json()))
    assert reply.json["faithfulness"]["n"] == 1 and reply.json["others"] == []


def test_explain_takes_a_label_and_for_a_tagger_a_word(service):
    reply = ask(service, "/explain", {"model": "dna", "input": DNA[0], "label": "third"})
    assert reply.json["explanation"]["label"] == "third"
    reply = ask(service, "/explain", {"model": "tags", "input": SENTENCE, "token": 2})
    assert reply.json["explanation"]["token"] == 2 and reply.json["others"] == []


def test_trace_is_the_trace_of_the_library(service, files):
    expected = ostinato.trace(ostinato.load(files["dna"]), DNA[0]).to_json()
    assert ask(service, "/trace", {"model": "dna", "input": DNA[0]}).json == {
        "model": "dna",
        **json.loads(json.dumps(expected)),
    }


def test_trace_can_be_limited_to_a_layer(service):
    body = {"model": "dna", "input": DNA[0], "layer": 1, "direction": "forwards"}
    assert [layer["name"] for layer in ask(service, "/trace", body).json["layers"]] == ["layer 1, forwards"]
    reply = ask(service, "/trace", {**body, "direction": "backwards"})
    assert reply.status == 422 and "backwards" in reply.error


def test_a_long_sequence_is_neither_explained_nor_traced(service):
    for path in ("/explain", "/trace"):
        reply = ask(service, path, {"model": "dna", "input": "A" * 2001})
        assert reply.status == 422 and "2,001" in reply.error


def test_a_tagger_is_not_traced(service):
    assert not described(service)["tags"]["traces"]
    reply = ask(service, "/trace", {"model": "tags", "input": SENTENCE})
    assert reply.status == 422 and "tagging" in reply.error


@pytest.mark.parametrize(
    ("path", "body", "shown"),
    [
        ("/explain", {"model": "dna", "input": DNA[0], "method": "magic"}, "magic"),
        ("/explain", {"model": "dna", "input": DNA[0], "label": "fourth"}, "fourth"),
        ("/explain", {"model": "dna", "input": DNA[0], "token": 1}, "1"),
        ("/predict", {"model": "series", "input": [[1, 2, 3]]}, "3 channels"),
        ("/predict", {"model": "series", "input": "not numbers"}, "not numbers"),
        ("/predict", {"model": "dna", "input": ["A", "C"]}, "['A', 'C']"),
        ("/predict", {"model": "dna", "input": ""}, "empty"),
        ("/predict", {"model": "tags", "input": [1]}, "1"),
        ("/predict", {"model": "tags", "input": "   "}, "empty"),
    ],
)
def test_input_that_the_model_cannot_use_is_422(service, path, body, shown):
    reply = ask(service, path, body)
    assert reply.status == 422 and shown in reply.error


def test_all_faults_of_a_request_are_reported_at_once(service):
    reply = ask(service, "/predict", {"model": 5, "input": 7, "truncate": "yes", "modle": "dna"})
    assert reply.status == 422
    assert [line.split(":")[0] for line in reply.error.splitlines()] == ["model", "input", "truncate", "modle"]


def test_all_faulty_inputs_are_reported_at_once(service):
    inputs = [[[1, 2]], "x", [], [[1]], [[3, 4]]]
    reply = ask(service, "/predict", {"model": "series", "inputs": inputs})
    assert reply.status == 422
    assert [line.split(":")[0] for line in reply.error.splitlines()] == ["inputs.1", "inputs.2", "inputs.3"]


def test_examples_of_a_run_are_inputs_that_its_model_reads(tmp_path):
    path = tmp_path / "series.jsonl"
    series = [[float(step)] * 2 for step in range(2001)]
    lengths = [3, 2001, 2, 4, 5, 6, 7] * 4  # the second one is too long for an example
    rows = [{"text": series[:length], "label": "ab"[at % 2]} for at, length in enumerate(lengths)]
    for at, row in enumerate(rows):
        row["text"] = [[step[0] + at, step[1]] for step in row["text"]]
    path.write_text("".join(json.dumps({**row, "split": SPLITS[at // 7]}) + "\n" for at, row in enumerate(rows)))
    config = {"data": {"path": str(path), "tokenizer": "numeric", "split_column": "split"}}
    sizes = {"training": {"max_epochs": 1}, "model": {"embedding_size": 4, "hidden_size": 4}}
    start_run(parse_config({"task": "classification", **config, **sizes}), tmp_path / "run")
    service = service_of({"run": tmp_path / "run"})
    examples = described(service)["run"]["examples"]
    assert examples == [row["text"] for row in rows[21:] if len(row["text"]) < 2001][:5]
    assert ask(service, "/predict", {"inputs": examples}).status == 200


def test_a_tagger_s_run_has_examples(tmp_path):
    path = tmp_path / "toy.conll"
    path.write_text(columns(*sentences(60)), encoding="utf-8")
    config = {"task": "tagging", "data": {"path": str(path)}, "training": {"max_epochs": 1}}
    start_run(parse_config({**config, "model": {"embedding_size": 4, "hidden_size": 4}}), tmp_path / "run")
    examples = described(service_of({"run": tmp_path / "run"}))["run"]["examples"]
    lines = (tmp_path / "run" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert examples == [json.loads(line)["tokens"] for line in lines[:5]]
