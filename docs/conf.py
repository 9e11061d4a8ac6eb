"""How Sphinx builds these pages: `scripts/docs`. A link that leads nowhere is an error there."""

import scraper

project = "scraper"
author = "the authors of scraper"
release = version = scraper.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["fieldlist"]
nitpicky = True
nitpick_ignore_regex = [
    # Types of other libraries, and those of ours that are no part of the public face.
    ("py:.*", r"(?!scraper\.[A-Z]\w*$).*"),
]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_type_aliases = {"CallbackRef": "CallbackRef"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"scraper {release}"
html_copy_source = False
