"""What describes packages agrees with pyproject.toml, and the scripts of `release` do what they say."""

import importlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import ostinato

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(ostinato.__file__).parent.parent
RELEASE = ROOT / "release"
CONDA_NAMES = {"torch": "pytorch"}  # others are called as on PyPI


@pytest.fixture
def script(monkeypatch):
    """Imports a script of the folder `release`, whose neighbours it imports."""
    monkeypatch.syspath_prepend(RELEASE)
    yield importlib.import_module
    for name in ("dependencies", "sbom", "try_wheel"):
        sys.modules.pop(name, None)


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def direct_dependencies(*left_out):
    """Each direct dependency, of the core and of extras but those left out, with its versions."""
    extras = {name: lines for name, lines in project()["optional-dependencies"].items() if name not in left_out}
    found = [Requirement(line) for group in (project()["dependencies"], *extras.values()) for line in group]
    return {each.name: str(each.specifier) for each in found if each.name != "ostinato"}


def test_every_dependency_has_a_purpose_and_a_month():
    notes = tomllib.loads((RELEASE / "dependencies.toml").read_text(encoding="utf-8"))["package"]
    assert set(notes) == set(direct_dependencies())
    assert all(note["purpose"] and re.fullmatch(r"20\d\d-[01]\d", note["released"]) for note in notes.values())


def test_the_page_of_dependencies_has_the_names_versions_and_purposes(script):
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    notes = tomllib.loads((RELEASE / "dependencies.toml").read_text(encoding="utf-8"))["package"]
    of_users = direct_dependencies(*script("dependencies").FOR_DEVELOPERS)
    for name in direct_dependencies():
        assert f"| `{name}{of_users.get(name, '')}` | {notes[name]['purpose']} |" in page, name
    shown = re.findall(r"^\|(?: `\w+` \|)? `([\w-]+)(?:[>=]=[^`]*)?` \|", page, re.MULTILINE)
    assert set(shown) == set(direct_dependencies())


def test_the_conda_recipe_needs_what_pyproject_needs():
    recipe = yaml.safe_load((RELEASE / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    expected = {f"{CONDA_NAMES.get(r.name, r.name)} {r.specifier}" for r in map(Requirement, project()["dependencies"])}
    assert set(recipe["requirements"]["run"]) == {*expected, "python >=${{ python_min }}"}
    assert recipe["context"]["version"] == project()["version"]
    assert f">={recipe['context']['python_min']}" == project()["requires-python"]


def test_a_bill_of_materials_has_only_what_users_need(script, tmp_path):
    root = {"bom-ref": "root", "name": "ostinato", "version": "1.0"}
    components = [{"bom-ref": name, "name": name} for name in ("numpy", "tomli_w", "pytest", "iniconfig")]
    edges = {"root": ["numpy", "pytest", "tomli_w"], "numpy": ["pytest"], "pytest": ["iniconfig"]}
    bill = {
        "metadata": {"component": root},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": needed} for ref, needed in edges.items()],
    }
    (tmp_path / "environment.json").write_text(json.dumps(bill))
    script("sbom").main(tmp_path / "environment.json", tmp_path / "sbom.json")
    reduced = json.loads((tmp_path / "sbom.json").read_text())
    assert [each["name"] for each in reduced["components"]] == ["numpy", "tomli_w"]
    assert reduced["dependencies"] == [
        {"ref": "root", "dependsOn": ["numpy", "tomli_w"]},
        {"ref": "numpy", "dependsOn": []},
    ]


@pytest.mark.skipif(not shutil.which("c++") or not shutil.which("sh"), reason="no compiler to hide")
def test_a_wheel_is_tried_where_no_compiler_is_found(script, tmp_path):
    path = os.pathsep.join(script("try_wheel").paths_without_compiler(tmp_path))
    assert shutil.which("sh", path=path)
    assert [name for name in ("cc", "c++", "gcc", "g++", "clang++") if shutil.which(name, path=path)] == []


def test_workflows_use_the_zig_that_the_makefile_uses():
    pinned = re.search(r"^ziglang==\S+$", (RELEASE / "requirements.txt").read_text(), re.MULTILINE)[0]
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    assert {found for text in texts for found in re.findall(r"ziglang==\S+", text)} == {pinned}
