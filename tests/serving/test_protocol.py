"""The Open Inference Protocol answers with the estimator's numbers, unrounded."""

import json

import numpy as np
import pytest
from calls import ask, service_of
from small_models import DNA, SERIES, TEXTS, regressor

import ostinato


def infer(service, model, inputs, path="infer", **more):
    return ask(service, f"/v2/models/{model}/{path}", {"inputs": inputs, **more})


def text(*texts, name="text", datatype="BYTES"):
    return {"name": name, "shape": [len(texts)], "datatype": datatype, "data": list(texts)}


def tensors(reply):
    assert reply.status == 200, reply.body
    return {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in reply.json["outputs"]}


def test_health_and_metadata(service):
    assert ask(service, "/v2").json["name"] == "ostinato"
    assert ask(service, "/v2/health/live").json == {"live": True}
    assert ask(service, "/v2/health/ready").json == {"ready": True}
    service.draining.start()
    assert ask(service, "/v2/health/ready").status == 503
    assert ask(service, "/v2/health/live").status == 200


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("dna", ["text", "tokens", "lengths"], {"label": [-1], "probabilities": [-1, 3]}),
        ("texts", ["text", "tokens", "lengths"], {"label": [-1], "probabilities": [-1, 3]}),
        ("series", ["values", "lengths", "text"], {"prediction": [-1, 1]}),
        ("tags", ["text"], {"tags": [-1, -1], "probabilities": [-1, -1]}),
    ],
)
def test_metadata_names_inputs_and_outputs(service, name, inputs, outputs):
    found = ask(service, f"/v2/models/{name}").json
    assert [each["name"] for each in found["inputs"]] == inputs
    assert {each["name"]: each["shape"] for each in found["outputs"]} == outputs
    assert found["versions"] == [service.models.entries[name].version]


def test_a_version_has_its_own_paths(service):
    version = service.models.entries["dna"].version
    for path in (f"/v2/models/dna/versions/{version}", f"/v2/models/dna/versions/{version}/ready"):
        assert ask(service, path).json["name"] == "dna"
    assert infer(service, "dna", [text(DNA[0])], f"versions/{version}/infer").json["model_version"] == version
    assert ask(service, "/v2/models/dna/versions/2").status == 404
    assert ask(service, "/v2/models/other/ready").status == 404


def test_a_classifier_answers_label_and_probabilities_to_the_last_bit(service, files):
    model = ostinato.load(files["dna"])
    reply = infer(service, "dna", [text(*DNA[:7])], id="abc")
    assert reply.json["id"] == "abc" and reply.json["model_name"] == "dna"
    found = tensors(reply)
    assert found["label"].tolist() == model.predict(DNA[:7]).tolist()
    np.testing.assert_array_equal(found["probabilities"].astype(np.float32), model.predict_proba(DNA[:7]))


def test_a_multilabel_classifier_answers_arrays_of_labels(service, files):
    model = ostinato.load(files["texts"])
    found = tensors(infer(service, "texts", [text(*TEXTS[:9])]))
    assert [tuple(json.loads(each)) for each in found["label"]] == model.predict(TEXTS[:9])
    np.testing.assert_array_equal(found["probabilities"].astype(np.float32), model.predict_proba(TEXTS[:9]))


def test_a_tagger_answers_padded_tags(service, files):
    found = tensors(infer(service, "tags", [text("Paris sat", "on")]))
    expected = ostinato.load(files["tags"]).predict([["Paris", "sat"], ["on"]])
    assert found["tags"].tolist() == [expected[0], [*expected[1], ""]]
    assert found["probabilities"].shape == (2, 2) and found["probabilities"][1, 1] == 0


def test_values_are_series_with_lengths(service, files):
    longest = max(map(len, SERIES[:4]))
    padded = np.stack([np.pad(each, ((0, longest - len(each)), (0, 0))) for each in SERIES[:4]])
    values = {"name": "values", "shape": list(padded.shape), "datatype": "FP64", "data": padded.ravel().tolist()}
    lengths = {"name": "lengths", "shape": [4], "datatype": "INT64", "data": [len(each) for each in SERIES[:4]]}
    expected = ostinato.load(files["series"]).predict(SERIES[:4])
    np.testing.assert_array_equal(tensors(infer(service, "series", [values, lengths]))["prediction"][:, 0], expected)
    nested = {**values, "data": padded.tolist()}
    np.testing.assert_array_equal(tensors(infer(service, "series", [nested, lengths]))["prediction"][:, 0], expected)


