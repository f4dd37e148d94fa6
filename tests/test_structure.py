"""One task, one folder: nothing outside `ostinato/tasks` knows which tasks there are."""

import ast
import inspect
from pathlib import Path

import pytest

import ostinato
from ostinato.tasks import TASKS

PACKAGE = Path(ostinato.__file__).parent
FOLDERS = {path.parent.name for path in (PACKAGE / "tasks").glob("*/task.py")}
CLASSES = {
    node.name
    for folder in FOLDERS
    for path in (PACKAGE / "tasks" / folder).glob("*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.ClassDef)
}
OUTSIDE = sorted(path for path in PACKAGE.rglob("*.py") if "tasks" not in path.relative_to(PACKAGE).parts[:1])
LAZY_NAMES = PACKAGE / "__init__.py"  # its table of public names says where each task's estimator is
MOST_AT_THE_ROOT = 27
WITHOUT_A_KEY = {"random_state", "validation_fraction", "verbose", "label_names"}  # label_names: of the columns of y
NOT_ARGUMENTS = {"checkpoint_every_s"}  # of a run folder alone


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def is_name_of_a_task(node):
    return isinstance(node, ast.Constant) and node.value in TASKS


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_outside_tasks_imports_from_inside_a_task(path):
    modules = {f"ostinato.tasks.{folder}" for folder in FOLDERS}
    for node in ast.walk(tree_of(path)):
        names = []
        if isinstance(node, ast.ImportFrom) and path != LAZY_NAMES:
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            assert ".".join(name.split(".")[:3]) not in modules, f"line {node.lineno} imports {name}"


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_outside_tasks_branches_on_a_task(path):
    for node in ast.walk(tree_of(path)):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            parts = node.args[:1]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        assert not any(map(is_name_of_a_task, parts)), f"line {node.lineno} names a task"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            kinds = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            kinds |= {part.attr for part in ast.walk(node.args[1]) if isinstance(part, ast.Attribute)}
            assert not kinds & CLASSES, f"line {node.lineno} asks for a class of a task"


def test_every_task_has_a_folder_of_its_name():
    assert {type(task).__module__ for task in TASKS.values()} == {f"ostinato.tasks.{name}.task" for name in TASKS}
    assert {*TASKS, "sequences"} == FOLDERS  # what tasks with one target for each sequence share


def test_the_root_of_the_package_is_small():
    found = [path for path in PACKAGE.iterdir() if not path.name.startswith(("__pycache__", "."))]
    modules = [path for path in found if path.is_dir() or path.suffix == ".py"]
    assert len(modules) <= MOST_AT_THE_ROOT, sorted(path.name for path in modules)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_estimator_s_arguments_are_the_config_s_keys_with_the_same_defaults(task):
    arguments = {name: each.default for name, each in inspect.signature(task.estimator).parameters.items()}
    tables = {name: task.config.model_fields[name].annotation for name in task.config.TABLES}
    keys = {key: field for table in tables.values() for key, field in table.model_fields.items()}
    assert arguments.keys() <= keys.keys() | WITHOUT_A_KEY
    own = {key for name in ("model", "training") for key in tables[name].model_fields}
    assert own - arguments.keys() == NOT_ARGUMENTS
    defaults = {name: value.split("+") if name == "pooling" else value for name, value in arguments.items()}
    for name in arguments.keys() & keys.keys() - {"seed"}:
        assert defaults[name] == keys[name].default, name
    assert arguments["seed"] == tables["training"].model_fields["seed"].default
