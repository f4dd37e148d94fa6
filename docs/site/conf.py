"""Settings of Sphinx. `make docs` copies the pages to build/docs/source (stage.py) and builds them from there."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]
warnings.filterwarnings("ignore", category=FutureWarning)

from ostinato.versions import __version__  # noqa: E402

project = "Ostinato"
copyright = f"the authors of Ostinato {__version__}, Apache-2.0"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "llms",
]
exclude_patterns = ["gallery/*.ipynb", "gallery/*.py"]
templates_path = [str(HERE / "templates")]
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"ostinato\.nn\.network\.WidePart"),
    ("py:.*", r"(torch|numpy|np|sklearn|matplotlib|pandas|collections|pathlib|typing|onnxruntime|pyarrow)\..*"),
]
smartquotes = False
default_role = "literal"
suppress_warnings = ["config.cache", "misc.highlighting_failure"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Shapes", "Source", "Sources"]

FIRST_NOTEBOOK_CELL = """\
# This notebook needs Ostinato and its extra for plots. To install them, remove the # of the next line, and run it.
# %pip install 'ostinato[explain]'
%matplotlib inline"""
sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples" / "gallery")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "show_signature": False,
    "first_notebook_cell": FIRST_NOTEBOOK_CELL,
    "write_computation_times": False,
    "image_scrapers": ("matplotlib", "scraper.scrape"),
    "capture_repr": (),
    "matplotlib_animations": False,
    "plot_gallery": os.environ.get("GALLERY", "1") != "0",
    "reference_url": {"ostinato": None},
}

html_theme = "pydata_sphinx_theme"
html_title = "Ostinato"
html_sidebars: dict[str, list[str]] = {page: [] for page in ("index", "start", "choose", "benchmarks", "changes")}
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_extra_path = [str(ROOT / "build" / "docs" / "extra")]
html_show_sphinx = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
    "navigation_with_keys": False,
}


def skip_foreign(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what classes inherit from torch, scikit-learn and pydantic: their own documentation describes it."""
    home = getattr(getattr(member, "fget", member), "__module__", None) or "ostinato"
    return True if home.partition(".")[0] != "ostinato" else None


def setup(app: Any) -> None:
    """Sphinx calls this function."""
    app.connect("autodoc-skip-member", skip_foreign)