def test_quantiles_are_an_output_of_their_own(tmp_path):
    model = regressor(targets=2, loss="quantile", quantiles=(0.1, 0.5, 0.9))
    model.save(tmp_path / "model.safetensors")
    service = service_of({"numbers": tmp_path / "model.safetensors"})
    found = tensors(infer(service, "numbers", [text(json.dumps(SERIES[0].tolist()))]))
    assert found["prediction"].shape == (1, 2) and found["quantiles"].shape == (1, 2, 3)
    np.testing.assert_array_equal(found["prediction"], model.predict(SERIES[:1]))
    np.testing.assert_array_equal(found["quantiles"][..., 1], found["prediction"])


def test_tokens_are_ids_of_the_vocabulary(service, files):
    model = ostinato.load(files["dna"])
    ids = [[model.encoder_.vocabulary.id(letter) for letter in each[:3]] for each in DNA[:2]]
    tokens = {"name": "tokens", "shape": [2, 3], "datatype": "INT64", "data": ids}
    lengths = {"name": "lengths", "shape": [2], "datatype": "INT64", "data": [3, 2]}
    expected = model.predict_proba([DNA[0][:3], DNA[1][:2]])
    found = tensors(infer(service, "dna", [tokens, lengths]))["probabilities"]
    np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_outputs_can_be_chosen(service):
    reply = infer(service, "dna", [text(DNA[0])], outputs=[{"name": "probabilities"}])
    assert list(tensors(reply)) == ["probabilities"]
    reply = infer(service, "dna", [text(DNA[0])], outputs=[{"name": "probability"}])
    assert reply.status == 422 and "probability" in reply.error


@pytest.mark.parametrize(
    ("inputs", "shown"),
    [
        ([text("AC", name="txt")], "inputs.0.name: 'txt'"),
        ([text("AC", datatype="FP32")], "inputs.0.datatype: 'FP32'"),
        ([{**text("AC"), "shape": [2]}], "inputs.0.data: 1 values"),
        ([{**text("AC"), "shape": [1, 2]}], "inputs.0.shape: [1, 2]"),
        ([{**text("AC"), "data": [5]}], "inputs.0.data: value 0 is 5"),
        ([{**text("AC"), "shape": [-1]}], "inputs.0.shape.0"),
        ([], "inputs"),
        ([text("AC"), text("AC")], "inputs: two of one name"),
        ([{"name": "lengths", "shape": [1], "datatype": "INT64", "data": [1]}], "inputs: none"),
        ([{"name": "tokens", "shape": [1, 1], "datatype": "INT64", "data": [99]}], "99"),
        ([{"name": "tokens", "shape": [1, 1], "datatype": "INT64", "data": [True]}], "True"),
        ([{"name": "tokens", "shape": [1, 0], "datatype": "INT64", "data": []}], "inputs.0.shape: [1, 0]"),
        ([{"name": "values", "shape": [1, 1], "datatype": "FP32", "data": [0.5]}], "values 0"),
        ([text("")], "text 0: the sequence is empty"),
    ],
)
def test_invalid_inputs_are_422(service, inputs, shown):
    reply = infer(service, "dna", inputs)
    assert reply.status == 422 and shown in reply.error


def test_lengths_must_fit(service):
    tokens = {"name": "tokens", "shape": [1, 2], "datatype": "INT64", "data": [1, 2]}
    for sizes in ([3], [-1], [1, 1]):
        lengths = {"name": "lengths", "shape": [len(sizes)], "datatype": "INT64", "data": sizes}
        assert "lengths" in infer(service, "dna", [tokens, lengths]).error


def test_all_faults_of_all_inputs_are_reported_at_once(service):
    reply = infer(service, "dna", [text("AC", datatype="FP32"), text(name="other")])
    assert [line.split(":")[0] for line in reply.error.splitlines()] == ["inputs.0.datatype", "inputs.1.name"]
