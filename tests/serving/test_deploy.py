"""The files in deploy/ call the command line as it is, and keep to what linters of Dockerfiles ask for."""

import configparser
import re
from pathlib import Path

import ostinato

DEPLOY = Path(ostinato.__file__).parent.parent / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def options_of_serve():
    import typer

    from ostinato.cli import app

    command = typer.main.get_command(app).commands["serve"]
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_the_unit_calls_options_that_exist():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "ostinato.service")
    command = unit["Service"]["ExecStart"]
    assert command.split()[1] == "serve"
    used = set(re.findall(r"--[a-z-]+", command))
    assert used and used <= options_of_serve()
    assert float(unit["Service"]["TimeoutStopSec"]) > 60  # --timeout-s for streams, and then for requests


def test_the_image_calls_options_that_exist():
    (entry,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    assert '"serve"' in entry
    assert set(re.findall(r"--[a-z-]+", entry)) <= options_of_serve()
    assert "--token-file" in options_of_serve() and "--token-file" in DOCKERFILE


def test_the_image_is_pinned_and_does_not_run_as_root():
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert images and all(re.search(r":\d", image) for image in images)
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert re.search(r"^USER (?!root)\w+$", last, re.MULTILINE)
    assert "--no-cache-dir" in DOCKERFILE and "--no-install-recommends" in DOCKERFILE
    assert not re.search(r"^(ADD|MAINTAINER)\b|sudo |:latest", DOCKERFILE.split("FROM", 1)[1], re.MULTILINE)
