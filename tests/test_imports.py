"""Imports point down a list only; importing the package and asking for help stay cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ostinato

PACKAGE = Path(ostinato.__file__).parent
ORDER = [  # as CONTRIBUTING.md has it
    ("errors",),
    ("plugins", "printable", "threads"),
    ("storage", "progress", "versions", "config"),
    ("data", "nn"),
    ("evaluation",),
    ("training",),
    ("explanation",),
    ("report",),
    ("tasks",),
    ("runs",),
    ("pretraining", "cluster"),
    ("tuning", "portfolio", "benchmark", "export"),
    ("serving",),
    ("comparison",),
    ("cli",),
    ("__main__",),
]
RANKS = {name: rank for rank, names in enumerate(ORDER) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """The line number and the part of the package of each import, but for those that only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ostinato":
            rest = (node.module or "").split(".")[1:]
            yield from ((node.lineno, name) for name in rest[:1] or [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            yield from ((node.lineno, each[1]) for each in parts if each[0] == "ostinato" and len(each) > 1)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = part_of(path)
    for line, name in imported(path):
        if name in RANKS:  # else a public name such as ostinato.load
            assert name == here or RANKS[name] < RANKS[here], f"{path.name}:{line}: {here} imports {name}"


def test_every_module_of_the_package_has_its_rank():
    assert {part_of(path) for path in FILES} == set(RANKS)


def test_contributing_has_the_same_order():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = " → ".join(", ".join(names) for names in ORDER[:-1])
    assert shown in " ".join(text.split())


def test_nn_knows_no_config_and_no_data():
    for path in (PACKAGE / "nn").rglob("*.py"):
        parts = {name for _, name in imported(path)}
        assert parts <= {"errors", "plugins", "threads", "nn"}, path


@pytest.mark.parametrize("statement", ["import ostinato", "import ostinato.cli", "from ostinato.cli import app"])
def test_importing_brings_no_heavy_package(statement):
    heavy = ("torch", "numpy", "sklearn", "scipy", "pyarrow", "tokenizers", "pandas", "pydantic")
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_reading_a_config_needs_no_torch():
    code = "import sys; from ostinato.tasks.config import PRESETS; PRESETS['imdb'](); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_nn_needs_torch_alone():
    heavy = {"sklearn", "scipy", "pyarrow", "tokenizers", "pandas", "pydantic", "safetensors", "rich", "typer"}
    code = (
        "import sys; import ostinato.nn; "
        "ours = {m.split('.')[0] for m in sys.modules}; "
        f"print(sorted(ours & {heavy}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("init", "reviews.csv"), 0),
        (("init", "missing.csv"), 2),
        (("train", "missing.csv"), 2),
        (("train", "reviews.csv", "--set", "model.cell=nonsense"), 2),
        (("train", "wrong.toml"), 2),
        (("tune", "wrong.toml"), 2),
        (("compare", "wrong.toml", "--vary", "model.cell=rnn,gru"), 2),
        (("data", "audit", "wrong.toml"), 2),
    ],
)
def test_a_config_and_its_errors_need_no_torch(tmp_path, arguments, status):
    rows = "".join(f"{word} film number {n},{label}\n" for n, (word, label) in enumerate([("a", "x"), ("b", "y")] * 20))
    (tmp_path / "reviews.csv").write_text("text,label\n" + rows, encoding="utf-8")
    (tmp_path / "wrong.toml").write_text('task = "classification"\n[model]\ncell = "nonsense"\n', encoding="utf-8")
    code = (
        "import sys; from ostinato.cli import main; sys.argv[0] = 'ostinato'\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    print(end.code or 0, [m for m in ('torch', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{status} []", done.stderr
