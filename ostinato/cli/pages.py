"""The page of the documentation that explains an error: by what is missing, or by the part of the code that raised it.

Messages of the library do not name pages: only the command line adds them.
"""

from importlib import metadata
from types import TracebackType

from ostinato.errors import MissingExtraError, OutOfTimeError

BY_CLASS: dict[type[Exception], str] = {
    MissingExtraError: "start.md#1-install",
    OutOfTimeError: "training-on-a-file.md#how-the-time-is-used",
}
BY_MODULE = {  # the longest name that fits; modules without a name, such as `storage`, leave it to their callers
    "ostinato.cli.arguments": "start.md",
    "ostinato.cli.asking": "start.md",
    "ostinato.cli.bulk": "how-to/ray.md#many-files",
    "ostinato.cli.comparing": "comparing.md",
    "ostinato.cli.data": "data.md",
    "ostinato.cli.ensembling": "ensembles.md",
    "ostinato.cli.explaining": "explanations.md",
    "ostinato.cli.exporting": "export.md",
    "ostinato.cli.following": "streaming.md#from-the-command-line",
    "ostinato.cli.hub": "hub.md",
    "ostinato.cli.portfolio": "training-on-a-file.md",
    "ostinato.cli.pretraining": "pretraining.md",
    "ostinato.cli.ranks": "scaling.md",
    "ostinato.cli.serving": "serving.md",
    "ostinato.cli.training": "runs.md",
    "ostinato.cli.tuning": "tuning.md",
    "ostinato.cluster": "how-to/ray.md",
    "ostinato.comparison": "comparing.md",
    "ostinato.config": "settings.md",
    "ostinato.data": "data.md#files",
    "ostinato.data.cleaning": "data.md#splits-and-cleaning",
    "ostinato.data.ondisk": "data.md#larger-than-memory",
    "ostinato.data.remote": "data.md#on-s3-and-other-remote-file-systems",
    "ostinato.data.splits": "data.md#splits-and-cleaning",
    "ostinato.data.tokenizers": "data.md#tokenizers",
    "ostinato.data.vectors": "vectors.md",
    "ostinato.explanation": "explanations.md",
    "ostinato.export": "export.md",
    "ostinato.nn": "engine.md",
    "ostinato.nn.onnx": "export.md#what-is-exported",
    "ostinato.portfolio": "training-on-a-file.md",
    "ostinato.pretraining": "pretraining.md",
    "ostinato.report": "runs.md#report",
    "ostinato.runs": "runs.md",
    "ostinato.runs.ensembles": "ensembles.md",
    "ostinato.runs.folder": "runs.md#interruption",
    "ostinato.runs.hub": "hub.md#publishing",
    "ostinato.runs.ranks": "scaling.md#when-something-fails",
    "ostinato.serving": "serving.md",
    "ostinato.serving.settings": "serving.md#limits-and-errors",
    "ostinato.tasks": "data.md",
    "ostinato.tasks.ensembles": "ensembles.md#what-can-be-joined",
    "ostinato.tasks.hub": "hub.md",
    "ostinato.tasks.init": "pretraining.md#starting-a-model",
    "ostinato.tasks.model_file": "files.md#format",
    "ostinato.tasks.onnx": "export.md#what-is-exported",
    "ostinato.tasks.sequences.onnx": "export.md#what-is-exported",
    "ostinato.tasks.sequences.semi": "few-labels.md",
    "ostinato.tasks.sequences.teacher": "few-labels.md#a-model-as-teacher",
    "ostinato.tasks.sequences.unlabelled": "few-labels.md",
    "ostinato.tasks.stream": "streaming.md#which-models",
    "ostinato.training": "settings.md#training",
    "ostinato.training.checkpoint": "how-to/resuming.md",
    "ostinato.training.device": "how-to/gpu.md",
    "ostinato.training.pretrained": "pretraining.md#starting-a-model",
    "ostinato.training.ranks": "scaling.md",
    "ostinato.training.vectors": "vectors.md",
    "ostinato.tuning": "tuning.md",
}


def page_of(error: Exception) -> str | None:
    """The page for an error that was raised, relative to the folder `docs`; None if no page explains it."""
    for kind, page in BY_CLASS.items():
        if isinstance(error, kind):
            return page
    for module in reversed(_modules(error.__traceback__)):
        parts = module.split(".")
        for length in range(len(parts), 1, -1):
            if (found := BY_MODULE.get(".".join(parts[:length]))) is not None:
                return found
    return None


def _modules(traceback: TracebackType | None) -> list[str]:
    """The modules that an error passed through, the one that raised it last."""
    found = []
    while traceback is not None:
        found.append(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return found


def address(page: str) -> str:
    """Where people find a page: on the site that the package names as its documentation, else in the repository."""
    urls = metadata.metadata("ostinato").get_all("Project-URL") or []
    site = dict(url.split(", ", 1) for url in urls).get("Documentation")
    if site is None:
        return f"docs/{page}"
    name, hash_sign, anchor = page.partition("#")
    return f"{site.rstrip('/')}/{name.removesuffix('.md')}.html{hash_sign}{anchor}"
