"""Imports point down the design's list only; importing the package and asking for help stay cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ostinato

PACKAGE = Path(ostinato.__file__).parent
ORDER = [
    ("errors",),
    ("config", "versions", "storage", "progress", "inputs"),
    ("data", "nn"),
    ("pretrained",),
    ("models", "presets"),
    ("checkpoint",),
    ("evaluation",),
    ("objectives",),
    ("training",),
    ("estimators",),
    ("explanation",),
    ("guess", "prediction", "doctor", "summary", "scoring", "tag_prediction"),
    ("tasks",),
    ("runs",),
    ("benchmark", "tuning"),
    ("comparison",),
    ("report",),
    ("cli",),
    ("__main__",),
]
RANKS = {name: rank for rank, names in enumerate(ORDER) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = part_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ostinato":
            rest = (node.module or "").split(".")[1:]
            names = rest[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ostinato.")]
        for name in names:
            if name not in RANKS:  # a public name such as ostinato.load
                continue
            assert name == here or RANKS[name] < RANKS[here], f"{path.name}:{node.lineno}: {here} imports {name}"


def test_nn_knows_no_config_and_no_data():
    for path in (PACKAGE / "nn").rglob("*.py"):
        assert not any(
            f"ostinato.{name}" in path.read_text(encoding="utf-8") for name in ("config", "data", "storage")
        ), path


@pytest.mark.parametrize("statement", ["import ostinato", "import ostinato.cli", "from ostinato.cli import app"])
def test_importing_brings_no_heavy_package(statement):
    heavy = ("torch", "numpy", "sklearn", "scipy", "pyarrow", "tokenizers", "pandas", "pydantic")
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_nn_needs_torch_alone():
    code = (
        "import sys; import ostinato.nn; "
        "ours = {m.split('.')[0] for m in sys.modules}; "
        "print(sorted(ours & {'sklearn', 'scipy', 'pyarrow', 'tokenizers', 'pandas', 'pydantic', 'safetensors', 'rich', 'typer'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
