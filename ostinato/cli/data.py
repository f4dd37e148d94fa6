"""data list, data show, data audit; init and schema: configs to start from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.arguments import Json, Settings, config_of, data_config_of, is_data_file, task_of_dataset
from ostinato.cli.streams import say
from ostinato.printable import json_escapes, to_json, visible

if TYPE_CHECKING:
    from ostinato.data.named import NamedSet
    from ostinato.pretraining.datasets import UnlabelledSet


def data_list(as_json: Json = False) -> None:
    """List the named data sets of each task, and those without labels."""
    from ostinato.pretraining.datasets import UNLABELLED
    from ostinato.tasks import TASKS

    owned = [(task.name, task.datasets) for task in TASKS.values()] + [("pretraining", UNLABELLED)]
    sets = {
        name: {
            "task": owner,
            "description": each.description,
            "size": each.size,
            "tokenizer": each.tokenizer,
        }
        for owner, named in owned
        for name, each in named.items()
    }
    if as_json:
        say(to_json(sets))
        return
    from ostinato.report.terminal import print_table

    rows = [(name, each["task"], each["tokenizer"], each["description"]) for name, each in sets.items()]
    print_table(("name", "task", "tokenizer", "what"), rows)


def data_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A named data set.")],
    rows: Annotated[int, typer.Option(min=1, help="How many training rows to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Show a named data set: description, source and first rows."""
    from ostinato.pretraining.datasets import UNLABELLED
    from ostinato.tasks.config import parse_config

    named: NamedSet | UnlabelledSet
    if name in UNLABELLED:
        owner, named = "pretraining", UNLABELLED[name]
        found, sequences = named.load()
        first: list[dict[str, Any]] = [{"sequence": sequence} for sequence in sequences[:rows]]
    else:
        task = task_of_dataset(name)
        owner, named = task.name, task.datasets[name]
        data = task.prepare(parse_config({"task": task.name, "data": {"name": name}}).data)
        found, first = data.source, list(task.shown_rows(data.rows["train"], rows))
    facts = {
        "name": name,
        "task": owner,
        "description": named.description,
        "size": named.size,
        "tokenizer": named.tokenizer,
        "source": named.source,
        "found": found,
    }
    if as_json:
        say(to_json({**facts, "rows": first}))
        return
    for key, value in facts.items():
        say(f"{key}: {value}")
    for row in first:
        say("  " + "\t".join(visible(_shortened(value)) for value in row.values()))


def data_audit(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PRESET|CONFIG.TOML|NAME|FILE", help="A preset, a config, a named data set, or a data file."
        ),
    ],
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Audit data without training.

    Reports classes, lengths, duplicates, leaks between splits, truncation and unknown tokens.
    """
    from ostinato.progress import Progress
    from ostinato.tasks import TASKS

    config = data_config_of(what, settings or [])
    with Progress().reading(config.data.files().values()):
        audit = TASKS[config.task].prepare(config.data).audit
    say(to_json(audit.to_json()) if as_json else "\n".join(audit.lines()))


def init(
    what: Annotated[
        str, typer.Argument(metavar="PRESET|FILE", help="A preset's name, or a data file to infer a config from.")
    ],
    settings: Settings = None,
) -> None:
    """Print a config: a preset's, or one inferred from a data file.

    Columns, tokenizer and splits are inferred from up to 5,000 rows of the file; a comment gives the reason for each.
    Keys that are left at their defaults are comments.
    """
    from ostinato.config import to_commented_toml

    if is_data_file(what):
        from ostinato.tasks.config import override
        from ostinato.tasks.infer import infer_config

        config, reasons = infer_config(Path(what), settings or [])
        config = override(config, settings or [])
        for reason in reasons:
            say(f"# {visible(reason)}")
        say("")
    else:
        config = config_of(what, settings or [])[0]
    say(json_escapes(to_commented_toml(config)), nl=False)


def schema() -> None:
    """Print the JSON Schema of the config."""
    from ostinato.tasks.config import json_schema

    say(json_schema())


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:99] + "…"
