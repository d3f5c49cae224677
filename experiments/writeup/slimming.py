"""What keeps a page light and open to all: no icon script of 1.5 MB, pictures loaded when in view, named toggles."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from experiments.writeup.words import words

# The theme's icon script draws a dozen icons here; the stylesheet has characters for them.
_ICON_SCRIPT = re.compile(r'\s*<script defer src="[^"]*fontawesome\.js[^"]*"></script>')
_NOTEBOOK_STYLE = re.compile(r"\s*<link [^>]*mystnb[^>]*/>")
_IMAGE = re.compile(r'<img (?P<rest>[^>]*?src="(?P<source>[^"]*)")')
_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"')
_UNUSED = ("scripts/fontawesome.js*", "**/*.map")


def _lazy_images(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    if "body" in context:
        context["body"] = _IMAGE.sub(lambda image: _lazy_image(image, Path(app.srcdir) / "figures"), context["body"])


def _lazy_image(image: re.Match, figures: Path) -> str:
    """With its size: pictures without one have no height until they are there, so that all would be in view at once."""
    drawing = figures / Path(image["source"]).name
    size = _SIZE.search(drawing.read_text(encoding="utf-8")) if drawing.is_file() else None
    pixels = f'width="{float(size[1]) * 4 / 3:.0f}" height="{float(size[2]) * 4 / 3:.0f}" ' if size else ""
    return f'<img loading="lazy" decoding="async" {pixels}{image["rest"]}'


def _named_toggles(html: str, name: str) -> str:
    """The menu's toggles, which the theme leaves without a name for who does not see them."""
    return html.replace('<summary><span class="toctree-toggle"', f'<summary aria-label="{name}"><span class="toctree-toggle"')


def _finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        html = _ICON_SCRIPT.sub("", page.read_text(encoding="utf-8"))
        if "tutorials" not in page.parts:
            html = _NOTEBOOK_STYLE.sub("", html)
        page.write_text(_named_toggles(html, words(app.config)["unfold"]), encoding="utf-8")
    for pattern in _UNUSED:
        for path in (out / "_static").glob(pattern):
            if path.is_file():
                path.unlink()


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", _lazy_images)
    app.connect("build-finished", _finish)
