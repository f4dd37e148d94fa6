"""Publishing a finished run on the Hugging Face hub: its model, and its model card with metadata."""

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from ostinato.config import Config
from ostinato.errors import ConfigError
from ostinato.report.card import AUTHOR, LOADING, NOT_STATED, quoted
from ostinato.report.record import RunRecord
from ostinato.report.wording import metric_name
from ostinato.runs.folder import refuse_pretraining
from ostinato.runs.report import CARD, card_text, read_run
from ostinato.tasks.hub import MODEL, HubAddress, hub
from ostinato.tasks.model_file import load_model, save_model
from ostinato.tasks.records import Model
from ostinato.versions import __version__

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, HfApi, ModelCardData

README = "README.md"
HUB_METRICS = {  # the hub's identifiers of metrics that it calls otherwise
    "auroc": "roc_auc",
    "macro_f1": "f1",
    "mcc": "matthews_correlation",
    "micro_f1": "f1",
    "r2": "r_squared",
    "spearman": "spearmanr",
}


class Pushed(NamedTuple):
    """The page of the repository, and the commit that holds the run."""

    url: str
    commit: str


def push_run(folder: Path, address: HubAddress, *, private: bool = False, license: str | None = None) -> Pushed:
    """Upload the model file and the model card of a finished run in one commit; creates the repository if needed.

    The card is the run's model_card.md if there is one, which its author may have completed. Files that the config
    names lose their folders, and no row of the data is uploaded.

    Args:
        address: with a revision, the branch; it is created if needed.
        private: create a private repository.
        license: its identifier on the hub, such as `apache-2.0`.

    Raises:
        RunError: the run is not finished or was altered, or a request failed.
        ConfigError: `private`, but the repository exists and is public.
        MissingExtraError: huggingface_hub is not installed.
    """
    refuse_pretraining(folder)
    run, model = read_run(folder), load_model(folder)
    visibility: dict[str, Any] = {"private": True} if private else {}  # otherwise as the owner's settings say
    with hub(address) as api:
        readme = hub_card(run, model, address, license)
        url = api.create_repo(address.repository, exist_ok=True, **visibility)
        is_public = private and not api.model_info(address.repository).private
    if is_public:
        raise ConfigError(
            f"--private: {address} exists and is public, and nothing was uploaded. Make it private in its settings at "
            f"{url}/settings, or choose another name."
        )
    with TemporaryDirectory() as temporary, hub(address) as api:
        save_model(file := Path(temporary) / MODEL, _without_folders(model))
        commit = _commit(api, address, {MODEL: file.read_bytes(), README: readme.encode()}, run.name)
    return Pushed(str(url), commit)


def _commit(api: "HfApi", address: HubAddress, files: dict[str, bytes], name: str) -> str:
    """Upload files in one commit; returns its hash."""
    from huggingface_hub import CommitOperationAdd

    if address.revision is not None:
        api.create_branch(address.repository, branch=address.revision, exist_ok=True)
    added = [CommitOperationAdd(path, content) for path, content in files.items()]
    message = f"Upload {name} with Ostinato {__version__}"
    return api.create_commit(address.repository, added, commit_message=message, revision=address.revision).oid


def hub_card(run: RunRecord, model: Model, address: HubAddress, license: str | None = None) -> str:
    """The README.md of a repository: metadata in YAML, then the model card.

    Metadata at the top of the run's model_card.md, between lines of `---`, come first.
    """
    from huggingface_hub import ModelCard

    written = run.folder / CARD
    text = written.read_text(encoding="utf-8") if written.exists() else card_text(run, model.task.card(run, model))
    metadata = _metadata(run, model, address, license)
    if text.startswith("---\n"):
        own = ModelCard(text)
        text = own.text.lstrip()
        for key, value in vars(own.data).items():
            if value is not None:
                metadata[key] = value
    text = text.replace(LOADING, "After `pip install 'ostinato[hub]'`, in Python:")
    text = text.replace('ostinato.load("model.safetensors")', f'ostinato.load("{address}")')
    if license is not None:
        text = text.replace(AUTHOR, f"Licence: {license}. Author and contact: {NOT_STATED}.")
    for path in run.config.data.files().values():
        text = text.replace(path, Path(path).name).replace(quoted(path), quoted(Path(path).name))
    return f"---\n{metadata.to_yaml()}\n---\n\n{text}"


def _metadata(run: RunRecord, model: Model, address: HubAddress, license: str | None) -> "ModelCardData":
    from huggingface_hub import ModelCardData

    task, results = model.task, _results(run, model)
    is_series = task.vocabulary(model.encoder) is None
    tags = ["ostinato", task.name, run.model_name.lower().replace(" ", "-"), *(["time-series"] if is_series else [])]
    return ModelCardData(
        library_name="ostinato",
        license=license,
        pipeline_tag=None if is_series else task.pipeline,
        tags=tags,
        metrics=list(dict.fromkeys(each.metric_type for each in results)) or None,
        model_name=address.repository.partition("/")[2],
        eval_results=results or None,
    )


def _results(run: RunRecord, model: Model) -> "list[EvalResult]":
    """The test metrics for comparing models; none without a test split."""
    from huggingface_hub import EvalResult

    task, test, data = model.task, run.metrics.get("test", {}), run.metrics["data"]["name"]
    return [
        EvalResult(
            task_type=task.pipeline or task.name,
            task_name=task.name,
            dataset_type=re.sub(r"[^\w.-]+", "-", data),
            dataset_name=data,
            dataset_split="test",
            metric_type=HUB_METRICS.get(name, name),
            metric_name=metric_name(name),
            metric_value=test[name],
        )
        for name in task.metrics
        if test.get(name) is not None
    ]


def _without_folders(model: Model) -> Model:
    """The same model; files that its config names have lost their folders, which would tell where its author works."""
    members = tuple(_without_folders(member) for member in model.members)
    return replace(model, config=_config_without_folders(model.config), members=members)


def _config_without_folders(config: Config) -> Config:
    files = {key: Path(path).name for key, path in config.data.files().items()}
    tables = {"data": config.data.model_copy(update=files)}
    for table, key in (("model", "init"), ("training", "teacher")):
        path = getattr(getattr(config, table), key, None)
        if path is not None:
            tables[table] = getattr(config, table).model_copy(update={key: Path(path).name})
    return config.model_copy(update=tables)
