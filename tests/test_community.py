"""Files for contributors: the first change runs, the map and the workflows name what exists, forms are well-formed."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

import ostinato
from ostinato import plugins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(ostinato.__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [path for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
ANSWERED = {"input", "textarea", "dropdown", "checkboxes"}  # elements of a form that people fill in
WRITERS = {("docs.yml", "deploy"), ("release.yml", "publish")}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job.get("steps", [])]


def section(heading):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.search(rf"^(#+) {heading}\n(.*?)(?=^\1 |^## |\Z)", text, re.MULTILINE | re.DOTALL)[2]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A folder with the files of the first change, as its reader would save them."""
    monkeypatch.setattr(plugins, "_registered", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, block in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", section("Your first change.*?"), re.M | re.S):
        (tmp_path / name).write_text(block, encoding="utf-8")
    yield tmp_path
    sys.modules.pop("ugrnn", None)


def test_the_test_of_the_first_change_passes(written):
    found = runpy.run_path(str(written / "test_ugrnn.py"))
    (test,) = [value for name, value in found.items() if name.startswith("test_")]
    test()


def test_the_test_of_the_first_change_fails_for_another_equation(written):
    path = written / "ugrnn.py"
    right, wrong = "z * h + (1 - z) * n", "z * n + (1 - z) * h"
    assert right in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    with pytest.raises(AssertionError, match="not close"):
        test_the_test_of_the_first_change_passes(written)


def test_the_program_of_the_first_change_prints_what_the_text_says(written, capsys):
    program = written / "use_ugrnn.py"
    runpy.run_path(str(program))
    assert capsys.readouterr().out.strip() == program.read_text(encoding="utf-8").strip().rpartition("# ")[2]


def test_the_map_of_the_code_names_files_and_folders_that_exist():
    paths = [path for path in re.findall(r"`([\w./]+)`", section("Map of the code")) if "/" in path]
    existing = [path.replace("TASK", "classification") for path in paths]
    assert len(paths) > 30
    assert [path for path in existing if not ((ROOT / path).exists() or (ROOT / "ostinato" / path).exists())] == []


def test_the_map_of_the_code_names_every_folder_of_the_package():
    text = section("Map of the code")
    folders = [path.name for path in (ROOT / "ostinato").iterdir() if (path / "__init__.py").exists()]
    assert [name for name in folders if not re.search(rf"`(ostinato/)?{name}[/`]", text)] == []


def test_the_citation_has_the_version_and_the_licence_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = read(ROOT / "CITATION.cff")
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_make_targets_files_and_folders_that_exist(path):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    commands = "\n".join(step["run"] for step in steps(path) if "run" in step)
    assert set(re.findall(r"\bmake (\w+)", commands)) <= set(targets)
    for name in re.findall(r"\btests/\w+|\brequirements[\w-]*\.txt", commands):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_write_only_where_they_publish(path):
    assert read(path)["permissions"] == {"contents": "read"}
    for name, job in read(path)["jobs"].items():
        assert "permissions" not in job or (path.name, name) in WRITERS


def test_actions_are_pinned_to_a_commit_or_to_the_branch_that_pypa_maintains():
    used = [step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step]
    assert len(used) > 10
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}|pypa/gh-action-pypi-publish@release/v1")
    assert [each for each in used if not pinned.fullmatch(each)] == []


def test_tested_and_built_pythons_start_at_the_oldest_supported_one():
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"][2:]
    tests = read(ROOT / ".github" / "workflows" / "test.yml")["jobs"]
    wheels = read(ROOT / ".github" / "workflows" / "wheels.yml")["jobs"]
    pythons = tests["test"]["strategy"]["matrix"]["python"]
    assert tests["windows"]["strategy"]["matrix"]["python"] == pythons
    ends = [f"cp{python.replace('.', '')}-*" for python in (pythons[0], pythons[-1])]
    assert (pythons[0], wheels["wheel"]["env"]["CIBW_BUILD"].split()) == (oldest, ends)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_has_a_name_and_distinct_questions(path):
    form = read(path)
    assert form["name"]
    assert form["description"]
    ids = [element["id"] for element in form["body"] if element["type"] in ANSWERED]
    assert ids
    assert len(ids) == len(set(ids))
    for element in form["body"]:
        assert element["type"] in ANSWERED | {"markdown"}
        assert element["attributes"]["value" if element["type"] == "markdown" else "label"]
