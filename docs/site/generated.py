"""The parts of pages that are generated from the code: commands, the Python API, the HTTP API, the JSON Schema."""

import importlib
import json
import re
from typing import Any

import typer

MODULES = {
    "ostinato": "The names that most programs need.",
    "ostinato.nn": "Layers on ragged batches, drop-ins for `torch.nn`, poolings and cells.",
    "ostinato.explanation": "Attributions, their faithfulness, motifs and traces.",
    "ostinato.evaluation": "Metrics, intervals, calibration and baselines, of arrays.",
    "ostinato.export": "ONNX files, and their runner without PyTorch.",
}
MORE = {
    "ostinato.data.formats": ("Formats of files, to add your own.", ["Row", "Format", "register_format"]),
    "ostinato.data.tokenizers": ("Tokenizers, to add your own.", ["Tokenizer", "register_tokenizer"]),
    "ostinato.data.vectors": ("Word vectors from files.", ["read_vectors"]),
    "ostinato.portfolio": ("`ostinato train FILE` from Python.", ["train_file", "resume_search"]),
    "ostinato.runs": ("Run folders from Python.", ["start_run", "resume_run", "evaluate_run"]),
}
ERRORS = "ostinato.errors"


def python_api() -> str:
    """A table of each module's public names, with a page for each name where it comes first."""
    errors = public_classes(ERRORS)
    seen = set(errors)
    tables = []
    for module, summary in MODULES.items():
        names = [name for name in importlib.import_module(module).__all__ if name not in seen and is_code(module, name)]
        tables.append(autosummary(module, names, summary))
        seen.update(names)
    more = {**MORE, ERRORS: ("What Ostinato raises.", errors)}
    tables += [autosummary(module, names, summary) for module, (summary, names) in more.items()]
    return "\n".join(tables)


def public_classes(module: str) -> list[str]:
    """The public classes that a module defines."""
    found = vars(importlib.import_module(module)).items()
    return [name for name, each in found if isinstance(each, type) and each.__module__ == module and name[0] != "_"]


def is_code(module: str, name: str) -> bool:
    """Whether a public name is a class or a function, rather than a table or a subpackage."""
    return callable(getattr(importlib.import_module(module), name))


def autosummary(module: str, names: list[str], summary: str) -> str:
    """A table of names for Sphinx, which links each to its page."""
    rows = "\n".join(f"   ~{module}.{name}" for name in names)
    directive = ".. autosummary::\n   :toctree: python\n   :nosignatures:\n\n"
    return f"## {module}\n\n{summary}\n\n```{{eval-rst}}\n{directive}{rows}\n```\n"


def commands() -> str:
    """Each command with an example, its arguments and options, from its help."""
    from ostinato.cli import app

    return "\n".join(described(("ostinato",), typer.main.get_command(app)))


def described(path: tuple[str, ...], command: Any, parent: Any = None) -> list[str]:
    """The headings, texts and tables of a command, or of the commands of a group."""
    context = typer.Context(command, info_name=path[-1], parent=parent)
    if hasattr(command, "commands"):
        return [part for name, each in command.commands.items() for part in described((*path, name), each, context)]
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    parts = [f"## {' '.join(path)}\n", f"```text\n{usage}\n```\n", f"{command.help}\n"]
    parts += [f"Example: `{command.epilog.removeprefix('Example: ')}`\n"]
    for title in ("argument", "option"):
        records = [each.get_help_record(context) for each in command.params if each.param_type_name == title]
        if records:
            parts += [f"| {title} | meaning |\n| --- | --- |"]
            parts += [f"| `{spelling(name, title)}` | {cell(meaning)} |" for name, meaning in records] + [""]
    return parts


def spelling(name: str, title: str) -> str:
    """What to type for an argument or option: typer's `--out <path>` as `--out PATH`."""
    kind = re.compile(r" <(\w+)[^>]*>$")
    name = kind.sub("", name) if title == "argument" else kind.sub(lambda match: f" {match[1].upper()}", name)
    return name.replace("|", "\\|")


def cell(text: str) -> str:
    """Text in a cell of a table, where brackets, stars and bars mean nothing."""
    return re.sub(r"([|\[\]*<])", r"\\\1", " ".join(text.split()))


def http_api() -> str:
    """Each endpoint with its description and body, from the service's OpenAPI."""
    from ostinato.serving.app import description, endpoints
    from ostinato.serving.service import Service
    from ostinato.serving.settings import Settings
    from ostinato.serving.streams import Streams

    service = Service(Settings(models={}))
    found = description(endpoints(service, Streams(service)))
    parts = []
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            parts.append(f"## {method.upper()} {path}\n\n{operation.get('description', '')}\n")
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                parts.append(fields(schema))
    return "\n".join(parts)


def fields(schema: dict[str, Any]) -> str:
    """A table of the fields of a body."""
    rows = [
        f"| `{name}` | {kind(each)} | {'yes' if name in schema.get('required', ()) else ''} | {meaning(each)} |"
        for name, each in schema["properties"].items()
    ]
    return "| field | type | required | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"


def kind(field: dict[str, Any]) -> str:
    """The type of a field, in words."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(kind(each) for each in field["anyOf"]))
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return "object"
    return str(field.get("type", "any"))


def meaning(field: dict[str, Any]) -> str:
    """The description of a field, with its default."""
    value = field.get("default")
    shown = "" if value is None else f" Default: `{json.dumps(value)}`."
    return cell(field.get("description", "")) + shown


def config_schema() -> str:
    """The JSON Schema of all configs."""
    from ostinato.tasks.config import json_schema

    return f"```json\n{json_schema()}\n```\n"


GENERATED = {"python": python_api, "commands": commands, "http": http_api, "schema": config_schema}
