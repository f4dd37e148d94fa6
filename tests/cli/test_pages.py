"""The last line of an error names the page of the documentation that explains it."""

import importlib.util
import json
import re
from email.message import Message
from importlib import metadata

import pytest
from commands import REVIEWS, run
from test_docs import ROOT, anchors_of

from ostinato.cli import pages
from ostinato.errors import DataError, MissingExtraError, OstinatoError
from ostinato.tasks.infer import infer_config

NAMED = sorted({*pages.BY_CLASS.values(), *pages.BY_MODULE.values()})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    (tmp_path / "encoder").mkdir()
    return tmp_path


def last_line(command, capsys):
    assert run(*command.split()) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("page", NAMED)
def test_every_page_and_its_heading_exist(page):
    name, _, anchor = page.partition("#")
    file = ROOT / "docs" / name
    assert file.is_file()
    assert not anchor or anchor in anchors_of(file)


@pytest.mark.parametrize("module", pages.BY_MODULE)
def test_every_module_exists_and_has_another_page_than_the_package_around_it(module):
    assert importlib.util.find_spec(module) is not None
    assert pages.BY_MODULE.get(module.rpartition(".")[0]) != pages.BY_MODULE[module]


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("train dna --set model.cell=nonsense", "settings.md"),
        ("train missing.toml", "settings.md"),
        ("train missing.csv", "data.md#files"),
        ("data audit reviews.csv --set data.validation_size=39", "data.md#splits-and-cleaning"),
        ("train dna --set training.device=cuda:99", "how-to/gpu.md"),
        ("train dna --set model.init=encoder", "pretraining.md#starting-a-model"),
        ("train --resume missing", "runs.md"),
        ("report missing", "runs.md"),
        ("predict missing.onnx --text a", "export.md"),
        ("ensemble dna other --seeds 2", "ensembles.md"),
        ("compare dna --vary model.cell", "comparing.md"),
        ("predict hf://owner --text a", "hub.md"),
    ],
)
def test_an_error_ends_with_the_page_that_explains_it(command, page, capsys):
    assert last_line(command, capsys) == f"See docs/{page}"


def test_an_error_of_a_helper_has_the_page_of_the_code_that_called_it(capsys):
    assert last_line("train nonsense", capsys) == "See docs/start.md"
    assert last_line("data show nonsense", capsys) == "See docs/start.md"  # raised by `look_up`


def test_json_has_the_error_and_its_page_as_fields(capsys):
    assert run("train", "missing.csv", "--json") == 2
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["page"] == "docs/data.md#files"
    # Rich before 14.3 ends a progress bar that was never shown with an empty line
    assert told.err.lstrip("\n") == f"Error: {answer['error']}\nSee {answer['page']}\n"


def test_without_json_standard_output_stays_empty(capsys):
    assert run("train", "missing.csv") == 2
    assert capsys.readouterr().out == ""


def test_what_is_not_installed_leads_to_the_installation():
    assert pages.page_of(MissingExtraError("dnaio", "dna", "reading FASTA")) == "start.md#1-install"


def test_an_error_that_no_page_explains_has_none():
    assert pages.page_of(OstinatoError("standard output is closed")) is None


def test_a_library_error_names_no_page(tmp_path):
    with pytest.raises(DataError) as caught:
        infer_config(tmp_path / "missing.csv")
    assert not re.search(r"docs/|\.md|\.html", str(caught.value))
    assert pages.page_of(caught.value) == "data.md#files"


@pytest.mark.parametrize("site", ["https://example.org/ostinato", "https://example.org/ostinato/"])
def test_pages_are_on_the_site_that_the_package_names(site, monkeypatch):
    named = Message()
    named["Project-URL"] = "Source, https://example.org/code"
    named["Project-URL"] = f"Documentation, {site}"
    monkeypatch.setattr(metadata, "metadata", lambda name: named)
    assert pages.address("runs.md") == "https://example.org/ostinato/runs.html"
    assert pages.address("how-to/gpu.md#what-differs") == "https://example.org/ostinato/how-to/gpu.html#what-differs"
