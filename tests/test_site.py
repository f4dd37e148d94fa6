"""The documentation site: links, parts generated from the code, tables of contents, programs of the gallery."""

import ast
import importlib.util
import re
import runpy
import sys
from pathlib import Path

import pytest
from test_docs import OPTIONS

import ostinato

ROOT = Path(ostinato.__file__).parent.parent
DOCS = ROOT / "docs"
GALLERY = sorted((ROOT / "examples" / "gallery").glob("*.py"))
TOCTREE = re.compile(r"^:::\{toctree\}\n(.*?)^:::$", re.MULTILINE | re.DOTALL)


def module(name):
    """A module of docs/site, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    sys.modules[name] = loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


generated, check_links = module("generated"), module("check_links")
stage = module("stage")


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("docs/a.md", "[x](data.md#splits)", "[x](data.md#splits)"),
        ("docs/how-to/a.md", "[x](../data.md)", "[x](../data.md)"),
        ("docs/how-to/a.md", "[x](../../CHANGELOG.md)", "[x](../changes.md)"),
        ("docs/a.md", "[x](../README.md#how-fast)", "[x](index.md)"),
        ("docs/a.md", "[x](../benchmarks/README.md#how)", "[x](benchmarks.md#how)"),
        ("docs/how-to/a.md", "[x](../../examples/gallery/plot_04_cells.py)", "[x](../gallery/plot_04_cells.rst)"),
        ("docs/a.md", "[x](../deploy/Dockerfile)", '<a href="files/deploy/Dockerfile">x</a>'),
        (
            "docs/a.md",
            "[x](../benchmarks/results/comparisons/splice/)",
            '<a href="comparisons/splice/comparison.html">x</a>',
        ),
        ("docs/a.md", "[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("docs/a.md", "[x](#here)", "[x](#here)"),
        ("docs/a.md", "```text\n[x](../CHANGELOG.md)\n```", "```text\n[x](../CHANGELOG.md)\n```"),
    ],
)
def test_links_lead_to_pages_of_the_site_or_to_copies(tmp_path, page, link, expected):
    path = ROOT / page
    assert stage.with_links_of_the_site(link, path, path.relative_to(DOCS), tmp_path) == expected
    copy = re.match(r'<a href="(.*?)"', expected)
    assert copy is None or (tmp_path / copy[1]).is_file()


def test_links_of_the_changelog_lead_from_its_page(tmp_path):
    text = "[a](docs/engine.md) [b](benchmarks/README.md)"
    found = stage.with_links_of_the_site(text, ROOT / "CHANGELOG.md", Path("changes.md"), tmp_path)
    assert found == "[a](engine.md) [b](benchmarks.md)"


def test_every_command_is_on_its_page_with_an_example_and_all_options():
    sections = re.split(r"^## ", generated.commands(), flags=re.MULTILINE)[1:]
    shown = {section.partition("\n")[0]: set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section)) for section in sections}
    assert all(re.search(rf"^Example: `{name}\b", section, re.M) for name, section in zip(shown, sections, strict=True))
    groups = {path[:-1] for path in OPTIONS}
    for path, options in OPTIONS.items():
        if path not in groups:
            assert {each for each in options if each.startswith("--")} - {"--help"} <= shown[" ".join(path)]


def test_every_public_function_and_class_is_on_the_page_of_the_python_api():
    names = {name.rpartition(".")[2] for name in re.findall(r"^   ~(ostinato[\w.]+)$", generated.python_api(), re.M)}
    assert {name for name in ostinato.__all__ if callable(getattr(ostinato, name))} <= names
    assert {name for name in ostinato.nn.__all__ if callable(getattr(ostinato.nn, name))} <= names


def test_every_field_of_a_request_is_on_the_page_of_the_http_api():
    from ostinato.serving.requests import ExplainBody, PredictBody

    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", generated.http_api(), re.MULTILINE))
    for endpoint, body in (("POST /predict", PredictBody), ("POST /explain", ExplainBody)):
        assert set(re.findall(r"^\| `(\w+)` \|", sections[endpoint], re.MULTILINE)) == set(body.model_fields)


def test_every_page_is_in_a_table_of_contents():
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    listed = {"index"}
    for path in DOCS.rglob("*.md"):
        for block in TOCTREE.findall(path.read_text(encoding="utf-8")):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {(path.parent / entry).resolve().relative_to(DOCS).as_posix() for entry in entries}
    assert pages <= listed
    assert listed - pages == {"benchmarks", "changes", "contributing", "gallery/index"}  # made from files elsewhere


def test_dead_links_foreign_files_and_missing_notebooks_are_found(tmp_path):
    (tmp_path / "b.html").write_text("<h1 id=top>B</h1>")
    (tmp_path / "a.html").write_text(
        "<a href=b.html#top>ok</a><a href=https://example.org>ok</a>"
        "<a href=c.html>dead</a><a href=b.html#no>dead</a><script src=https://example.org/x.js></script>"
    )
    (tmp_path / "gallery").mkdir()
    (tmp_path / "plot_1.ipynb").write_text("{}")
    for number in (1, 2):
        (tmp_path / "gallery" / f"plot_{number}.html").write_text("<a href=../plot_1.ipynb>notebook</a>")
    assert check_links.faults(tmp_path) == [
        "a.html: loads https://example.org/x.js",
        "a.html: no file c.html",
        "a.html: no anchor b.html#no",
        "gallery/plot_2.html: no notebook plot_2.ipynb",
    ]


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_a_program_of_the_gallery_starts_with_its_title_and_shows_a_plot(path):
    text = path.read_text(encoding="utf-8")
    title, underline, blank = (ast.get_docstring(ast.parse(text)) or "").splitlines()[:3]
    assert path.name.startswith("plot_")
    assert underline == "=" * len(title)
    assert blank == ""
    assert re.search(r"^(plt\.show\(\)|plot_\w+\(.*\))$", text, re.MULTILINE)
    assert not re.search(r"^\w+ = plot_\w+\(", text, re.MULTILINE)  # a notebook shows the value of an expression only


@pytest.mark.slow
@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_a_program_of_the_gallery_runs(path):
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    runpy.run_path(str(path), run_name="__main__")
    plt.close("all")
