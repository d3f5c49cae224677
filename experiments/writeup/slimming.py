"""What keeps a page light and open to all: no large script that nothing there uses, and menus' toggles that have a name."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from experiments.writeup.words import words

# The theme's icon script draws a dozen icons here; the stylesheet has characters for them. To go once the theme's is small:
# https://github.com/pydata/pydata-sphinx-theme/issues/2379, pull request 2494.
_ICON_SCRIPT = re.compile(r'\s*<script defer src="[^"]*fontawesome\.js[^"]*"></script>')
# 43 KB that only pages with a notebook use.
_NOTEBOOK_STYLE = re.compile(r"\s*<link [^>]*mystnb[^>]*/>")
# The index of all pages, 0.1 to 0.3 MB, for the theme's search while one types, which this site leaves off; its search page
# has them from Sphinx itself.
_INLINE_SEARCH = re.compile(r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>')
_UNUSED = ("scripts/fontawesome.js*", "**/*.map", "*webpack-macros.html")


def _named_toggles(html: str, name: str) -> str:
    """Returns a page whose menu's toggles have a name for who does not see them; the theme leaves them without."""
    return html.replace('<summary><span class="toctree-toggle"', f'<summary aria-label="{name}"><span class="toctree-toggle"')


def _finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for pattern in _UNUSED:
        for path in (out / "_static").glob(pattern):
            if path.is_file():
                path.unlink()
    for page in out.rglob("*.html"):
        html = _ICON_SCRIPT.sub("", page.read_text(encoding="utf-8"))
        if page.name != "search.html":
            html = _INLINE_SEARCH.sub("", html)
        if "tutorials" not in page.parts:
            html = _NOTEBOOK_STYLE.sub("", html)
        page.write_text(_named_toggles(html, words(app.config)["unfold"]), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("build-finished", _finish)
