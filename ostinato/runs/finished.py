"""The results of a finished run, and whether its files are those that it wrote."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ostinato.errors import RunError
from ostinato.runs.folder import CONFIG, ENVIRONMENT, resume_command, shell_path
from ostinato.runs.json_model import JsonModel
from ostinato.storage import METRICS, check_format, file_digest, read_json

MODEL = "model.safetensors"


def _files_of_version_0_1() -> dict[str, str | None]:
    return {MODEL: None}


class MetricsData(JsonModel):
    """The field `data` of metrics.json.

    Args:
        digests: of each encoded split; empty in runs of version 0.1.
    """

    name: str
    source: str
    digests: dict[str, str] = Field(default_factory=dict)


class MetricsModel(JsonModel):
    """The field `model` of metrics.json."""

    cell: str
    engine: str
    parameters: int


class MetricsTraining(JsonModel):
    """The field `training` of metrics.json."""

    seconds: float
    epochs: int
    best_epoch: int
    seconds_per_epoch: float


class MetricsFile(JsonModel):
    """What metrics.json holds, whatever the task.

    Args:
        files: the SHA-256 of each file of the run, by name; runs of version 0.1 have none, and a model.
    """

    task: str
    data: MetricsData
    model: MetricsModel
    training: MetricsTraining
    validation: dict[str, Any] | None = None
    test: dict[str, Any] | None = None
    baselines: dict[str, dict[str, Any]] | None = None
    files: dict[str, str | None] = Field(default_factory=_files_of_version_0_1)


def finished_metrics(folder: Path) -> dict[str, Any] | None:
    """The metrics of a finished run; None while it is unfinished.

    Raises:
        RunError: there is no run at that path, its format is newer than this Ostinato reads, or a file is damaged.
    """
    if not (folder / CONFIG).exists():
        raise RunError(
            f"{folder}: not a run folder, since it has no {CONFIG}. Start a run with: "
            f"ostinato train PRESET --out {shell_path(folder)}"
        )
    environment = folder / ENVIRONMENT
    if environment.exists():
        check_format(environment, read_json(environment).get("format"))
    path = folder / METRICS
    if not path.exists():
        return None
    metrics = read_json(path)
    _checked(folder, metrics)
    return metrics


def lost_files(folder: Path, metrics: dict[str, Any]) -> list[str]:
    """The files of a finished run that are missing, or are not those that it wrote."""
    return [
        name
        for name, digest in _checked(folder, metrics).files.items()
        if Path(name).name != name  # not a file of the folder
        or not (folder / name).is_file()
        or (digest is not None and file_digest(folder / name) != digest)
    ]


def is_complete(folder: Path) -> bool:
    """Whether a run is finished and has all of its files.

    Raises:
        RunError: as `finished_metrics`.
    """
    metrics = finished_metrics(folder)
    return metrics is not None and not lost_files(folder, metrics)


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of those files of a run that exist, by name."""
    return {name: file_digest(folder / name) for name in names if (folder / name).exists()}


def _checked(folder: Path, metrics: dict[str, Any]) -> MetricsFile:
    try:
        return MetricsFile.model_validate(metrics)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        raise RunError(
            f"{folder / METRICS}: {field}: {problem['msg']}. Delete the file, then make it again with: "
            f"{resume_command(folder)}"
        ) from None
