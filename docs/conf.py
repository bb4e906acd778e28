"""Configuration of the documentation; warnings are errors when it is built."""

import fairtask

project = "fairtask"
author = "The fairtask developers"
copyright = "2026, The fairtask developers"
release = version = fairtask.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
templates_path = ["_templates"]
default_role = "py:obj"
exclude_patterns = ["_build"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"demo\.py|__init__\.py",  # faces.py is shown, not run
    "download_all_examples": False,
    "show_memory": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "fairtask"
html_show_sourcelink = False
html_sidebars: dict = {"**": []}  # tables want the width
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
