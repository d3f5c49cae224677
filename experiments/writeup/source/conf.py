"""Sphinx configuration of the writeup; `experiments.writeup.build` says where the results are and which language to build."""

import gc

gc.disable()  # a build keeps all that it makes until it ends; looking for what it no longer needs takes a fifth of its time

project = "jaxnotes"
author = "jaxnotes"
html_show_copyright = False
html_show_sphinx = False
html_domain_indices = False
extensions = ["myst_nb", "sphinxcontrib.bibtex", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "experiments.writeup.extension"]

language = "en"
locale_dirs = ["../locale"]
gettext_compact = False
gettext_additional_targets = []

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # turned on by the build, with its cache
nb_execution_raise_on_error = True
suppress_warnings = ["myst-nb.lexer"]  # of cells that are not run
nb_merge_streams = True
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

default_role = "literal"  # of single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "sphinx_book_theme"
html_title = "jaxnotes"
html_favicon = "_static/favicon.svg"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["jaxnotes.css"]
html_js_files = [("jaxnotes.js", {"defer": "defer"})]
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
templates_path = ["_templates"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_sidenotes": False,
    "show_toc_level": 2,
    "navbar_persistent": [],  # its search is in the sidebar too, and the bar would lie over the buttons
    "navigation_with_keys": False,
    "article_header_end": ["language-switch.html", "article-header-buttons.html"],
}
