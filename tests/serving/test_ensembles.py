"""The service answers with an ensemble as with any model."""

import pytest
from calls import ask, service_of
from small_models import TEXTS, multilabel

import ostinato


@pytest.fixture(scope="module", params=["same tokens", "different tokens"])
def model(request):
    tokenizer = "words" if request.param == "same tokens" else "characters"
    return ostinato.ensemble([multilabel(tokenizer="words"), multilabel(tokenizer=tokenizer, cell="gru")])


@pytest.fixture
def service(model, tmp_path):
    model.save(tmp_path / "both.safetensors")
    return service_of({"both": tmp_path / "both.safetensors"})


def test_it_is_described_as_an_ensemble(service, model):
    (found,) = ask(service, "/models").json["models"]
    assert (found["members"], found["streams"], found["traces"]) == (2, False, False)
    assert found["parameters"] == sum(weights.numel() for weights in model.model_.parameters())
    assert "attention" not in found["explanation_methods"]


def test_it_answers_and_explains(service, model):
    expected = dict(zip(model.classes_, model.predict_proba(TEXTS[:1])[0].tolist(), strict=True))
    answer = ask(service, "/predict", {"input": TEXTS[0]}).json["answer"]
    assert answer["probabilities"] == pytest.approx(expected, abs=1e-5)
    explained = ask(service, "/explain", {"input": TEXTS[0], "method": "occlusion"})
    assert explained.status == 200 and len(explained.json["explanation"]["scores"]) == len(TEXTS[0].split())


def test_token_ids_are_read_by_members_with_the_same_tokens_alone(service, model):
    is_same = type(model.encoder_).__name__ == "SequenceEncoder"
    tensor = {"name": "tokens", "datatype": "INT32", "shape": [1, 2], "data": [1, 2]}
    reply = ask(service, "/v2/models/both/infer", {"inputs": [tensor]})
    assert reply.status == (200 if is_same else 422), reply.json
