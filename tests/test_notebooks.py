"""The gallery's programs as notebooks, as the site offers them; these tests need the packages of the extra `docs`."""

import json
import runpy
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ostinato

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
gen_gallery = pytest.importorskip("sphinx_gallery.gen_gallery")
converter = pytest.importorskip("sphinx_gallery.notebook")
parser = pytest.importorskip("sphinx_gallery.py_source_parser")

ROOT = Path(ostinato.__file__).parent.parent
GALLERY = sorted((ROOT / "examples" / "gallery").glob("*.py"))
EXECUTED = ("plot_02_attention_and_gradients", "plot_03_motifs", "plot_08_streaming")
ONLY_INSTALLED = """\
import importlib.metadata, sys

class OnlyInstalled:
    find_distributions = importlib.metadata.MetadataPathFinder.find_distributions

    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            return None
        return next(filter(None, (each.find_spec(name, path, target) for each in self.finders)), None)

sys.meta_path[:] = [OnlyInstalled(sys.meta_path[:])]"""


def notebook_of(path, monkeypatch):
    """The notebook of a program, as the settings of the site make it."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # which conf.py extends
    settings = runpy.run_path(str(ROOT / "docs" / "site" / "conf.py"))["sphinx_gallery_conf"]
    _, blocks = parser.split_code_and_text_blocks(str(path))
    content = converter.jupyter_notebook(blocks, {**gen_gallery.DEFAULT_GALLERY_CONF, **settings}, str(path.parent))
    return nbformat.reads(json.dumps(content), as_version=4)


def needed_by(name, extras=(), found=None):
    """The names of a distribution and of all that it needs."""
    found = set() if found is None else found
    if canonicalize_name(name) in found and not extras:
        return found
    found.add(canonicalize_name(name))
    for each in map(Requirement, requires(name) or ()):
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            needed_by(each.name, each.extras, found)
    return found


def not_installed_by(*distributions):
    """The modules here that an environment with these distributions alone does not have."""
    return {
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & set(distributions)
    }


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_a_notebook_says_first_what_to_install(path, monkeypatch):
    first, *others = notebook_of(path, monkeypatch).cells
    assert "%pip install 'ostinato[explain]'" in first.source
    assert sum(cell.cell_type == "code" for cell in others) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", EXECUTED)
def test_a_notebook_runs_in_an_empty_folder_with_what_its_first_cell_installs(name, tmp_path, monkeypatch):
    notebook = notebook_of(ROOT / "examples" / "gallery" / f"{name}.py", monkeypatch)
    missing = not_installed_by(*needed_by("ostinato", ("explain",)), *needed_by("ipykernel"))
    assert {"pytest", "sphinx"} <= missing and not {"ostinato", "matplotlib", "torch"} & missing
    notebook.cells.insert(0, nbformat.v4.new_code_cell(ONLY_INSTALLED.format(missing=sorted(missing))))
    home, folder = tmp_path / "home", tmp_path / "empty"
    home.mkdir()
    folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert not list(folder.iterdir())
