"""Pushing runs to the hub, and loading them from it; against a stand-in of the hub's API."""

import pickle
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import huggingface_hub
import pytest
import torch
import yaml
from hub_server import local_hub
from huggingface_hub import constants
from tiny_runs import TASKS, config_of, reviews_config, write_reviews

import ostinato
from ostinato import runs
from ostinato.errors import ConfigError, MissingExtraError, RunError
from ostinato.report.card import NOT_STATED
from ostinato.runs.ensembles import ensemble_runs
from ostinato.runs.hub import push_run
from ostinato.runs.report import read_run
from ostinato.tasks.hub import HubAddress
from ostinato.tasks.model_file import load_model

ADDRESS = HubAddress("owner/model")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how huggingface_hub uses httpx


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with local_hub(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of each task."""
    folders = {}
    for task in TASKS:
        base = tmp_path_factory.mktemp(task)
        runs.start_run(config_of(task, base), base / "run")
        folders[task] = base / "run"
    return folders


def metadata_of(readme):
    _, header, text = readme.decode().split("---\n", 2)
    return yaml.safe_load(header), text


@pytest.mark.parametrize("task", TASKS)
def test_a_pushed_model_has_the_weights_and_answers_of_the_run(hub, finished, task):
    push_run(finished[task], ADDRESS)
    own, loaded = load_model(finished[task]), load_model(Path("hf://owner/model"))
    theirs = loaded.network.state_dict()
    assert all(torch.equal(weights, theirs[name]) for name, weights in own.network.state_dict().items())
    rows = runs.test_rows(finished[task])
    answers = [model.task.outputs(model.network, model.task.encode(model, rows)) for model in (own, loaded)]
    first, second = (each if isinstance(each, torch.Tensor) else each.probabilities for each in answers)
    assert torch.equal(torch.as_tensor(first), torch.as_tensor(second))


def test_load_takes_an_address(hub, finished):
    push_run(finished["classification"], ADDRESS)
    own, loaded = ostinato.load(finished["classification"]), ostinato.load("hf://owner/model")
    assert (own.predict_proba(["0110", "1"]) == loaded.predict_proba(["0110", "1"])).all()


def test_an_ensemble_can_be_pushed(hub, tmp_path):
    for seed in (0, 1):
        config = config_of("classification", tmp_path, f"training.seed={seed}")
        runs.start_run(config, tmp_path / f"run-{seed}")
    ensemble_runs([tmp_path / "run-0", tmp_path / "run-1"], tmp_path / "joined")
    push_run(tmp_path / "joined", ADDRESS)
    own, loaded = ostinato.load(tmp_path / "joined"), ostinato.load("hf://owner/model")
    assert (own.predict_proba(["0110"]) == loaded.predict_proba(["0110"])).all()


def test_only_the_model_and_its_card_are_uploaded_and_only_the_model_is_fetched(hub, finished):
    push_run(finished["classification"], ADDRESS)
    assert set(hub.files("owner/model")) == {".gitattributes", "README.md", "model.safetensors"}
    hub.requests.clear()
    load_model(Path("hf://owner/model"))
    assert {each.split("/")[-1] for each in hub.requests if "resolve" in each} == {"model.safetensors"}


@pytest.mark.parametrize("task", TASKS)
def test_the_metadata_are_the_test_metrics_of_the_run(hub, finished, task):
    push_run(finished[task], ADDRESS, license="mit")
    metadata, _ = metadata_of(hub.files("owner/model")["README.md"])
    metrics = read_run(finished[task]).metrics
    (result,) = metadata["model-index"][0]["results"]
    found = {each["name"]: each["value"] for each in result["metrics"]}
    main = {"classification": "accuracy", "multilabel": "micro F1", "regression": "RMSE", "tagging": "f1"}
    names = {"accuracy": "accuracy", "micro F1": "micro_f1", "RMSE": "rmse", "f1": "f1"}
    pipelines = {"tagging": "token-classification", "regression": None}
    shown = next(name for name in found if name.lower() == main[task].lower())
    assert found[shown] == metrics["test"][names[main[task]]]
    assert result["dataset"] == {"name": metrics["data"]["name"], "type": metrics["data"]["name"], "split": "test"}
    assert metadata.get("pipeline_tag") == pipelines.get(task, "text-classification")
    assert metadata["library_name"] == "ostinato" and metadata["license"] == "mit" and task in metadata["tags"]


def test_the_card_tells_how_to_load_and_scores_beside_baselines(hub, finished):
    push_run(finished["classification"], ADDRESS)
    metadata, text = metadata_of(hub.files("owner/model")["README.md"])
    assert 'ostinato.load("hf://owner/model")' in text and "model.safetensors" not in text
    assert "linear baseline" in text and "most frequent class" in text
    assert f"licence and contact: {NOT_STATED}" in text and "license" not in metadata


def test_a_licence_replaces_what_the_author_has_not_stated(hub, finished):
    push_run(finished["classification"], ADDRESS, license="apache-2.0")
    _, text = metadata_of(hub.files("owner/model")["README.md"])
    assert "Licence: apache-2.0. Author and contact" in text and "licence and contact" not in text


def test_a_card_that_its_author_completed_is_pushed_with_its_own_metadata(hub, finished, tmp_path):
    (card := finished["regression"] / "model_card.md").write_text("---\nlanguage: en\n---\n# Mine\n", encoding="utf-8")
    push_run(finished["regression"], ADDRESS)
    card.unlink()
    metadata, text = metadata_of(hub.files("owner/model")["README.md"])
    assert text.strip() == "# Mine" and metadata["language"] == "en" and metadata["model-index"]


def test_folders_of_the_author_stay_unknown(hub, tmp_path):
    (secret := tmp_path / "secret-client_1").mkdir()
    write_reviews(secret / "reviews.csv")
    (secret / "vectors.txt").write_text("good 1 0\nbad 0 1\n", encoding="utf-8")
    config = reviews_config(secret / "reviews.csv", f"data.vectors={secret / 'vectors.txt'}", "model.embedding_size=2")
    runs.start_run(config, tmp_path / "run")
    assert b"secret-client" in (tmp_path / "run" / "model.safetensors").read_bytes()
    push_run(tmp_path / "run", ADDRESS)
    for name, content in hub.files("owner/model").items():
        assert b"secret-client" not in content, name
    assert "Vectors of vectors.txt" in hub.files("owner/model")["README.md"].decode()
    load_model(Path("hf://owner/model"))


def test_a_second_push_replaces_the_first_and_is_fetched(hub, finished, tmp_path):
    push_run(finished["classification"], ADDRESS)
    before = load_model(Path("hf://owner/model")).network.state_dict()
    runs.start_run(config_of("classification", tmp_path, "training.seed=7"), tmp_path / "run")
    push_run(tmp_path / "run", ADDRESS)
    after = load_model(Path("hf://owner/model")).network.state_dict()
    own = load_model(tmp_path / "run").network.state_dict()
    assert all(torch.equal(weights, own[name]) for name, weights in after.items())
    assert not all(torch.equal(weights, before[name]) for name, weights in after.items())


def test_the_same_run_again_makes_no_commit(hub, finished):
    first = push_run(finished["classification"], ADDRESS)
    assert push_run(finished["classification"], ADDRESS) == first
    assert len(hub.repositories["owner/model"].commits) == 2  # of the creation, and of the first push


def test_an_unchanged_model_is_fetched_once(hub, finished):
    push_run(finished["classification"], ADDRESS)
    load_model(Path("hf://owner/model"))
    load_model(Path("hf://owner/model"))
    assert len(hub.downloads()) == 1


def test_a_revision_is_a_branch_to_push_to_and_anything_to_load(hub, finished, tmp_path):
    main = push_run(finished["classification"], ADDRESS)
    runs.start_run(config_of("classification", tmp_path, "training.seed=7"), tmp_path / "run")
    push_run(tmp_path / "run", HubAddress("owner/model", "v2"))
    own = load_model(finished["classification"]).network.state_dict()
    for address in ("hf://owner/model", f"hf://owner/model@{main.commit}"):
        loaded = load_model(Path(address)).network.state_dict()
        assert all(torch.equal(weights, own[name]) for name, weights in loaded.items())
    newer = load_model(Path("hf://owner/model@v2")).network.state_dict()
    assert not all(torch.equal(weights, own[name]) for name, weights in newer.items())
    assert "hf://owner/model@v2" in hub.files("owner/model", "v2")["README.md"].decode()


def test_a_private_repository_is_read_with_the_token_of_its_owner_alone(hub, finished, monkeypatch):
    push_run(finished["classification"], ADDRESS, private=True)
    assert hub.repositories["owner/model"].is_private
    monkeypatch.setenv("HF_TOKEN", "reader-token")
    with pytest.raises(RunError, match="hf://owner/model: .*private"):
        load_model(Path("hf://owner/model"))
    monkeypatch.setenv("HF_TOKEN", "owner-token")
    load_model(Path("hf://owner/model"))


def test_nothing_is_uploaded_as_private_to_a_public_repository(hub, finished):
    hub.add("owner/model", {})
    with pytest.raises(ConfigError, match="hf://owner/model .*public"):
        push_run(finished["classification"], ADDRESS, private=True)
    assert hub.files("owner/model") == {}


@pytest.mark.parametrize(("token", "match"), [("reader-token", "may not"), ("", "token")])
def test_pushing_without_permission_is_refused(hub, finished, monkeypatch, token, match):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(RunError, match=f"hf://owner/model: .*{match}"):
        push_run(finished["classification"], ADDRESS)
    assert not hub.repositories


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("hf://owner/missing", "hf://owner/missing: .*no such repository"),
        ("hf://owner/other@v9", "hf://owner/other@v9: .*no such branch"),
        ("hf://owner/other", "hf://owner/other: .*no model.safetensors"),
        ("hf://owner/bert", "another program wrote this file"),
    ],
)
def test_what_cannot_be_loaded_says_why(hub, address, match):
    from safetensors.torch import save

    hub.add("owner/other", {"README.md": b"# Not a model"})
    hub.add("owner/bert", {"model.safetensors": save({"weights": torch.zeros(3)}, {"format": "pt"})})
    with pytest.raises(RunError, match=match):
        load_model(Path(address))


@pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf://owner/name/more", "hf://owner/name@"])
def test_an_incomplete_address_is_refused(address):
    with pytest.raises(ConfigError, match="hf:/"):
        load_model(Path(address))


@pytest.mark.parametrize("path", [PurePosixPath, PureWindowsPath, str])
def test_an_address_survives_as_a_path(path):
    address = HubAddress.parse(path("hf://owner/my-model_2.0@refs/pr/1"))
    assert address == HubAddress("owner/my-model_2.0", "refs/pr/1")
    assert str(address) == "hf://owner/my-model_2.0@refs/pr/1"


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_repository_does_not_run(hub, tmp_path):
    pickled = pickle.dumps(Bomb(tmp_path / "exploded"))
    files = {"model.safetensors": pickled, "pytorch_model.bin": pickled, "modeling.py": b"raise SystemExit"}
    hub.add("owner/bomb", files)
    with pytest.raises(RunError, match="truncated or altered"):
        load_model(Path("hf://owner/bomb"))
    assert not (tmp_path / "exploded").exists()
    pickle.loads(pickled)
    assert (tmp_path / "exploded").exists()  # it would have


def test_an_interrupted_download_leaves_nothing_broken(hub, finished, tmp_path):
    push_run(finished["classification"], ADDRESS)
    hub.is_broken = True
    with pytest.raises(RunError, match="hf://owner/model: "):
        load_model(Path("hf://owner/model"))
    assert not list((tmp_path / "cache").rglob("model.safetensors"))
    hub.is_broken = False
    load_model(Path("hf://owner/model"))


def test_without_the_hub_the_copy_in_the_cache_is_used(hub, finished, monkeypatch, request):
    push_run(finished["classification"], ADDRESS)
    online = load_model(Path("hf://owner/model")).network.state_dict()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    new_session = getattr(huggingface_hub, "close_session", None) or huggingface_hub.utils.reset_sessions  # before 1.0
    new_session()
    request.addfinalizer(new_session)
    offline = load_model(Path("hf://owner/model")).network.state_dict()
    assert all(torch.equal(weights, online[name]) for name, weights in offline.items())
    with pytest.raises(RunError, match="hf://owner/other: the hub cannot be reached"):
        load_model(Path("hf://owner/other"))
    with pytest.raises(RunError, match="hf://owner/model: the hub cannot be reached"):
        push_run(finished["classification"], ADDRESS)


def test_a_hub_that_refuses_connections_is_named(hub, finished, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port `discard`, where nobody listens
    with pytest.raises(RunError, match="hf://owner/model: the hub cannot be reached"):
        push_run(finished["classification"], ADDRESS)


def test_an_unfinished_run_is_not_pushed(hub, finished, tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        push_run(tmp_path, ADDRESS)
    assert not hub.requests


def test_without_the_extra_its_installation_is_named(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (lambda: load_model(Path("hf://owner/model")), lambda: push_run(finished["classification"], ADDRESS)):
        with pytest.raises(MissingExtraError, match=r"hf://owner/model.*pip install 'ostinato\[hub\]'"):
            use()


def test_a_card_needs_no_package_of_a_report(finished):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('jinja2', 'markupsafe', 'matplotlib', 'logomaker')))\n"
        "from pathlib import Path; from ostinato.runs.report import read_run\n"
        "from ostinato.tasks.model_file import load_model\n"
        "for folder in map(Path, sys.argv[1:]):\n"
        "    model = load_model(folder); print(model.task.card(read_run(folder), model)[0].title)"
    )
    command = [sys.executable, "-c", code, *map(str, finished.values())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["Model details"] * len(finished), done.stderr
