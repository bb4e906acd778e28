"""Configuration of the documentation; warnings are errors when it is built."""

import sys
from pathlib import Path

import fairtask

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from gallery import examples_to_run  # noqa: E402
from inventories import intersphinx_mapping as make_mapping  # noqa: E402

project = "fairtask"
author = "The fairtask developers"
copyright = "2026, The fairtask developers"
release = version = fairtask.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax as files of the site: it needs no network
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"
toc_object_entries_show_parents = "hide"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

intersphinx_mapping = make_mapping(DOCS / "_build" / "inventories")
intersphinx_timeout = 5  # seconds

# Every name must lead somewhere, but for names of parameters and columns, which have
# no dot and no capital, and for classes that are not public.
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", r"X(_val)?|[a-z][a-z0-9_]*(-country)?"),
    ("py:class", r"fairtask\.(\w+\.)*_\w+\.\w+"),
]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": examples_to_run(),
    "ignore_pattern": r"demo\.py|__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "doc_module": ("fairtask",),  # each API page shows the examples that use it
    "backreferences_dir": "auto_examples/backreferences",
}

html_theme = "pydata_sphinx_theme"
html_title = "fairtask"
html_static_path = ["_static"]
html_css_files = ["fairtask.css"]
html_show_sourcelink = False
# Pages without others below them have no list of these.
html_sidebars: dict = {
    page: []
    for page in (
        "index",
        "install",
        "quickstart",
        "method",
        "experiments",
        "glossary",
        "changes",
        "genindex",
        "search",
    )
}
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
}


def setup(app):
    """Name torch's modules by their public names where they are base classes."""
    app.connect("autodoc-process-bases", public_bases)


def public_bases(app, name, obj, options, bases):
    bases[:] = [
        f":py:class:`torch.nn.{base.__name__}`"
        if base.__module__.startswith("torch.nn.modules")
        else base
        for base in bases
    ]
