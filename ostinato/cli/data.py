"""data list, data show, data audit; init and schema: configs to start from."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ostinato.cli.arguments import Json, Settings, config_of, data_config_of, is_data_file
from ostinato.errors import look_up


def data_list(as_json: Json = False) -> None:
    """The named data sets, and the corpora of tagged sentences."""
    from ostinato.data.named import NAMED
    from ostinato.data.tagged import CORPORA

    sets = {
        name: {"description": each.description, "size": each.size, "tokenizer": each.tokenizer}
        for name, each in NAMED.items()
    }
    sets |= {
        name: {"description": each.description, "size": each.size, "tokenizer": "tagged words"}
        for name, each in CORPORA.items()
    }
    if as_json:
        typer.echo(json.dumps(sets))
        return
    from ostinato import summary

    summary.print_table(
        ("name", "tokenizer", "what"), [(name, each["tokenizer"], each["description"]) for name, each in sets.items()]
    )


def data_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A named data set.")],
    rows: Annotated[int, typer.Option(min=1, help="How many training rows to show.")] = 5,
    as_json: Json = False,
) -> None:
    """A named data set: what, where from, and its first rows."""
    from ostinato.config import DataConfig
    from ostinato.data.dataset import load_dataset
    from ostinato.data.named import NAMED
    from ostinato.data.tagged import CORPORA

    if name in CORPORA:
        _show_corpus(name, rows, as_json)
        return
    named = look_up(NAMED, name, "data set")
    data = load_dataset(DataConfig(name=name))
    facts = {"name": name, "description": named.description, "size": named.size, "tokenizer": named.tokenizer}
    facts |= {"source": named.source, "found": data.source}
    first = list(zip(map(_plain, data.train.sequences[:rows]), data.train.labels[:rows], strict=True))
    if as_json:
        typer.echo(
            json.dumps(
                {**facts, "rows": [{"sequence": sequence, "label": label} for sequence, label in first]},
                ensure_ascii=False,
            )
        )
        return
    for key, value in facts.items():
        typer.echo(f"{key}: {value}")
    for sequence, label in first:
        typer.echo(f"  {label}\t{_shortened(sequence)}")


def _show_corpus(name: str, rows: int, as_json: bool) -> None:
    from ostinato.data.tagged import CORPORA

    corpus = CORPORA[name]
    facts = {"name": name, "description": corpus.description, "size": corpus.size, "source": corpus.source}
    first = corpus.load(())["train"][:rows]
    if as_json:
        typer.echo(
            json.dumps(
                {**facts, "rows": [{"tokens": each.words, "tags": each.tags} for each in first]}, ensure_ascii=False
            )
        )
        return
    for key, value in facts.items():
        typer.echo(f"{key}: {value}")
    for each in first:
        typer.echo("  " + " ".join(f"{word}/{tag}" for word, tag in zip(each.words, each.tags or (), strict=True)))


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
    """What training would say of data, without training.

    Classes, lengths, duplicates, leaks between splits, truncation, unknown tokens.
    """
    from ostinato.tasks import prepare

    prepared = prepare(data_config_of(what, settings or []))
    typer.echo(json.dumps(prepared.audit_facts(), ensure_ascii=False) if as_json else "\n".join(prepared.audit_lines()))


def init(
    what: Annotated[
        str, typer.Argument(metavar="PRESET|FILE", help="A preset's name, or a data file to guess a config for.")
    ],
) -> None:
    """Print a config: a preset's, or a guess for a data file.

    Columns, tokenizer and splits are guessed from the file's first rows, and each guess is said in a comment.
    """
    from ostinato.config import to_toml

    if is_data_file(what):
        from ostinato.guess import guess_config

        config, reasons = guess_config(Path(what))
        for reason in reasons:
            typer.echo("# " + "".join(character if character.isprintable() else " " for character in reason))
        typer.echo()
    else:
        config = config_of(what, [])[0]
    typer.echo(to_toml(config), nl=False)


def schema() -> None:
    """Print the JSON Schema of the config."""
    from ostinato.config import json_schema

    typer.echo(json_schema())


def _plain(sequence: Any) -> Any:
    """A sequence as JSON has it."""
    return sequence.tolist() if hasattr(sequence, "tolist") else sequence


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:99] + "…"
