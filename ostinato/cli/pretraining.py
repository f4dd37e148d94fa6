"""pretrain."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.arguments import Json, Settings, new_folder
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.errors import ConfigError
from ostinato.printable import to_json

if TYPE_CHECKING:
    from ostinato.config import Config
    from ostinato.pretraining.config import PretrainingConfig


def pretrain(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PRESET|CONFIG.TOML|FILE…",
            help="A preset, a config file, or data files; without these, name the data with --set data.name.",
        ),
    ] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="The folder to create; by default runs/encoder.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Continue an interrupted pre-training.")] = None,
    with_report: Annotated[
        bool, typer.Option("--report", help="Write report.html into the folder at the end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Learn from sequences without labels, as a start for models of any task.

    A model then starts from the folder: ostinato train config.toml --set model.init=FOLDER
    """
    from ostinato.config.names import ENCODERS

    if resume is None and not what and not settings:
        raise ConfigError(
            f"Give a preset, a config file or data files, or --resume FOLDER. Presets: {', '.join(ENCODERS)}."
        )
    if resume is not None and (what or settings or out):
        raise ConfigError("--resume uses the folder's own config. Remove the other arguments, or start a new one.")
    config = None if resume is not None else _config_of(what or [], settings or [])  # before PyTorch is imported
    name = what[0] if what and what[0] in ENCODERS else "encoder"
    folder, metrics = pretrain_into(new_folder(out, name) if resume is None else resume, config)
    page = None
    if with_report:
        from ostinato.pretraining.report import report_pretraining

        page = report_pretraining(folder)
    if as_json:
        say(to_json({"run": str(folder), **({"report": str(page)} if page else {}), **metrics}))
        return
    held_out = metrics["validation"]
    perplexity = f", perplexity {held_out['perplexity']:,.1f}" if "perplexity" in held_out else ""
    say(f"{folder}: held-out loss {held_out['loss']:.4f}{perplexity}; without context {held_out['baseline_loss']:.4f}.")
    say(f"Start a model from it: ostinato train config.toml --set model.init={folder}")
    if page is not None:
        say(f"Report: {page}")


def _config_of(what: list[str], settings: list[str]) -> "PretrainingConfig":
    from ostinato.pretraining.config import override, parse_config, read_config
    from ostinato.pretraining.presets import PRESETS

    if len(what) == 1 and what[0] in PRESETS and not Path(what[0]).exists():
        return override(PRESETS[what[0]](), settings)
    if len(what) == 1 and what[0].endswith(".toml"):
        return override(read_config(Path(what[0])), settings)
    if any(each.endswith(".toml") for each in what):
        raise ConfigError(f"{' '.join(what)}: give one config file, or data files.")
    _refuse_names(what)
    if what:
        return override(parse_config({"data": {"path": what}}), settings)
    return override(parse_config({"data": {}}, needs_data=False), settings)


def _refuse_names(what: list[str]) -> None:
    """Refuse folders and named data sets in place of data files."""
    from ostinato.pretraining.datasets import UNLABELLED
    from ostinato.tasks import TASKS

    datasets = {name for task in TASKS.values() for name in task.datasets} | UNLABELLED.keys()
    for each in what:
        if Path(each).is_dir():
            raise ConfigError(
                f"{each} is a folder. Name data files, such as {shlex.quote(f'{each}/*.csv')}; or, to continue a "
                f"pre-training, write: ostinato pretrain --resume {shlex.quote(each)}"
            )
        if each in datasets and not Path(each).exists():
            raise ConfigError(f"{each} is a named data set. Write: ostinato pretrain --set data.name={each}")


def with_encoder_made(config: "Config") -> "Config":
    """The config with the folder of the encoder preset that `model.init` names, which is pre-trained if necessary.

    The folder is in `runs`, where one that exists is used, and one that is not finished is resumed.
    """
    from ostinato.tasks.config import override
    from ostinato.tasks.init import is_preset

    name = config.model.init
    if name is None or not is_preset(name):
        return config
    from ostinato.pretraining.presets import PRESETS

    folder = Path("runs") / name
    pretrain_into(folder, None if folder.exists() else PRESETS[name]())
    return override(config, [f"model.init={folder}"])


def pretrain_into(folder: Path, config: "PretrainingConfig | None") -> tuple[Path, dict[str, Any]]:
    """Start a pre-training, or resume it if there is no config; returns the folder and its metrics."""
    from ostinato.pretraining.run import resume_pretraining, start_pretraining
    from ostinato.progress import Progress
    from ostinato.runs.folder import resume_command

    progress = Progress()
    try:
        if config is None:
            return folder, resume_pretraining(folder, progress=progress)
        return folder, start_pretraining(config, folder, progress=progress)
    except KeyboardInterrupt:
        resumable = f"Stopped. Continue with: {resume_command(folder)}"
        progress.say(resumable if folder.exists() else "Stopped before training began.")
        raise typer.Exit(INTERRUPTED) from None
