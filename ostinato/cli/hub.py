"""push."""

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.arguments import Json
from ostinato.cli.streams import say
from ostinato.printable import to_json


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    address: Annotated[
        str, typer.Argument(metavar="hf://OWNER/NAME[@BRANCH]", help="The repository; created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
    license: Annotated[
        str | None, typer.Option(metavar="ID", help="The licence of the model, as the hub names it: apache-2.0, mit, …")
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a run on the Hugging Face hub: its model file, and its model card with the test metrics.

    The card is the run's model_card.md if `ostinato report` has written one: complete it first. It replaces README.md
    of the repository. No row of the data is uploaded. Log in with: hf auth login
    """
    from ostinato.runs.hub import push_run
    from ostinato.tasks.hub import HubAddress

    parsed = HubAddress.parse(address)
    pushed = push_run(run, parsed, private=private, license=license)
    if as_json:
        say(to_json({"address": str(parsed), **pushed._asdict()}))
    else:
        say(f'{pushed.url}, commit {pushed.commit}\nLoad it with: ostinato.load("{parsed}")')
